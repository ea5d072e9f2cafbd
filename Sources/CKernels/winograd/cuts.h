// How images are cut into tiles, and which positions the tiles at the bottom and the right have.
#ifndef APUS_WINOGRAD_CUTS_H
#define APUS_WINOGRAD_CUTS_H

#include "winograd.h"

/// Tiles of an image. Those of the last row and column have `rows` and `columns` of the four outputs (or,
/// in an input gradient with a stride, pairs of outputs) in that direction.
typedef struct { long down, across, rows, columns; } Cut;

/// Of four outputs in a row of tiles those that the last one has. One is done as two.
static inline long rest_of(long length, long side) {
    const long rest = (length % side * 4 + side - 1) / side;
    return rest == 0 ? 4 : rest == 1 ? 2 : rest;
}

/// Larger images have few tiles at the edge, and would be too much for the caches at a time.
#define MOST_TILES 64

static inline Cut cut_of(const apus_winograd *w) {
    const long side = SIDE(w);
    Cut c = { (w->outputHeight + side - 1) / side, (w->outputWidth + side - 1) / side, 4, 4 };
    if (!w->cuts || c.down * c.across > MOST_TILES) return c;
    c.rows = rest_of(w->outputHeight, side);
    c.columns = rest_of(w->outputWidth, side);
    return c;
}

static inline bool is_whole(Cut c) { return c.rows == 4 && c.columns == 4; }

/// Tiles of a direction that has so many, of which the last may be cut.
static inline long whole_tiles(long tiles, long rest) { return rest == 4 ? tiles : tiles - 1; }

/// Whether a tile of so many outputs in a direction has point i of the 6, or with a stride of two 9, of that
/// direction.
static inline bool has_point(const long points, const long outputs, long i) {
    if (outputs == 4) return true;
    if (points == 6) return outputs == 3 ? i != 0 : i != 3 && i != 4;
    return outputs == 3 ? i != 1 && i != 8 : i != 2 && i != 3 && i != 7 && i != 8;
}

// Tiles of some images lie in the order bottom, whole, right, corner, so that those that have a position are
// neighbours.

typedef struct { long bottom, whole, right; } Kinds;

/// Of so many tiles of whole images.
static inline Kinds kinds_of(Cut c, long count) {
    const long images = count / (c.down * c.across);
    const long down = whole_tiles(c.down, c.rows), across = whole_tiles(c.across, c.columns);
    return (Kinds){ images * (c.down - down) * across, images * down * across,
                    images * down * (c.across - across) };
}

typedef struct { long first, count; } Range;

/// Those of `count` tiles that have position p.
static inline Range tiles_with(const apus_winograd *w, Cut c, long p, long count) {
    if (is_whole(c)) return (Range){ 0, count };
    const long points = w->stride == 1 ? 6 : 9;
    const bool tall = !has_point(points, c.rows, p / points);
    const bool wide = !has_point(points, c.columns, p % points);
    const Kinds k = kinds_of(c, count);
    const long first = tall ? k.bottom : 0;
    const long end = wide ? k.bottom + k.whole : tall ? k.bottom + k.whole + k.right : count;
    return (Range){ first, end - first };
}

/// Tiles side by side, and what outputs they have in each direction.
typedef struct { long image, row, column, tiles, rows, columns; } Run;

/// Most tiles of a row that are transformed together, sharing the columns in which they overlap.
#define RUN 8

/// Those from the n-th on of `down` rows of `across` tiles an image.
static inline Run run_in(long down, long across, long n, long rows, long columns) {
    const long left = across - n % across;
    return (Run){ n / across / down, n / across % down, n % across, left < RUN ? left : RUN, rows, columns };
}

/// Those from `tile` on of the tiles first..<first + count, which are whole images if they are cut.
static inline Run run_of(Cut c, long first, long count, long tile) {
    const long down = whole_tiles(c.down, c.rows), across = whole_tiles(c.across, c.columns);
    Run r;
    if (is_whole(c)) {
        r = run_in(down, across, first + tile, 4, 4);
    } else {
        const Kinds k = kinds_of(c, count);
        const long right = k.bottom + k.whole, corner = right + k.right;
        if (tile < k.bottom) r = run_in(1, across, tile, c.rows, 4);
        else if (tile < right) r = run_in(down, across, tile - k.bottom, 4, 4);
        else if (tile < corner) r = run_in(down, 1, tile - right, 4, c.columns);
        else r = run_in(1, 1, tile - corner, c.rows, c.columns);
        if (r.rows < 4) r.row = down;
        if (r.columns < 4) r.column = across;
        r.image += first / (c.down * c.across);
    }
    if (r.tiles > count - tile) r.tiles = count - tile;
    return r;
}

#endif
