// For fopencookie.
#define _GNU_SOURCE
#include "cpng.h"
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

// libpng keeps the address of the picture between calls.
struct apus_png {
    png_image image;
    // The file, as a stream: libpng offers no other way to look at the clock while it decodes.
    FILE *stream;
    const unsigned char *bytes;
    size_t count, position;
    double seconds, start;
    int reads, is_too_slow;
};

// Other work on the machine does not count, nor does a process that is stopped for a while.
static double processor_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

// Gives the next few kilobytes, which take so long to decode that a look at the clock costs nothing; a
// file of two such parts is not worth one.
static ssize_t read_part(void *cookie, char *to, size_t wanted) {
    apus_png *png = cookie;
    if (++png->reads == 2) png->start = processor_seconds();
    if (png->reads > 2 && processor_seconds() - png->start > png->seconds) png->is_too_slow = 1;
    size_t rest = png->count - png->position, count = wanted < rest ? wanted : rest;
    if (png->is_too_slow) count = 0;
    memcpy(to, png->bytes + png->position, count);
    png->position += count;
    return (ssize_t)count;
}

apus_png *apus_png_begin(const void *bytes, size_t count, apus_png_header *header) {
    apus_png *png = calloc(1, sizeof *png);
    if (!png) return NULL;
    png->image.version = PNG_IMAGE_VERSION;
    png->bytes = bytes;
    png->count = count;
    // The limit comes with the call that decodes.
    png->seconds = 1e9;
    png->stream = fopencookie(png, "r", (cookie_io_functions_t){.read = read_part});
    if (!png->stream) {
        free(png);
        return NULL;
    }
    png_image_begin_read_from_stdio(&png->image, png->stream);
    header->width = png->image.width;
    header->height = png->image.height;
    header->has_color = (png->image.format & PNG_FORMAT_FLAG_COLOR) != 0;
    header->has_alpha = (png->image.format & PNG_FORMAT_FLAG_ALPHA) != 0;
    return png;
}

int apus_png_read(apus_png *png, double seconds, unsigned char *pixels) {
    png->seconds = seconds;
    png->image.format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA;
    // Without this, 16-bit samples of a file that states no gamma are taken for linear light.
    png->image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    return png_image_finish_read(&png->image, NULL, pixels, 0, NULL);
}

void apus_png_end(apus_png *png) {
    png_image_free(&png->image);
    fclose(png->stream);
    free(png);
}

const char *apus_png_message(const apus_png *png) {
    return PNG_IMAGE_FAILED(png->image) ? png->image.message : NULL;
}
int apus_png_is_too_slow(const apus_png *png) { return png->is_too_slow; }

static png_image described(unsigned width, unsigned height, int channels) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = width, .height = height};
    image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    return image;
}

size_t apus_png_bound(unsigned width, unsigned height, int channels) {
    png_image image = described(width, height, channels);
    return PNG_IMAGE_PNG_SIZE_MAX(image);
}

const char *apus_png_write(
    unsigned width, unsigned height, int channels, const unsigned char *pixels, void *memory,
    size_t *count, char message[64]) {
    png_image image = described(width, height, channels);
    png_alloc_size_t size = *count;
    int is_written = png_image_write_to_memory(&image, memory, &size, 0, pixels, 0, NULL);
    *count = size;
    if (!is_written) snprintf(message, 64, "%s", image.message);
    png_image_free(&image);
    return is_written ? NULL : message;
}
