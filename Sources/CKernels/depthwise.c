#include "kernels.h"
#include "clones.h"
#include "elements.h"
#include "halves.h"
#include "transcendental.h"

#include <string.h>

// The rows of a source image that an output row needs are copied to a ring of rows in scratch, as
// 32-bit floats between zeros: the kernels know neither element types nor borders.

/// A row of outputs, all of one phase: each is a sum over the same taps of several source rows.
/// The forward pass has one phase; the input gradient one for every remainder of its stride.
typedef struct {
    long rows;
    const float *source[apus_depthwise_limit], *weights[apus_depthwise_limit];
    /// Source pixels between outputs and between taps; weights between taps.
    long stride, step, weightStep;
    long taps, count;
    const float *bias;
    apus_type type;
    void *out;
    /// Pixels between outputs where they lie.
    long outStep;
    /// Whether sums are added to what the outputs hold; applied last.
    bool adds;
    apus_function activation;
    /// Sums on their way to outputs, where something is done to them or a tile reaches past the last.
    float *sums;
} depthwise_row;

/// Whether more is done to sums than to write them.
static bool needs_finish(const depthwise_row *r) { return r->adds || r->activation != apus_identity; }

/// Rows in scratch: `lead` zeros, then `width` pixels, then zeros up to `length` pixels.
typedef struct {
    long rows, length, lead, width;
} depthwise_ring;

static long smaller(long a, long b) { return a < b ? a : b; }
static long larger(long a, long b) { return a > b ? a : b; }
static long divisor(long a, long b) { return b == 0 ? a : divisor(b, a % b); }

// Whole tiles are computed: they may read up to 7 outputs past the last.
static depthwise_ring forward_ring(const apus_window *w) {
    return (depthwise_ring){
        .rows = (w->kernelHeight - 1) * w->dilationHeight + 1,
        .length = (w->outputWidth + 6) * w->strideWidth + (w->kernelWidth - 1) * w->dilationWidth + 1,
        .lead = w->padLeft, .width = w->inputWidth};
}

static depthwise_ring gradient_ring(const apus_window *w) {
    long reach = (w->kernelWidth - 1) * w->dilationWidth, s = w->strideWidth;
    long lead = larger(0, reach - w->padLeft) / s;
    return (depthwise_ring){
        .rows = (w->kernelHeight - 1) * w->dilationHeight + 1,
        .length = lead + (w->padLeft + s - 1) / s + (w->inputWidth + s - 1) / s + 7,
        .lead = lead, .width = w->outputWidth};
}

// Beyond what one output row needs, as many rows as stay in the first-level cache: sums then stay
// in registers over several rows.
static depthwise_ring band_ring(long block, const apus_window *w) {
    depthwise_ring ring = forward_ring(w);
    ring.rows = larger(ring.rows, smaller(
        6144 / (ring.length * block),
        ring.rows + (w->outputHeight - 1) * w->strideHeight));
    return ring;
}

static long band_height(const depthwise_ring *ring, const apus_window *w) {
    long needed = (w->kernelHeight - 1) * w->dilationHeight + 1;
    return smaller(apus_depthwise_limit, (ring->rows - needed) / w->strideHeight + 1);
}

static long sums_length(const apus_window *w) { return larger(w->outputWidth, w->inputWidth) + 7; }

long apus_depthwise_scratch(long block, const apus_window *w) {
    depthwise_ring f = band_ring(block, w), g = gradient_ring(w);
    // One more row of zeros stands for those outside the image; one holds sums.
    const long rows = larger(f.rows * f.length, g.rows * g.length) + f.length;
    return (rows + sums_length(w)) * block;
}

/// Where scratch has its row of sums.
static long sums_at(long block, const apus_window *w) {
    return apus_depthwise_scratch(block, w) - sums_length(w) * block;
}

#define KIND 8
#define BLOCK 8
#include "depthwise.inc"
#undef KIND
#undef BLOCK
#define KIND 16
#define BLOCK 16
#include "depthwise.inc"
#undef KIND
// Machines with such blocks use brain floats only where they have instructions for them.
#define KIND halves
#pragma push_macro("CLONES")
#undef CLONES
#define CLONES HALVES
#undef SHORTENED
#define SHORTENED(B, v) ROUNDED(v)
#include "depthwise.inc"
#pragma pop_macro("CLONES")
#undef KIND
#undef BLOCK

#define DISPATCH(NAME, PARAMETERS, ARGUMENTS)                       \
    void NAME PARAMETERS {                                          \
        if (block == 8) NAME##_8 ARGUMENTS;                         \
        else if (type == apus_float32) NAME##_16 ARGUMENTS;         \
        else NAME##_halves ARGUMENTS;                               \
    }

DISPATCH(apus_depthwise,
    (long block, apus_type type, const void *x, const float *weights, const float *bias, void *y,
     bool adds, apus_function activation, const apus_window *w, float *scratch, long channelBlocks,
     long begin, long end),
    (type, x, weights, bias, y, adds, activation, w, scratch, channelBlocks, begin, end))
DISPATCH(apus_depthwise_input_gradient,
    (long block, apus_type type, const void *dy, const float *weights, void *dx, const apus_window *w,
     float *scratch, long channelBlocks, long begin, long end),
    (type, dy, weights, dx, w, scratch, channelBlocks, begin, end))
DISPATCH(apus_depthwise_weight_gradient,
    (long block, apus_type type, const void *x, const void *dy, float *partial, bool bias,
     const apus_window *w, float *scratch, long batch, long chunks, long channelBlocks, long begin, long end),
    (type, x, dy, partial, bias, w, scratch, batch, chunks, channelBlocks, begin, end))

void apus_depthwise_pack(
    long block, const float *w, float *packed, long channels, long taps, long begin, long end) {
    for (long c = begin; c < end; c++) for (long l = 0; l < block; l++) {
        long channel = c * block + l;
        float *to = packed + c * taps * block + l;
        for (long k = 0; k < taps; k++)
            to[k * block] = channel < channels ? w[channel * taps + k] : 0;
    }
}

void apus_depthwise_collect(
    long block, const float *partial, float *dw, float *dbias, long channels, long taps, long chunks,
    long channelBlocks, long begin, long end) {
    long size = (taps + 1) * block;
    for (long c = begin; c < end; c++) for (long l = 0; l < smaller(block, channels - c * block); l++) {
        for (long k = 0; k <= taps; k++) {
            float sum = 0;
            for (long n = 0; n < chunks; n++)
                sum += partial[(n * channelBlocks + c) * size + k * block + l];
            if (k < taps) dw[(c * block + l) * taps + k] = sum;
            else if (dbias) dbias[c * block + l] = sum;
        }
    }
}
