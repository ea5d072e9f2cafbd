// Convolutions with 3x3 kernels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016):
// 36 multiplications for 16 pixels of output instead of 144.
//
// An image is cut into tiles of 6x6 pixels that overlap by two. With U = G g G^T and V = B^T d B the
// products m = sum over input channels of U * V are 36 matrix products, one for every position in
// the tile, and A^T m A is the tile of output. The interpolation points are 0, +-P, +-Q and infinity.
//
// With a stride of two, in each direction two of the three weights meet every second pixel of a tile of 9,
// which F(4, 2) does in 5 products, and the third meets the 4 pixels between: 81 products for 16 pixels
// of output instead of 144. A tile has 81 positions, of which those between share weights: 36 of these.
//
// At the bottom and the right of an image a tile may hold two or three pixels of output. Where images are
// small, such tiles have fewer positions: F(2, 3) and F(3, 3) take 4 and 5 of the 6 points. 14x14 pixels
// take 484 products instead of 576.
//
// cuts.h says which they are; rows.h multiplies by the matrices; images.c (for the tiles in kinds.inc) and weights.c transform,
// products.c multiplies. What the threads share out is either tiles (tiles.c) or output channels
// (channels.c). Stems, with 7x7 kernels, have transforms of their own (stem.h).
#ifndef APUS_WINOGRAD_H
#define APUS_WINOGRAD_H

#include "kernels.h"
#include "../wide.h"

// ---- Transformed tiles ----

/// Pixels of output in a tile, in each direction: of an input gradient's with a stride twice as many.
#define SIDE(w) ((w)->stride == 2 && (w)->transposes ? 8 : 4)
/// From one tile of input to the next.
#define INPUT_STEP(w) ((w)->stride == 2 && !(w)->transposes ? 8 : 4)
/// Positions in a tile.
#define POSITIONS(w) ((w)->stride == 2 ? 81 : 36)

/// How many positions in a tile are multiplied with the transformed weights at q: with a stride of two 4
/// or 16 that lie between the others. They are done one after the other, while the weights are near.
static inline long shared_count(const apus_winograd *w, long q) {
    return w->stride == 1 ? 1 : (q / 6 == 5 ? 4 : 1) * (q % 6 == 5 ? 4 : 1);
}

/// The k-th of these.
static inline long shared_position(const apus_winograd *w, long q, long k) {
    if (w->stride == 1) return q;
    const long columns = q % 6 == 5 ? 4 : 1;
    return (q / 6 + k / columns) * 9 + q % 6 + k % columns;
}

/// Transformed tiles: [position][channel block][tile][lane].
typedef struct { float *base; long block, position; } Products;

/// An odd number of cache lines from position to position, so that the positions of a tile do not
/// fall into the same set of the cache.
#define POSITION(blocks, stride) ((((blocks) * (stride)) | 1) * 16)
#define PRODUCTS(base, blocks, stride) ((Products){ base, (stride) * 16, POSITION(blocks, stride) })

/// Of all images.
long apus_winograd_tiles(const apus_winograd *w);

/// V = B^T d B, A dy A^T, and y = A^T m A (+ bias) (+ y) (then max(0, .)) of tiles
/// first..<first + count for the channel blocks begin..<end.
void apus_winograd_transform_input(
    const apus_winograd *w, const void *x, Products v, long first, long count, long begin, long end);
void apus_winograd_transform_gradient(
    const apus_winograd *w, const void *dy, Products d, long first, long count, long begin, long end);
void apus_winograd_transform_output(
    const apus_winograd *w, Products m, const float *bias, void *y, long first, long count,
    long begin, long end);

// ---- Transformed weights lie as [pair of output blocks][36][input channel][lane of the pair]; an odd
// last block is alone. Gradients do too, but with whole blocks of input channels. ----

/// Lanes of a pair of output blocks: 32, or 16 of an odd last one.
#define PAIR_LANES(w, pair) (2 * (pair) + 1 < BLOCKS((w)->outputChannels) ? 32 : 16)

/// Floats between positions, an odd number of cache lines as well, and from pair to pair.
#define PAIR_POSITION(width, channels) (((width) / 16 * (channels) | 1) * 16)
#define PAIR(channels) (36 * PAIR_POSITION(32, channels))

/// U = G g G^T of one pair of output blocks: u[36][input channel][lane].
WIDE void apus_winograd_transform_weights(
    const apus_winograd *w, const float *weights, float *u, long pair);

/// Weight gradients G^T s G of a pair of output blocks and some input channels, where s[36][input
/// channel][lane] is the sum of several parts.
WIDE void apus_winograd_transform_weight_gradient(
    const apus_winograd *w, const float *s, long position, long parts, long part, float *weights,
    long pair, long firstChannel, long channels);

// ---- Products at one position for one pair of output blocks, 32 or 16 lanes wide ----

/// m[block][tile] = sum over channels of v[tile][channel] * u[channel][block]
void apus_winograd_multiply(
    long channels, long width, const float *v, long vBlock, const float *u, float *m, long mBlock,
    long count);

/// s[channel][block] (+)= sum over tiles of v[tile][channel] * d[tile][block], for one block of input
/// channels.
WIDE void apus_winograd_correlate(
    long channels, long width, const float *v, const float *d, long dBlock, float *s, long count,
    bool adds);

#endif
