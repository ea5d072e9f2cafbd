// Convolutions with 1x1 kernels and many channels by Strassen's algorithm (1969) in Winograd's form: matrices are cut
// into quarters, and seven products of sums of these do what eight products of quarters would.
//
//     S1 = A21 + A22    S2 = S1 - A11    S3 = A11 - A21    S4 = A12 - S2
//     T1 = B12 - B11    T2 = B22 - T1    T3 = B22 - B12    T4 = B21 - T2
//     C11 = A11 B11 + A12 B21            U = A11 B11 + S2 T2
//     C12 = U + S1 T1 + S4 B22           C21 = U + S3 T3 + A22 T4
//     C22 = U + S3 T3 + S1 T1
//
// A is an image and B the weights; for a weight gradient A is the output's gradient, turned, and B an image. What is cut
// are channels, in halves, and batches: an image's pixels are worked on together with those of the image half
// a batch later. Sums are made for a part of the pixels at a time that stays in the second-level cache.
#ifndef APUS_STRASSEN_H
#define APUS_STRASSEN_H

#include "onebyone.h"

/// Channel blocks of some pixels, so many floats apart.
typedef struct { float *base; long block; } Matrix;

/// A matrix's quarters, row by row: of the channels or weights, or of their sums S1 to S4 or T1 to T4.
typedef struct { Matrix q[4]; } Quarters;

/// The same pixels half a batch later.
static inline Chunk partner(const apus_strassen *s, Chunk chunk) {
    return (Chunk){ chunk.image + s->o.batch / 2, chunk.pixel, chunk.count };
}

/// A chunk of the sources or of the targets, from a channel block on.
static inline Matrix sources_of(const apus_strassen *s, const float *x, Chunk chunk, long block) {
    return (Matrix){ (float *)chunk_of(&s->o, x, s->o.sourceBlocks, chunk, block), s->o.pixels * 16 };
}
static inline Matrix targets_of(const apus_strassen *s, const float *y, Chunk chunk, long block) {
    return (Matrix){ (float *)chunk_of(&s->o, y, s->o.targets / 16, chunk, block), s->o.pixels * 16 };
}

/// Whether sources are copied before they are summed: those that a stride meets, or normalized ones.
static inline bool copies_sources(const apus_strassen *s) {
    return (s->stride > 1 && !s->o.transposes) || s->o.normalization;
}

/// Four matrices of so many blocks that lie behind each other.
static inline Quarters quarters_at(float *base, long block, long blocks) {
    Quarters r;
    for (long i = 0; i < 4; i++) r.q[i] = (Matrix){ base + i * blocks * block, block };
    return r;
}

/// S1 to S4 of a, of so many blocks and pixels.
void apus_strassen_left(Quarters a, Quarters s, long blocks, long pixels);
/// T1 to T4 of b.
void apus_strassen_right(Quarters b, Quarters t, long blocks, long pixels);

/// The pixels of some blocks that the convolution reads: those that a stride meets, or normalized ones.
void apus_strassen_copy(const apus_strassen *s, const float *x, Chunk chunk, long first, long blocks, Matrix to);
/// The opposite for a pair of blocks, with zeros between.
void apus_strassen_spread(const apus_strassen *s, Matrix from, Chunk chunk, long first, float *y);

#endif
