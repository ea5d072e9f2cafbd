// Convolutions with 3x3 kernels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016):
// 36 multiplications for 16 pixels of output instead of 144.
//
// An image is cut into tiles of 6x6 pixels that overlap by two. With U = G g G^T and V = B^T d B the
// products m = sum over input channels of U * V are 36 matrix products, one for every position in
// the tile, and A^T m A is the tile of output. The interpolation points are 0, +-P, +-Q and infinity.
#include "kernels.h"
#include "elements.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Called on machines with AVX-512 only; elsewhere the compiler makes what it can of the vectors.
#if defined(__x86_64__)
// Without a minimal width clang would split the vectors in two.
#define WIDE __attribute__((target("arch=x86-64-v4"), min_vector_width(512)))
#else
#define WIDE
#endif
#define WIDE_INLINE static inline __attribute__((always_inline)) WIDE
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float V __attribute__((vector_size(64)));
typedef float V_unaligned __attribute__((vector_size(64), aligned(4)));
typedef int32_t Mask __attribute__((vector_size(64)));
#define POSITIVE(v) ((V)((Mask)(v) & ((v) > 0)))

// With the points 1/sqrt(2) and sqrt(2) the result loses half as many digits as with 1 and 2.
#define P 0.70710678f
#define Q 1.41421356f
#define P2 0.5f
#define Q2 2.0f

/// Floats between two of the 36 positions: an odd number of cache lines, so that the positions of a
/// tile do not fall into the same set of the cache.
#define POSITION(blocks, stride) ((((blocks) * (stride)) | 1) * 16)

/// Tiles of a row that are transformed together, sharing the columns in which they overlap.
#define RUN 8
#define COLUMNS (4 * RUN + 2)

typedef struct { long image, row, column, tiles; } Run;

/// The tiles from `tile` on that lie in the same row, at most `limit`.
WIDE_INLINE Run run_of(const apus_winograd *w, long tile, long limit) {
    const long across = (w->outputWidth + 3) / 4, down = (w->outputHeight + 3) / 4;
    Run r = { tile / (across * down), tile / across % down, tile % across, 0 };
    r.tiles = across - r.column;
    if (r.tiles > RUN) r.tiles = RUN;
    if (r.tiles > limit) r.tiles = limit;
    return r;
}

/// e = B^T d; P * Q = 1.
WIDE_INLINE void input_row(const V *d, V *e) {
    const V p = d[4] - Q2 * d[2], q = d[3] - Q2 * d[1];
    const V r = d[4] - P2 * d[2], s = d[3] - P2 * d[1];
    e[0] = d[0] + d[4] - (P2 + Q2) * d[2];
    e[1] = p + P * q;
    e[2] = p - P * q;
    e[3] = r + Q * s;
    e[4] = r - Q * s;
    e[5] = d[1] + d[5] - (P2 + Q2) * d[3];
}

/// e = A^T d
WIDE_INLINE void output_row(const V *d, V *e) {
    const V p = d[1] + d[2], q = d[1] - d[2], r = d[3] + d[4], s = d[3] - d[4];
    e[0] = d[0] + p + r;
    e[1] = P * q + Q * s;
    e[2] = P2 * p + Q2 * r;
    e[3] = P2 * P * q + (Q2 * Q * s + d[5]);
}

/// e = A d
WIDE_INLINE void gradient_row(const V *d, V *e) {
    const V p = d[0] + P2 * d[2], q = d[1] + P2 * d[3];
    const V r = d[0] + Q2 * d[2], s = d[1] + Q2 * d[3];
    e[0] = d[0];
    e[1] = p + P * q;
    e[2] = p - P * q;
    e[3] = r + Q * s;
    e[4] = r - Q * s;
    e[5] = d[3];
}

// The rows of G: (1, x, x^2) divided by the product of the differences to the other points.
#define GP (1 / (2 * P2 * (P2 - Q2)))
#define GQ (1 / (2 * Q2 * (Q2 - P2)))

