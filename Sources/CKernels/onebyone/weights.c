// Weight gradients.
#include "onebyone.h"
#include "../turn.h"

/// s[output][input block] (+)= sum over pixels of x[input block][pixel] * dy[output][pixel], of so many
/// outputs and blocks that the sums fit into the registers. Meanwhile as many cache lines at `next`
/// are fetched as there are pixels.
WIDE_INLINE void correlate(
    const float *x, long xBlock, const float *dy, float *s, long row, long pixels, bool adds,
    const char *next, const int blocks) {
    enum { OUTPUTS = 4 };
    V sum[OUTPUTS * 4];
    UNROLL for (int i = 0; i < OUTPUTS * blocks; i++) sum[i] = (V){0};
    for (; pixels > 0; pixels--, x += 16, dy += 16, next += 64) {
        __builtin_prefetch(next, 0, 2);
        V v[4];
        UNROLL for (int j = 0; j < blocks; j++) v[j] = *(const V *)(x + j * xBlock);
        UNROLL for (int i = 0; i < OUTPUTS; i++) {
            const float a = dy[i];
            UNROLL for (int j = 0; j < blocks; j++) sum[i * blocks + j] += a * v[j];
        }
    }
    // A chunk's sum is added to the others': fewer digits are lost than by adding pixels one by one.
    UNROLL for (int i = 0; i < OUTPUTS; i++)
        UNROLL for (int j = 0; j < blocks; j++) {
            Unaligned *to = (Unaligned *)(s + i * row + j * 16);
            *to = adds ? *to + sum[i * blocks + j] : sum[i * blocks + j];
        }
}

#define CORRELATE(BLOCKS)                                                                      \
    static WIDE void correlate_##BLOCKS(                                                        \
        const float *x, long xBlock, const float *dy, float *s, long row, long pixels,          \
        bool adds, const char *next) {                                                          \
        correlate(x, xBlock, dy, s, row, pixels, adds, next, BLOCKS);                           \
    }
CORRELATE(1) CORRELATE(2) CORRELATE(3) CORRELATE(4)

static void (*const kernels[])(
    const float *, long, const float *, float *, long, long, bool, const char *) = {
    correlate_1, correlate_2, correlate_3, correlate_4 };

void apus_correlate(
    const float *x, long xBlock, const float *dy, float *s, long row, long pixels, bool adds,
    const char *next, long blocks) {
    kernels[blocks - 1](x, xBlock, dy, s, row, pixels, adds, next);
}

long apus_one_by_one_scratch(const apus_one_by_one *o, long sourceBlocks) {
    return o->normalization ? sourceBlocks * BLOCK_STRIDE(GRADIENT_CHUNK) : 0;
}

void apus_one_by_one_correlate(
    const apus_one_by_one *o, const float *x, const float *dy, float *s, long row, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget) {
    const long chunks = o->batch * chunks_per_image(o, GRADIENT_CHUNK);
    // Up to four blocks of sources at once, in equal groups: a rest of one would be slow.
    const long sources = lastSource - firstSource, groups = (sources + 3) / 4;
    const long targetBlocks = BLOCKS(o->targets), block = o->normalization ? BLOCK_STRIDE(GRADIENT_CHUNK) : o->pixels * 16;
    for (long index = 0; index < chunks; index++) {
        const Chunk chunk = chunk_at(o, index, GRADIENT_CHUNK);
        const Chunk next = chunk_at(o, index + 1 < chunks ? index + 1 : index, GRADIENT_CHUNK);
        const float *const first =
            o->normalization ? scratch : chunk_of(o, x, o->sourceBlocks, chunk, firstSource);
        if (o->normalization) apus_normalize_chunk(o, x, chunk, firstSource, sources, scratch, block);
        long source = firstSource, target = firstTarget;
        for (long group = 0; group < groups; group++) {
            const long i = firstSource + sources * group / groups;
            const long blocks = firstSource + sources * (group + 1) / groups - i;
            const float *from = first + (i - firstSource) * block;
            for (long k = firstTarget; k < lastTarget; k++) {
                const float *with = chunk_of(o, dy, targetBlocks, chunk, k);
                for (long lane = 0; lane < LANES(o->targets, k); lane += 4) {
                    // The next chunk is fetched a block at a time; afterwards what is here already.
                    const float *ahead = with;
                    if (source < lastSource) ahead = chunk_of(o, x, o->sourceBlocks, next, source++);
                    else if (target < lastTarget)
                        ahead = chunk_of(o, dy, targetBlocks, next, target++);
                    kernels[blocks - 1](
                        from, block, with + lane, s + (k * 16 + lane) * row + i * 16, row,
                        chunk.count, index > 0, (const char *)ahead);
                }
            }
        }
    }
}

// ---- What the library's kernels leave ----

WIDE void apus_plain_gradient(
    const float *blocks, float *gradient, long inputs, long begin, long end) {
    for (long output = begin; output < end; output++)
        for (long input = 0; input < inputs / 16; input++) {
            const float *from = blocks + (output * (inputs / 16) + input) * 256;
            float *to = gradient + output * 16 * inputs + input * 16;
            V r[16];
            UNROLL for (int i = 0; i < 16; i++) r[i] = *(const V *)(from + i * 16);
            turn(r);
            UNROLL for (int i = 0; i < 16; i++) *(Unaligned *)(to + i * inputs) = r[i];
        }
}
