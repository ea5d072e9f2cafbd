#include "pixels.h"
#include "clones.h"
#include "elements.h"

// Pixels that go through all steps together: three channels of a block stay in the first cache.
enum { block = 256, lanes = 16 };

INLINE float clamped(float x) { return x < 0 ? 0 : (x > 1 ? 1 : x); }

// The weights torchvision uses.
INLINE float luma(float r, float g, float b) { return 0.2989f * r + 0.587f * g + 0.114f * b; }

// The rest of a number from 0 on when divided by six. The conversion is one instruction everywhere,
// which rounding down is not.
INLINE float modulo_six(float k) { return k - 6 * (float)(int)(k * (1.0f / 6)); }

// One channel from hue (-1...12), value and chroma, where n is 5 for red, 3 for green, 1 for blue: the
// usual formula for six cases in one expression.
INLINE float from_hue(float hue, float value, float chroma, float n) {
    float k = modulo_six(hue + n);
    float far = 4 - k;
    return value - chroma * clamped(k < far ? k : far);
}

INLINE void turn_hue(float *r, float *g, float *b, float turn, long count) {
    for (long i = 0; i < count; i++) {
        float x = r[i], y = g[i], z = b[i];
        float most = x > y ? x : y, least = x < y ? x : y;
        most = most > z ? most : z;
        least = least < z ? least : z;
        float chroma = most - least, over = 1 / (chroma == 0 ? 1 : chroma);
        float near_red = (y - z) * over, near_green = (z - x) * over + 2;
        float near_blue = (x - y) * over + 4;
        float hue = most == x ? near_red : (most == y ? near_green : near_blue);
        hue += 6 * turn;
        r[i] = from_hue(hue, most, chroma, 5);
        g[i] = from_hue(hue, most, chroma, 3);
        b[i] = from_hue(hue, most, chroma, 1);
    }
}

INLINE void saturate(float *r, float *g, float *b, float factor, long count) {
    for (long i = 0; i < count; i++) {
        float gray = (1 - factor) * luma(r[i], g[i], b[i]);
        r[i] = clamped(factor * r[i] + gray);
        g[i] = clamped(factor * g[i] + gray);
        b[i] = clamped(factor * b[i] + gray);
    }
}

INLINE void make_gray(float *r, float *g, float *b, long count) {
    for (long i = 0; i < count; i++) r[i] = g[i] = b[i] = luma(r[i], g[i], b[i]);
}

INLINE void blend(float *x, float a, float b, long count) {
    for (long i = 0; i < count; i++) x[i] = clamped(a * x[i] + b);
}

INLINE void solarize(float *x, float threshold, long count) {
    for (long i = 0; i < count; i++) x[i] = x[i] >= threshold ? 1 - x[i] : x[i];
}

INLINE void affine(float *x, float a, float b, long count) {
    for (long i = 0; i < count; i++) x[i] = a * x[i] + b;
}

INLINE double sum_luma(const float *x, long channels, long plane, long count) {
    float sums[lanes] = {0};
    long i = 0;
    for (; i + lanes <= count; i += lanes)
        for (int l = 0; l < lanes; l++)
            sums[l] += channels == 3
                ? luma(x[i + l], x[plane + i + l], x[2 * plane + i + l]) : x[i + l];
    double total = 0;
    for (int l = 0; l < lanes; l++) total += sums[l];
    for (; i < count; i++)
        total += channels == 3 ? luma(x[i], x[plane + i], x[2 * plane + i]) : x[i];
    return total;
}

CLONES double apus_pixel_pass(
    float *picture, long channels, long plane, const apus_pixel_step *steps, long count, int sums) {
    double total = 0;
    for (long first = 0; first < plane; first += block) {
        long pixels = plane - first < block ? plane - first : block;
        float *r = picture + first, *g = r + plane, *b = g + plane;
        for (long s = 0; s < count; s++) {
            const apus_pixel_step *step = steps + s;
            switch (step->kind) {
            case apus_pixel_blend:
                for (long c = 0; c < channels; c++)
                    blend(r + c * plane, step->a[0], step->b[0], pixels);
                break;
            case apus_pixel_solarize:
                for (long c = 0; c < channels; c++) solarize(r + c * plane, step->a[0], pixels);
                break;
            case apus_pixel_affine:
                for (long c = 0; c < channels; c++)
                    affine(r + c * plane, step->a[c], step->b[c], pixels);
                break;
            case apus_pixel_saturation: saturate(r, g, b, step->a[0], pixels); break;
            case apus_pixel_hue: turn_hue(r, g, b, step->a[0], pixels); break;
            case apus_pixel_gray: make_gray(r, g, b, pixels); break;
            }
        }
        if (sums) total += sum_luma(r, channels, plane, pixels);
    }
    return total;
}
