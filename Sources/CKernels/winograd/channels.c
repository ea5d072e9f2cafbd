// For images of few tiles and many channels: the input of all tiles is transformed first, then a
// thread does some pairs of blocks of output channels. The transformed weights of a pair stay in the
// cache; those of all would go through memory.
#include "winograd.h"

long apus_winograd_input_count(const apus_winograd *w) {
    return POSITIONS(w) * POSITION(BLOCKS(w->inputChannels), apus_winograd_tiles(w));
}

void apus_winograd_input(const apus_winograd *w, const void *x, float *v, long begin, long end) {
    const long tiles = apus_winograd_tiles(w);
    Products all = PRODUCTS(v, BLOCKS(w->inputChannels), tiles);
    all.base += begin * all.block;
    apus_winograd_transform_input(w, x, all, 0, tiles, begin, end);
}

long apus_winograd_pair_scratch(const apus_winograd *w) {
    const long channels = w->inputChannels > 16 ? w->inputChannels : 16;
    return PAIR(channels) + POSITIONS(w) * POSITION(2, apus_winograd_tiles(w));
}

void apus_winograd_by_pairs(
    const apus_winograd *w, const float *v, const float *weights, const float *u, const float *bias,
    void *y, float *scratch, long begin, long end) {
    const long channels = w->inputChannels, tiles = apus_winograd_tiles(w);
    const Products in = PRODUCTS((float *)v, BLOCKS(channels), tiles);
    const Products m = PRODUCTS(scratch, 2, tiles);
    float *own = scratch + POSITIONS(w) * m.position;
    for (long pair = begin; pair < end; pair++) {
        const long width = PAIR_LANES(w, pair);
        const float *known = u ? u + pair * PAIR(channels) : own;
        const long position = PAIR_POSITION(width, channels);
        if (!u) apus_winograd_transform_weights(w, weights, own, pair);
        for (long q = 0; q < 36; q++)
            for (long k = 0; k < shared_count(w, q); k++) {
                const long p = shared_position(w, q, k);
                apus_winograd_multiply(
                    channels, width, in.base + p * in.position, in.block, known + q * position,
                    m.base + p * m.position, m.block, tiles);
            }
        apus_winograd_transform_output(w, m, bias, y, 0, tiles, 2 * pair, 2 * pair + width / 16);
    }
}

void apus_winograd_weight_gradient_by_pairs(
    const apus_winograd *w, const float *v, const void *dy, float *weights, float *scratch,
    long begin, long end) {
    const long channels = w->inputChannels, tiles = apus_winograd_tiles(w);
    const Products in = PRODUCTS((float *)v, BLOCKS(channels), tiles);
    const Products d = PRODUCTS(scratch, 2, tiles);
    float *sums = scratch + POSITIONS(w) * d.position;
    for (long pair = begin; pair < end; pair++) {
        const long width = PAIR_LANES(w, pair);
        apus_winograd_transform_gradient(w, dy, d, 0, tiles, 2 * pair, 2 * pair + width / 16);
        for (long block = 0; block < BLOCKS(channels); block++) {
            const long lanes = LANES(channels, block);
            for (long q = 0; q < 36; q++)
                for (long k = 0; k < shared_count(w, q); k++) {
                    const long p = shared_position(w, q, k);
                    apus_winograd_correlate(
                        lanes, width, in.base + p * in.position + block * in.block,
                        d.base + p * d.position, d.block, sums + q * PAIR_POSITION(width, 16), tiles,
                        k > 0);
                }
            apus_winograd_transform_weight_gradient(
                w, sums, PAIR_POSITION(width, 16), 1, 0, weights, pair, block * 16, lanes);
        }
    }
}
