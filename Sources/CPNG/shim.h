#ifndef APUS_CPNG_SHIM_H
#define APUS_CPNG_SHIM_H

#include <png.h>
#include <string.h>

// libpng's simplified interface keeps setjmp inside the library, so errors come back as a return
// value. The functions here only wrap what it offers as macros. A png_image must not move in
// memory between begin and finish: libpng remembers its address.

/// Reads the header; 1 on success, 0 with a message on failure.
static inline int apus_png_begin(png_image *image, const void *bytes, size_t count) {
    memset(image, 0, sizeof *image);
    image->version = PNG_IMAGE_VERSION;
    return png_image_begin_read_from_memory(image, bytes, count);
}

static inline int apus_png_has_color(const png_image *image) {
    return (image->format & PNG_FORMAT_FLAG_COLOR) != 0;
}

static inline int apus_png_has_alpha(const png_image *image) {
    return (image->format & PNG_FORMAT_FLAG_ALPHA) != 0;
}

/// Decodes to 8 bits a component in the order gray or RGB, then alpha if the file has it.
static inline int apus_png_finish(png_image *image, unsigned char *pixels) {
    image->format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA;
    // Without this, 16-bit samples of a file that states no gamma are taken for linear light.
    image->flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    return png_image_finish_read(image, NULL, pixels, 0, NULL);
}

/// The most bytes that apus_png_write can need.
static inline size_t apus_png_bound(unsigned width, unsigned height, int channels) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.width = width;
    image.height = height;
    image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    return PNG_IMAGE_PNG_SIZE_MAX(image);
}

/// Writes 8-bit gray or RGB pixels as a PNG file to memory of *count bytes and sets *count.
static inline int apus_png_write(
    png_image *image, unsigned width, unsigned height, int channels, const unsigned char *pixels,
    void *memory, size_t *count) {
    png_alloc_size_t size = *count;
    memset(image, 0, sizeof *image);
    image->version = PNG_IMAGE_VERSION;
    image->width = width;
    image->height = height;
    image->format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    int ok = png_image_write_to_memory(image, memory, &size, 0, pixels, 0, NULL);
    *count = size;
    return ok;
}

static inline const char *apus_png_message(const png_image *image) { return image->message; }

#endif
