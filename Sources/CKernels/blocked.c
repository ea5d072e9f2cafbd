#include "kernels.h"
#include "clones.h"

#include <string.h>

#define BLOCK 16
#include "blocked.inc"
#undef BLOCK
#define BLOCK 8
#include "blocked.inc"
#undef BLOCK


// The block's size chooses the kernel.
#define DISPATCH(NAME, PARAMETERS, ARGUMENTS)   \
    void NAME PARAMETERS {                      \
        if (block == 16) NAME##_16 ARGUMENTS;   \
        else NAME##_8 ARGUMENTS;                \
    }

DISPATCH(apus_plane_statistics,
    (long block, const float *x, float *partial, long hw, long begin, long end),
    (block, x, partial, hw, begin, end))
DISPATCH(apus_normalize,
    (long block, const float *x, const float *residual, const float *mean, const float *scale, const
     float *shift, float *y, bool rectified, long channelBlocks, long hw, long begin, long end),
    (block, x, residual, mean, scale, shift, y, rectified, channelBlocks, hw, begin, end))
DISPATCH(apus_normalize_reduce,
    (long block, const float *x, const float *dy, const float *y, const float *mean, float *partial,
     long channelBlocks, long hw, long begin, long end),
    (block, x, dy, y, mean, partial, channelBlocks, hw, begin, end))
DISPATCH(apus_normalize_gradient,
    (long block, const float *x, const float *dy, const float *y, const float *mean, const float *a,
     const float *b, const float *c, float *dx, float *dresidual, long channelBlocks, long hw, long
     begin, long end),
    (block, x, dy, y, mean, a, b, c, dx, dresidual, channelBlocks, hw, begin, end))
DISPATCH(apus_max_pool,
    (long block, const float *x, float *y, const apus_window *w, long begin, long end),
    (block, x, y, w, begin, end))
DISPATCH(apus_max_pool_gradient,
    (long block, const float *x, const float *dy, float *dx, const apus_window *w, long begin, long
     end),
    (block, x, dy, dx, w, begin, end))
DISPATCH(apus_average_pool,
    (long block, const float *x, float *y, const apus_window *w, bool includesPadding, long begin,
     long end),
    (block, x, y, w, includesPadding, begin, end))
DISPATCH(apus_average_pool_gradient,
    (long block, const float *dy, float *dx, const apus_window *w, bool includesPadding, long begin,
     long end),
    (block, dy, dx, w, includesPadding, begin, end))
DISPATCH(apus_plane_dot,
    (long block, const float *a, const float *b, float *y, float factor, long hw, long begin, long
     end),
    (block, a, b, y, factor, hw, begin, end))
DISPATCH(apus_plane_scale,
    (long block, const float *x, const float *s, float *y, float factor, long hw, long begin, long
     end),
    (block, x, s, y, factor, hw, begin, end))
DISPATCH(apus_zero_tail,
    (long block, float *x, long channels, long hw, long begin, long end),
    (block, x, channels, hw, begin, end))

void apus_copy_channels(
    long block, const float *x, float *y, const apus_channel_copy *c, long begin, long end) {
    long sourceBlocks = (c->sourceChannels + block - 1) / block;
    long targetBlocks = (c->targetChannels + block - 1) / block;
    long sourcePlane = c->sourceHeight * c->sourceWidth * block;
    long targetPlane = c->targetHeight * c->targetWidth * block;
    for (long n = begin; n < end; n++) {
        // Runs of channels that stay within one block of the source and of the target.
        for (long channel = 0, run; channel < c->channels; channel += run) {
            long from = c->sourceStart + channel, to = c->targetStart + channel;
            run = c->channels - channel;
            if (run > block - from % block) run = block - from % block;
            if (run > block - to % block) run = block - to % block;
            const float *p = x + (n * sourceBlocks + from / block) * sourcePlane + from % block;
            float *q = y + (n * targetBlocks + to / block) * targetPlane + to % block;
            for (long i = 0; i < c->height; i++) {
                const float *pr = p + i * c->sourceStride * c->sourceWidth * block;
                float *qr = q + i * c->targetStride * c->targetWidth * block;
                for (long j = 0; j < c->width; j++)
                    memcpy(qr + j * c->targetStride * block, pr + j * c->sourceStride * block,
                           (size_t)run * sizeof(float));
            }
        }
    }
}
