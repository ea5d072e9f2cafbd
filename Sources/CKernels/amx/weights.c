// Weight gradients: rows of tiles are output channels, columns are input channels, and what is summed over are
// pixels. The pairs that the processor wants are a pixel of two images, so that they are the same for every tap.
#include "amx.h"
#include "../turn.h"

#include <string.h>

enum {
    /// Bytes of a part's arranged pixels, of all output channels and a pair of blocks of input channels.
    ARRANGED = 1 << 20,
};

/// For so many blocks of targets.
static Cut gradient_cut(const apus_amx *o, long targetBlocks) {
    const long each = targetBlocks * 64 + (o->isPlain ? pixel_bytes(o, 2) : 128);
    return apus_amx_cut(o, (o->batch + 1) / 2, ARRANGED / each, 1);
}

// ---- Scratch: tiles and their offsets; input [block of two][phases][row][image pair][column][channel][image]; output
// gradient [block][tile][channel][pixel][image] ----

static long tile_bytes(const apus_amx *o, long targetBlocks) {
    const Part most = apus_amx_largest_part(o, gradient_cut(o, targetBlocks));
    return (apus_amx_most_tiles(o, most) * (long)(sizeof(Tile) + sizeof(long)) + 63) / 64 * 64;
}

/// Of two blocks of channels.
static long input_bytes(const apus_amx *o, Part part) {
    const long bytes = apus_amx_block(o, part) * pixel_bytes(o, 2);
    return o->isPlain ? (bytes + 63) / 64 * 64 : 2 * bytes;
}

long apus_amx_gradient_scratch(const apus_amx *o, long targetBlocks) {
    const Part most = apus_amx_largest_part(o, gradient_cut(o, targetBlocks));
    return tile_bytes(o, targetBlocks) + input_bytes(o, most)
        + targetBlocks * apus_amx_most_tiles(o, most) * TILE;
}

long apus_amx_sum_count(const apus_amx *o, long sourceBlocks, long targetBlocks) {
    return (sourceBlocks + 1) / 2 * ((targetBlocks + 1) / 2) * taps(o) * 4 * 256;
}

static void arrange(const apus_amx *o, const bf16 *x, Part part, long block, char *to) {
    const long plane = o->sourceHeight * o->sourceWidth;
    const long image = o->isPlain ? o->sources * plane : BLOCKS(o->sources) * plane * 16;
    const bf16 *from = o->isPlain ? x : x + block * plane * 16;
    for (long pair = 0; pair < part.images; pair++) {
        const long n = (part.image + pair) * 2;
        const bf16 *first = from + n * image;
        apus_amx_arrange(o, part, pair, first, n + 1 < o->batch ? first + image : 0, true, to);
    }
    // Numbers, because what tiles read on behind the last is multiplied by zeros.
    const long all = part.images * apus_amx_arranged(o, part.rows);
    const long bytes = pixel_bytes(o, 2);
    memset(to + all * bytes, 0, (unsigned long)((apus_amx_block(o, part) - all) * bytes));
}

static HALVES void arrange_gradient(
    const apus_amx *o, const bf16 *dy, long block, const Tile *tiles, long count, V *to) {
    const long plane = o->targetHeight * o->targetWidth, image = BLOCKS(o->targets) * plane;
    const long last = o->batch % 2 == 1 ? (o->batch - 1) * image : o->batch * image;
    dy += block * plane * 16;
    for (; count > 0; count--, tiles++, to += ROWS) {
        if (tiles->isWhole && tiles->places[ROWS - 1] < last) {
            const bf16 *from = dy + tiles->places[0] * 16;
            UNROLL for (int i = 0; i < ROWS; i++) {
                Pixel a, b;
                memcpy(&a, from + i * 16, 32);
                memcpy(&b, from + (image + i) * 16, 32);
                to[i] = (V)interleaved(a, b);
            }
            turn(to);
            continue;
        }
        for (int i = 0; i < ROWS; i++) {
            const long place = tiles->places[i];
            Pixel a = {0}, b = {0};
            if (place >= 0) memcpy(&a, dy + place * 16, 32);
            if (place >= 0 && place < last) memcpy(&b, dy + (place + image) * 16, 32);
            to[i] = (V)interleaved(a, b);
        }
        turn(to);
    }
}

/// Sums: [pair of output blocks][pair of input blocks][tap][2][2][16][16], whole pairs even at the end.
static float *sums_at(
    const apus_amx *o, float *s, long outputPair, long inputPair, long inputPairs, long tap) {
    return s + ((outputPair * inputPairs + inputPair) * taps(o) + tap) * 4 * 256;
}

