#include "kernels.h"
#include "clones.h"
#include "elements.h"
#include "halves.h"
#include "transcendental.h"

#include <string.h>

#define ELEMENT float
#define BLOCK 16
#include "blocked.inc"
#undef BLOCK
#define BLOCK 8
#include "blocked.inc"
#undef BLOCK
#undef ELEMENT
#define ELEMENT bf16
#define BLOCK 8
#include "blocked.inc"
#undef BLOCK
#define BLOCK 16
// Machines with such blocks use brain floats only where they have instructions for them.
#pragma push_macro("CLONES")
#undef CLONES
#define CLONES HALVES
#undef SHORTENED
#define SHORTENED(B, v) ROUNDED(v)
#include "blocked.inc"
#pragma pop_macro("CLONES")
#undef BLOCK
#undef ELEMENT

// The format chooses the kernel.
#define DISPATCH(NAME, PARAMETERS, ...)                                              \
    void NAME PARAMETERS {                                                           \
        if (f.type == apus_float32) {                                                \
            if (f.block == 16) NAME##_float_16(__VA_ARGS__);                         \
            else NAME##_float_8(__VA_ARGS__);                                        \
        } else {                                                                     \
            if (f.block == 16) NAME##_bf16_16(__VA_ARGS__);                          \
            else NAME##_bf16_8(__VA_ARGS__);                                         \
        }                                                                            \
    }

DISPATCH(apus_plane_statistics,
    (apus_format f, const void *x, float *partial, long hw, long begin, long end),
    x, partial, hw, begin, end)
DISPATCH(apus_normalize,
    (apus_format f, const void *x, const void *residual, const float *mean, const float *scale,
     const float *shift, const float *residualVectors, void *y, void *signs, float *pooled, bool streams,
     apus_function g, long channelBlocks, long xBlocks, long hw, long begin, long end),
    x, residual, mean, scale, shift, residualVectors, y, signs, pooled, streams, g, channelBlocks, xBlocks,
    hw, begin, end)
DISPATCH(apus_normalize_reduce,
    (apus_format f, apus_function g, const void *x, const void *dy, const void *signs,
     const float *mean, const float *scale, const float *shift, float *partial, long channelBlocks,
     long xBlocks, long hw, long begin, long end),
    g, x, dy, signs, mean, scale, shift, partial, channelBlocks, xBlocks, hw, begin, end)
DISPATCH(apus_normalize_reduce_sum,
    (apus_format f, const void *x, const void *dy, const void *dy2, const void *signs,
     const float *mean, void *d, float *partial, long channelBlocks, long hw, long begin, long end),
    x, dy, dy2, signs, mean, d, partial, channelBlocks, hw, begin, end)
DISPATCH(apus_normalize_gradient,
    (apus_format f, apus_function g, const void *x, const void *dy, const void *signs,
     const float *mean, const float *scale, const float *shift, const float *a, const float *b,
     const float *c, const void *base, void *dx, void *dresidual, long channelBlocks, long xBlocks,
     long dxBlocks, long hw, long begin, long end),
    g, x, dy, signs, mean, scale, shift, a, b, c, base, dx, dresidual, channelBlocks, xBlocks,
    dxBlocks, hw, begin, end)
DISPATCH(apus_excitation_sums,
    (apus_format f, apus_function g, const void *x, const void *dz, const float *mean,
     const float *scale, const float *shift, float *const *sums, long channelBlocks, long hw,
     long begin, long end),
    g, x, dz, mean, scale, shift, sums, channelBlocks, hw, begin, end)
DISPATCH(apus_excited_gradient,
    (apus_format f, apus_function g, const void *x, const void *dz, const float *factors,
     const float *pooled, const float *mean, const float *scale, const float *shift, const float *a,
     const float *b, const float *c, void *dx, long channelBlocks, long hw, long begin, long end),
    g, x, dz, factors, pooled, mean, scale, shift, a, b, c, dx, channelBlocks, hw, begin, end)
DISPATCH(apus_max_pool,
    (apus_format f, const void *x, void *y, const apus_window *w, long begin, long end),
    x, y, w, begin, end)
DISPATCH(apus_max_pool_gradient,
    (apus_format f, const void *x, const void *dy, void *dx, const apus_window *w, long begin,
     long end),
    x, dy, dx, w, begin, end)
