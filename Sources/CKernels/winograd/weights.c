// The transforms of weights, and of their gradients back.
#include "rows.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// Swaps lanes and rows.
WIDE_INLINE void transpose(V *r) {
    V t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
    // Row i + j now holds, in every quarter k, column 4 * k + j of rows i to i + 3.
    UNROLL for (int i = 0; i < 16; i += 4)
        UNROLL for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = __builtin_shufflevector(t[i + j], t[i + j + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
            r[i + 2 * j + 1] = __builtin_shufflevector(t[i + j], t[i + j + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        }
    UNROLL for (int j = 0; j < 4; j++)
        UNROLL for (int i = 0; i < 16; i += 8) {
            t[i + j] = __builtin_shufflevector(r[i + j], r[i + j + 4], 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
            t[i + j + 4] = __builtin_shufflevector(r[i + j], r[i + j + 4], 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
        }
    UNROLL for (int j = 0; j < 4; j++)
        UNROLL for (int i = 0; i < 2; i++) {
            r[8 * i + j] = __builtin_shufflevector(t[4 * i + j], t[4 * i + j + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
            r[8 * i + j + 4] = __builtin_shufflevector(t[4 * i + j], t[4 * i + j + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
        }
}

// A kernel's nine weights, to and from a vector's first lanes.
#if defined(__x86_64__)
#define LOAD_KERNEL(p) ((V)_mm512_maskz_loadu_ps(0x1FF, p))
#define STORE_KERNEL(p, v) _mm512_mask_storeu_ps(p, 0x1FF, v)
#else
#define LOAD_KERNEL(p) ({ V v_ = {0}; memcpy(&v_, p, 36); v_; })
#define STORE_KERNEL(p, v) do { V v_ = v; memcpy(p, &v_, 36); } while (0)
#endif

long apus_winograd_pairs(const apus_winograd *w) { return (BLOCKS(w->outputChannels) + 1) / 2; }

long apus_winograd_weight_count(const apus_winograd *w) {
    return apus_winograd_pairs(w) * PAIR(BLOCKS(w->inputChannels) * 16);
}

WIDE_INLINE void transform_weights(
    const apus_winograd *w, const float *weights, float *u, long pair,
    void (*const row)(const V *, V *)) {
    const long channels = w->inputChannels, width = PAIR_LANES(w, pair);
    const long position = PAIR_POSITION(width, channels);
    // A gradient's output channels are the weights' input channels.
    const long outer = w->transposes ? 9 : 9 * channels;
    const long inner = w->transposes ? 9 * w->outputChannels : 9;
    for (long c = 0; c < channels; c++)
        for (long half = 0; half < width / 16; half++) {
            const long block = 2 * pair + half, lanes = LANES(w->outputChannels, block);
            const float *k = weights + block * 16 * outer + c * inner;
            // The input channels of a gradient lie far apart.
            if (w->transposes)
                for (long i = 0; i < 9; i++) __builtin_prefetch(k + 8 * inner + 16 * i);
            V g[16];
            if (lanes == 16) {
                UNROLL for (int lane = 0; lane < 16; lane++) g[lane] = LOAD_KERNEL(k + lane * outer);
            } else {
                for (int lane = 0; lane < 16; lane++)
                    g[lane] = lane < lanes ? LOAD_KERNEL(k + lane * outer) : (V){0};
            }
            transpose(g);
            V t[6][3];
            UNROLL for (int j = 0; j < 3; j++) {
                V d[3], e[6];
                UNROLL for (int i = 0; i < 3; i++) d[i] = w->transposes ? g[8 - 3 * i - j] : g[3 * i + j];
                row(d, e);
                UNROLL for (int i = 0; i < 6; i++) t[i][j] = e[i];
            }
            float *out = u + c * width + half * 16;
            UNROLL for (int i = 0; i < 6; i++) {
                V e[6];
                row(t[i], e);
                UNROLL for (int j = 0; j < 6; j++) *(V *)(out + (6 * i + j) * position) = e[j];
            }
        }
}

WIDE void apus_winograd_transform_weights(
    const apus_winograd *w, const float *weights, float *u, long pair) {
    if (w->stride == 1) transform_weights(w, weights, u, pair, weight_row);
    else transform_weights(w, weights, u, pair, strided_weight_row);
}

void apus_winograd_weights(
    const apus_winograd *w, const float *weights, float *u, long begin, long end) {
    for (long pair = begin; pair < end; pair++)
        apus_winograd_transform_weights(w, weights, u + pair * PAIR(w->inputChannels), pair);
}

WIDE_INLINE void transform_weight_gradient(
    const apus_winograd *w, const float *s, long position, long parts, long part, float *weights,
    long pair, long firstChannel, long channels, void (*const row)(const V *, V *)) {
    const long width = PAIR_LANES(w, pair), outer = w->inputChannels * 9;
    for (long half = 0; half < width / 16; half++) {
        const long block = 2 * pair + half, lanes = LANES(w->outputChannels, block);
        for (long c = 0; c < channels; c++) {
            const float *in = s + c * width + half * 16;
            V t[3][6];
            UNROLL for (int j = 0; j < 6; j++) {
                V d[6], e[3];
                UNROLL for (int i = 0; i < 6; i++) {
                    d[i] = *(const V *)(in + (6 * i + j) * position);
                    for (long k = 1; k < parts; k++)
                        d[i] += *(const V *)(in + (6 * i + j) * position + k * part);
                }
                row(d, e);
                UNROLL for (int i = 0; i < 3; i++) t[i][j] = e[i];
            }
            V g[16];
            UNROLL for (int i = 0; i < 16; i++) g[i] = (V){0};
            UNROLL for (int i = 0; i < 3; i++) row(t[i], g + 3 * i);
            transpose(g);
            float *k = weights + block * 16 * outer + (firstChannel + c) * 9;
            if (lanes == 16) {
                UNROLL for (int lane = 0; lane < 16; lane++) STORE_KERNEL(k + lane * outer, g[lane]);
            } else {
                for (int lane = 0; lane < lanes; lane++) STORE_KERNEL(k + lane * outer, g[lane]);
            }
        }
    }
}

WIDE void apus_winograd_transform_weight_gradient(
    const apus_winograd *w, const float *s, long position, long parts, long part, float *weights,
    long pair, long firstChannel, long channels) {
    if (w->stride == 1)
        transform_weight_gradient(
            w, s, position, parts, part, weights, pair, firstChannel, channels, weight_gradient_row);
    else
        transform_weight_gradient(
            w, s, position, parts, part, weights, pair, firstChannel, channels,
            strided_weight_gradient_row);
}

void apus_winograd_weight_gradient_finish(
    const apus_winograd *w, const float *s, long parts, float *weights, long begin, long end) {
    const long channels = BLOCKS(w->inputChannels) * 16;
    for (long pair = begin; pair < end; pair++)
        apus_winograd_transform_weight_gradient(
            w, s + pair * PAIR(channels), PAIR_POSITION(PAIR_LANES(w, pair), channels), parts,
            apus_winograd_weight_count(w), weights, pair, 0, w->inputChannels);
}
