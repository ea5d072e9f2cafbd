// Convolutions in use: direct sums for 1x1 kernels, and for others where an image has few pixels, so that
// reading weights takes as long as multiplying. Every weight is read from memory once, while the
// weights before it are multiplied with all pixels of an image.
//
// The threads share out pixels and output channels; no sum depends on their number.
#include "kernels.h"
#include "onebyone/product.h"
#include "transcendental.h"
#include "wide.h"

#include <string.h>

enum {
    /// Where images are larger, what all channels hold of so many pixels stays in the caches.
    CHUNK = 98,
    /// Of images up to this size the weights are what has to stay.
    FEW_PIXELS = 196,
    /// Input channels times taps whose weights are multiplied with all pixels before the next are: what
    /// stays in the first-level cache.
    DEPTH = 256,
    MOST_TAPS = 49,
};

static long taps(const apus_direct *d) { return d->kernel * d->kernel; }
static long pixels(const apus_direct *d) { return d->outputHeight * d->outputWidth; }

long apus_direct_pairs(const apus_direct *d) { return (BLOCKS(d->outputChannels) + 1) / 2; }

// ---- Weights: [pair of output blocks][input block][tap][lane][lane of the pair]; an odd last block is alone ----

long apus_direct_weight_count(const apus_direct *d) {
    return BLOCKS(d->outputChannels) * BLOCKS(d->inputChannels) * taps(d) * 256;
}

void apus_direct_weights(
    const apus_direct *d, const float *weights, float *u, long begin, long end) {
    const long blocksIn = BLOCKS(d->inputChannels), blocksOut = BLOCKS(d->outputChannels);
    if (d->kernel == 1) {
        const apus_one_by_one o = { .sources = d->inputChannels, .targets = d->outputChannels };
        apus_one_by_one_weights(
            &o, weights, u, begin * 2, end * 2 < blocksOut ? end * 2 : blocksOut);
        return;
    }
    for (long pair = begin; pair < end; pair++) {
        const long width = pair * 2 + 1 < blocksOut ? 32 : 16;
        float *to = u + pair * 2 * blocksIn * taps(d) * 256;
        for (long block = 0; block < blocksIn; block++)
            for (long tap = 0; tap < taps(d); tap++)
                for (long lane = 0; lane < 16; lane++, to += width)
                    for (long j = 0; j < width; j++) {
                        const long in = block * 16 + lane, out = pair * 32 + j;
                        to[j] = in < d->inputChannels && out < d->outputChannels
                            ? weights[(out * d->inputChannels + in) * taps(d) + tap] : 0;
                    }
    }
}

// ---- Input: for every column of the kernel and every phase of a stride, the rows of pixels that it meets, one
// beside the other. Then what a tap meets for consecutive pixels is consecutive ----

static bool isArranged(const apus_direct *d) { return d->kernel > 1 || d->stride > 1; }

/// Rows of one phase.
static long rows(const apus_direct *d) {
    return d->outputHeight + (d->kernel - 1) * d->dilation / d->stride;
}

/// Floats of an arranged plane.
static long arranged(const apus_direct *d) {
    return isArranged(d) ? d->kernel * d->stride * rows(d) * d->outputWidth * 16 : pixels(d) * 16;
}

long apus_direct_input_count(const apus_direct *d) {
    return isArranged(d) ? d->batch * BLOCKS(d->inputChannels) * arranged(d) : 0;
}

void apus_direct_input(const apus_direct *d, const float *x, float *v, long begin, long end) {
    v += begin * arranged(d);
    for (long plane = begin; plane < end; plane++) {
        const float *from = x + plane * d->inputHeight * d->inputWidth * 16;
        for (long column = 0; column < d->kernel; column++)
            for (long phase = 0; phase < d->stride; phase++)
                for (long row = 0; row < rows(d); row++) {
                    const long i = row * d->stride + phase - d->padTop;
                    for (long k = 0; k < d->outputWidth; k++, v += 16) {
                        const long j = k * d->stride + column * d->dilation - d->padLeft;
                        if (i < 0 || i >= d->inputHeight || j < 0 || j >= d->inputWidth)
                            memset(v, 0, 64);
                        else memcpy(v, from + (i * d->inputWidth + j) * 16, 64);
                    }
                }
    }
}