/// e = G d
WIDE_INLINE void weight_row(const V *d, V *e) {
    const V p = GP * d[0] + GP * P2 * d[2], r = GQ * d[0] + GQ * Q2 * d[2];
    e[0] = d[0];
    e[1] = p + GP * P * d[1];
    e[2] = p - GP * P * d[1];
    e[3] = r + GQ * Q * d[1];
    e[4] = r - GQ * Q * d[1];
    e[5] = d[2];
}

/// e = G^T d
WIDE_INLINE void weight_gradient_row(const V *d, V *e) {
    const V p = d[1] + d[2], q = d[1] - d[2], r = d[3] + d[4], s = d[3] - d[4];
    e[0] = d[0] + (GP * p + GQ * r);
    e[1] = GP * P * q + GQ * Q * s;
    e[2] = GP * P2 * p + (GQ * Q2 * r + d[5]);
}

#define T float
#define NAME(f) f##_float
#define READ LOAD_float
#define WRITE STORE_float
#include "winograd.inc"
#undef T
#undef NAME
#undef READ
#undef WRITE
#define T bf16
#define NAME(f) f##_bf16
#define READ LOAD_bf16
#define WRITE STORE_bf16
#include "winograd.inc"
#undef T
#undef NAME
#undef READ
#undef WRITE

// ---- Weights ----

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

// Products of weights lie as [36][pair of output blocks][input channel][lane of the pair]; an odd
// last block is alone.
typedef struct { long position, channel, offset; } Products;

WIDE_INLINE Products products_of(const apus_winograd *w, long channels, long block) {
    const long blocks = (w->outputChannels + 15) / 16, first = block & ~1L;
    return (Products){ blocks * 16 * channels, first + 1 < blocks ? 32 : 16,
                       first * 16 * channels + (block - first) * 16 };
}

WIDE_INLINE long lanes_of(long channels, long block) {
    return channels - block * 16 < 16 ? channels - block * 16 : 16;
}

long apus_winograd_weight_count(const apus_winograd *w) {
    return 36 * ((w->outputChannels + 15) / 16) * 16 * ((w->inputChannels + 15) / 16 * 16);
}

WIDE void apus_winograd_weights(
    const apus_winograd *w, const float *weights, float *u, long begin, long end) {
    const long channels = w->inputChannels;
    // A gradient's output channels are the weights' input channels.
    const long outer = w->transposes ? 9 : 9 * channels;
    const long inner = w->transposes ? 9 * w->outputChannels : 9;
    for (long block = begin; block < end; block++) {
        const long lanes = lanes_of(w->outputChannels, block);
        const Products l = products_of(w, channels, block);
        for (long c = 0; c < channels; c++) {
            const float *k = weights + block * 16 * outer + c * inner;
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
                weight_row(d, e);
                UNROLL for (int i = 0; i < 6; i++) t[i][j] = e[i];
            }
            float *out = u + l.offset + c * l.channel;
            UNROLL for (int i = 0; i < 6; i++) {
                V e[6];
                weight_row(t[i], e);
                UNROLL for (int j = 0; j < 6; j++) *(V *)(out + (6 * i + j) * l.position) = e[j];
            }
        }
    }
}

