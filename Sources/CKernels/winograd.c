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
#define WIDE __attribute__((target("arch=x86-64-v4,prfchw"), min_vector_width(512)))
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

#define BLOCKS(channels) (((channels) + 15) / 16)
#define LANES(channels, block) ((channels) - (block) * 16 < 16 ? (channels) - (block) * 16 : 16)

/// Transformed tiles: [36 positions][channel block][tile][lane].
typedef struct { float *base; long block, position; } Products;

/// An odd number of cache lines from position to position, so that the positions of a tile do not
/// fall into the same set of the cache.
#define POSITION(blocks, stride) ((((blocks) * (stride)) | 1) * 16)
#define PRODUCTS(base, blocks, stride) ((Products){ base, (stride) * 16, POSITION(blocks, stride) })

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

// Transformed weights lie as [pair of output blocks][36][input channel][lane of the pair]; an odd last
// block is alone. Gradients do too, but with whole blocks of input channels.

long apus_winograd_pairs(const apus_winograd *w) { return (BLOCKS(w->outputChannels) + 1) / 2; }

/// Lanes of a pair of output blocks: 32, or 16 of an odd last one.
#define PAIR_LANES(w, pair) (2 * (pair) + 1 < BLOCKS((w)->outputChannels) ? 32 : 16)

/// Floats between positions, an odd number of cache lines as well, and from pair to pair.
#define PAIR_POSITION(width, channels) (((width) / 16 * (channels) | 1) * 16)
#define PAIR(channels) (36 * PAIR_POSITION(32, channels))

long apus_winograd_weight_count(const apus_winograd *w) {
    return apus_winograd_pairs(w) * PAIR(BLOCKS(w->inputChannels) * 16);
}

/// U = G g G^T of one pair of output blocks: u[36][input channel][lane].
static WIDE void transform_weights(const apus_winograd *w, const float *weights, float *u, long pair) {
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
                weight_row(d, e);
                UNROLL for (int i = 0; i < 6; i++) t[i][j] = e[i];
            }
            float *out = u + c * width + half * 16;
            UNROLL for (int i = 0; i < 6; i++) {
                V e[6];
                weight_row(t[i], e);
                UNROLL for (int j = 0; j < 6; j++) *(V *)(out + (6 * i + j) * position) = e[j];
            }
        }
}

void apus_winograd_weights(
    const apus_winograd *w, const float *weights, float *u, long begin, long end) {
    for (long pair = begin; pair < end; pair++)
        transform_weights(w, weights, u + pair * PAIR(w->inputChannels), pair);
}

/// Weight gradients G^T s G of a pair of output blocks and some input channels, where s[36][input
/// channel][lane] is the sum of several parts.
static WIDE void transform_weight_gradient(
    const apus_winograd *w, const float *s, long position, long parts, long part, float *weights,
    long pair, long firstChannel, long channels) {
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
                weight_gradient_row(d, e);
                UNROLL for (int i = 0; i < 3; i++) t[i][j] = e[i];
            }
            V g[16];
            UNROLL for (int i = 0; i < 16; i++) g[i] = (V){0};
            UNROLL for (int i = 0; i < 3; i++) weight_gradient_row(t[i], g + 3 * i);
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

void apus_winograd_weight_gradient_finish(
    const apus_winograd *w, const float *s, long parts, float *weights, long begin, long end) {
    const long channels = BLOCKS(w->inputChannels) * 16;
    for (long pair = begin; pair < end; pair++)
        transform_weight_gradient(
            w, s + pair * PAIR(channels), PAIR_POSITION(PAIR_LANES(w, pair), channels), parts,
            apus_winograd_weight_count(w), weights, pair, 0, w->inputChannels);
}

// ---- The products ----

