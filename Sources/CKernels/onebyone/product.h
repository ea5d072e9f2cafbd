// The product of a few pixels with the weights of one or two blocks of output channels, all of whose sums are in
// registers: what every direct sum of 32-bit floats is made of.
#ifndef APUS_PRODUCT_H
#define APUS_PRODUCT_H

#include "../elements.h"
#include "../wide.h"

#include <stdbool.h>

/// Pixels whose sums, of two blocks each, fit into the registers.
enum { MOST_PIXELS = 12 };

/// y[block][pixel] (+)= bias[block] + the sum over channels and taps of
/// x[channel][offset of the tap + pixel] * u[channel block][tap][lane][block].
typedef struct {
    /// Floats between two channel blocks of x, or of y.
    long xBlock, yBlock;
    const float *x, *u;
    /// One a block of y, or null.
    const float *bias;
    float *y;
    /// Whether y holds sums that go on.
    bool adds;
    /// Whether y holds what is added last: from memory, so it is fetched meanwhile. All of it or, if they are not
    /// null, where these bits of y are set.
    bool joins;
    const signs_16 *signs;
    /// Input channels: lanes past the last are not read.
    long channels;
    /// Floats from a pixel to where each tap meets the input.
    const long *offsets;
    long taps;
    /// Meanwhile so many cache lines are fetched from here on, one a channel and tap.
    const char *next;
    long lines;
} Product;

/// A pixel of y, so many floats behind the first, where its bits are set.
WIDE_INLINE V joined(const float *y, const signs_16 *signs, long at) {
    const V v = *(const V *)(y + at);
    return signs ? (V)((mask_16)v & UNPACKED(16, signs[at / 16])) : v;
}

/// For 1 to MOST_PIXELS pixels and one block of output channels or a pair.
void apus_product(const Product *p, long pixels, bool isPair);

#endif
