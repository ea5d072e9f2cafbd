// Convolutions with 1x1 kernels: matrix products of pixels with weights. The library's kernels read a
// number for every multiplication; these keep two blocks of one operand in registers (or four), so
// that every number read is multiplied twice or more, and fetch what comes next meanwhile.
//
// What the threads share out is chunks of an image's pixels or, for weight gradients, channels: no sum
// depends on the number of threads.
#ifndef APUS_ONEBYONE_H
#define APUS_ONEBYONE_H

#include "kernels.h"
#include "../elements.h"
#include "../wide.h"

/// In memory at any address that suits a float.
typedef float Unaligned __attribute__((vector_size(64), aligned(4)));

/// Pixels of an image that are worked on together; what all channels hold of them stays in the caches.
typedef struct { long image, pixel, count; } Chunk;

/// An image is cut into equal chunks of at most so many pixels: of images that are normalized on the way fewer, as
/// there are two of each; of gradients what halves images of 14x14, quarters those of 28x28 and so on.
enum { IMAGE_CHUNK = 96, NORMALIZED_CHUNK = 48, GRADIENT_CHUNK = 98 };

/// Pixels whose sums, of two blocks each, are made at a time. Those of twelve fit into the registers, but eight are
/// faster, it seems as fewer results wait to be written (64 to 256 channels, 32 images of 56x56 pixels: 15.2 and 15.8 ms).
enum { GROUP_PIXELS = 8 };

/// Floats from block to block of a copied chunk: an odd number of cache lines, so that blocks do not fall into the
/// same sets of the cache (224 to 128 channels, normalized, 16 images of 56x56 pixels: 13.4 instead of 18.4 ms).
#define BLOCK_STRIDE(pixels) (((pixels) | 1) * 16)

static inline long chunks_per_image(const apus_one_by_one *o, long most) {
    return (o->pixels + most - 1) / most;
}

static inline Chunk chunk_at(const apus_one_by_one *o, long index, long most) {
    const long parts = chunks_per_image(o, most), part = index % parts;
    const long begin = o->pixels * part / parts, end = o->pixels * (part + 1) / parts;
    return (Chunk){ index / parts, begin, end - begin };
}

/// Where a chunk of a channel block begins in images of so many blocks.
static inline const float *chunk_of(
    const apus_one_by_one *o, const float *image, long perImage, Chunk chunk, long block) {
    return image + ((chunk.image * perImage + block) * o->pixels + chunk.pixel) * 16;
}

/// The weights between a block of sources and one of targets: a vector a source, so many floats apart.
void apus_weight_tile(
    const apus_one_by_one *o, const float *weights, long source, long target, float *to, long width);

/// A chunk of so many blocks of x, the first of which is `first`, normalized into blocks `stride` floats apart.
void apus_normalize_chunk(
    const apus_one_by_one *o, const float *x, Chunk chunk, long first, long blocks, float *to, long stride);

/// s[output][input block] (+)= sum over pixels of x[input block][pixel] * dy[output][pixel] of four outputs and one to
/// four blocks. Meanwhile as many cache lines at `next` are fetched as there are pixels.
void apus_correlate(
    const float *x, long xBlock, const float *dy, float *s, long row, long pixels, bool adds,
    const char *next, long blocks);

#endif
