#include "kernels.h"
#include "clones.h"
#include "transcendental.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

void apus_flush_denormals(void) {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
}

CLONES void apus_add(const float *a, const float *b, float *y, long begin, long end) {
    for (long i = begin; i < end; i++) y[i] = a[i] + b[i];
}

CLONES void apus_activate(
    apus_function f, float slope, const float *x, float *y, long begin, long end) {
    switch (f) {
    case apus_relu: for (long i = begin; i < end; i++) y[i] = x[i] > 0 ? x[i] : 0; break;
    case apus_relu6:
        for (long i = begin; i < end; i++) { float v = x[i] > 0 ? x[i] : 0; y[i] = v < 6 ? v : 6; }
        break;
    case apus_leaky_relu: for (long i = begin; i < end; i++) y[i] = x[i] > 0 ? x[i] : slope * x[i]; break;
    case apus_sigmoid: for (long i = begin; i < end; i++) y[i] = sigmoid(x[i]); break;
    case apus_tanh: for (long i = begin; i < end; i++) y[i] = hyperbolic_tangent(x[i]); break;
    case apus_silu: for (long i = begin; i < end; i++) y[i] = x[i] / (1.0f + exponential(-x[i])); break;
    case apus_gelu:
        for (long i = begin; i < end; i++) y[i] = 0.5f * x[i] * (1.0f + error_function(x[i] * 0.707106781f));
        break;
    }
}

CLONES void apus_activate_gradient(
    apus_function f, float slope, const float *dy, const float *s, float *dx, long begin, long end) {
    switch (f) {
    case apus_relu: for (long i = begin; i < end; i++) dx[i] = s[i] > 0 ? dy[i] : 0; break;
    case apus_relu6: for (long i = begin; i < end; i++) dx[i] = s[i] > 0 && s[i] < 6 ? dy[i] : 0; break;
    case apus_leaky_relu: for (long i = begin; i < end; i++) dx[i] = s[i] > 0 ? dy[i] : slope * dy[i]; break;
    case apus_sigmoid: for (long i = begin; i < end; i++) dx[i] = dy[i] * s[i] * (1 - s[i]); break;
    case apus_tanh: for (long i = begin; i < end; i++) dx[i] = dy[i] * (1 - s[i] * s[i]); break;
    case apus_silu:
        for (long i = begin; i < end; i++) {
            float p = sigmoid(s[i]);
            dx[i] = dy[i] * p * (1 + s[i] * (1 - p));
        }
        break;
    case apus_gelu:
        for (long i = begin; i < end; i++) {
            float x = s[i], density = 0.398942280f * exponential(-0.5f * x * x);
            dx[i] = dy[i] * (0.5f * (1.0f + error_function(x * 0.707106781f)) + x * density);
        }
        break;
    }
}

// The counter-based generator of ApusTensor's RandomKey.
static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline float kept(uint64_t key, uint64_t index, float rate, float value, float scale) {
    uint64_t bits = mix(key + (index + 1) * 0x9E3779B97F4A7C15u);
    return (float)(bits >> 40) * 0x1p-24f >= rate ? value * scale : 0;
}

CLONES void apus_dropout(
    long block, const float *x, float *y, float rate, uint64_t key, long channels, long hw,
    long begin, long end) {
    float scale = 1.0f / (1.0f - rate);
    long blocks = (channels + block - 1) / block;
    for (long plane = begin; plane < end; plane++) {
        long n = plane / blocks, first = plane % blocks * block;
        for (long i = 0; i < hw; i++) for (long l = 0; l < block; l++) {
            long at = (plane * hw + i) * block + l, channel = first + l;
            y[at] = channel < channels
                ? kept(key, (uint64_t)((n * channels + channel) * hw + i), rate, x[at], scale) : 0;
        }
    }
}

CLONES void apus_add_bias(
    const float *x, const float *bias, float *y, long columns, long begin, long end) {
    for (long r = begin; r < end; r++)
        for (long c = 0; c < columns; c++) y[r * columns + c] = x[r * columns + c] + bias[c];
}

CLONES void apus_sum_rows(
    const float *x, float *y, long rows, long columns, long begin, long end) {
    for (long c = begin; c < end; c++) y[c] = 0;
    for (long r = 0; r < rows; r++)
        for (long c = begin; c < end; c++) y[c] += x[r * columns + c];
}
