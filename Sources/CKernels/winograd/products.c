// The products of transformed tiles with transformed weights, or with each other: kernels that keep
// their sums in registers.
#include "winograd.h"

/// Of so many tiles and blocks that the sums fit into the registers.
WIDE_INLINE void multiply(
    const float *v, long vBlock, const float *u, float *m, long mBlock, long channels,
    const int tiles, const int blocks) {
    V sum[24];
    UNROLL for (int i = 0; i < tiles * blocks; i++) sum[i] = (V){0};
    for (; channels > 0; channels -= 16, v += vBlock) {
        const long lanes = channels < 16 ? channels : 16;
        // The next block may lie too far away for the processor to expect it.
        UNROLL for (int i = 0; i < tiles; i++) __builtin_prefetch(v + vBlock + i * 16);
        for (long lane = 0; lane < lanes; lane++, u += 16 * blocks) {
            UNROLL for (int i = 0; i < tiles; i++) {
                const float a = v[i * 16 + lane];
                UNROLL for (int j = 0; j < blocks; j++)
                    sum[i * blocks + j] += a * *(const V *)(u + 16 * j);
            }
        }
    }
    UNROLL for (int i = 0; i < tiles; i++)
        UNROLL for (int j = 0; j < blocks; j++)
            *(V *)(m + j * mBlock + i * 16) = sum[i * blocks + j];
}

#define MULTIPLY(TILES, BLOCKS)                                                                \
    static WIDE void multiply_##TILES##_##BLOCKS(                                               \
        const float *v, long vBlock, const float *u, float *m, long mBlock, long channels) {    \
        multiply(v, vBlock, u, m, mBlock, channels, TILES, BLOCKS);                             \
    }
MULTIPLY(12, 2)
MULTIPLY(8, 2)
MULTIPLY(4, 2)
MULTIPLY(2, 2)
MULTIPLY(1, 2)
MULTIPLY(24, 1)
MULTIPLY(12, 1)
MULTIPLY(8, 1)
MULTIPLY(4, 1)
MULTIPLY(2, 1)
MULTIPLY(1, 1)

/// Kernels by the tiles they do at once; the largest that fits is taken.
typedef struct {
    long tiles;
    void (*multiply)(const float *, long, const float *, float *, long, long);
} Multiply;
static const Multiply pairs[] = {
    { 12, multiply_12_2 }, { 8, multiply_8_2 }, { 4, multiply_4_2 }, { 2, multiply_2_2 },
    { 1, multiply_1_2 } };
static const Multiply singles[] = {
    { 24, multiply_24_1 }, { 12, multiply_12_1 }, { 8, multiply_8_1 }, { 4, multiply_4_1 },
    { 2, multiply_2_1 }, { 1, multiply_1_1 } };

void apus_winograd_multiply(
    long channels, long width, const float *v, long vBlock, const float *u, float *m, long mBlock,
    long count) {
    // Where few channels are summed, fewer results at once are faster (64 channels: 10.9 instead of 11.3 ms).
    const Multiply *kernel = width == 16 ? singles : channels <= 256 ? pairs + 1 : pairs;
    for (long tile = 0; tile < count; tile += kernel->tiles) {
        while (tile + kernel->tiles > count) kernel++;
        kernel->multiply(v + tile * 16, vBlock, u, m + tile * 16, mBlock, channels);
    }
}

/// Of so many channels and blocks that the sums fit into the registers.
WIDE_INLINE void correlate(
    const float *v, const float *d, long dBlock, float *s, long count, bool adds,
    const int channels, const int blocks) {
    V sum[24];
    UNROLL for (int i = 0; i < channels * blocks; i++)
        sum[i] = adds ? *(const V *)(s + 16 * i) : (V){0};
    for (long tile = 0; tile < count; tile++, v += 16, d += 16)
        UNROLL for (int i = 0; i < channels; i++)
            UNROLL for (int j = 0; j < blocks; j++)
                sum[i * blocks + j] += v[i] * *(const V *)(d + j * dBlock);
    UNROLL for (int i = 0; i < channels * blocks; i++) *(V *)(s + 16 * i) = sum[i];
}

WIDE void apus_winograd_correlate(
    long channels, long width, const float *v, const float *d, long dBlock, float *s, long count,
    bool adds) {
    if (width == 32 && channels == 12) {
        correlate(v, d, dBlock, s, count, adds, 12, 2);
    } else if (width == 32) {
        correlate(v, d, dBlock, s, count, adds, 8, 2);
        if (channels > 8) correlate(v + 8, d, dBlock, s + 8 * 32, count, adds, 8, 2);
    } else {
        correlate(v, d, dBlock, s, count, adds, 16, 1);
    }
}
