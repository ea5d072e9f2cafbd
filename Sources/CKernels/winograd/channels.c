// For images of few tiles and many channels: the input of all tiles is transformed first, then a
// thread does some pairs of blocks of output channels, a few at a time. At one position after the
// other these share what is read of the input; the transformed weights of all would go through memory.
#include "cuts.h"

/// Pairs that a thread does at a time: one, so that its weights stay near, or a few (of 5 MiB of weights) where an
/// input of many megabytes would come from memory for every pair. (Weight gradients of 256 channels, 32
/// images of 14x14 pixels, 19 MB: 12.9 instead of 14.5 ms; of 512 channels and 7x7 pixels, 9 MB: 12.9 instead of 11.3.)
static long group(const apus_winograd *w) {
    if (apus_winograd_input_count(w) * (long)sizeof(float) <= 12 << 20) return 1;
    const long few = (5 << 20) / (PAIR(BLOCKS(w->inputChannels) * 16) * (long)sizeof(float));
    return few < 1 ? 1 : few < 4 ? few : 4;
}

/// The pairs from `first` on that are done together.
static inline long group_of(const apus_winograd *w, long first, long end) {
    return end - first < group(w) ? end - first : group(w);
}

/// Channel blocks of pairs first..<first + count.
static inline long blocks_of(const apus_winograd *w, long first, long count) {
    const long end = 2 * (first + count), blocks = BLOCKS(w->outputChannels);
    return (end < blocks ? end : blocks) - 2 * first;
}

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
    const long pairs = group_of(w, 0, apus_winograd_pairs(w));
    return pairs * PAIR(BLOCKS(w->inputChannels) * 16)
        + POSITIONS(w) * POSITION(2 * pairs, apus_winograd_tiles(w));
}

void apus_winograd_by_pairs(
    const apus_winograd *w, const float *v, const float *weights, const float *u, const float *bias,
    void *y, float *scratch, long begin, long end) {
    const long channels = w->inputChannels, tiles = apus_winograd_tiles(w);
    const Cut cut = cut_of(w);
    const Products in = PRODUCTS((float *)v, BLOCKS(channels), tiles);
    const Products m = PRODUCTS(scratch, 2 * group_of(w, 0, apus_winograd_pairs(w)), tiles);
    float *own = scratch + POSITIONS(w) * m.position;
    for (long first = begin; first < end; first += group(w)) {
        const long count = group_of(w, first, end);
        for (long i = 0; !u && i < count; i++)
            apus_winograd_transform_weights(w, weights, own + i * PAIR(channels), first + i);
        const float *known = u ? u + first * PAIR(channels) : own;
        for (long q = 0; q < 36; q++)
            for (long i = 0; i < count; i++) {
                const long width = PAIR_LANES(w, first + i);
                for (long k = 0; k < shared_count(w, q); k++) {
                    const long p = shared_position(w, q, k);
                    const Range t = tiles_with(w, cut, p, tiles);
                    apus_winograd_multiply(
                        channels, width, in.base + p * in.position + t.first * 16, in.block,
                        known + i * PAIR(channels) + q * PAIR_POSITION(width, channels),
                        m.base + p * m.position + 2 * i * m.block + t.first * 16, m.block, t.count);
                }
            }
        apus_winograd_transform_output(
            w, m, bias, y, 0, tiles, 2 * first, 2 * first + blocks_of(w, first, count));
    }
}

void apus_winograd_weight_gradient_by_pairs(
    const apus_winograd *w, const float *v, const void *dy, float *weights, float *scratch,
    long begin, long end) {
    const long inputs = BLOCKS(w->inputChannels), tiles = apus_winograd_tiles(w);
    const Cut cut = cut_of(w);
    const Products in = PRODUCTS((float *)v, inputs, tiles);
    const Products d = PRODUCTS(scratch, 2 * group_of(w, 0, apus_winograd_pairs(w)), tiles);
    float *sums = scratch + POSITIONS(w) * d.position;
    for (long first = begin; first < end; first += group(w)) {
        const long count = group_of(w, first, end);
        apus_winograd_transform_gradient(
            w, dy, d, 0, tiles, 2 * first, 2 * first + blocks_of(w, first, count));
        for (long q = 0; q < 36; q++)
            for (long i = 0; i < count; i++) {
                const long width = PAIR_LANES(w, first + i);
                float *s = sums + i * PAIR(inputs * 16) + q * PAIR_POSITION(width, inputs * 16);
                for (long block = 0; block < inputs; block++)
                    for (long k = 0; k < shared_count(w, q); k++) {
                        const long p = shared_position(w, q, k);
                        const Range t = tiles_with(w, cut, p, tiles);
                        apus_winograd_correlate(
                            LANES(w->inputChannels, block), width,
                            in.base + p * in.position + block * in.block + t.first * 16,
                            d.base + p * d.position + 2 * i * d.block + t.first * 16, d.block,
                            s + block * 16 * width, t.count, k > 0);
                    }
            }
        for (long i = 0; i < count; i++) {
            const long position = PAIR_POSITION(PAIR_LANES(w, first + i), inputs * 16);
            apus_winograd_transform_weight_gradient(
                w, sums + i * PAIR(inputs * 16), position, 1, 0, weights, first + i, 0,
                w->inputChannels);
        }
    }
}
