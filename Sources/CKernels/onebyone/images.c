// Forward passes and input gradients.
#include "onebyone.h"
#include "product.h"
#include "../turn.h"

static long most_pixels(const apus_one_by_one *o) { return o->normalization ? NORMALIZED_CHUNK : IMAGE_CHUNK; }

long apus_one_by_one_chunks(const apus_one_by_one *o) { return o->batch * chunks_per_image(o, most_pixels(o)); }

void apus_one_by_one_multiply(
    const apus_one_by_one *o, const float *x, const float *u, float *y, float *scratch, long begin, long end) {
    const long blocksIn = BLOCKS(o->sources), blocksOut = BLOCKS(o->targets);
    const long plane = o->pixels * 16, noOffset = 0;
    Product p = {
        .xBlock = o->normalization ? BLOCK_STRIDE(NORMALIZED_CHUNK) : plane, .yBlock = plane,
        .channels = o->sources, .offsets = &noOffset, .taps = 1, .joins = o->adds };
    for (long index = begin; index < end; index++) {
        const Chunk chunk = chunk_at(o, index, most_pixels(o));
        const Chunk next = chunk_at(o, index + 1 < end ? index + 1 : index, most_pixels(o));
        const float *from = chunk_of(o, x, o->sourceBlocks, chunk, 0);
        if (o->normalization) {
            apus_normalize_chunk(o, x, chunk, 0, blocksIn, scratch, p.xBlock);
            from = scratch;
        }
        float *to = (float *)chunk_of(o, y, blocksOut, chunk, 0);
        const long groups = (chunk.count + GROUP_PIXELS - 1) / GROUP_PIXELS;
        // The block of the next chunk that is being fetched, and how much of it has been.
        long block = 0, fetched = 0;
        for (long target = 0; target < blocksOut; target += 2) {
            p.u = u + target * blocksIn * 256;
            for (long group = 0; group < groups; group++) {
                const long first = chunk.count * group / groups;
                const long count = chunk.count * (group + 1) / groups - first;
                p.x = from + first * 16;
                p.y = to + target * plane + first * 16;
                if (o->signs) p.signs = (const signs_16 *)o->signs + (p.y - y) / 16;
                p.next = (const char *)(
                    block < blocksIn ? chunk_of(o, x, o->sourceBlocks, next, block) + fetched * 16 : from);
                p.lines = block < blocksIn ? next.count - fetched : 0;
                apus_product(&p, count, target + 1 < blocksOut);
                fetched += o->sources;
                if (fetched >= next.count) { block++; fetched = 0; }
            }
        }
    }
}

// ---- Weights: [pair of target blocks][source channel][lane of the pair]; an odd last block is alone ----

long apus_one_by_one_weight_count(const apus_one_by_one *o) {
    return BLOCKS(o->targets) * BLOCKS(o->sources) * 256;
}

WIDE void apus_weight_tile(
    const apus_one_by_one *o, const float *weights, long source, long target, float *to, long width) {
    // Rows of the stored weights are output channels: the targets, or in a gradient the sources.
    const long rows = o->transposes ? o->sources : o->targets;
    const long columns = o->transposes ? o->targets : o->sources;
    const long row = (o->transposes ? source : target) * 16, column = (o->transposes ? target : source) * 16;
    const float *from = weights + row * columns + column;
    V r[16];
    // Copies of lengths that are not known are calls (512 to 2048 channels: 0.37 instead of 0.28 ms of one thread).
    if (row + 16 <= rows && column + 16 <= columns)
        UNROLL for (int i = 0; i < 16; i++) r[i] = *(const Unaligned *)(from + i * columns);
    else
        for (long i = 0; i < 16; i++) {
            r[i] = (V){0};
            for (long k = 0; row + i < rows && k < LANES(columns, column / 16); k++) r[i][k] = from[i * columns + k];
        }
    if (!o->transposes) turn(r);
    for (long i = 0; i < 16; i++) *(V *)(to + i * width) = r[i];
}

void apus_one_by_one_weights(
    const apus_one_by_one *o, const float *weights, float *u, long begin, long end) {
    const long blocksIn = BLOCKS(o->sources), blocksOut = BLOCKS(o->targets);
    for (long target = begin; target < end; target++) {
        const long pair = target / 2 * 2, width = pair + 1 < blocksOut ? 32 : 16;
        float *to = u + pair * blocksIn * 256 + (target - pair) * 16;
        for (long source = 0; source < blocksIn; source++, to += 16 * width)
            apus_weight_tile(o, weights, source, target, to, width);
    }
}
