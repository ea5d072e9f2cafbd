// For images of many tiles: a thread does chunks of tiles with all channels.
#include "cuts.h"
#include "fetch.h"

/// Tiles first..<first + count; those of the chunk behind it are fetched meanwhile.
typedef struct { long first, count, next, ahead; } Chunk;

static Chunk chunk_from(long first, long stride, long end) {
    const long next = first + stride;
    return (Chunk){ first, end - first < stride ? end - first : stride,
                    next, end - next < stride ? end - next : stride };
}

/// Tiles of a unit.
static long unit_of(const apus_winograd *w) {
    const Cut c = cut_of(w);
    return is_whole(c) ? 1 : c.down * c.across;
}

long apus_winograd_units(const apus_winograd *w) { return apus_winograd_tiles(w) / unit_of(w); }

/// A number of tiles that suits the caches.
static long best_count(const apus_winograd *w) {
    // Weights that do not fit into the second-level cache are read anew for every chunk, from the third
    // or from memory: larger chunks. Else the chunk itself should stay in that cache.
    const long weights = apus_winograd_weight_count(w) * (long)sizeof(float);
    if (weights > 16 << 20) return w->stride == 1 ? 96 : 48;
    if (weights > 1 << 20) return w->stride == 1 ? 48 : 24;
    const long fits = (64 << 10) / (POSITIONS(w) * 16 * (BLOCKS(w->inputChannels) + BLOCKS(w->outputChannels)));
    return fits < 24 ? 24 : fits / 12 * 12;
}

long apus_winograd_stride(const apus_winograd *w) {
    const long unit = unit_of(w), units = (best_count(w) + unit / 2) / unit;
    return units > 0 ? units : 1;
}

long apus_winograd_scratch(const apus_winograd *w, long stride) {
    const long tiles = stride * unit_of(w);
    return POSITIONS(w)
        * (POSITION(BLOCKS(w->inputChannels), tiles) + POSITION(BLOCKS(w->outputChannels), tiles));
}

/// m = v * u at the positions of q.
static void multiply(
    const apus_winograd *w, Products v, const float *u, Products m, long q, long count) {
    const long channels = w->inputChannels;
    const Cut cut = cut_of(w);
    for (long pair = 0; 2 * pair < BLOCKS(w->outputChannels); pair++) {
        const long width = PAIR_LANES(w, pair);
        const float *weights = u + pair * PAIR(channels) + q * PAIR_POSITION(width, channels);
        for (long k = 0; k < shared_count(w, q); k++) {
            const long p = shared_position(w, q, k);
            const Range t = tiles_with(w, cut, p, count);
            apus_winograd_multiply(
                channels, width, v.base + p * v.position + t.first * 16, v.block, weights,
                m.base + p * m.position + 2 * pair * m.block + t.first * 16, m.block, t.count);
        }
    }
}

/// s (+)= v * d at the positions of q.
static void correlate(
    const apus_winograd *w, Products v, Products d, float *s, long q, long count, bool adds) {
    const long inputs = BLOCKS(w->inputChannels);
    const Cut cut = cut_of(w);
    for (long pair = 0; 2 * pair < BLOCKS(w->outputChannels); pair++) {
        const long width = PAIR_LANES(w, pair);
        float *sums = s + pair * PAIR(inputs * 16) + q * PAIR_POSITION(width, inputs * 16);
        for (long block = 0; block < inputs; block++)
            for (long k = 0; k < shared_count(w, q); k++) {
                const long p = shared_position(w, q, k);
                const Range t = tiles_with(w, cut, p, count);
                apus_winograd_correlate(
                    LANES(w->inputChannels, block), width,
                    v.base + p * v.position + block * v.block + t.first * 16,
                    d.base + p * d.position + 2 * pair * d.block + t.first * 16, d.block,
                    sums + block * 16 * width, t.count, adds || k > 0);
            }
    }
}

void apus_winograd_by_tiles(
    const apus_winograd *w, const void *x, const float *u, const float *bias, void *y, float *scratch,
    long stride, long begin, long end) {
    const long inputs = BLOCKS(w->inputChannels), outputs = BLOCKS(w->outputChannels);
    const long unit = unit_of(w), tiles = stride * unit;
    const Products v = PRODUCTS(scratch, inputs, tiles);
    const Products m = PRODUCTS(scratch + POSITIONS(w) * v.position, outputs, tiles);
    for (long first = begin * unit; first < end * unit; first += tiles) {
        const Chunk c = chunk_from(first, tiles, end * unit);
        Fetch source = fetch_input(w, x, c.next, c.ahead);
        Fetch target = fetch_output(w, y, c.first, c.count);
        apus_winograd_transform_input(w, x, v, c.first, c.count, 0, inputs);
        for (long q = 0; q < 36; q++) {
            fetch_for_reading(w, &source, q);
            fetch_for_writing(w, &target, q);
            multiply(w, v, u, m, q, c.count);
        }
        apus_winograd_transform_output(w, m, bias, y, c.first, c.count, 0, outputs);
    }
}

void apus_winograd_weight_gradient_by_tiles(
    const apus_winograd *w, const void *x, const void *dy, float *s, float *scratch, long stride,
    long begin, long end) {
    const long inputs = BLOCKS(w->inputChannels), outputs = BLOCKS(w->outputChannels);
    const long unit = unit_of(w), tiles = stride * unit;
    const Products v = PRODUCTS(scratch, inputs, tiles);
    const Products d = PRODUCTS(scratch + POSITIONS(w) * v.position, outputs, tiles);
    for (long first = begin * unit; first < end * unit; first += tiles) {
        const Chunk c = chunk_from(first, tiles, end * unit);
        Fetch source = fetch_input(w, x, c.next, c.ahead);
        Fetch target = fetch_output(w, dy, c.next, c.ahead);
        apus_winograd_transform_input(w, x, v, c.first, c.count, 0, inputs);
        apus_winograd_transform_gradient(w, dy, d, c.first, c.count, 0, outputs);
        for (long q = 0; q < 36; q++) {
            fetch_for_reading(w, &source, q);
            fetch_for_reading(w, &target, q);
            correlate(w, v, d, s, q, c.count, first > begin * unit);
        }
    }
}
