// PNG pictures through libpng's simplified interface, which keeps setjmp inside the library: errors
// come back as a return value.
#ifndef APUS_CPNG_H
#define APUS_CPNG_H

#include <stddef.h>

typedef struct apus_png apus_png;

/// What a file says about its picture.
typedef struct { unsigned width, height; int has_color, has_alpha; } apus_png_header;

/// Reads the header of a file that stays in memory until the end; null if there is no memory. There is
/// a message if the file cannot be read.
apus_png *apus_png_begin(const void *bytes, size_t count, apus_png_header *header);

/// Decodes to 8 bits a component in the order gray or RGB, then alpha if the file has it. Fails if it
/// takes more than about `seconds` of processor time. 1 on success, 0 on failure.
int apus_png_read(apus_png *png, double seconds, unsigned char *pixels);

void apus_png_end(apus_png *png);

/// What went wrong, or null if nothing did; a picture that takes too long has no fault.
const char *apus_png_message(const apus_png *png);
int apus_png_is_too_slow(const apus_png *png);

/// The most bytes that apus_png_write can need.
size_t apus_png_bound(unsigned width, unsigned height, int channels);

/// Writes 8-bit gray or RGB pixels as a PNG file to memory of *count bytes and sets *count. Null on
/// success, else what went wrong, in `message`.
const char *apus_png_write(
    unsigned width, unsigned height, int channels, const unsigned char *pixels, void *memory,
    size_t *count, char message[64]);

#endif
