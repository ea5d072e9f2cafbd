// A stem's images: phases, transforms, and the loops over tiles.
#include "stem.h"
#include "../elements.h"

#include <string.h>

typedef float V_unaligned __attribute__((vector_size(64), aligned(4)));
typedef double D __attribute__((vector_size(64)));

enum {
    /// Tiles that are worked on together: three times the twelve whose sums fit into the registers.
    TILES = 36,
    /// Pixels of a phase they read.
    COLUMNS = 4 * TILES + 3,
};

// ---- The matrices of F(4, 4) times a column (or a row) of a tile ----

/// e = B^T d
WIDE_INLINE void input_row(const V *d, V *e) {
#define PAIR_OF(I, X, Y2, Z2)                                                                  \
    {                                                                                           \
        const V odd = d[5] - (Y2 + Z2) * d[3] + Y2 * Z2 * d[1];                                 \
        const V even = X * (d[4] - (Y2 + Z2) * d[2] + Y2 * Z2 * d[0]);                          \
        e[I] = odd + even;                                                                      \
        e[I + 1] = odd - even;                                                                  \
    }
    PAIR_OF(0, P, Q2, R2)
    PAIR_OF(2, Q, P2, R2)
    PAIR_OF(4, R, P2, Q2)
#undef PAIR_OF
    e[6] = d[6] - (P2 + Q2 + R2) * d[4] + (P2 * Q2 + P2 * R2 + Q2 * R2) * d[2] - P2 * Q2 * R2 * d[0];
}

/// e = A^T d
WIDE_INLINE void output_row(const V *d, V *e) {
    const V p = d[0] + d[1], q = d[2] + d[3], r = d[4] + d[5];
    const V s = P * (d[0] - d[1]), t = Q * (d[2] - d[3]), u = R * (d[4] - d[5]);
    e[0] = p + q + r;
    e[1] = s + t + u;
    e[2] = P2 * p + Q2 * q + R2 * r;
    e[3] = P2 * s + Q2 * t + R2 * u + d[6];
}

/// e = A d
WIDE_INLINE void gradient_row(const V *d, V *e) {
#define PAIR_OF(I, X)                                                                          \
    {                                                                                           \
        const V even = d[0] + X * X * d[2], odd = X * (d[1] + X * X * d[3]);                    \
        e[I] = even + odd;                                                                      \
        e[I + 1] = even - odd;                                                                  \
    }
    PAIR_OF(0, P)
    PAIR_OF(2, Q)
    PAIR_OF(4, R)
#undef PAIR_OF
    e[6] = d[3];
}

// ---- Tiles: a unit is a part of a row of them ----

typedef struct { long image, row, column, tiles; } Part;

static long parts_of(const apus_stem *s) { return ((s->outputWidth + 3) / 4 + TILES - 1) / TILES; }

long apus_stem_units(const apus_stem *s) { return s->batch * ((s->outputHeight + 3) / 4) * parts_of(s); }

static Part part_of(const apus_stem *s, long unit) {
    const long parts = parts_of(s), down = (s->outputHeight + 3) / 4, across = (s->outputWidth + 3) / 4;
    const long part = unit % parts, first = across * part / parts;
    return (Part){ unit / parts / down, unit / parts % down, first, across * (part + 1) / parts - first };
}

/// What a thread needs of scratch memory: phases, transformed tiles, and products or transformed gradients of a pair.
typedef struct { V *phases, *v, *m; } Scratch;
enum { V_POSITION = TILES | 1, M_POSITION = 2 * TILES | 1 };

long apus_stem_scratch(const apus_stem *s) {
    return (POINTS * COLUMNS + TILE_POSITIONS * (V_POSITION + M_POSITION)) * 16;
}

static Scratch scratch_at(float *scratch) {
    V *const phases = (V *)scratch, *const v = phases + POINTS * COLUMNS;
    return (Scratch){ phases, v, v + TILE_POSITIONS * V_POSITION };
}

