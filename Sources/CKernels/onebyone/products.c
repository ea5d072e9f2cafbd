#include "product.h"
#include "../wide.h"

WIDE_INLINE void multiply(const Product *p, const int pixels, const int blocks) {
    V sum[2 * MOST_PIXELS];
    UNROLL for (int i = 0; i < pixels * blocks; i++)
        sum[i] = p->bias ? *(const V *)(p->bias + i % blocks * 16) : (V){0};
    if (p->adds)
        UNROLL for (int i = 0; i < pixels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                sum[i * blocks + j] += *(const V *)(p->y + j * p->yBlock + i * 16);
    if (p->joins)
        UNROLL for (int i = 0; i < pixels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                __builtin_prefetch(p->y + j * p->yBlock + (i + pixels) * 16, 1, 3);
    const float *x = p->x, *u = p->u;
    const char *next = p->next;
    long lines = p->lines;
    for (long channels = p->channels; channels > 0; channels -= 16, x += p->xBlock) {
        const long lanes = channels < 16 ? channels : 16;
        for (long tap = 0; tap < p->taps; tap++, lines -= lanes, u += (16 - lanes) * 16 * blocks) {
            const float *from = x + p->offsets[tap];
            // What was fetched is fetched again at no cost.
            const long step = lines > 0 ? 64 : 0;
            for (long lane = 0; lane < lanes; lane++, u += 16 * blocks, next += step) {
                __builtin_prefetch(next, 0, 2);
                V v[2];
                UNROLL for (int j = 0; j < blocks; j++) v[j] = *(const V *)(u + 16 * j);
                UNROLL for (int i = 0; i < pixels; i++) {
                    const float a = from[i * 16 + lane];
                    UNROLL for (int j = 0; j < blocks; j++) sum[i * blocks + j] += a * v[j];
                }
            }
        }
    }
    if (p->joins)
        UNROLL for (int i = 0; i < pixels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                sum[i * blocks + j] += joined(p->y, p->signs, j * p->yBlock + i * 16);
    UNROLL for (int i = 0; i < pixels; i++)
        UNROLL for (int j = 0; j < blocks; j++)
            *(V *)(p->y + j * p->yBlock + i * 16) = sum[i * blocks + j];
}

#define MULTIPLY(PIXELS)                                                                        \
    static WIDE void pair_##PIXELS(const Product *p) { multiply(p, PIXELS, 2); }                \
    static WIDE void single_##PIXELS(const Product *p) { multiply(p, PIXELS, 1); }
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4) MULTIPLY(5) MULTIPLY(6)
MULTIPLY(7) MULTIPLY(8) MULTIPLY(9) MULTIPLY(10) MULTIPLY(11) MULTIPLY(12)

typedef void Multiply(const Product *p);

/// By the number of pixels, less one.
static Multiply *const pairs[] = { pair_1, pair_2, pair_3, pair_4, pair_5, pair_6, pair_7, pair_8,
                                   pair_9, pair_10, pair_11, pair_12 };
static Multiply *const singles[] = { single_1, single_2, single_3, single_4, single_5, single_6,
                                     single_7, single_8, single_9, single_10, single_11, single_12 };

void apus_product(const Product *p, long pixels, bool isPair) {
    (isPair ? pairs : singles)[pixels - 1](p);
}
