// The product of a few pixels with the weights of two channel blocks, all of whose sums are in registers.
#ifndef APUS_PRODUCT_H
#define APUS_PRODUCT_H

#include "../wide.h"

#include <stdbool.h>

/// Pixels whose sums, of two blocks each, fit into the registers.
enum { MOST_PIXELS = 12 };

/// y[pixel][block] (+)= bias[block] + sum over channels and taps of
/// x[channel][offset of the tap + pixel] * u[channel block][tap][lane][block]. Meanwhile `lines` cache lines
/// at `next` are fetched.
WIDE_INLINE void multiply(
    const float *x, long xBlock, const long *offsets, long taps, const float *u,
    const float *bias, bool adds, float *y, long yBlock, long blocksIn, const char *next,
    long lines, const int pixels, const int blocks) {
    V sum[2 * MOST_PIXELS];
    UNROLL for (int i = 0; i < pixels * blocks; i++)
        sum[i] = bias ? *(const V *)(bias + i % blocks * 16) : (V){0};
    if (adds)
        UNROLL for (int i = 0; i < pixels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                sum[i * blocks + j] += *(const V *)(y + j * yBlock + i * 16);
    for (; blocksIn > 0; blocksIn--, x += xBlock) {
        for (long tap = 0; tap < taps; tap++, lines -= 16) {
            const float *from = offsets ? x + offsets[tap] : x;
            // What was fetched is fetched again at no cost.
            const long step = lines > 0 ? 64 : 0;
            for (long lane = 0; lane < 16; lane++, u += 16 * blocks, next += step) {
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
    UNROLL for (int i = 0; i < pixels; i++)
        UNROLL for (int j = 0; j < blocks; j++)
            *(V *)(y + j * yBlock + i * 16) = sum[i * blocks + j];
}

#endif
