#include "pixels.h"
#include "clones.h"
#include "elements.h"
#include "transcendental.h"
#include <string.h>

INLINE long reflected(long i, long count) {
    return i < 0 ? -i : (i >= count ? 2 * (count - 1) - i : i);
}

// Where a group of samples begins. The last group of a row overlaps the one before: that is less
// work than its samples one by one.
INLINE long group_start(long x, long group, long width) {
    return x + group <= width ? x : width - group;
}

// `group` is a constant, at most the width.
INLINE void blur_groups(
    float *plane, long height, long width, const float *weights, long radius, float scale,
    float bias, float *work, const int group) {
    float *row = work + height * width + radius;
    for (long y = 0; y < height; y++) {
        const float *from = plane + y * width;
        memcpy(row, from, width * sizeof(float));
        for (long i = 1; i <= radius; i++) {
            row[-i] = from[i];
            row[width - 1 + i] = from[width - 1 - i];
        }
        for (long first = 0; first < width; first += group) {
            const float *here = row + group_start(first, group, width);
            float *restrict to = work + y * width + (here - row);
            float sum[64];
            for (int l = 0; l < group; l++) sum[l] = weights[0] * here[l];
            for (long j = 1; j <= radius; j++)
                for (int l = 0; l < group; l++) sum[l] += weights[j] * (here[l - j] + here[l + j]);
            for (int l = 0; l < group; l++) to[l] = sum[l];
        }
    }
    for (long y = 0; y < height; y++)
        for (long first = 0; first < width; first += group) {
            long x = group_start(first, group, width);
            const float *here = work + y * width + x;
            float *restrict to = plane + y * width + x;
            float sum[64];
            for (int l = 0; l < group; l++) sum[l] = weights[0] * here[l];
            for (long j = 1; j <= radius; j++) {
                const float *above = work + reflected(y - j, height) * width + x;
                const float *below = work + reflected(y + j, height) * width + x;
                for (int l = 0; l < group; l++) sum[l] += weights[j] * (above[l] + below[l]);
            }
            for (int l = 0; l < group; l++) to[l] = sum[l] * scale + bias;
        }
}

CLONES void apus_blur(
    float *plane, long height, long width, const float *weights, long radius, float scale,
    float bias, float *work) {
    if (width >= 64) blur_groups(plane, height, width, weights, radius, scale, bias, work, 64);
    else if (width >= 16) blur_groups(plane, height, width, weights, radius, scale, bias, work, 16);
    else blur_groups(plane, height, width, weights, radius, scale, bias, work, 1);
}

CLONES void apus_sobel(const float *from, float *restrict to, long height, long width) {
    for (long y = 0; y < height; y++) {
        const float *above = from + (height > 1 ? reflected(y - 1, height) : 0) * width;
        const float *here = from + y * width;
        const float *below = from + (height > 1 ? reflected(y + 1, height) : 0) * width;
        for (long x = 0; x < width; x++) {
            long left = width > 1 ? reflected(x - 1, width) : 0;
            long right = width > 1 ? reflected(x + 1, width) : 0;
            float across = (above[right] - above[left]) + 2 * (here[right] - here[left])
                + (below[right] - below[left]);
            float down = (below[left] - above[left]) + 2 * (below[x] - above[x])
                + (below[right] - above[right]);
            float magnitude = 0.25f * __builtin_sqrtf(across * across + down * down);
            to[y * width + x] = magnitude > 1 ? 1 : magnitude;
        }
    }
}

INLINE float sample(const float *from, long y, long x, long height, long width) {
    return y >= 0 && y < height && x >= 0 && x < width ? from[y * width + x] : 0;
}

CLONES void apus_rotate(
    const float *from, float *restrict to, long height, long width, float cosine, float sine) {
    for (long y = 0; y < height; y++)
        for (long x = 0; x < width; x++) {
            // Where in the source the pixel comes from, measured from the center.
            float across = x - 0.5f * (width - 1), down = y - 0.5f * (height - 1);
            float column = cosine * across - sine * down + 0.5f * (width - 1);
            float row = sine * across + cosine * down + 0.5f * (height - 1);
            long left = (long)__builtin_floorf(column), top = (long)__builtin_floorf(row);
            float right = column - left, bottom = row - top;
            float upper = (1 - right) * sample(from, top, left, height, width)
                + right * sample(from, top, left + 1, height, width);
            float lower = (1 - right) * sample(from, top + 1, left, height, width)
                + right * sample(from, top + 1, left + 1, height, width);
            to[y * width + x] = (1 - bottom) * upper + bottom * lower;
        }
}

// The finalizer of SplitMix64, as ApusTensor's RandomKey.
INLINE uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

// The normal number below which a share u of all lie (M. Giles, Approximating the erfinv function,
// 2010). `twice` is 2 u in 0..<2, not 0.
INLINE float normal(float twice) {
    float x = twice - 1, w = -logarithm(twice * (2 - twice));
    float near = w - 2.5f, far = __builtin_sqrtf(w) - 3;
    float p = 2.81022636e-08f, q = -0.000200214257f;
    p = 3.43273939e-07f + p * near, q = 0.000100950558f + q * far;
    p = -3.5233877e-06f + p * near, q = 0.00134934322f + q * far;
    p = -4.39150654e-06f + p * near, q = -0.00367342844f + q * far;
    p = 0.00021858087f + p * near, q = 0.00573950773f + q * far;
    p = -0.00125372503f + p * near, q = -0.0076224613f + q * far;
    p = -0.00417768164f + p * near, q = 0.00943887047f + q * far;
    p = 0.246640727f + p * near, q = 1.00167406f + q * far;
    p = 1.50140941f + p * near, q = 2.83297682f + q * far;
    return 1.41421356f * x * (w < 5 ? p : q);
}

CLONES void apus_noise(float *samples, long count, uint64_t key, float deviation) {
    for (long i = 0; i < count; i++) {
        uint64_t bits = mixed(key + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15);
        float twice = ((float)(int32_t)(bits >> 41) + 0.5f) * 0x1p-22f;
        float x = samples[i] + deviation * normal(twice);
        samples[i] = x < 0 ? 0 : (x > 1 ? 1 : x);
    }
}
