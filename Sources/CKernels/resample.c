#include "pixels.h"
#include "clones.h"
#include "elements.h"

// Samples summed in registers before they are stored.
enum { group = 64 };

#define COLUMNS(type)                                                                       \
    long x = 0;                                                                             \
    for (; x + group <= count; x += group) {                                                \
        float sum[group] = {0};                                                             \
        for (long j = 0; j < taps; j++) {                                                   \
            const type *from = rows + j * stride + x;                                       \
            for (int l = 0; l < group; l++) sum[l] += weights[j] * from[l];                 \
        }                                                                                   \
        for (int l = 0; l < group; l++) out[x + l] = sum[l];                                \
    }                                                                                       \
    for (; x < count; x++) {                                                                \
        float sum = 0;                                                                      \
        for (long j = 0; j < taps; j++) sum += weights[j] * rows[j * stride + x];           \
        out[x] = sum;                                                                       \
    }

CLONES void apus_resample_columns(
    const uint8_t *rows, long stride, const float *weights, long taps, float *restrict out,
    long count) {
    COLUMNS(uint8_t)
}

CLONES void apus_resample_float_columns(
    const float *rows, long stride, const float *weights, long taps, float *restrict out,
    long count) {
    COLUMNS(float)
}

// A pixel of three channels and what follows it, from any address.
typedef float pixel __attribute__((vector_size(16), aligned(4)));

CLONES void apus_resample_row(
    const float *row, long channels, const int32_t *starts, const float *weights, long taps,
    long width, float low, float high, const float *scale, const float *bias,
    float *restrict out, long plane) {
    if (channels == 1) {
        for (long x = 0; x < width; x++) {
            float sum = 0;
            for (long j = 0; j < taps; j++) sum += weights[x * taps + j] * row[starts[x] + j];
            sum = sum < low ? low : (sum > high ? high : sum);
            out[x] = sum * scale[0] + bias[0];
        }
        return;
    }
    pixel least = {low, low, low, low}, most = {high, high, high, high};
    pixel by = {scale[0], scale[1], scale[2], 0}, plus = {bias[0], bias[1], bias[2], 0};
    for (long x = 0; x < width; x++) {
        const float *from = row + 3 * starts[x], *weight = weights + x * taps;
        pixel sum = {0};
        for (long j = 0; j < taps; j++) sum += weight[j] * *(const pixel *)(from + 3 * j);
        sum = __builtin_elementwise_min(__builtin_elementwise_max(sum, least), most) * by + plus;
        for (int c = 0; c < 3; c++) out[c * plane + x] = sum[c];
    }
}

CLONES void apus_convert_row(
    const uint8_t *row, long channels, long width, int mirrors, const float *scale,
    const float *bias, float *restrict out, long plane) {
    if (channels == 1 && !mirrors) {
        for (long x = 0; x < width; x++) out[x] = row[x] * scale[0] + bias[0];
    } else if (channels == 1) {
        for (long x = 0; x < width; x++) out[x] = row[width - 1 - x] * scale[0] + bias[0];
    } else {
        for (int c = 0; c < 3; c++) {
            float *to = out + c * plane, by = scale[c], plus = bias[c];
            if (mirrors)
                for (long x = 0; x < width; x++) to[x] = row[3 * (width - 1 - x) + c] * by + plus;
            else
                for (long x = 0; x < width; x++) to[x] = row[3 * x + c] * by + plus;
        }
    }
}
