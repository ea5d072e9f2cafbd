// Convolutions with 1x1 kernels: matrix products of pixels with weights. The library's kernels read a
// number for every multiplication; these keep two blocks of one operand in registers (or four), so
// that every number read is multiplied twice or more, and fetch what comes next meanwhile.
//
// What the threads share out is chunks of an image's pixels or, for weight gradients, channels: no sum
// depends on the number of threads.
#ifndef APUS_ONEBYONE_H
#define APUS_ONEBYONE_H

#include "kernels.h"
#include "../wide.h"

/// Pixels of an image that are worked on together; what all channels hold of them stays in the caches.
typedef struct { long image, pixel, count; } Chunk;

/// An image is cut into equal chunks of at most 96 pixels.
static inline long chunks_per_image(const apus_one_by_one *o) { return (o->pixels + 95) / 96; }

static inline Chunk chunk_at(const apus_one_by_one *o, long index) {
    const long parts = chunks_per_image(o), part = index % parts;
    const long begin = o->pixels * part / parts, end = o->pixels * (part + 1) / parts;
    return (Chunk){ index / parts, begin, end - begin };
}

/// Where a chunk of a channel block begins in an image.
static inline const float *chunk_of(
    const apus_one_by_one *o, const float *image, long channels, Chunk chunk, long block) {
    return image + ((chunk.image * BLOCKS(channels) + block) * o->pixels + chunk.pixel) * 16;
}

#endif