/// m[block][tile] = sum over channels of v[tile][channel] * u[channel][block], all in registers.
WIDE_INLINE void multiply(
    const float *v, long vBlock, const float *u, float *m, long mBlock, long channels,
    const int tiles, const int blocks) {
    V sum[24];
    UNROLL for (int i = 0; i < tiles * blocks; i++) sum[i] = (V){0};
    for (; channels > 0; channels -= 16, v += vBlock) {
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
            *(V *)(m + j * mBlock + i * 16) = sum[i * blocks + j];
}

#define MULTIPLY(TILES, BLOCKS)                                                                \
    static WIDE void multiply_##TILES##_##BLOCKS(                                               \
        const float *v, long vBlock, const float *u, float *m, long mBlock, long channels) {    \
        multiply(v, vBlock, u, m, mBlock, channels, TILES, BLOCKS);                             \
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

/// Kernels by the tiles they do at once; the largest that fits is taken.
typedef struct {
    long tiles;
    void (*multiply)(const float *, long, const float *, float *, long, long);
} Multiply;
static const Multiply pairs[] = {
    { 12, multiply_12_2 }, { 8, multiply_8_2 }, { 4, multiply_4_2 }, { 2, multiply_2_2 },
    { 1, multiply_1_2 } };
static const Multiply singles[] = {
    { 24, multiply_24_1 }, { 12, multiply_12_1 }, { 8, multiply_8_1 }, { 4, multiply_4_1 },
    { 2, multiply_2_1 }, { 1, multiply_1_1 } };

/// The products at one position for one pair of output blocks, whose u and m are given.
static void multiply_tiles(
    long channels, long width, const float *v, long vBlock, const float *u, float *m, long mBlock,
    long count) {
    const Multiply *kernel = width == 32 ? pairs : singles;
    for (long tile = 0; tile < count; tile += kernel->tiles) {
        while (tile + kernel->tiles > count) kernel++;
        kernel->multiply(v + tile * 16, vBlock, u, m + tile * 16, mBlock, channels);
    }
}

/// s[channel][block] (+)= sum over tiles of v[tile][channel] * d[tile][block], all in registers.
WIDE_INLINE void correlate(
    const float *v, const float *d, long dBlock, float *s, long count, bool adds,
    const int channels, const int blocks) {
    V sum[16];
    UNROLL for (int i = 0; i < channels * blocks; i++)
        sum[i] = adds ? *(const V *)(s + 16 * i) : (V){0};
    for (long tile = 0; tile < count; tile++, v += 16, d += 16)
        UNROLL for (int i = 0; i < channels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                sum[i * blocks + j] += v[i] * *(const V *)(d + j * dBlock);
    UNROLL for (int i = 0; i < channels * blocks; i++) *(V *)(s + 16 * i) = sum[i];
}

/// The products of one block of input channels at one position and a pair of output blocks.
static WIDE void correlate_tiles(
    long channels, long width, const float *v, const float *d, long dBlock, float *s, long count,
    bool adds) {
    if (width == 32) {
        correlate(v, d, dBlock, s, count, adds, 8, 2);
        if (channels > 8) correlate(v + 8, d, dBlock, s + 8 * 32, count, adds, 8, 2);
    } else {
        correlate(v, d, dBlock, s, count, adds, 16, 1);
    }
}

// ---- Images of many tiles: chunks of tiles, all channels ----

/// Where fetching an image has come to. The transforms wait for memory and the products do not: what a
/// transform will need is fetched while products are made.
typedef struct {
    const char *image;
    long blocks, height, width, row, column, count;
} Fetch;

static Fetch fetch_from(
    const apus_winograd *w, const void *image, long channels, long height, long width, long tile,
    long count) {
    const long across = (w->outputWidth + 3) / 4, down = (w->outputHeight + 3) / 4;
    const long blocks = BLOCKS(channels), pixel = w->type == apus_bfloat16 ? 32 : 64;
    return (Fetch){ (const char *)image + tile / (across * down) * blocks * height * width * pixel,
                    blocks, height, width, tile / across % down * 4, tile % across * 4, count };
}

/// Begins to fetch part `part` of 36 of the tiles.
WIDE_INLINE void fetch(const apus_winograd *w, Fetch *f, long part, const bool writes) {
    const long pixel = w->type == apus_bfloat16 ? 32 : 64;
    const long plane = f->height * f->width * pixel, line = f->width * pixel;
    for (long n = f->count * (part + 1) / 36 - f->count * part / 36; n > 0; n--) {
        const char *p = f->image + f->row * line + f->column * pixel;
        for (long block = 0; block < f->blocks; block++, p += plane)
            UNROLL for (long i = 0; i < 4; i++)
                for (long j = 0; j < 4 * pixel; j += 64) {
                    // What lies outside of the image is of no use but does no harm.
                    if (writes) __builtin_prefetch(p + i * line + j, 1, 2);
                    else __builtin_prefetch(p + i * line + j, 0, 2);
                }
        f->column += 4;
        if (f->column < w->outputWidth) continue;
        f->column = 0;
        f->row += 4;
        if (f->row < w->outputHeight) continue;
        f->row = 0;
        f->image += f->blocks * plane;
    }
}

static WIDE void fetch_for_reading(const apus_winograd *w, Fetch *f, long part) { fetch(w, f, part, false); }
static WIDE void fetch_for_writing(const apus_winograd *w, Fetch *f, long part) { fetch(w, f, part, true); }

static void input(
    const apus_winograd *w, const void *x, Products v, long first, long count, long begin, long end) {
    if (w->type == apus_bfloat16) transform_input_bf16(w, x, v, first, count, begin, end);
    else transform_input_float(w, x, v, first, count, begin, end);
}

static void gradient(
    const apus_winograd *w, const void *dy, Products d, long first, long count, long begin, long end) {
    if (w->type == apus_bfloat16) transform_gradient_bf16(w, dy, d, first, count, begin, end);
    else transform_gradient_float(w, dy, d, first, count, begin, end);
}

static void output(
    const apus_winograd *w, Products m, const float *bias, void *y, long first, long count,
    long begin, long end) {
    if (w->type == apus_bfloat16) transform_output_bf16(w, m, bias, y, first, count, begin, end);
    else transform_output_float(w, m, bias, y, first, count, begin, end);
}

long apus_winograd_tiles(const apus_winograd *w) {
    return w->batch * ((w->outputHeight + 3) / 4) * ((w->outputWidth + 3) / 4);
}

long apus_winograd_stride(const apus_winograd *w) {
    // Weights that do not fit into the second-level cache are read anew for every chunk, from the third
    // or from memory: larger chunks. Else the chunk itself should stay in that cache.
    const long weights = apus_winograd_weight_count(w) * (long)sizeof(float);
    if (weights > 16 << 20) return 96;
    if (weights > 1 << 20) return 48;
    const long fits = (64 << 10) / (36 * 16 * (BLOCKS(w->inputChannels) + BLOCKS(w->outputChannels)));
    return fits < 24 ? 24 : fits / 12 * 12;
}

long apus_winograd_scratch(const apus_winograd *w, long stride) {
    return 36 * (POSITION(BLOCKS(w->inputChannels), stride) + POSITION(BLOCKS(w->outputChannels), stride));
}

void apus_winograd_by_tiles(
    const apus_winograd *w, const void *x, const float *u, const float *bias, void *y, float *scratch,
    long stride, long begin, long end) {
    const long channels = w->inputChannels, inputs = BLOCKS(channels), outputs = BLOCKS(w->outputChannels);
    const Products v = PRODUCTS(scratch, inputs, stride);
    const Products m = PRODUCTS(scratch + 36 * v.position, outputs, stride);
    for (long first = begin; first < end; first += stride) {
        const long count = end - first < stride ? end - first : stride;
        const long next = first + stride, ahead = end - next < stride ? end - next : stride;
        Fetch source = fetch_from(w, x, channels, w->inputHeight, w->inputWidth, next, ahead);
        Fetch target = fetch_from(
            w, y, w->outputChannels, w->outputHeight, w->outputWidth, first, count);
        input(w, x, v, first, count, 0, inputs);
        for (long p = 0; p < 36; p++) {
            fetch_for_reading(w, &source, p);
            fetch_for_writing(w, &target, p);
            for (long pair = 0; 2 * pair < outputs; pair++) {
                const long width = PAIR_LANES(w, pair);
                multiply_tiles(
                    channels, width, v.base + p * v.position, v.block,
                    u + pair * PAIR(channels) + p * PAIR_POSITION(width, channels),
                    m.base + p * m.position + 2 * pair * m.block, m.block, count);
            }
        }
        output(w, m, bias, y, first, count, 0, outputs);
    }
}

void apus_winograd_weight_gradient_by_tiles(
    const apus_winograd *w, const void *x, const void *dy, float *s, float *scratch, long stride,
    long begin, long end) {
    const long channels = w->inputChannels, inputs = BLOCKS(channels), outputs = BLOCKS(w->outputChannels);
    const Products v = PRODUCTS(scratch, inputs, stride);
    const Products d = PRODUCTS(scratch + 36 * v.position, outputs, stride);
    for (long first = begin; first < end; first += stride) {
        const long count = end - first < stride ? end - first : stride;
        const long next = first + stride, ahead = end - next < stride ? end - next : stride;
        Fetch source = fetch_from(w, x, channels, w->inputHeight, w->inputWidth, next, ahead);
        Fetch target = fetch_from(
            w, dy, w->outputChannels, w->outputHeight, w->outputWidth, next, ahead);
        input(w, x, v, first, count, 0, inputs);
        gradient(w, dy, d, first, count, 0, outputs);
        for (long p = 0; p < 36; p++) {
            fetch_for_reading(w, &source, p);
            fetch_for_reading(w, &target, p);
            for (long pair = 0; 2 * pair < outputs; pair++) {
                const long width = PAIR_LANES(w, pair);
                float *sums =
                    s + pair * PAIR(inputs * 16) + p * PAIR_POSITION(width, inputs * 16);
                for (long block = 0; block < inputs; block++)
                    correlate_tiles(
                        LANES(channels, block), width, v.base + p * v.position + block * v.block,
                        d.base + p * d.position + 2 * pair * d.block, d.block,
                        sums + block * 16 * width, count, first > begin);
            }
        }
    }
}

// ---- Images of few tiles and many channels: all tiles, output channels by pairs of blocks. The
// transformed weights of a pair stay in the cache; those of all would go through memory. ----

long apus_winograd_input_count(const apus_winograd *w) {
    return 36 * POSITION(BLOCKS(w->inputChannels), apus_winograd_tiles(w));
}

void apus_winograd_input(const apus_winograd *w, const void *x, float *v, long begin, long end) {
    const long tiles = apus_winograd_tiles(w);
    Products all = PRODUCTS(v, BLOCKS(w->inputChannels), tiles);
    all.base += begin * all.block;
    input(w, x, all, 0, tiles, begin, end);
}

long apus_winograd_pair_scratch(const apus_winograd *w) {
    const long channels = w->inputChannels > 16 ? w->inputChannels : 16;
    return PAIR(channels) + 36 * POSITION(2, apus_winograd_tiles(w));
}

void apus_winograd_by_pairs(
    const apus_winograd *w, const float *v, const float *weights, const float *u, const float *bias,
    void *y, float *scratch, long begin, long end) {
    const long channels = w->inputChannels, tiles = apus_winograd_tiles(w);
    const Products in = PRODUCTS((float *)v, BLOCKS(channels), tiles);
    const Products m = PRODUCTS(scratch, 2, tiles);
    float *own = scratch + 36 * m.position;
    for (long pair = begin; pair < end; pair++) {
        const long width = PAIR_LANES(w, pair);
        const float *known = u ? u + pair * PAIR(channels) : own;
        const long position = PAIR_POSITION(width, channels);
        if (!u) transform_weights(w, weights, own, pair);
        for (long p = 0; p < 36; p++)
            multiply_tiles(
                channels, width, in.base + p * in.position, in.block, known + p * position,
                m.base + p * m.position, m.block, tiles);
        output(w, m, bias, y, 0, tiles, 2 * pair, 2 * pair + width / 16);
    }
}

void apus_winograd_weight_gradient_by_pairs(
    const apus_winograd *w, const float *v, const void *dy, float *weights, float *scratch,
    long begin, long end) {
    const long channels = w->inputChannels, tiles = apus_winograd_tiles(w);
    const Products in = PRODUCTS((float *)v, BLOCKS(channels), tiles);
    const Products d = PRODUCTS(scratch, 2, tiles);
    float *sums = scratch + 36 * d.position;
    for (long pair = begin; pair < end; pair++) {
        const long width = PAIR_LANES(w, pair);
        gradient(w, dy, d, 0, tiles, 2 * pair, 2 * pair + width / 16);
        for (long block = 0; block < BLOCKS(channels); block++) {
            const long lanes = LANES(channels, block);
            for (long p = 0; p < 36; p++)
                correlate_tiles(
                    lanes, width, in.base + p * in.position + block * in.block,
                    d.base + p * d.position, d.block, sums + p * PAIR_POSITION(width, 16), tiles, false);
            transform_weight_gradient(
                w, sums, PAIR_POSITION(width, 16), 1, 0, weights, pair, block * 16, lanes);
        }
    }
}