WIDE void apus_winograd_weight_gradient_finish(
    const apus_winograd *w, const float *s, long parts, float *weights, long begin, long end) {
    const long channels = w->inputChannels, part = apus_winograd_weight_count(w);
    for (long block = begin; block < end; block++) {
        const long lanes = lanes_of(w->outputChannels, block);
        const Products l = products_of(w, (channels + 15) / 16 * 16, block);
        for (long c = 0; c < channels; c++) {
            const float *in = s + l.offset + c * l.channel;
            V t[3][6];
            UNROLL for (int j = 0; j < 6; j++) {
                V d[6], e[3];
                UNROLL for (int i = 0; i < 6; i++) {
                    d[i] = *(const V *)(in + (6 * i + j) * l.position);
                    for (long k = 1; k < parts; k++)
                        d[i] += *(const V *)(in + (6 * i + j) * l.position + k * part);
                }
                weight_gradient_row(d, e);
                UNROLL for (int i = 0; i < 3; i++) t[i][j] = e[i];
            }
            V g[16];
            UNROLL for (int i = 0; i < 16; i++) g[i] = (V){0};
            UNROLL for (int i = 0; i < 3; i++) weight_gradient_row(t[i], g + 3 * i);
            transpose(g);
            float *k = weights + (block * 16 * channels + c) * 9;
            if (lanes == 16) {
                UNROLL for (int lane = 0; lane < 16; lane++) STORE_KERNEL(k + lane * channels * 9, g[lane]);
            } else {
                for (int lane = 0; lane < lanes; lane++) STORE_KERNEL(k + lane * channels * 9, g[lane]);
            }
        }
    }
}

// ---- The products ----

/// m[block][tile] = sum over channels of v[tile][channel] * u[channel][block], all in registers.
WIDE_INLINE void multiply(
    const float *v, const float *u, float *m, long stride, long channels, const int tiles,
    const int blocks) {
    V sum[28];
    UNROLL for (int i = 0; i < tiles * blocks; i++) sum[i] = (V){0};
    for (; channels > 0; channels -= 16, v += 16 * stride) {
        const long lanes = channels < 16 ? channels : 16;
        for (long lane = 0; lane < lanes; lane++, u += 16 * blocks) {
            UNROLL for (int i = 0; i < tiles; i++) {
                const float a = v[i * 16 + lane];
                UNROLL for (int j = 0; j < blocks; j++)
                    sum[i * blocks + j] += a * *(const V *)(u + 16 * j);
            }
        }
    }
    UNROLL for (int i = 0; i < tiles; i++)
        UNROLL for (int j = 0; j < blocks; j++)
            *(V *)(m + (j * stride + i) * 16) = sum[i * blocks + j];
}

#define MULTIPLY(TILES, BLOCKS)                                                            \
    static WIDE void multiply_##TILES##_##BLOCKS(                                           \
        const float *v, const float *u, float *m, long stride, long channels) {             \
        multiply(v, u, m, stride, channels, TILES, BLOCKS);                                 \
    }
MULTIPLY(12, 2)
MULTIPLY(8, 2)
MULTIPLY(4, 2)
MULTIPLY(2, 2)
MULTIPLY(1, 2)
MULTIPLY(24, 1)
MULTIPLY(12, 1)
MULTIPLY(8, 1)
MULTIPLY(4, 1)
MULTIPLY(2, 1)
MULTIPLY(1, 1)

typedef void (*Multiply)(const float *, const float *, float *, long, long);
static const struct { long tiles; Multiply multiply; } pairs[] = {
    { 12, multiply_12_2 }, { 8, multiply_8_2 }, { 4, multiply_4_2 }, { 2, multiply_2_2 },
    { 1, multiply_1_2 } };
static const struct { long tiles; Multiply multiply; } singles[] = {
    { 24, multiply_24_1 }, { 12, multiply_12_1 }, { 8, multiply_8_1 }, { 4, multiply_4_1 },
    { 2, multiply_2_1 }, { 1, multiply_1_1 } };

