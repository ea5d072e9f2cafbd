// Quarters and their sums.
#include "strassen.h"

WIDE void apus_strassen_left(Quarters a, Quarters s, long blocks, long pixels) {
    for (long i = 0; i < blocks; i++)
        for (long p = 0; p < pixels * 16; p += 16) {
#define AT(QUARTERS, k) (*(V *)((QUARTERS).q[k].base + i * (QUARTERS).q[k].block + p))
            const V s1 = AT(a, 2) + AT(a, 3), s2 = s1 - AT(a, 0);
            const V s3 = AT(a, 0) - AT(a, 2), s4 = AT(a, 1) - s2;
            AT(s, 0) = s1;
            AT(s, 1) = s2;
            AT(s, 2) = s3;
            AT(s, 3) = s4;
        }
}

WIDE void apus_strassen_right(Quarters b, Quarters t, long blocks, long pixels) {
    for (long i = 0; i < blocks; i++)
        for (long p = 0; p < pixels * 16; p += 16) {
            const V t1 = AT(b, 1) - AT(b, 0), t2 = AT(b, 3) - t1;
            const V t3 = AT(b, 3) - AT(b, 1), t4 = AT(b, 2) - t2;
            AT(t, 0) = t1;
            AT(t, 1) = t2;
            AT(t, 2) = t3;
            AT(t, 3) = t4;
        }
}

// ---- Images with a stride ----

/// A channel block of the convolution's input.
static float *plane_of(const apus_strassen *s, const float *image, long channels, Chunk chunk, long block) {
    const long plane = chunk.image * (channels / 16) + block;
    return (float *)image + plane * s->inputHeight * s->inputWidth * 16;
}

static WIDE void gather(
    const apus_strassen *s, const float *x, Chunk chunk, long first, long blocks, Matrix to) {
    for (long i = 0; i < blocks; i++) {
        const float *plane = plane_of(s, x, s->o.sources, chunk, first + i);
        long row = chunk.pixel / s->width, column = chunk.pixel % s->width;
        for (long p = 0; p < chunk.count; p++) {
            const long from = (row * s->inputWidth + column) * s->stride;
            *(V *)(to.base + i * to.block + p * 16) = *(const V *)(plane + from * 16);
            if (++column == s->width) { column = 0; row++; }
        }
    }
}

void apus_strassen_gather(const apus_strassen *s, const float *x, float *to, long begin, long end) {
    const long blocks = s->o.sources / 16, plane = s->o.pixels * 16;
    for (long i = begin; i < end; i++) {
        const Chunk all = { i / blocks, 0, s->o.pixels };
        gather(s, x, all, i % blocks, 1, (Matrix){ to + i * plane, plane });
    }
}

void apus_strassen_copy(
    const apus_strassen *s, const float *x, Chunk chunk, long first, long blocks, Matrix to) {
    if (s->o.normalization) apus_normalize_chunk(&s->o, x, chunk, first, blocks, to.base, to.block);
    else gather(s, x, chunk, first, blocks, to);
}

WIDE void apus_strassen_spread(
    const apus_strassen *s, Matrix from, Chunk chunk, long first, float *y) {
    for (long i = 0; i < 2; i++) {
        float *plane = plane_of(s, y, s->o.targets, chunk, first + i);
        long row = chunk.pixel / s->width, column = chunk.pixel % s->width;
        for (long p = 0; p < chunk.count; p++) {
            const long top = row * s->stride, left = column * s->stride;
            for (long r = top; r < top + s->stride && r < s->inputHeight; r++)
                for (long c = left; c < left + s->stride && c < s->inputWidth; c++) {
                    const bool isHere = r == top && c == left;
                    const V v = isHere ? *(const V *)(from.base + i * from.block + p * 16) : (V){0};
                    __builtin_nontemporal_store(v, (V *)(plane + (r * s->inputWidth + c) * 16));
                }
            if (++column == s->width) { column = 0; row++; }
        }
    }
}
