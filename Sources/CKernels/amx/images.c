// Forward passes and input gradients: rows of tiles are pixels, columns are output channels, and what is summed
// over are taps and input channels, 32 at a time.
#include "products.h"
#include "../turn.h"

#include <string.h>

enum {
    /// Bytes of a part's arranged pixels.
    ARRANGED = 768 << 10,
};

static Cut image_cut(const apus_amx *o) {
    const long each = source_pairs(o) * pixel_bytes(o, 1);
    // Where there are more weights than pixels the members of a team share out channels.
    const bool sharesPixels =
        o->batch * apus_amx_arranged(o, o->rows) * each > apus_amx_weight_bytes(o);
    return apus_amx_cut(o, o->batch, ARRANGED / each, sharesPixels ? o->members : 1);
}

long apus_amx_parts(const apus_amx *o) {
    const Cut c = image_cut(o);
    return c.groups * c.cuts;
}

long apus_amx_pairs(const apus_amx *o) { return PAIRS(o->targets); }

// ---- Weights: [pair of output blocks][pair of input blocks][tap][block of the pair][channel pair][lane]; an odd last
// output block is alone ----

long apus_amx_weight_bytes(const apus_amx *o) {
    return BLOCKS(o->targets) * source_pairs(o) * taps(o) * TILE;
}

/// Weights of 16 outputs (lanes) and 16 inputs.
HALVES_INLINE void weight_block(
    const apus_amx *o, const float *weights, long target, long source, long tap, V r[16]) {
    const long rows = o->transposes ? o->sources : o->targets;
    const long columns = o->transposes ? o->targets : o->sources;
    const long row = o->transposes ? source : target, column = o->transposes ? target : source;
    const long all = o->kernel * o->kernel;
    const long count = columns - column < 16 ? columns - column : 16;
    for (long i = 0; i < 16; i++) {
        r[i] = (V){0};
        if (row + i >= rows || count <= 0) continue;
        const float *from = weights + ((row + i) * columns + column) * all + tap;
        if (all == 1) memcpy(&r[i], from, (unsigned long)count * 4);
        else {
            float numbers[16] = {0};
            for (long k = 0; k < count; k++) numbers[k] = from[k * all];
            memcpy(&r[i], numbers, 64);
        }
    }
    if (!o->transposes) turn(r);
}

/// Weights of 16 outputs and a row of the window of few channels: [column][channel].
HALVES_INLINE Pairs *plain_weights(
    const apus_amx *o, const float *weights, long target, long row, Pairs *to) {
    for (long k = 0; k < 16; k++) {
        V r[2] = {0};
        for (long i = 0; i < 32; i++) {
            const long channel = k % 2 * 2 + i % 2, column = k / 2, out = target + i / 2;
            if (channel < o->sources && column < o->columnTaps && out < o->targets)
                r[i % 2][i / 2] =
                    weights[((out * o->sources + channel) * o->kernel + row) * o->kernel + column];
        }
        *to++ = interleaved(shortened(r[0]), shortened(r[1]));
    }
    return to;
}

HALVES void apus_amx_weights(
    const apus_amx *o, const float *weights, void *u, long begin, long end) {
    const long blocksOut = BLOCKS(o->targets);
    for (long pair = begin; pair < end; pair++) {
        const long width = least(2, blocksOut - pair * 2);
        Pairs *to = (Pairs *)((char *)u + pair * 2 * source_pairs(o) * taps(o) * TILE);
        if (o->isPlain) {
            for (long i = 0; i < o->rowTaps; i++)
                for (long block = 0; block < width; block++)
                    to = plain_weights(o, weights, (pair * 2 + block) * 16, i, to);
            continue;
        }
        for (long source = 0; source < PAIRS(o->sources); source++)
            for (long i = 0; i < o->rowTaps; i++)
                for (long j = 0; j < o->columnTaps; j++) {
                    const long tap = (o->firstTapRow + i * o->tapStep) * o->kernel
                        + o->firstTapColumn + j * o->tapStep;
                    for (long block = 0; block < width; block++)
                        for (long half = 0; half < 2; half++, to += 8) {
                            V r[16];
                            weight_block(
                                o, weights, (pair * 2 + block) * 16, source * 32 + half * 16, tap, r);
                            for (long k = 0; k < 8; k++)
                                to[k] = interleaved(shortened(r[2 * k]), shortened(r[2 * k + 1]));
                        }
                }
    }
}

// ---- Scratch: tiles, then [pair of blocks][phases][row][image][column][channel of the pair] ----

static long tile_bytes(const apus_amx *o) {
    const Part most = apus_amx_largest_part(o, image_cut(o));
    return (apus_amx_most_tiles(o, most) * (long)sizeof(Tile) + 63) / 64 * 64;
}

long apus_amx_scratch(const apus_amx *o) {
    const Part most = apus_amx_largest_part(o, image_cut(o));
    return tile_bytes(o) + (source_pairs(o) * apus_amx_block(o, most) * pixel_bytes(o, 1) + 63) / 64 * 64;
}

static void arrange(const apus_amx *o, const bf16 *x, Part part, char *to) {
    const long blocks = BLOCKS(o->sources), plane = o->sourceHeight * o->sourceWidth * 16;
    if (o->isPlain) {
        for (long image = 0; image < part.images; image++)
            apus_amx_arrange(
                o, part, image, x + (part.image + image) * o->sources * plane / 16, 0, false, to);
        return;
    }
    for (long block = 0; block < blocks; block += 2)
        for (long image = 0; image < part.images; image++) {
            const bf16 *from = x + ((part.image + image) * blocks + block) * plane;
            apus_amx_arrange(
                o, part, image, from, block + 1 < blocks ? from + plane : 0, false,
                to + block / 2 * apus_amx_block(o, part) * 64);
        }
}