/// Eight rows of eight pairs of floats, turned.
WIDE_INLINE void turn(D *r) {
    D t[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    UNROLL for (int i = 0; i < 8; i += 4)
        UNROLL for (int j = 0; j < 2; j++) {
            r[i + j] = __builtin_shufflevector(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + j + 2] = __builtin_shufflevector(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    UNROLL for (int j = 0; j < 4; j++) {
        t[j] = __builtin_shufflevector(r[j], r[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[j + 4] = __builtin_shufflevector(r[j], r[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    UNROLL for (int i = 0; i < 8; i++) r[i] = t[i];
}

/// The phases that a part's tiles read: phases[row][column], with zeros outside of the image.
static WIDE void arrange(const apus_stem *s, const void *x, Part part, V *phases) {
    enum { WIDTH = (2 * COLUMNS + 15) / 16 * 16 };
    static const float zeros[WIDTH];
    // What is not written stays zero: all rows begin and end alike.
    float lines[8][WIDTH] = {{0}};
    const long left = 8 * part.column - s->padLeft, columns = 4 * part.tiles + 3;
    const long begin = left < 0 ? -left : 0, rest = s->inputWidth - left;
    const long last = rest < 2 * columns ? rest : 2 * columns, end = last > begin ? last : begin;
    for (long i = 0; i < POINTS; i++) {
        const float *rows[8] = { zeros, zeros, zeros, zeros, zeros, zeros, zeros, zeros };
        for (long k = 0; k < 2 * s->channels; k++) {
            const long row = 8 * part.row + 2 * i + k % 2 - s->padTop;
            if (row < 0 || row >= s->inputHeight) continue;
            const long at = ((part.image * s->channels + k / 2) * s->inputHeight + row) * s->inputWidth + left;
            if (s->type == apus_bfloat16)
                for (long j = begin; j < end; j++) lines[k][j] = load_bf16((const bf16 *)x + at + j);
            else memcpy(lines[k] + begin, (const float *)x + at + begin, (end - begin) * sizeof(float));
            rows[k] = lines[k];
        }
        for (long j = 0; j < columns; j += 8) {
            D r[8];
            UNROLL for (int k = 0; k < 8; k++) r[k] = (D)*(const V_unaligned *)(rows[k] + 2 * j);
            turn(r);
            for (long k = 0; k < 8 && j + k < columns; k++) phases[i * COLUMNS + j + k] = (V)r[k];
        }
    }
}

/// v[position][tile] = B^T d B
static WIDE void transform_input(const V *phases, V *v, long tiles) {
    V t[POINTS][COLUMNS];
    for (long c = 0; c < 4 * tiles + 3; c++) {
        V d[POINTS], e[POINTS];
        UNROLL for (long i = 0; i < POINTS; i++) d[i] = phases[i * COLUMNS + c];
        input_row(d, e);
        UNROLL for (long i = 0; i < POINTS; i++) t[i][c] = e[i];
    }
    for (long i = 0; i < POINTS; i++)
        for (long k = 0; k < tiles; k++) {
            V e[POINTS];
            input_row(t[i] + 4 * k, e);
            UNROLL for (long j = 0; j < POINTS; j++) v[(POINTS * i + j) * V_POSITION + k] = e[j];
        }
}

/// Where a part's pixels of an output block begin.
static long output_at(const apus_stem *s, Part part, long block) {
    const long plane = part.image * BLOCKS(s->outputChannels) + block;
    return ((plane * s->outputHeight + 4 * part.row) * s->outputWidth + 4 * part.column) * 16;
}

/// y = A^T m A (+ bias) (then max(0, .)) of a block.
WIDE_INLINE void transform_output(
    const apus_stem *s, const V *m, const float *bias, void *y, Part part, long block, const bool isShort,
    const bool streams) {
    typedef int32_t Mask __attribute__((vector_size(64)));
    float lanes[16] = {0};
    if (bias) memcpy(lanes, bias + block * 16, LANES(s->outputChannels, block) * sizeof(float));
    const V b = *(const V_unaligned *)lanes;
    const long first = output_at(s, part, block), width = s->outputWidth;
    const long rows = s->outputHeight - 4 * part.row;
    for (long k = 0; k < part.tiles; k++, m++) {
        V t[4][POINTS];
        UNROLL for (long j = 0; j < POINTS; j++) {
            V d[POINTS], e[4];
            UNROLL for (long i = 0; i < POINTS; i++) d[i] = m[(POINTS * i + j) * M_POSITION];
            output_row(d, e);
            UNROLL for (long i = 0; i < 4; i++) t[i][j] = e[i];
        }
        const long columns = width - 4 * (part.column + k);
        UNROLL for (long i = 0; i < 4; i++) {
            V e[4];
            output_row(t[i], e);
            UNROLL for (long j = 0; j < 4; j++) {
                if (i >= rows || j >= columns) continue;
                V value = e[j] + b;
                if (s->rectifies) value = (V)((Mask)value & (value > 0));
                const long at = first + (i * width + 4 * k + j) * 16;
                if (isShort && streams) STREAM_bf16(16, (bf16 *)y + at, value);
                else if (isShort) STORE_bf16(16, (bf16 *)y + at, value);
                else if (streams) STREAM_float(16, (float *)y + at, value);
                else STORE_float(16, (float *)y + at, value);
            }
        }
    }
}

/// d[position][tile] = A dy A^T of a block.
WIDE_INLINE void transform_gradient(
    const apus_stem *s, const void *dy, V *to, Part part, long block, const bool isShort) {
    const long first = output_at(s, part, block), width = s->outputWidth;
    const long rows = s->outputHeight - 4 * part.row;
    for (long k = 0; k < part.tiles; k++, to++) {
        const long columns = width - 4 * (part.column + k);
        V t[POINTS][4];
        UNROLL for (long j = 0; j < 4; j++) {
            V d[4], e[POINTS];
            UNROLL for (long i = 0; i < 4; i++) {
                const long at = first + (i * width + 4 * k + j) * 16;
                if (i >= rows || j >= columns) d[i] = (V){0};
                else d[i] = isShort ? LOAD_bf16(16, (const bf16 *)dy + at) : LOAD_float(16, (const float *)dy + at);
            }
            gradient_row(d, e);
            UNROLL for (long i = 0; i < POINTS; i++) t[i][j] = e[i];
        }
        UNROLL for (long i = 0; i < POINTS; i++) {
            V e[POINTS];
            gradient_row(t[i], e);
            UNROLL for (long j = 0; j < POINTS; j++) to[(POINTS * i + j) * M_POSITION] = e[j];
        }
    }
}

/// Begins to fetch a 49th of a pair's pixels of dy, which the transform would wait for.
static WIDE void fetch_gradient(const apus_stem *s, const void *dy, Part part, long pair, long share) {
    const long pixel = s->type == apus_bfloat16 ? 32 : 64, across = 4 * part.tiles;
    for (long i = 8 * across * share / 49; i < 8 * across * (share + 1) / 49; i++) {
        const long block = i / across / 4, row = i / across % 4;
        const long at = output_at(s, part, 2 * pair + block) / 16 + row * s->outputWidth + i % across;
        // What lies outside of the image is of no use but does no harm.
        __builtin_prefetch((const char *)dy + at * pixel, 0, 2);
    }
}

/// Blocks of a pair.
static long blocks_of(const apus_stem *s, long pair) {
    const long rest = BLOCKS(s->outputChannels) - 2 * pair;
    return rest < 2 ? rest : 2;
}

WIDE void apus_stem_forward(
    const apus_stem *s, const void *x, const float *u, const float *bias, void *y, float *scratch, long begin,
    long end) {
    const Scratch own = scratch_at(scratch);
    const bool isShort = s->type == apus_bfloat16;
    // What the caches would not hold until it is read goes past them (32 images: 16 instead of 20 ms).
    const long pixels = s->batch * s->outputHeight * s->outputWidth * BLOCKS(s->outputChannels);
    const bool streams = pixels * (isShort ? 32 : 64) > 16 << 20;
    for (long unit = begin; unit < end; unit++) {
        const Part part = part_of(s, unit);
        arrange(s, x, part, own.phases);
        transform_input(own.phases, own.v, part.tiles);
        for (long pair = 0; pair < STEM_PAIRS(s); pair++) {
            const long blocks = blocks_of(s, pair);
            for (long p = 0; p < TILE_POSITIONS; p++)
                apus_winograd_multiply(
                    PHASES(s), blocks * 16, (const float *)(own.v + p * V_POSITION), 0,
                    u + pair * STEM_PAIR + p * STEM_POSITION, (float *)(own.m + p * M_POSITION), TILES * 16,
                    part.tiles);
            for (long k = 0; k < blocks; k++) {
#define OUTPUT(IS_SHORT, STREAMS)                                                              \
    transform_output(s, own.m + k * TILES, bias, y, part, 2 * pair + k, IS_SHORT, STREAMS)
                if (isShort && streams) OUTPUT(true, true);
                else if (isShort) OUTPUT(true, false);
                else if (streams) OUTPUT(false, true);
                else OUTPUT(false, false);
#undef OUTPUT
            }
        }
    }
}

WIDE void apus_stem_weight_gradient(
    const apus_stem *s, const void *x, const void *dy, float *sums, float *scratch, long begin, long end) {
    const Scratch own = scratch_at(scratch);
    for (long unit = begin; unit < end; unit++) {
        const Part part = part_of(s, unit), below = part_of(s, unit + 1);
        arrange(s, x, part, own.phases);
        transform_input(own.phases, own.v, part.tiles);
        for (long pair = 0; pair < STEM_PAIRS(s); pair++) {
            const long blocks = blocks_of(s, pair);
            const bool isLast = pair == STEM_PAIRS(s) - 1;
            for (long k = 0; k < blocks; k++) {
                if (s->type == apus_bfloat16) transform_gradient(s, dy, own.m + k * TILES, part, 2 * pair + k, true);
                else transform_gradient(s, dy, own.m + k * TILES, part, 2 * pair + k, false);
            }
            for (long p = 0; p < TILE_POSITIONS; p++) {
                fetch_gradient(s, dy, isLast ? below : part, isLast ? 0 : pair + 1, p);
                apus_winograd_correlate(
                    PHASES(s), blocks * 16, (const float *)(own.v + p * V_POSITION),
                    (const float *)(own.m + p * M_POSITION), TILES * 16,
                    sums + pair * STEM_PAIR + p * STEM_POSITION, part.tiles, unit > begin);
            }
        }
    }
}