/// Puts the sums of a pair of blocks each where weights lie (OIHW).
static void store(const apus_amx *o, const float *s, float *weights, long output, long input) {
    const long rows = least(32, o->targets - output * 16), columns = least(32, o->sources - input * 16);
    const long all = taps(o);
    for (long i = 0; i < rows; i++)
        for (long j = 0; j < columns; j++) {
            const long out = output * 16 + i, in = input * 16 + j;
            float *to = weights + (o->transposes ? in * o->targets + out : out * o->sources + in) * all;
            const float *from = s + (i / 16 * 2 + j / 16) * 256 + i % 16 * 16 + j % 16;
            for (long tap = 0; tap < all; tap++) to[tap] = from[tap * 4 * 256];
        }
}

/// The same of the rows of a window of few channels: [column][channel].
static void store_plain(const apus_amx *o, const float *s, float *weights, long output) {
    const long rows = least(32, o->targets - output * 16);
    for (long row = 0; row < o->rowTaps; row++, s += 4 * 256)
        for (long i = 0; i < rows; i++)
            for (long channel = 0; channel < o->sources; channel++)
                for (long column = 0; column < o->columnTaps; column++) {
                    const long out = output * 16 + i, j = column * FEW + channel;
                    weights[((out * o->sources + channel) * o->kernel + row) * o->kernel + column] =
                        s[(i / 16 * 2 + j / 16) * 256 + i % 16 * 16 + j % 16];
                }
}

HALVES void apus_amx_correlate(
    const apus_amx *o, const void *x, const void *dy, float *weights, float *s, void *scratch,
    long targetBlocks, long firstSource, long lastSource, long firstTarget, long lastTarget) {
    const Cut c = gradient_cut(o, targetBlocks);
    const long inputPairs = (lastSource - firstSource + 1) / 2;
    const long outputPairs = (lastTarget - firstTarget + 1) / 2;
    const long imagePair = 2 * BLOCKS(o->targets) * o->targetHeight * o->targetWidth;
    const long pixel = pixel_bytes(o, 2);
    Tile *const tiles = scratch;
    char *const from = (char *)scratch + tile_bytes(o, targetBlocks);
    long offsets[MOST_TAPS];
    apus_amx_begin();
    for (long index = 0; index < c.groups * c.cuts; index++) {
        const Part part = apus_amx_part(o, c, index);
        const long count = apus_amx_tiles(o, part, imagePair, tiles), dyBlock = count * TILE;
        long *const positions = (long *)(tiles + count);
        for (long i = 0; i < count; i++) positions[i] = tiles[i].position * pixel;
        // The second block of inputs is the next one, or what the next columns of a window meet.
        const long xBlock = o->isPlain ? 64 : apus_amx_block(o, part) * pixel;
        char *const with = from + input_bytes(o, part);
        apus_amx_taps(o, part, offsets);
        for (long k = firstTarget; k < lastTarget; k++)
            arrange_gradient(o, dy, k, tiles, count, (V *)(with + (k - firstTarget) * dyBlock));
        for (long i = 0; i < inputPairs; i++) {
            const long source = firstSource + i * 2;
            const int inputs = o->isPlain ? 2 : (int)least(2, lastSource - source);
            for (int j = 0; j < (o->isPlain ? 1 : inputs); j++)
                arrange(o, x, part, source + j, from + j * xBlock);
            for (long tap = 0; tap < taps(o); tap++) {
                const Factor input = { from + offsets[tap] * pixel, positions, 0, result_bytes(o, 2),
                                       xBlock };
                for (long k = 0; k < outputPairs; k++) {
                    const int outputs = (int)least(2, lastTarget - firstTarget - k * 2);
                    const Factor gradient = { with + k * 2 * dyBlock, 0, TILE, 64, dyBlock };
                    apus_amx_sum(
                        &gradient, &input, count, index > 0, sums_at(o, s, k, i, inputPairs, tap), outputs,
                        inputs);
                }
            }
        }
    }
    apus_amx_end();
    for (long k = 0; k < outputPairs; k++)
        for (long i = 0; i < inputPairs; i++) {
            const float *sum = sums_at(o, s, k, i, inputPairs, 0);
            if (o->isPlain) store_plain(o, sum, weights, firstTarget + k * 2);
            else store(o, sum, weights, firstTarget + k * 2, firstSource + i * 2);
        }
}
