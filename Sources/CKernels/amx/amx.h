// Convolutions of brain floats by Intel's tile registers (AMX). A tile has 16 rows of 64 bytes; one instruction
// adds the product of 16x32 and 32x16 brain floats to 16x16 sums in 32 bits. A row of the second factor's tile has
// two of its rows, number by number.
//
// Images are arranged for it, a part at a time that stays in the caches: [column phase][row phase][row][image][column],
// where phases are those of a stride and rows have the zeros that surround them. So a tap meets consecutive pixels
// where results are consecutive, in a row, from image to image and from row to row; what would be results between two
// rows is left out. The 64 bytes of a pixel are 32 channels or, for weight gradients, 16 channels of two images.
//
// The threads share out parts and channels; no sum depends on their number. Where the processor has no tiles the same
// sums are made by AVX512-BF16, for tests: the library is as fast at it.
#ifndef APUS_AMX_H
#define APUS_AMX_H

#include "kernels.h"
#include "../halves.h"

enum {
    /// Of a tile: rows, and bytes.
    ROWS = 16, TILE = 1024,
    MOST_TAPS = 49,
    /// Of plain images: channels, and columns of a window, that there is room for.
    FEW = 4, WINDOW = 8,
};

#define PAIRS(channels) (((channels) + 31) / 32)

static inline long least(long a, long b) { return a < b ? a : b; }

/// Taps whose inputs are multiplied one after the other.
static inline long taps(const apus_amx *o) { return o->isPlain ? o->rowTaps : o->rowTaps * o->columnTaps; }

/// Pairs of channel blocks that are read.
static inline long source_pairs(const apus_amx *o) { return o->isPlain ? 1 : PAIRS(o->sources); }

/// Bytes of an arranged pixel of so many images.
static inline long pixel_bytes(const apus_amx *o, long images) { return o->isPlain ? FEW * 2 * images : 64; }

/// Bytes from what a tap meets for one result to what it meets for the next.
static inline long result_bytes(const apus_amx *o, long images) {
    return o->isPlain ? o->stride * pixel_bytes(o, images) : 64;
}

// ---- Products ----

/// Tiles of brain floats that are multiplied one after the other.
typedef struct {
    const char *at;
    /// Where tiles begin; null if they are `step` bytes apart.
    const long *offsets;
    long step;
    /// Bytes from row to row, and from a tile to the one beside it.
    long row, second;
} Factor;

/// Before and after products on a thread.
void apus_amx_begin(void);
void apus_amx_end(void);

/// sum[2][2][16][16] (+)= the products of `count` tiles of a, one or two rows of them, with those of b, in one or two
/// columns.
void apus_amx_sum(
    const Factor *a, const Factor *b, long count, bool adds, float *sum, int rows, int columns);

// ---- Arrangement ----

/// What is worked on together: some rows of results of some images.
typedef struct { long image, images, row, rows; } Part;

/// Images are cut into equal parts of rows, or gathered.
typedef struct { long batch, groups, cuts; } Cut;

/// Parts of at most so many arranged pixels, or one row, of `batch` images or pairs of them; as many as so many
/// members of a team can share, where there is enough to share.
Cut apus_amx_cut(const apus_amx *o, long batch, long pixels, long members);
Part apus_amx_part(const apus_amx *o, Cut c, long index);
/// At least as large as any part.
Part apus_amx_largest_part(const apus_amx *o, Cut c);

/// Arranged pixels of an image's channel block.
long apus_amx_arranged(const apus_amx *o, long rows);
/// Arranged pixels of all images of a part and a channel block; a tile may read on behind the last.
long apus_amx_block(const apus_amx *o, Part part);
/// The distance of what the taps meet from the first, in pixels.
void apus_amx_taps(const apus_amx *o, Part part, long offsets[MOST_TAPS]);
/// Arranges an image of the part: the rows of two blocks of channels, or of two images, of which the second may be null
/// for zeros.
void apus_amx_arrange(
    const apus_amx *o, Part part, long image, const bf16 *x, const bf16 *x2, bool interleaves, void *to);

/// Sixteen arranged pixels, one behind the other.
typedef struct {
    /// Of the first, in pixels.
    long position;
    /// Of their results, in pixels of the first channel block; -1 where there is none.
    long places[ROWS];
    /// Whether all are results, one behind the other.
    bool isWhole;
} Tile;

/// At least as many tiles as a part has.
long apus_amx_most_tiles(const apus_amx *o, Part part);
/// Finds the tiles of a part and returns how many there are; images are `stride` pixels apart.
long apus_amx_tiles(const apus_amx *o, Part part, long stride, Tile *tiles);

#endif
