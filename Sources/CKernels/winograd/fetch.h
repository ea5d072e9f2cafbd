// Fetching images while products are made: the transforms wait for memory and the products do not.
#ifndef APUS_WINOGRAD_FETCH_H
#define APUS_WINOGRAD_FETCH_H

#include "winograd.h"

/// Where fetching an image has come to.
typedef struct {
    const char *image;
    /// Of a tile: its pixels across, its place among the tiles of an image and how many these are.
    long blocks, height, width, side, row, column, down, across, count;
} Fetch;

static Fetch fetch_from(
    const apus_winograd *w, const void *image, long channels, long height, long width, long side,
    long tile, long count) {
    const long output = SIDE(w);
    const long across = (w->outputWidth + output - 1) / output;
    const long down = (w->outputHeight + output - 1) / output;
    const long blocks = BLOCKS(channels), pixel = w->type == apus_bfloat16 ? 32 : 64;
    return (Fetch){ (const char *)image + tile / (across * down) * blocks * height * width * pixel,
                    blocks, height, width, side, tile / across % down, tile % across, down, across, count };
}

/// Tiles tile..<tile + count of the input, or of the output.
static Fetch fetch_input(const apus_winograd *w, const void *x, long tile, long count) {
    return fetch_from(w, x, w->inputChannels, w->inputHeight, w->inputWidth, INPUT_STEP(w), tile, count);
}
static Fetch fetch_output(const apus_winograd *w, const void *y, long tile, long count) {
    return fetch_from(w, y, w->outputChannels, w->outputHeight, w->outputWidth, SIDE(w), tile, count);
}

/// Begins to fetch part `part` of 36 of the tiles.
WIDE_INLINE void fetch(const apus_winograd *w, Fetch *f, long part, const bool writes) {
    const long pixel = w->type == apus_bfloat16 ? 32 : 64;
    const long plane = f->height * f->width * pixel, line = f->width * pixel;
    for (long n = f->count * (part + 1) / 36 - f->count * part / 36; n > 0; n--) {
        const char *p = f->image + f->side * (f->row * line + f->column * pixel);
        for (long block = 0; block < f->blocks; block++, p += plane)
            for (long i = 0; i < f->side; i++)
                for (long j = 0; j < f->side * pixel; j += 64) {
                    // What lies outside of the image is of no use but does no harm.
                    if (writes) __builtin_prefetch(p + i * line + j, 1, 2);
                    else __builtin_prefetch(p + i * line + j, 0, 2);
                }
        if (++f->column < f->across) continue;
        f->column = 0;
        if (++f->row < f->down) continue;
        f->row = 0;
        f->image += f->blocks * plane;
    }
}

static WIDE void fetch_for_reading(const apus_winograd *w, Fetch *f, long part) { fetch(w, f, part, false); }
static WIDE void fetch_for_writing(const apus_winograd *w, Fetch *f, long part) { fetch(w, f, part, true); }

#endif
