// Normalizing what is read, a chunk at a time: from the caches into the caches, instead of a pass over memory.
#include "onebyone.h"

WIDE void apus_normalize_chunk(
    const apus_one_by_one *o, const float *x, Chunk chunk, long first, long blocks, float *to, long stride) {
    const long padded = BLOCKS(o->sources) * 16;
    for (long i = 0; i < blocks; i++, to += stride) {
        const float *from = chunk_of(o, x, o->sourceBlocks, chunk, first + i);
        const float *vectors = o->normalization + (first + i) * 16;
        const V mean = *(const V *)vectors, scale = *(const V *)(vectors + padded);
        const V shift = *(const V *)(vectors + 2 * padded);
        for (long p = 0; p < chunk.count * 16; p += 16) {
            const V z = (*(const V *)(from + p) - mean) * scale + shift;
            *(V *)(to + p) = o->rectifies ? (V)((mask_16)z & (z > 0)) : z;
        }
    }
}
