// Convolutions with 3x3 kernels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016):
// 36 multiplications for 16 pixels of output instead of 144.
//
// An image is cut into tiles of 6x6 pixels that overlap by two. With U = G g G^T and V = B^T d B the
// products m = sum over input channels of U * V are 36 matrix products, one for every position in
// the tile, and A^T m A is the tile of output. The interpolation points are 0, +-P, +-Q and infinity.
#include "kernels.h"
#include "elements.h"

#include <string.h>

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

long apus_winograd_weight_count(const apus_winograd *w) {
    return 36 * ((w->outputChannels + 15) / 16) * 16 * w->inputChannels;
}

// U lies as [36][pair of output blocks][input channel][lane of the pair]; an odd last block is alone.
WIDE void apus_winograd_weights(
    const apus_winograd *w, const float *weights, float *u, long begin, long end) {
    const long channels = w->inputChannels, blocks = (w->outputChannels + 15) / 16;
    // Between output and input channels of this convolution; a gradient's are those of the weights
    // the other way round, with the kernel turned by 180 degrees.
    const long outer = w->transposes ? 9 : 9 * channels, inner = w->transposes ? 9 * w->outputChannels : 9;
    for (long block = begin; block < end; block++) {
        const long first = block & ~1L, width = first + 1 < blocks ? 32 : 16;
        const long lanes = w->outputChannels - block * 16 < 16 ? w->outputChannels - block * 16 : 16;
        for (long c = 0; c < channels; c++) {
            float g[9][16] __attribute__((aligned(64))) = {{0}};
            for (long lane = 0; lane < lanes; lane++) {
                const float *k = weights + (block * 16 + lane) * outer + c * inner;
                for (long i = 0; i < 9; i++) g[i][lane] = k[w->transposes ? 8 - i : i];
            }
            V t[6][3];
            UNROLL for (long j = 0; j < 3; j++) {
                const V d[3] = { *(V *)g[j], *(V *)g[3 + j], *(V *)g[6 + j] };
                V e[6];
                weight_row(d, e);
                UNROLL for (long i = 0; i < 6; i++) t[i][j] = e[i];
            }
            float *out = u + first * 16 * channels + c * width + (block - first) * 16;
            UNROLL for (long i = 0; i < 6; i++) {
                V e[6];
                weight_row(t[i], e);
                UNROLL for (long j = 0; j < 6; j++)
                    *(V *)(out + (6 * i + j) * blocks * 16 * channels) = e[j];
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

long apus_winograd_tiles(const apus_winograd *w) {
    return w->batch * ((w->outputHeight + 3) / 4) * ((w->outputWidth + 3) / 4);
}
