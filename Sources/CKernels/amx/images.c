// Forward passes and input gradients: rows of tiles are pixels, columns are output channels, and what is summed
// over are taps and input channels, 32 at a time.
#include "amx.h"
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

// ---- Scratch: tiles, offsets of their inputs, [pair of blocks][phases][row][image][column][channel of the pair] ----

static long tile_bytes(const apus_amx *o) {
    const Part most = apus_amx_largest_part(o, image_cut(o));
    return (apus_amx_most_tiles(o, most) * (long)sizeof(Tile) + 63) / 64 * 64;
}

static long offset_bytes(const apus_amx *o) {
    return (source_pairs(o) * taps(o) * (long)sizeof(long) + 63) / 64 * 64;
}

long apus_amx_scratch(const apus_amx *o) {
    const Part most = apus_amx_largest_part(o, image_cut(o));
    const long bytes = source_pairs(o) * apus_amx_block(o, most) * pixel_bytes(o, 1);
    return tile_bytes(o) + offset_bytes(o) + (bytes + 63) / 64 * 64;
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

/// Where what is multiplied with a pixel's weights begins: [pair of blocks][tap], in bytes from its place.
static void find_inputs(const apus_amx *o, Part part, long *offsets) {
    long first[MOST_TAPS];
    apus_amx_taps(o, part, first);
    for (long pair = 0; pair < source_pairs(o); pair++)
        for (long tap = 0; tap < taps(o); tap++)
            *offsets++ = (pair * apus_amx_block(o, part) + first[tap]) * pixel_bytes(o, 1);
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

HALVES void apus_amx_multiply(
    const apus_amx *o, const void *x, const void *u, const float *bias, void *y, void *scratch,
    long splits, long begin, long end) {
    const Cut c = image_cut(o);
    const long bytes = pixel_bytes(o, 1), depth = source_pairs(o) * taps(o);
    const long plane = o->targetHeight * o->targetWidth, blocksOut = BLOCKS(o->targets);
    const long outputs = apus_amx_pairs(o);
    Tile *const tiles = scratch;
    long *const offsets = (long *)((char *)scratch + tile_bytes(o));
    char *const arrangement = (char *)offsets + offset_bytes(o);
    long known = -1, count = 0;
    float sum[4 * 256] __attribute__((aligned(64)));
    apus_amx_begin();
    for (long unit = begin; unit < end; unit++) {
        const long index = unit / splits, split = unit % splits;
        if (index != known) {
            const Part part = apus_amx_part(o, c, index);
            arrange(o, x, part, arrangement);
            count = apus_amx_tiles(o, part, blocksOut * plane, tiles);
            find_inputs(o, part, offsets);
            known = index;
        }
        for (long k = outputs * split / splits; k < outputs * (split + 1) / splits; k++) {
            const int width = (int)least(2, blocksOut - k * 2);
            const Factor weights = { (const char *)u + k * 2 * depth * TILE, 0, width * TILE, 64, TILE };
            for (long first = 0; first < count; first += 2) {
                const Tile *const tile = tiles + first;
                const int height = (int)least(2, count - first);
                const long second = height > 1 ? tile[1].position - tile->position : 0;
                const Factor pixels = { arrangement + tile->position * bytes, offsets, 0,
                                        result_bytes(o, 1), second * bytes };
                apus_amx_sum(&pixels, &weights, depth, false, sum, height, width);
                for (int i = 0; i < height; i++)
                    for (int j = 0; j < width; j++)
                        finish(
                            o, sum + (i * 2 + j) * 256, bias ? bias + (k * 2 + j) * 16 : 0, tile + i,
                            (bf16 *)y + (k * 2 + j) * plane * 16);
            }
        }
    }
    apus_amx_end();
}
