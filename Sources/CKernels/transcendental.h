// Transcendental functions in 32-bit floats without branches or tables, so that loops over them
// vectorize, which calls to the library do not.
#ifndef APUS_TRANSCENDENTAL_H
#define APUS_TRANSCENDENTAL_H

#include "elements.h"

/// exp(x) as 2^n * exp(r), |r| <= ln(2) / 2, by a minimax polynomial: 2 ulp. Beyond -87...88 it is
/// constant.
INLINE float exponential(float x) {
    x = x > 88.0f ? 88.0f : (x < -87.0f ? -87.0f : x);
    // Added to this a number is rounded to an integer, which then stands in the lowest bits.
    const float shift = 0x1.8p23f;
    union { float value; uint32_t bits; } n, y;
    n.value = x * 1.44269504f + shift;
    // ln(2) in two parts, the first of so few bits that its product with n is exact.
    float whole = n.value - shift;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 8.28988757e-3f;
    p = p * r + 4.19002399e-2f;
    p = p * r + 1.66676551e-1f;
    p = p * r + 4.99991328e-1f;
    p = p * r + 9.99999702e-1f;
    y.value = p * r + 1.0f;
    y.bits += n.bits << 23;
    return y.value;
}

/// log(x) for normal x > 0: exponent * ln(2) + 2 atanh((m - 1) / (m + 1)) with m in 0.7...1.42.
INLINE float logarithm(float x) {
    union { float value; int32_t bits; } m = {x};
    int32_t exponent = (m.bits - 0x3F3504F3) >> 23;
    m.bits -= exponent * 0x800000;
    float s = (m.value - 1) / (m.value + 1), t = s * s;
    float series = 1 + t * (0.333333333f + t * (0.2f + t * (0.142857143f + t * 0.111111111f)));
    return 2 * s * series + (float)exponent * 0.693147181f;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/// exponential() of a vector of B floats.
#define VECTOR_EXPONENTIAL(B, x) VECTOR_EXPONENTIAL_(B, x)
#define VECTOR_EXPONENTIAL_(B, x)                                                          \
    ({                                                                                     \
        const vector_##B low_ = (vector_##B){0} - 87, high_ = (vector_##B){0} + 88;        \
        const vector_##B x_ =                                                              \
            __builtin_elementwise_max(__builtin_elementwise_min((vector_##B)(x), high_), low_); \
        const vector_##B n_ = x_ * 1.44269504f + 0x1.8p23f, whole_ = n_ - 0x1.8p23f;       \
        const vector_##B r_ = (x_ - whole_ * 0.693359375f) + whole_ * 2.12194440e-4f;      \
        vector_##B p_ = 8.28988757e-3f * r_ + 4.19002399e-2f;                              \
        p_ = p_ * r_ + 1.66676551e-1f;                                                     \
        p_ = p_ * r_ + 4.99991328e-1f;                                                     \
        p_ = p_ * r_ + 9.99999702e-1f;                                                     \
        p_ = p_ * r_ + 1.0f;                                                               \
        (vector_##B)((bits_##B)p_ + ((bits_##B)n_ << 23));                                 \
    })

/// x / (1 + e^-x) of a vector of B floats.
#define VECTOR_SILU(B, x)                                                                  \
    ({ const __typeof__(x) v_ = (x); v_ / (1.0f + VECTOR_EXPONENTIAL(B, -v_)); })

/// Near zero 1 - 2 / (e^2x + 1) loses digits; the odd series keeps them.
INLINE float hyperbolic_tangent(float x) {
    float s = x * x;
    float series = x * (1.0f + s * (-0.333333333f + s * (0.133333333f - s * 0.053968254f)));
    float quotient = 1.0f - 2.0f / (exponential(2.0f * x) + 1.0f);
    return s < 0.04f ? series : quotient;
}

/// The error function: x + x * p(x^2) near zero, 1 - exp(p(|x|)) beyond; 3 ulp.
/// Coefficients by N. Juffa.
INLINE float error_function(float x) {
    float t = __builtin_fabsf(x), s = x * x;
    float far = -1.72853470e-5f * t + 3.83197126e-4f;
    far = far * s + (-3.88396438e-3f * t + 2.42546219e-2f);
    far = far * t - 1.06777877e-1f;
    far = far * t - 6.34846687e-1f;
    far = far * t - 1.28717512e-1f;
    far = 1.0f - exponential(far * t - t);
    float near = -5.96761703e-4f;
    near = near * s + 4.99119423e-3f;
    near = near * s - 2.67681349e-2f;
    near = near * s + 1.12819925e-1f;
    near = near * s - 3.76125336e-1f;
    near = near * s + 1.28379166e-1f;
    near = near * x + x;
    return t > 0.927734375f ? __builtin_copysignf(far, x) : near;
}

#endif
