// Kernels on pictures: planes of floats, one a channel, rows from the top, samples of 0...1. A
// picture's planes follow each other, `plane` floats apart. Every function is serial.
#ifndef APUS_PIXELS_H
#define APUS_PIXELS_H

#include <stdint.h>

// ---- Pointwise: color ----

/// A change of every pixel that looks at nothing but that pixel.
typedef enum {
    /// x = clamp(a[0] * x + b[0]) to 0...1: brightness, and contrast about a known mean.
    apus_pixel_blend,
    /// x = clamp(a[0] * x + (1 - a[0]) * luma).
    apus_pixel_saturation,
    /// The hue turned by a[0], 0..<1 of the color wheel.
    apus_pixel_hue,
    /// x = luma.
    apus_pixel_gray,
    /// x = 1 - x where x >= a[0].
    apus_pixel_solarize,
    /// x = a[c] * x + b[c], not clamped: normalization.
    apus_pixel_affine
} apus_pixel_kind;

typedef struct {
    apus_pixel_kind kind;
    float a[3], b[3];
} apus_pixel_step;

/// Does `count` steps in place, a block of pixels after the other, so that memory is passed over once.
/// One channel takes no saturation, hue or gray. Returns the sum of the luma after the last step if
/// `sums` is not zero, added in the same order on every machine.
double apus_pixel_pass(
    float *picture, long channels, long plane, const apus_pixel_step *steps, long count, int sums);

// ---- Resampling ----

/// out[x] = sum over j of weights[j] * rows[j * stride + x] for x in 0..<count.
void apus_resample_columns(
    const uint8_t *rows, long stride, const float *weights, long taps, float *out, long count);
void apus_resample_float_columns(
    const float *rows, long stride, const float *weights, long taps, float *out, long count);

/// One row of `width` pixels in every plane of `out` from a row of interleaved pixels:
/// out[c][x] = clamp(sum over j of weights[x * taps + j] * row[channels * (starts[x] + j) + c]) to
/// low...high, times scale[c], plus bias[c]. One float behind the row may be read.
void apus_resample_row(
    const float *row, long channels, const int32_t *starts, const float *weights, long taps,
    long width, float low, float high, const float *scale, const float *bias, float *out,
    long plane);

/// out[c][x] = scale[c] * row[channels * x + c] + bias[c], from the last pixel on if `mirrors`.
void apus_convert_row(
    const uint8_t *row, long channels, long width, int mirrors, const float *scale,
    const float *bias, float *out, long plane);

// ---- Filters ----

/// A symmetric filter along both axes of one plane; weights[0] is that of the center, and the picture
/// is reflected at the edges, so the radius is below both sides. Then times scale plus bias. `work`
/// holds a plane and width + 2 * radius floats.
void apus_blur(
    float *plane, long height, long width, const float *weights, long radius, float scale,
    float bias, float *work);

/// Magnitude of the Sobel gradient of one plane over 4, at most 1, from `from` to `to`.
void apus_sobel(const float *from, float *to, long height, long width);

/// Turns one plane counter-clockwise around its center; bilinear, black outside.
void apus_rotate(
    const float *from, float *to, long height, long width, float cosine, float sine);

/// x = clamp(x + deviation * n) to 0...1 with normal n, a pure function of the key and the position.
void apus_noise(float *samples, long count, uint64_t key, float deviation);

#endif
