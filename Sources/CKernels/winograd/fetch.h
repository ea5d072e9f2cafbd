// Fetching images while products are made: the transforms wait for memory and the products do not.
#ifndef APUS_WINOGRAD_FETCH_H
#define APUS_WINOGRAD_FETCH_H

#include "winograd.h"

/// Where fetching an image has come to.
typedef struct {
    const char *image;
    long blocks, height, width, row, column, count;
} Fetch;

static Fetch fetch_from(
    const apus_winograd *w, const void *image, long channels, long height, long width, long tile,
    long count) {
    const long across = (w->outputWidth + 3) / 4, down = (w->outputHeight + 3) / 4;
    const long blocks = BLOCKS(channels), pixel = w->type == apus_bfloat16 ? 32 : 64;
    return (Fetch){ (const char *)image + tile / (across * down) * blocks * height * width * pixel,
                    blocks, height, width, tile / across % down * 4, tile % across * 4, count };
}

/// Tiles tile..<tile + count of the input, or of the output.
static Fetch fetch_input(const apus_winograd *w, const void *x, long tile, long count) {
    return fetch_from(w, x, w->inputChannels, w->inputHeight, w->inputWidth, tile, count);
}
static Fetch fetch_output(const apus_winograd *w, const void *y, long tile, long count) {
    return fetch_from(w, y, w->outputChannels, w->outputHeight, w->outputWidth, tile, count);
}

/// Begins to fetch part `part` of 36 of the tiles.
WIDE_INLINE void fetch(const apus_winograd *w, Fetch *f, long part, const bool writes) {
    const long pixel = w->type == apus_bfloat16 ? 32 : 64;
    const long plane = f->height * f->width * pixel, line = f->width * pixel;
    for (long n = f->count * (part + 1) / 36 - f->count * part / 36; n > 0; n--) {
        const char *p = f->image + f->row * line + f->column * pixel;
        for (long block = 0; block < f->blocks; block++, p += plane)
            UNROLL for (long i = 0; i < 4; i++)
                for (long j = 0; j < 4 * pixel; j += 64) {
                    // What lies outside of the image is of no use but does no harm.
                    if (writes) __builtin_prefetch(p + i * line + j, 1, 2);
                    else __builtin_prefetch(p + i * line + j, 0, 2);
                }
        f->column += 4;
        if (f->column < w->outputWidth) continue;
        f->column = 0;
        f->row += 4;
        if (f->row < w->outputHeight) continue;
        f->row = 0;
        f->image += f->blocks * plane;
    }
}

static WIDE void fetch_for_reading(const apus_winograd *w, Fetch *f, long part) { fetch(w, f, part, false); }
static WIDE void fetch_for_writing(const apus_winograd *w, Fetch *f, long part) { fetch(w, f, part, true); }

#endif