DISPATCH(apus_normalize_max_pool,
    (apus_format f, const void *x, const float *mean, const float *scale, const float *shift, void *y,
     apus_window w, long channelBlocks, long begin, long end),
    x, mean, scale, shift, y, &w, channelBlocks, begin, end)
DISPATCH(apus_normalize_max_pool_reduce,
    (apus_format f, const void *x, const void *dy, const float *mean, const float *scale,
     const float *shift, float *partial, apus_window w, long channelBlocks, long begin, long end),
    x, dy, mean, scale, shift, partial, &w, channelBlocks, begin, end)
DISPATCH(apus_normalize_max_pool_gradient,
    (apus_format f, const void *x, const void *dy, const float *mean, const float *scale,
     const float *shift, const float *a, const float *b, const float *c, void *dx, apus_window w,
     long channelBlocks, long begin, long end),
    x, dy, mean, scale, shift, a, b, c, dx, &w, channelBlocks, begin, end)
DISPATCH(apus_average_pool,
    (apus_format f, const void *x, void *y, const apus_window *w, bool includesPadding, long
     begin, long end),
    x, y, w, includesPadding, begin, end)
DISPATCH(apus_average_pool_gradient,
    (apus_format f, const void *dy, void *dx, const apus_window *w, bool includesPadding, long
     begin, long end),
    dy, dx, w, includesPadding, begin, end)
DISPATCH(apus_plane_dot,
    (apus_format f, const void *a, const void *b, float *y, float factor, long hw, long begin,
     long end),
    a, b, y, factor, hw, begin, end)
DISPATCH(apus_plane_scale,
    (apus_format f, const void *x, const float *s, void *y, float factor, long hw, long begin,
     long end),
    x, s, y, factor, hw, begin, end)
DISPATCH(apus_zero_tail,
    (apus_format f, void *x, long channels, long hw, long begin, long end),
    x, channels, hw, begin, end)

CLONES void apus_join_sums(
    const float *partial, long images, long step, long block, double *sums) {
    for (long i = 0; i < 2 * block; i++) sums[i] = 0;
    for (long n = 0; n < images; n++, partial += step)
        for (long i = 0; i < 2 * block; i++) sums[i] += partial[i];
}

CLONES void apus_join_statistics(
    const float *partial, long images, long step, long pixels, long block, double *mean,
    double *variance) {
    double sums[32];
    apus_join_sums(partial, images, step, block, sums);
    const double count = (double)(images * pixels);
    for (long i = 0; i < block; i++) {
        mean[i] = sums[i] / count;
        variance[i] = 0;
    }
    for (long n = 0; n < images; n++, partial += step)
        for (long i = 0; i < block; i++) {
            const double distance = (double)partial[i] / (double)pixels - mean[i];
            variance[i] += (double)partial[block + i] + (double)pixels * distance * distance;
        }
    for (long i = 0; i < block; i++) variance[i] /= count;
}

void apus_copy_channels(
    apus_format f, const void *x, void *y, const apus_channel_copy *c, long begin, long end) {
    const long block = f.block, size = f.type == apus_float32 ? 4 : 2;
    long sourceBlocks = (c->sourceChannels + block - 1) / block;
    long targetBlocks = (c->targetChannels + block - 1) / block;
    long pixel = block * size;
    long sourcePlane = c->sourceHeight * c->sourceWidth * pixel;
    long targetPlane = c->targetHeight * c->targetWidth * pixel;
    for (long n = begin; n < end; n++) {
        // Runs of channels that stay within one block of the source and of the target.
        for (long channel = 0, run; channel < c->channels; channel += run) {
            long from = c->sourceStart + channel, to = c->targetStart + channel;
            run = c->channels - channel;
            if (run > block - from % block) run = block - from % block;
            if (run > block - to % block) run = block - to % block;
            const char *p = (const char *)x + (n * sourceBlocks + from / block) * sourcePlane
                + from % block * size;
            char *q = (char *)y + (n * targetBlocks + to / block) * targetPlane + to % block * size;
            for (long i = 0; i < c->height; i++) {
                const char *pr = p + i * c->sourceStride * c->sourceWidth * pixel;
                char *qr = q + i * c->targetStride * c->targetWidth * pixel;
                for (long j = 0; j < c->width; j++)
                    memcpy(qr + j * c->targetStride * pixel,
                           pr + j * c->sourceStride * pixel, (size_t)(run * size));
            }
        }
    }
}