/// Where the taps meet an arranged plane's first pixel.
static void findTaps(const apus_direct *d, long offsets[MOST_TAPS]) {
    for (long i = 0; i < d->kernel; i++)
        for (long j = 0; j < d->kernel; j++) {
            const long row = i * d->dilation / d->stride, phase = i * d->dilation % d->stride;
            offsets[i * d->kernel + j] =
                ((j * d->stride + phase) * rows(d) + row) * d->outputWidth * 16;
        }
}

// ---- Output ----

#define ACTIVATE(RESULT)                                                                        \
    for (long i = 0; i < count; i += 16) {                                                      \
        const vector_16 v = LOAD(float, 16, y + i);                                             \
        STORE(float, 16, y + i, RESULT);                                                        \
    }

static WIDE void activate(apus_function f, float *y, long count) {
    const vector_16 zero = {0};
    switch (f) {
    case apus_relu: ACTIVATE(__builtin_elementwise_max(v, zero)) break;
    case apus_relu6:
        ACTIVATE(__builtin_elementwise_min(__builtin_elementwise_max(v, zero), zero + 6)) break;
    case apus_silu: ACTIVATE(VECTOR_SILU(16, v)) break;
    default: break;
    }
}

static long chunks(const apus_direct *d) { return (pixels(d) + CHUNK - 1) / CHUNK; }

long apus_direct_units(const apus_direct *d) {
    return d->batch * chunks(d) * apus_direct_pairs(d);
}

/// One pair of output blocks for one chunk of an image.
static void unit(
    const apus_direct *d, const float *v, const long *offsets, const float *u, const float *bias,
    float *y, long image, long chunk, long pair) {
    const long blocksIn = BLOCKS(d->inputChannels), blocksOut = BLOCKS(d->outputChannels);
    const long begin = pixels(d) * chunk / chunks(d), end = pixels(d) * (chunk + 1) / chunks(d);
    const long count = end - begin, groups = (count + MOST_PIXELS - 1) / MOST_PIXELS;
    const long plane = pixels(d) * 16;
    // Input blocks of a slice.
    const long most = taps(d) * 16 < DEPTH ? DEPTH / (taps(d) * 16) : 1;
    const bool isPair = pair * 2 + 1 < blocksOut;
    const float *from = v + image * blocksIn * arranged(d) + begin * 16;
    float *to = y + ((image * blocksOut + pair * 2) * pixels(d) + begin) * 16;
    Product p = {
        .xBlock = arranged(d), .yBlock = plane, .offsets = offsets, .taps = taps(d),
        .u = u + pair * 2 * blocksIn * taps(d) * 256 };
    for (long block = 0; block < blocksIn; block += most) {
        const long depth = blocksIn - block < most ? blocksIn - block : most;
        const long slice = depth * taps(d) * (isPair ? 512 : 256);
        const long rest = d->inputChannels - block * 16;
        p.channels = rest < depth * 16 ? rest : depth * 16;
        p.bias = block == 0 && bias ? bias + pair * 32 : 0;
        p.adds = block > 0 || d->adds;
        // Lines of the next slice, which also follows at the end of a pair.
        p.next = (const char *)(p.u + slice);
        p.lines = slice / 16;
        for (long group = 0; group < groups; group++) {
            const long first = count * group / groups;
            p.x = from + block * arranged(d) + first * 16;
            p.y = to + first * 16;
            apus_product(&p, count * (group + 1) / groups - first, isPair);
            const long fetched = p.channels * taps(d) < p.lines ? p.channels * taps(d) : p.lines;
            p.next += fetched * 64;
            p.lines -= fetched;
        }
        p.u += slice;
    }
    activate(d->activation, to, count * 16);
    if (isPair) activate(d->activation, to + plane, count * 16);
}

void apus_direct_multiply(
    const apus_direct *d, const float *v, const float *u, const float *bias, float *y, long begin,
    long end) {
    long offsets[MOST_TAPS] = {0};
    if (isArranged(d)) findTaps(d, offsets);
    const long pairCount = apus_direct_pairs(d), parts = d->batch * chunks(d);
    for (long i = begin; i < end; i++) {
        const bool isSmall = pixels(d) <= FEW_PIXELS;
        const long part = isSmall ? i % parts : i / pairCount;
        const long pair = isSmall ? i / parts : i % pairCount;
        unit(d, v, offsets, u, bias, y, part / chunks(d), part % chunks(d), pair);
    }
}