// ---- Output ----

HALVES_INLINE V activated(V v, apus_function f) {
    switch (f) {
    case apus_relu: return __builtin_elementwise_max(v, (V){0});
    case apus_relu6: return __builtin_elementwise_min(__builtin_elementwise_max(v, (V){0}), (V){0} + 6);
    case apus_silu: return short_silu(v);
    default: return v;
    }
}

/// Puts the sums of a tile and a block of channels where they belong.
HALVES_INLINE void finish(
    const apus_amx *o, const float *sum, const float *bias, const Tile *tile, bf16 *y) {
    const V shift = bias ? *(const V *)bias : (V){0};
    for (long i = 0; i < ROWS; i++, sum += 16) {
        if (tile->places[i] < 0) continue;
        bf16 *to = y + tile->places[i] * 16;
        V v = *(const V *)sum + shift;
        if (o->adds) v += LOAD(bf16, 16, to);
        const Pixel pixel = shortened(activated(v, o->activation));
        memcpy(to, &pixel, 32);
    }
}

typedef void Multiply(
    const char *x, long xRow, long xTile, long xBlock, const long *offsets, long taps, const char *u,
    float *sum, long blocks);

#if defined(__x86_64__)
#define MULTIPLY(PIXELS, OUTPUTS)                                                              \
    static TILES void multiply_##PIXELS##_##OUTPUTS(                                            \
        const char *x, long xRow, long xTile, long xBlock, const long *offsets, long taps,      \
        const char *u, float *sum, long blocks) {                                               \
        begin_sums(0);                                                                          \
        for (; blocks > 0; blocks--, x += xBlock)                                               \
            for (long tap = 0; tap < taps; tap++, u += OUTPUTS * TILE)                          \
                add_tiles(x + offsets[tap], xRow, xTile, u, 64, TILE, PIXELS, OUTPUTS);         \
        end_sums(sum);                                                                          \
    }
MULTIPLY(1, 1) MULTIPLY(1, 2) MULTIPLY(2, 1) MULTIPLY(2, 2)

static Multiply *const kernels[2][2] = { { multiply_1_1, multiply_1_2 },
                                         { multiply_2_1, multiply_2_2 } };

static TILES void begin_all(void) { begin_tiles(); }
static TILES void end_all(void) { end_tiles(); }
#endif

static HALVES void multiply_without_tiles(
    const char *x, long xRow, long xTile, long xBlock, const long *offsets, long taps, const char *u,
    float *sum, long blocks, int pixels, int outputs) {
    memset(sum, 0, 4 * TILE);
    for (; blocks > 0; blocks--, x += xBlock)
        for (long tap = 0; tap < taps; tap++, u += outputs * TILE)
            add_without_tiles(sum, x + offsets[tap], xRow, xTile, u, 64, TILE, pixels, outputs);
}

HALVES void apus_amx_multiply(
    const apus_amx *o, const void *x, const void *u, const float *bias, void *y, void *scratch,
    long splits, long begin, long end) {
    const Cut c = image_cut(o);
    const long bytes = pixel_bytes(o, 1), xRow = result_bytes(o, 1);
    const long pairs = source_pairs(o), depth = taps(o) > 0 ? pairs : 0, outputs = apus_amx_pairs(o);
    const long plane = o->targetHeight * o->targetWidth, blocksOut = BLOCKS(o->targets);
    const bool hasTiles = apus_has_amx();
    Tile *const tiles = scratch;
    char *const arrangement = (char *)scratch + tile_bytes(o);
    long offsets[MOST_TAPS], known = -1, count = 0, block = 0;
    float sum[4 * 256] __attribute__((aligned(64)));
#if defined(__x86_64__)
    if (hasTiles) begin_all();
#endif
    for (long unit = begin; unit < end; unit++) {
        const long index = unit / splits, split = unit % splits;
        if (index != known) {
            const Part part = apus_amx_part(o, c, index);
            arrange(o, x, part, arrangement);
            count = apus_amx_tiles(o, part, blocksOut * plane, tiles);
            apus_amx_taps(o, part, offsets);
            for (long tap = 0; tap < taps(o); tap++) offsets[tap] *= bytes;
            block = apus_amx_block(o, part) * bytes;
            known = index;
        }
        for (long k = outputs * split / splits; k < outputs * (split + 1) / splits; k++) {
            const int width = (int)least(2, blocksOut - k * 2);
            const char *weights = (const char *)u + k * 2 * pairs * taps(o) * TILE;
            for (long first = 0; first < count; first += 2) {
                const Tile *const tile = tiles + first;
                const int height = (int)least(2, count - first);
                const char *from = arrangement + tile->position * bytes;
                const long second = height > 1 ? (tile[1].position - tile->position) * bytes : 0;
#if defined(__x86_64__)
                if (hasTiles)
                    kernels[height - 1][width - 1](
                        from, xRow, second, block, offsets, taps(o), weights, sum, depth);
                else
#endif
                    multiply_without_tiles(
                        from, xRow, second, block, offsets, taps(o), weights, sum, depth, height, width);
                for (int i = 0; i < height; i++)
                    for (int j = 0; j < width; j++)
                        finish(
                            o, sum + (i * 2 + j) * 256, bias ? bias + (k * 2 + j) * 16 : 0, tile + i,
                            (bf16 *)y + (k * 2 + j) * plane * 16);
            }
        }
    }
#if defined(__x86_64__)
    if (hasTiles) end_all();
#endif
}