WIDE void apus_winograd_multiply(
    const apus_winograd *w, const float *u, const float *v, float *m, long stride, long count,
    long begin, long end) {
    const long channels = w->inputChannels;
    const long inputs = (channels + 15) / 16, blocks = (w->outputChannels + 15) / 16;
    const long units = (blocks + 1) / 2;
    for (long unit = begin; unit < end; unit++) {
        const long p = unit / units, block = unit % units * 2;
        const float *in = v + p * POSITION(inputs, stride);
        const float *weights = u + (p * blocks + block) * 16 * channels;
        float *out = m + p * POSITION(blocks, stride) + block * stride * 16;
        const bool paired = block + 1 < blocks;
        for (long tile = 0, kind = 0; tile < count;) {
            const long tiles = paired ? pairs[kind].tiles : singles[kind].tiles;
            if (tile + tiles > count) { kind++; continue; }
            (paired ? pairs[kind].multiply : singles[kind].multiply)(
                in + tile * 16, weights, out + tile * 16, stride, channels);
            tile += tiles;
        }
    }
}

/// s[channel][block] += sum over tiles of v[tile][channel] * d[tile][block], all in registers.
WIDE_INLINE void correlate(
    const float *v, const float *d, float *s, long stride, long count, bool adds, const int channels,
    const int blocks) {
    V sum[16];
    UNROLL for (int i = 0; i < channels * blocks; i++)
        sum[i] = adds ? *(const V *)(s + 16 * i) : (V){0};
    for (long tile = 0; tile < count; tile++, v += 16, d += 16)
        UNROLL for (int i = 0; i < channels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                sum[i * blocks + j] += v[i] * *(const V *)(d + j * stride * 16);
    UNROLL for (int i = 0; i < channels * blocks; i++) *(V *)(s + 16 * i) = sum[i];
}

static WIDE void correlate_8_2(
    const float *v, const float *d, float *s, long stride, long count, bool adds) {
    correlate(v, d, s, stride, count, adds, 8, 2);
}

static WIDE void correlate_16_1(
    const float *v, const float *d, float *s, long stride, long count, bool adds) {
    correlate(v, d, s, stride, count, adds, 16, 1);
}

WIDE void apus_winograd_correlate(
    const apus_winograd *w, const float *v, const float *d, float *s, long stride, long count,
    bool adds, long begin, long end) {
    const long inputs = (w->inputChannels + 15) / 16, blocks = (w->outputChannels + 15) / 16;
    const long units = (blocks + 1) / 2;
    for (long unit = begin; unit < end; unit++) {
        const long p = unit / units, block = unit % units * 2;
        const float *in = v + p * POSITION(inputs, stride);
        const float *gradient = d + p * POSITION(blocks, stride) + block * stride * 16;
        const bool paired = block + 1 < blocks;
        const Products l = products_of(w, inputs * 16, block);
        float *out = s + p * l.position + l.offset;
        for (long c = 0; c < w->inputChannels; c += paired ? 8 : 16)
            (paired ? correlate_8_2 : correlate_16_1)(
                in + c / 16 * stride * 16 + c % 16, gradient, out + c * l.channel, stride, count,
                adds);
    }
}

void apus_winograd_input(
    const apus_winograd *w, apus_type type, const void *x, float *v, long stride, long first,
    long count, long begin, long end) {
    if (type == apus_bfloat16) transform_input_bf16(w, x, v, stride, first, count, begin, end);
    else transform_input_float(w, x, v, stride, first, count, begin, end);
}

void apus_winograd_output(
    const apus_winograd *w, apus_type type, const float *m, const float *bias, void *y, long stride,
    long first, long count, long begin, long end) {
    if (type == apus_bfloat16) transform_output_bf16(w, m, bias, y, stride, first, count, begin, end);
    else transform_output_float(w, m, bias, y, stride, first, count, begin, end);
}

void apus_winograd_gradient(
    const apus_winograd *w, apus_type type, const void *dy, float *d, long stride, long first,
    long count, long begin, long end) {
    if (type == apus_bfloat16) transform_gradient_bf16(w, dy, d, stride, first, count, begin, end);
    else transform_gradient_float(w, dy, d, stride, first, count, begin, end);
}

long apus_winograd_tiles(const apus_winograd *w) {
    return w->batch * ((w->outputHeight + 3) / 4) * ((w->outputWidth + 3) / 4);
}
