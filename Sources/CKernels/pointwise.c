#include "kernels.h"
#include "clones.h"
#include "elements.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

void apus_flush_denormals(void) {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
}

// exp(x) by 2^n * p(r), |r| <= ln(2) / 2, with a polynomial of degree 6: 2 ulp, and it vectorizes,
// which a call to the library does not.
INLINE float exponential(float x) {
    x = x > 88.0f ? 88.0f : (x < -87.0f ? -87.0f : x);
    float n = __builtin_rintf(x * 1.44269504088896341f);
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union { int32_t i; float f; } power = { .i = ((int32_t)n + 127) << 23 };
    return p * power.f;
}

INLINE float sigmoid(float x) {
    return 1.0f / (1.0f + exponential(-x));
}

// Abramowitz and Stegun 1964, 7.1.26: within 1.5e-7, and it vectorizes.
INLINE float errorFunction(float x) {
    float a = __builtin_fabsf(x), t = 1.0f / (1.0f + 0.3275911f * a);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    return __builtin_copysignf(1.0f - p * t * exponential(-a * a), x);
}

// Near zero 1 - 2 / (e^2x + 1) loses digits; the odd series keeps them.
INLINE float hyperbolicTangent(float x) {
    float s = x * x;
    float series = x * (1.0f + s * (-0.333333333f + s * (0.133333333f - s * 0.053968254f)));
    float quotient = 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f);
    return s < 0.04f ? series : quotient;
}

// The counter-based generator of ApusTensor's RandomKey.
INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

INLINE float kept(uint64_t key, uint64_t index, float rate, float value, float scale) {
    uint64_t bits = mix(key + (index + 1) * 0x9E3779B97F4A7C15u);
    return (float)(bits >> 40) * 0x1p-24f >= rate ? value * scale : 0;
}

#define ELEMENT float
#include "pointwise.inc"
#undef ELEMENT
#define ELEMENT bf16
#include "pointwise.inc"
#undef ELEMENT

// The type chooses the kernel.
#define DISPATCH(NAME, PARAMETERS, ...)                         \
    void NAME PARAMETERS {                                      \
        if (t == apus_float32) NAME##_float(__VA_ARGS__);       \
        else NAME##_bf16(__VA_ARGS__);                          \
    }

DISPATCH(apus_add,
    (apus_type t, const void *a, const void *b, void *y, long begin, long end),
    a, b, y, begin, end)
DISPATCH(apus_multiply,
    (apus_type t, const void *x, float factor, void *y, long begin, long end),
    x, factor, y, begin, end)
DISPATCH(apus_activate,
    (apus_type t, apus_function f, float slope, const void *x, void *y, long begin, long end),
    f, slope, x, y, begin, end)
DISPATCH(apus_activate_gradient,
    (apus_type t, apus_function f, float slope, const void *dy, const void *saved, void *dx,
     long begin, long end),
    f, slope, dy, saved, dx, begin, end)

void apus_dropout(
    apus_format f, const void *x, void *y, float rate, uint64_t key, long channels, long hw,
    long begin, long end) {
    if (f.type == apus_float32)
        apus_dropout_float(f.block, x, y, rate, key, channels, hw, begin, end);
    else apus_dropout_bf16(f.block, x, y, rate, key, channels, hw, begin, end);
}

CLONES void apus_widen(const void *x, float *y, long begin, long end) {
    for (long i = begin; i < end; i++) y[i] = load_bf16((const bf16 *)x + i);
}

CLONES void apus_narrow(const float *x, void *y, long begin, long end) {
    for (long i = begin; i < end; i++) store_bf16((bf16 *)y + i, x[i]);
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
