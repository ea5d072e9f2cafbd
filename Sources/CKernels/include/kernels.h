// Kernels that Swift or oneDNN cannot do as fast. Every function is serial and works on a range of
// its units, so that the caller decides how many threads share the work and in which order partial
// results are added. Each is compiled for several instruction sets and chosen at load time.
//
// Blocked images lie as [batch][channel block][pixel][lane]; a "plane" is one channel block of one
// image, hw * block floats. Planes are numbered batch-major. Lanes past the last channel hold zero
// and every kernel keeps them zero.
#ifndef APUS_KERNELS_H
#define APUS_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

// ---- libgomp: the team of threads that oneDNN uses ----
void GOMP_parallel(void (*body)(void *), void *context, unsigned threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
/// Makes the calling thread treat denormal numbers as zero: they are 40 to 100 times slower.
void apus_flush_denormals(void);

/// The type of an image's elements in memory; arithmetic is in 32-bit floats.
typedef enum { apus_float32, apus_bfloat16 } apus_type;

/// The pointwise nonlinearities.
typedef enum {
    apus_identity, apus_relu, apus_relu6, apus_leaky_relu, apus_sigmoid, apus_tanh, apus_silu,
    apus_gelu
} apus_function;

// ---- Kernels on blocked images ----

/// How images lie in memory: channels in a block, 16 or 8, and the type of an element. Brain floats in blocks of 16 need
/// AVX512-BF16 on x86, here and where Winograd and depthwise convolutions read or write them.
typedef struct {
    long block;
    apus_type type;
} apus_format;

/// Sum and sum of squared deviations from the plane's mean, per lane: partial[plane][2][block].
void apus_plane_statistics(
    apus_format f, const void *x, float *partial, long hw, long begin, long end);

/// Joins what `images` planes of one channel block, `step` floats apart, yielded of so many pixels each, in double
/// precision and in this order (Chan, Golub, LeVeque 1979): mean and biased variance, per lane.
void apus_join_statistics(
    const float *partial, long images, long step, long pixels, long block, double *mean,
    double *variance);
/// Sums of 2 * block numbers over such planes: sums[2][block].
void apus_join_sums(const float *partial, long images, long step, long block, double *sums);

// x may be the first channels of wider images, of `xBlocks` channel blocks; dx and base likewise.

/// y = g((x - mean) * scale + shift (+ residual)), vectors padded to whole blocks; with a residual g
/// is the identity or relu, and `residualVectors`, unless they are null, are its own mean, scale and shift
/// behind each other. Unless they are null, signs[plane][pixel] get a bit for every lane, set where y of
/// a relu after a residual is positive, and pooled[plane][lane] y's mean over pixels. `streams` says
/// that y, aligned to 64 bytes, should not fill the caches.
void apus_normalize(
    apus_format f, const void *x, const void *residual, const float *mean, const float *scale,
    const float *shift, const float *residualVectors, void *y, void *signs, float *pooled,
    bool streams, apus_function g, long channelBlocks, long xBlocks, long hw, long begin, long end);

/// With d = dy * g'(z): sums of d and of d * (x - mean), per lane. For a relu after a residual the signs
/// decide; otherwise they are null and z = (x - mean) * scale + shift is found again.
void apus_normalize_reduce(
    apus_format f, apus_function g, const void *x, const void *dy, const void *signs,
    const float *mean, const float *scale, const float *shift, float *partial, long channelBlocks,
    long xBlocks, long hw, long begin, long end);

/// The same sums of d = dy + dy2, zero where the signs, if they are not null, are not set; d is written
/// too. d may be dy or dy2.
void apus_normalize_reduce_sum(
    apus_format f, const void *x, const void *dy, const void *dy2, const void *signs,
    const float *mean, void *d, float *partial, long channelBlocks, long hw, long begin, long end);

/// dx = a * d + b * (x - mean) + c (+ base), and dresidual = d where it is wanted, without a base.
/// dx may be dy, base or x.
void apus_normalize_gradient(
    apus_format f, apus_function g, const void *x, const void *dy, const void *signs,
    const float *mean, const float *scale, const float *shift, const float *a, const float *b,
    const float *c, const void *base, void *dx, void *dresidual, long channelBlocks, long xBlocks,
    long dxBlocks, long hw, long begin, long end);

/// With v = x - mean, z = v * scale + shift and y = g(z): the sums over pixels of dz y, dz g', g',
/// dz g' v and g' v, each sums[k][plane][lane].
void apus_excitation_sums(
    apus_format f, apus_function g, const void *x, const void *dz, const float *mean,
    const float *scale, const float *shift, float *const *sums, long channelBlocks, long hw,
    long begin, long end);

/// dx = a * d + b * (x - mean) + c with d = (dz * factor + pooled / hw) * g'(z), where factors and pooled
/// have one value a plane and lane. dx may be dz or x.
void apus_excited_gradient(
    apus_format f, apus_function g, const void *x, const void *dz, const float *factors,
    const float *pooled, const float *mean, const float *scale, const float *shift, const float *a,
    const float *b, const float *c, void *dx, long channelBlocks, long hw, long begin, long end);

/// The geometry of a pooling window over planes.
typedef struct {
    long inputHeight, inputWidth, outputHeight, outputWidth;
    long kernelHeight, kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth;
    long padTop, padLeft;
} apus_window;

void apus_max_pool(
    apus_format f, const void *x, void *y, const apus_window *w, long begin, long end);
/// The first of equal maxima receives the gradient.
void apus_max_pool_gradient(
    apus_format f, const void *x, const void *dy, void *dx, const apus_window *w, long begin,
    long end);
/// `apus_normalize` with a rectifier of which only the maxima under a window are written.
void apus_normalize_max_pool(
    apus_format f, const void *x, const float *mean, const float *scale, const float *shift, void *y,
    apus_window w, long channelBlocks, long begin, long end);
/// `apus_normalize_reduce` of that: d is dy at the first of the largest pixels, if that is positive.
void apus_normalize_max_pool_reduce(
    apus_format f, const void *x, const void *dy, const float *mean, const float *scale,
    const float *shift, float *partial, apus_window w, long channelBlocks, long begin, long end);
/// `apus_normalize_gradient` of that; dx may not be x or dy.
void apus_normalize_max_pool_gradient(
    apus_format f, const void *x, const void *dy, const float *mean, const float *scale,
    const float *shift, const float *a, const float *b, const float *c, void *dx, apus_window w,
    long channelBlocks, long begin, long end);
void apus_average_pool(
    apus_format f, const void *x, void *y, const apus_window *w, bool includesPadding, long begin,
    long end);
void apus_average_pool_gradient(
    apus_format f, const void *dy, void *dx, const apus_window *w, bool includesPadding, long begin,
    long end);

/// y[plane][lane] = factor * sum over pixels of a * b (of a alone if b is null); y is in 32 bits.
void apus_plane_dot(
    apus_format f, const void *a, const void *b, float *y, float factor, long hw, long begin,
    long end);
/// y = factor * s[plane][lane] (* x if it is not null); s is in 32 bits.
void apus_plane_scale(
    apus_format f, const void *x, const float *s, void *y, float factor, long hw, long begin,
    long end);

/// Zeroes the lanes past the last channel of planes that are their image's last block.
void apus_zero_tail(apus_format f, void *x, long channels, long hw, long begin, long end);

/// Copies channels between blocked images, for images begin..<end: source channel sourceStart + c to
/// target channel targetStart + c, pixel (i * sourceStride, j * sourceStride) to
/// (i * targetStride, j * targetStride), for i < height and j < width.
typedef struct {
    long sourceChannels, sourceHeight, sourceWidth, sourceStart, sourceStride;
    long targetChannels, targetHeight, targetWidth, targetStart, targetStride;
    long channels, height, width;
} apus_channel_copy;
void apus_copy_channels(
    apus_format f, const void *x, void *y, const apus_channel_copy *c, long begin, long end);

// ---- Depthwise convolution: a kernel of its own for every channel ----
// Images and gradients are of `type`, weights and sums in 32 bits. Planes begin..<end; `scratch` is
// one caller's, of apus_depthwise_scratch floats.

/// The largest height of a kernel.
enum { apus_depthwise_limit = 32 };
long apus_depthwise_scratch(long block, const apus_window *w);
/// Weights [channel][tap] to [channel block][tap][lane] with zeros past the last channel, as the
/// passes below want them (and a bias, one tap a channel); for channel blocks begin..<end.
void apus_depthwise_pack(long block, const float *w, float *packed, long channels, long taps, long begin, long end);
/// The forward pass, with bias unless it is null; optionally added to y, and then the activation, of which the
/// kernels know relu, relu6 and silu.
void apus_depthwise(
    long block, apus_type type, const void *x, const float *weights, const float *bias, void *y,
    bool adds, apus_function activation, const apus_window *w, float *scratch, long channelBlocks,
    long begin, long end);
void apus_depthwise_input_gradient(
    long block, apus_type type, const void *dy, const float *weights, void *dx, const apus_window *w,
    float *scratch, long channelBlocks, long begin, long end);
/// Sums over chunks of the batch: partial[chunk][channel block][taps + 1][lane], the last row that of
/// the bias, if it is wanted. Units begin..<end are numbered chunk * channelBlocks + channel block.
void apus_depthwise_weight_gradient(
    long block, apus_type type, const void *x, const void *dy, float *partial, bool bias,
    const apus_window *w, float *scratch, long batch, long chunks, long channelBlocks, long begin,
    long end);
/// Adds the chunks, in order, to dw[channel][tap] and dbias[channel] (if not null); for channel blocks
/// begin..<end.
void apus_depthwise_collect(
    long block, const float *partial, float *dw, float *dbias, long channels, long taps, long chunks,
    long channelBlocks, long begin, long end);

// ---- Winograd convolution: 3x3, stride 1 or 2, images in blocks of 16, for machines with AVX-512 ----

/// One convolution. The bottom and right padding follow from the sizes; all paddings are 0 to 2, with a stride
/// of two those at the top and left 0 or 1.
typedef struct {
    /// Of the images; all else is in 32-bit floats.
    apus_type type;
    long batch;
    long inputChannels, inputHeight, inputWidth;
    long outputChannels, outputHeight, outputWidth;
    long padTop, padLeft;
    /// Of the convolution, in both directions.
    long stride;
    /// The input gradient of a convolution, as a convolution of its output's gradient: weights are
    /// transposed and turned; padded by 2 - the padding, with a stride of two by 1 - the padding.
    bool transposes;
    /// The result is added to what the output holds; max(0, .) is applied last.
    bool adds, rectifies;
    /// Tiles at the edge of small images are cut: fewer products, but by tiles only whole images can be shared out.
    bool cuts;
} apus_winograd;

/// Pairs of blocks of output channels.
long apus_winograd_pairs(const apus_winograd *w);
/// Floats of transformed weights, and of the transformed gradient of weights.
long apus_winograd_weight_count(const apus_winograd *w);
/// Transforms weights (OIHW) for pairs begin..<end.
void apus_winograd_weights(const apus_winograd *w, const float *weights, float *u, long begin, long end);

// By tiles: a thread does some tiles, `stride` units of them at a time, with all channels. The scratch memory
// (in floats, aligned to 64 bytes as all buffers but images and weights) is that of one thread.
/// Units that can be shared out: tiles of 4x4 pixels of output (8x8 of an input gradient with a stride of two),
/// or images where tiles are cut.
long apus_winograd_units(const apus_winograd *w);
long apus_winograd_scratch(const apus_winograd *w, long stride);
/// A number of units that suits the caches.
long apus_winograd_stride(const apus_winograd *w);
/// y = x * weights + bias (may be null) for units begin..<end.
void apus_winograd_by_tiles(const apus_winograd *w, const void *x, const float *u, const float *bias, void *y, float *scratch, long stride, long begin, long end);
/// s = the transformed weight gradient of units begin..<end.
void apus_winograd_weight_gradient_by_tiles(const apus_winograd *w, const void *x, const void *dy, float *s, float *scratch, long stride, long begin, long end);
/// The weight gradient of pairs begin..<end, from the sum of `parts` consecutive s.
void apus_winograd_weight_gradient_finish(const apus_winograd *w, const float *s, long parts, float *weights, long begin, long end);

// By pairs: the input of all tiles is transformed first; then a thread does some output channels.
long apus_winograd_input_count(const apus_winograd *w);
/// v = the transformed input of channel blocks begin..<end.
void apus_winograd_input(const apus_winograd *w, const void *x, float *v, long begin, long end);
long apus_winograd_pair_scratch(const apus_winograd *w);
/// y of pairs begin..<end; the weights are transformed on the way if u is null.
void apus_winograd_by_pairs(const apus_winograd *w, const float *v, const float *weights, const float *u, const float *bias, void *y, float *scratch, long begin, long end);
void apus_winograd_weight_gradient_by_pairs(const apus_winograd *w, const float *v, const void *dy, float *weights, float *scratch, long begin, long end);

// ---- Winograd convolution of a stem: 7x7, stride 2, plain images of up to three channels to blocks of 16, for machines
// with AVX-512 ----

typedef struct {
    /// Of the images; all else is in 32-bit floats.
    apus_type type;
    long batch;
    long channels, inputHeight, inputWidth;
    long outputChannels, outputHeight, outputWidth;
    long padTop, padLeft;
    /// max(0, .) is applied last.
    bool rectifies;
} apus_stem;

/// Floats of transformed weights, and of the transformed gradient of weights.
long apus_stem_weight_count(const apus_stem *s);
/// Transforms weights (OIHW).
void apus_stem_weights(const apus_stem *s, const float *weights, float *u);
/// What can be shared out, and the scratch memory of a thread (in floats; buffers but weights are aligned to 64 bytes).
long apus_stem_units(const apus_stem *s);
long apus_stem_scratch(const apus_stem *s);
/// y = x * weights + bias (may be null) of units begin..<end.
void apus_stem_forward(const apus_stem *s, const void *x, const float *u, const float *bias, void *y, float *scratch, long begin, long end);
/// sums = the transformed weight gradient of units begin..<end.
void apus_stem_weight_gradient(const apus_stem *s, const void *x, const void *dy, float *sums, float *scratch, long begin, long end);
/// The weight gradient, from the sum of `parts` consecutive sums.
void apus_stem_weight_gradient_finish(const apus_stem *s, const float *sums, long parts, float *weights);

// ---- 1x1 convolution: stride 1, images in blocks of 16, for machines with AVX-512 ----

/// One convolution, or with `transposes` the input gradient of one, as a convolution.
typedef struct {
    long batch, sources, targets;
    /// Channel blocks of an image of sources: more than theirs where they are the first of a wider one.
    long sourceBlocks;
    /// Of an image.
    long pixels;
    bool transposes;
    /// Unless null, of x (x - mean) * scale + shift is read, or what of it is positive: mean, scale and shift
    /// behind each other, of whole blocks of sources.
    const float *normalization;
    bool rectifies;
    /// Products are added to what y holds: where `signs`, bits in the order of y, are set if they are not null.
    bool adds;
    const void *signs;
} apus_one_by_one;

/// Floats of the weights as the kernels read them.
long apus_one_by_one_weight_count(const apus_one_by_one *o);
/// Weights (OI) as the kernels read them, for the blocks of targets begin..<end.
void apus_one_by_one_weights(const apus_one_by_one *o, const float *weights, float *u, long begin, long end);
/// The library's weight gradient of a 1x1 convolution, in blocks of 16 inputs by 16 outputs (OIhw16i16o), as it is
/// stored (OI), for the blocks of outputs begin..<end.
void apus_plain_gradient(const float *blocks, float *gradient, long inputs, long begin, long end);
/// Parts of the images' pixels.
long apus_one_by_one_chunks(const apus_one_by_one *o);
/// Floats of a thread's scratch to normalize so many blocks of sources; none if nothing is normalized.
long apus_one_by_one_scratch(const apus_one_by_one *o, long sourceBlocks);
/// y = x * weights for chunks begin..<end.
void apus_one_by_one_multiply(
    const apus_one_by_one *o, const float *x, const float *u, float *y, float *scratch, long begin, long end);
/// Weight gradients s[target][source] of some blocks of sources and of targets, in rows of `row` floats:
/// whole blocks of sources and, of targets, multiples of four.
void apus_one_by_one_correlate(
    const apus_one_by_one *o, const float *x, const float *dy, float *s, long row, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget);

// ---- 1x1 convolution by Strassen's algorithm: an even batch, halves of the channels that are whole blocks, with a
// stride whole pairs of blocks ----

typedef struct {
    /// Whose pixels are those of the convolution's output.
    apus_one_by_one o;
    /// In both directions.
    long stride;
    /// Of the convolution's output and input.
    long width, inputHeight, inputWidth;
} apus_strassen;

/// Parts of the weights.
long apus_strassen_weight_units(const apus_strassen *s);
/// Weights (OI) as the kernels read them, and as many floats of sums of their quarters, for the units begin..<end.
void apus_strassen_weights(
    const apus_strassen *s, const float *weights, float *u, float *t, long begin, long end);
/// Floats of a thread's scratch.
long apus_strassen_scratch(const apus_strassen *s);
/// Parts of the pixels of two images.
long apus_strassen_chunks(const apus_strassen *s);
/// y = x * weights for chunks begin..<end.
void apus_strassen_multiply(
    const apus_strassen *s, const float *x, const float *u, const float *t, float *y, float *scratch,
    long begin, long end);
/// The pixels of x that a stride meets, as images of their own, for the channel blocks of all images begin..<end.
void apus_strassen_gather(const apus_strassen *s, const float *x, float *to, long begin, long end);
/// Floats of a thread's scratch for so many blocks of half the sources and of half the targets.
long apus_strassen_gradient_scratch(const apus_strassen *s, long sourceBlocks, long targetBlocks);
/// The seven sums of products sums[7][targets / 2][sources / 2] for some blocks of half the sources and targets;
/// without a stride.
void apus_strassen_correlate(
    const apus_strassen *s, const float *x, const float *dy, float *sums, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget);
/// Weight gradients [targets][sources] from these, for rows begin..<end of each half.
void apus_strassen_join(
    const apus_strassen *s, const float *sums, float *weights, long begin, long end);

// ---- Weight gradients of images in brain floats, in blocks of 16, square kernels, for machines with AVX512-BF16 ----

typedef struct {
    long batch;
    long sources, inputHeight, inputWidth;
    long targets, outputHeight, outputWidth;
    long kernel, stride, padTop, padLeft;
} apus_pairs;

/// Floats of a thread's scratch for so many blocks of sources and of targets.
long apus_pairs_scratch(const apus_pairs *p, long sources, long targets);
/// The weight gradient (OIHW) of some blocks of sources and of targets.
void apus_pairs_correlate(
    const apus_pairs *p, const void *x, const void *dy, float *weights, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget);

// ---- Products of a matrix with a few vectors ----

typedef struct {
    /// Vectors, and floats between the beginnings of two in x and in y.
    long count, xStep, yStep;
    /// Of the matrix.
    long columns;
} apus_vectors;

/// y = matrix * x + bias (may be null) for rows begin..<end.
void apus_vector_products(const apus_vectors *v, const float *x, const float *matrix, const float *bias, float *y, long begin, long end);

// ---- Convolution in use: images in blocks of 16, square kernels, for machines with AVX-512 ----

typedef struct {
    long batch;
    long inputChannels, inputHeight, inputWidth;
    long outputChannels, outputHeight, outputWidth;
    long kernel, stride, dilation, padTop, padLeft;
    /// Whether the result is added to what y holds; afterwards y = activation(y), of which the kernels
    /// know relu, relu6 and silu.
    bool adds;
    apus_function activation;
} apus_direct;

/// Floats of the weights as the kernels read them.
long apus_direct_weight_count(const apus_direct *d);
/// Pairs of blocks of output channels.
long apus_direct_pairs(const apus_direct *d);
/// Weights (OIHW) as the kernels read them, for pairs begin..<end.
void apus_direct_weights(const apus_direct *d, const float *weights, float *u, long begin, long end);
/// Floats of the arranged input; 0 where it is read as it is.
long apus_direct_input_count(const apus_direct *d);
/// v = the arranged input of planes begin..<end, of which every channel block of an image is one.
void apus_direct_input(const apus_direct *d, const float *x, float *v, long begin, long end);
/// Parts of the result.
long apus_direct_units(const apus_direct *d);
/// y = v * weights + bias (in whole blocks, may be null) for units begin..<end; v is x where it needs no
/// arrangement.
void apus_direct_multiply(const apus_direct *d, const float *v, const float *u, const float *bias, float *y, long begin, long end);

// ---- Convolution of brain floats by tile registers (AMX): images in blocks of 16, square kernels, for machines with
// AVX512-BF16 ----

/// Whether the processor has tiles for brain floats and the system lets this process use them.
bool apus_has_amx(void);

/// A convolution, or a part of an input gradient as one. The result of row i and column k on a grid of
/// `rows` x `columns` is the pixel (i * step + firstRow, k * step + firstColumn) of the image that is written, and its tap
/// (a, b) meets the pixel (i * stride + a - top, k * stride + b - left) of the image that is read.
typedef struct {
    long batch, sources, targets;
    long sourceHeight, sourceWidth, targetHeight, targetWidth;
    long rows, columns, step, firstRow, firstColumn;
    long rowTaps, columnTaps, stride, top, left;
    /// Tap (a, b) has the weight (firstTapRow + a * tapStep, firstTapColumn + b * tapStep) of the stored kernel; rows
    /// of stored weights are targets or, with `transposes`, sources.
    long kernel, firstTapRow, firstTapColumn, tapStep;
    bool transposes;
    /// Whether the image that is read is in rows of pixels (NCHW) of at most four channels; kernels then have at
    /// most 7 columns.
    bool isPlain;
    /// Whether the result is added to what is there; afterwards the activation, of which the kernels know relu,
    /// relu6 and silu.
    bool adds;
    apus_function activation;
    /// Of the team that shares out the parts of the images.
    long members;
} apus_amx;

/// Pairs of blocks of channels that are written.
long apus_amx_pairs(const apus_amx *o);
/// Bytes of the weights as the kernels read them.
long apus_amx_weight_bytes(const apus_amx *o);
/// Weights (OIHW) as the kernels read them, for pairs begin..<end.
void apus_amx_weights(const apus_amx *o, const float *weights, void *u, long begin, long end);
/// Parts of the images.
long apus_amx_parts(const apus_amx *o);
/// Bytes of the scratch of one thread.
long apus_amx_scratch(const apus_amx *o);
/// y = x * weights + bias (in whole blocks, may be null) for units begin..<end, of which a part has `splits`: shares of
/// the channels.
void apus_amx_multiply(const apus_amx *o, const void *x, const void *u, const float *bias, void *y, void *scratch, long splits, long begin, long end);

// Weight gradients of some blocks of sources and targets. The kernel is `rowTaps` x `columnTaps`; with `transposes`, for
// kernels of one tap, x is the image of the gradients and dy the one that was read.
/// Bytes of the scratch of one thread, for at most so many blocks of targets.
long apus_amx_gradient_scratch(const apus_amx *o, long targetBlocks);
/// Floats of the sums of so many blocks.
long apus_amx_sum_count(const apus_amx *o, long sourceBlocks, long targetBlocks);
void apus_amx_correlate(
    const apus_amx *o, const void *x, const void *dy, float *weights, float *sums, void *scratch,
    long targetBlocks, long firstSource, long lastSource, long firstTarget, long lastTarget);

// ---- Kernels on flat arrays ----
void apus_add(apus_type t, const void *a, const void *b, void *y, long begin, long end);
void apus_multiply(apus_type t, const void *x, float factor, void *y, long begin, long end);
void apus_activate(
    apus_type t, apus_function f, float slope, const void *x, void *y, long begin, long end);
/// saved is the output for relu, relu6, sigmoid, tanh and leaky relu, the input for silu and gelu.
void apus_activate_gradient(
    apus_type t, apus_function f, float slope, const void *dy, const void *saved, void *dx,
    long begin, long end);
/// Zeroes elements whose random number is below the rate. In blocked layout (block > 1) element
/// numbers are still those of the row-major image; planes begin..<end of hw * block elements.
void apus_dropout(
    apus_format f, const void *x, void *y, float rate, uint64_t key, long channels, long hw,
    long begin, long end);
/// From brain floats to 32 bits, or back.
void apus_widen(const void *x, float *y, long begin, long end);
void apus_narrow(const float *x, void *y, long begin, long end);

void apus_add_bias(const float *x, const float *bias, float *y, long columns, long begin, long end);
/// y[column] = sum over rows, for columns begin..<end.
void apus_sum_rows(const float *x, float *y, long rows, long columns, long begin, long end);

// ---- Optimizers: one pass over contiguous parameters ----
/// v = momentum * v + g', g' = g * factor + decay * w; w -= rate * (nesterov ? g' + momentum * v : v)
void apus_sgd(float *w, const float *g, float *v, float rate, float momentum, float decay, float factor, bool nesterov, long begin, long end);
/// Decoupled decay (Loshchilov and Hutter 2019); corrections are 1 - beta^step.
void apus_adamw(float *w, const float *g, float *m, float *v, float rate, float beta1, float beta2, float epsilon, float decay, float factor, float correction1, float correction2, long begin, long end);
/// average += (1 - keep) * (w - average)
void apus_ema(float *average, const float *w, float keep, long begin, long end);
double apus_sum_of_squares(const float *x, long begin, long end);
/// The sum of (factor * g + decay * w)^2.
double apus_sum_of_decayed_squares(const float *g, const float *w, float factor, float decay, long begin, long end);

// ---- Tiles [rows, columns] of similarities, columns a multiple of 16; see contrastive.c ----
/// Joins a tile to running sums of e^(x - largest) of every row, or of every column.
void apus_tile_row_sums(const float *x, long rows, long columns, float *largest, double *sums);
void apus_tile_column_sums(const float *x, long rows, long columns, float *largest, double *sums);
void apus_tile_largest(const float *x, long rows, long columns, float *rowLargest, float *columnLargest);
/// x = factor * (e^(x - rowLog) + e^(x - columnLog))
void apus_tile_softmax(float *x, long rows, long columns, const float *rowLog, const float *columnLog, float factor);
/// Returns the sum of log(1 + e^x) and replaces x by factor / (1 + e^-x).
double apus_tile_logistic(float *x, long rows, long columns, float factor);
/// Returns the sum of max(0, x - bound) for the bounds of rows and of columns, and replaces x by how
/// many of both it exceeds, times the factor; counts how often for every row and column.
double apus_tile_hinge(float *x, long rows, long columns, const float *rowBound, const float *columnBound, float factor, double *rowCounts, double *columnCounts);
/// Adds up x where labels agree.
void apus_tile_label_sums(const float *x, long rows, long columns, const int32_t *rowLabels, const int32_t *columnLabels, double *rowSums, double *columnSums);
/// x -= factor * (rowShare + columnShare) where labels agree
void apus_tile_subtract_labels(float *x, long rows, long columns, const int32_t *rowLabels, const int32_t *columnLabels, const float *rowShares, const float *columnShares, float factor);

// ---- What the machine can do ----
typedef enum {
    apus_peak_portable, apus_peak_avx2, apus_peak_avx512, apus_peak_bf16, apus_peak_tiles
} apus_peak_kind;

/// Multiplies and adds in registers, `rounds` times over all of them, and returns how many operations
/// that was. The caller checks that the CPU has the instructions.
double apus_peak(apus_peak_kind kind, long rounds, float *result);
/// a = b + s * c
void apus_triad(float *a, const float *b, const float *c, float s, long begin, long end);

#endif
