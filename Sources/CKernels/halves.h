// Functions for machines with AVX512-BF16, which multiplies brain floats in pairs and adds both products.
#ifndef APUS_HALVES_H
#define APUS_HALVES_H

#include "elements.h"
#include "wide.h"

#if defined(__x86_64__)
#define HALVES __attribute__((target("arch=x86-64-v4,avx512bf16,prfchw"), min_vector_width(512)))
typedef __bf16 Halves __attribute__((vector_size(64)));
#else
#define HALVES
#endif
#define HALVES_INLINE static inline __attribute__((always_inline)) HALVES

/// Two brain floats, the first in the lower half.
typedef uint32_t Pair;
typedef Pair Pairs __attribute__((vector_size(64)));
/// The channels of a block.
typedef uint16_t Pixel __attribute__((vector_size(32)));

/// sum + the products of both halves, in 32 bits.
HALVES_INLINE V add_products(V sum, Pairs a, Pairs b) {
#if defined(__x86_64__)
    return __builtin_ia32_dpbf16ps_512(sum, (Halves)a, (Halves)b);
#else
    return sum + (V)(a & 0xFFFF0000) * (V)(b & 0xFFFF0000) + (V)(a << 16) * (V)(b << 16);
#endif
}

/// Rounded to the nearest: one instruction instead of eight. A macro, for functions that are inlined into others with
/// these instructions.
#if defined(__x86_64__)
typedef __bf16 rounded_16 __attribute__((vector_size(32)));
#define ROUNDED(v) (halves_16)__builtin_convertvector(v, rounded_16)
#else
#define ROUNDED(v) ROUNDED_IN_INTEGERS(16, v)
#endif

HALVES_INLINE Pixel shortened(V v) { return (Pixel)ROUNDED(v); }

/// x / (1 + e^-x), as exact as brain floats can show: 2^f by a minimax polynomial (7.5e-5), the quotient by the
/// processor's estimate (6e-5).
HALVES_INLINE V short_silu(V x) {
    V t = x * -1.44269504f;
    t = __builtin_elementwise_min(__builtin_elementwise_max(t, (V){0} - 126), (V){0} + 126);
    // Added to this a number is rounded to an integer, which then stands in the lowest bits.
    const V shift = (V){0} + 0x1.8p23f, n = t + shift, f = t - (n - shift);
    const V p = ((f * 0.05517166f + 0.24261112f) * f + 0.69326099f) * f + 0.99992807f;
    const V denominator = (V)((Pairs)p + ((Pairs)n << 23)) + 1;
#if defined(__x86_64__)
    return x * __builtin_ia32_rcp14ps512_mask(denominator, (V){0}, 0xFFFF);
#else
    return x / denominator;
#endif
}

/// Channel by channel of two pixels.
HALVES_INLINE Pairs interleaved(Pixel a, Pixel b) {
    return (Pairs)__builtin_shufflevector(
        a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
        13, 29, 14, 30, 15, 31);
}

#endif
