// The arrangement of images for tiles, and what tiles hold of it.
#include "amx.h"

#include <string.h>

/// Whether every column of the window has a copy of its own: else what would be results between two rows is more than a
/// sixth of a row.
static bool copies(const apus_amx *o) {
    return !o->isPlain && (o->columnTaps - 1) / o->stride * 6 > o->columns;
}

static long row_phases(const apus_amx *o) { return o->isPlain ? 1 : least(o->stride, o->rowTaps); }
static long column_phases(const apus_amx *o) {
    if (o->isPlain) return 1;
    return copies(o) ? o->columnTaps : least(o->stride, o->columnTaps);
}

/// Rows and columns of one phase.
static long arranged_rows(const apus_amx *o, long rows) {
    if (o->isPlain) return (rows - 1) * o->stride + o->rowTaps;
    return o->rowTaps > 0 ? rows + (o->rowTaps - 1) / o->stride : 0;
}
static long arranged_columns(const apus_amx *o) {
    if (o->isPlain) return (o->columns - 1) * o->stride + WINDOW;
    return o->columns + (copies(o) || o->columnTaps == 0 ? 0 : (o->columnTaps - 1) / o->stride);
}

long apus_amx_arranged(const apus_amx *o, long rows) {
    if (taps(o) == 0) return 0;
    return row_phases(o) * column_phases(o) * arranged_rows(o, rows) * arranged_columns(o);
}

long apus_amx_block(const apus_amx *o, Part part) {
    return part.images * apus_amx_arranged(o, part.rows)
        + (o->isPlain ? ROWS * o->stride + WINDOW : 2 * ROWS);
}

void apus_amx_taps(const apus_amx *o, Part part, long offsets[MOST_TAPS]) {
    const long row = part.images * arranged_columns(o);
    if (o->isPlain) {
        for (long i = 0; i < o->rowTaps; i++) offsets[i] = i * row;
        return;
    }
    for (long i = 0; i < o->rowTaps; i++)
        for (long j = 0; j < o->columnTaps; j++) {
            const long phase = (copies(o) ? j : j % o->stride) * row_phases(o) + i % o->stride;
            offsets[i * o->columnTaps + j] = (phase * arranged_rows(o, part.rows) + i / o->stride) * row
                + (copies(o) ? 0 : j / o->stride);
        }
}

// ---- Parts ----

Cut apus_amx_cut(const apus_amx *o, long batch, long pixels, long members) {
    const long image = apus_amx_arranged(o, o->rows);
    const long share = (image * batch + members - 1) / members;
    if (share < pixels) pixels = share;
    if (image > pixels) return (Cut){ batch, batch, least(o->rows, (image + pixels - 1) / pixels) };
    const long together = image > 0 ? pixels / image : batch;
    const long groups = ((batch + together - 1) / together + members - 1) / members * members;
    return (Cut){ batch, least(groups, batch), 1 };
}

Part apus_amx_part(const apus_amx *o, Cut c, long index) {
    const long group = index / c.cuts, piece = index % c.cuts;
    const long image = c.batch * group / c.groups, row = o->rows * piece / c.cuts;
    return (Part){ image, c.batch * (group + 1) / c.groups - image, row,
                   o->rows * (piece + 1) / c.cuts - row };
}

Part apus_amx_largest_part(const apus_amx *o, Cut c) {
    return (Part){ 0, (c.batch + c.groups - 1) / c.groups, 0, (o->rows + c.cuts - 1) / c.cuts };
}

// ---- Arranging ----

HALVES_INLINE void combine(Pixel a, Pixel b, bool interleaves, Pixel *to) {
    if (interleaves) {
        const Pairs pairs = interleaved(a, b);
        memcpy(to, &pairs, 64);
    } else {
        to[0] = a;
        to[1] = b;
    }
}

/// Columns begin..<end of a row, which are inside of the image; the others are zeros.
HALVES_INLINE void arrange_row(
    const bf16 *x, const bf16 *x2, long step, long begin, long end, long count, Pixel *to,
    const bool interleaves) {
    Pixel a, b = {0};
    memset(to, 0, (unsigned long)begin * 64);
    if (x2)
        for (long k = begin; k < end; k++) {
            memcpy(&a, x + k * step, 32);
            memcpy(&b, x2 + k * step, 32);
            combine(a, b, interleaves, to + 2 * k);
        }
    else
        for (long k = begin; k < end; k++) {
            memcpy(&a, x + k * step, 32);
            combine(a, b, interleaves, to + 2 * k);
        }
    memset(to + 2 * end, 0, (unsigned long)(count - end) * 64);
}

HALVES_INLINE void arrange(
    const apus_amx *o, Part part, const bf16 *x, const bf16 *x2, Pixel *to, const bool interleaves) {
    const long columns = arranged_columns(o), stride = o->stride;
    for (long right = 0; right < column_phases(o); right++) {
        const long shift = right - o->left;
        const long before = shift < 0 ? (stride - 1 - shift) / stride : 0;
        const long begin = least(before, columns);
        const long inside = o->sourceWidth - shift;
        const long after = inside > 0 ? least((inside + stride - 1) / stride, columns) : 0;
        const long end = after > begin ? after : begin;
        for (long down = 0; down < row_phases(o); down++)
            for (long row = 0; row < arranged_rows(o, part.rows); row++) {
                const long i = (part.row + row) * stride + down - o->top;
                const long from = (i * o->sourceWidth + shift) * 16;
                if (i < 0 || i >= o->sourceHeight) memset(to, 0, (unsigned long)columns * 64);
                else
                    arrange_row(
                        x + from, x2 ? x2 + from : 0, 16 * stride, begin, end, columns, to, interleaves);
                to += 2 * part.images * columns;
            }
    }
}

HALVES_INLINE void arrange_plain(
    const apus_amx *o, Part part, const bf16 *x, const bf16 *x2, bf16 *to, const long images) {
    const long columns = arranged_columns(o), plane = o->sourceHeight * o->sourceWidth;
    const long begin = least(o->left, columns), end = least(o->left + o->sourceWidth, columns);
    for (long row = 0; row < arranged_rows(o, part.rows); row++) {
        const long i = part.row * o->stride + row - o->top;
        memset(to, 0, (unsigned long)(columns * FEW * images) * 2);
        if (i >= 0 && i < o->sourceHeight)
            for (long c = 0; c < o->sources; c++) {
                const long from = c * plane + i * o->sourceWidth - o->left;
                for (long k = begin; k < end; k++) {
                    to[(k * FEW + c) * images] = x[from + k];
                    if (images > 1 && x2) to[(k * FEW + c) * images + 1] = x2[from + k];
                }
            }
        to += part.images * columns * FEW * images;
    }
}

HALVES void apus_amx_arrange(
    const apus_amx *o, Part part, long image, const bf16 *x, const bf16 *x2, bool interleaves, void *to) {
    if (o->isPlain) {
        const long images = interleaves ? 2 : 1;
        bf16 *first = (bf16 *)to + image * arranged_columns(o) * FEW * images;
        if (interleaves) arrange_plain(o, part, x, x2, first, 2);
        else arrange_plain(o, part, x, 0, first, 1);
        return;
    }
    Pixel *first = (Pixel *)to + 2 * image * arranged_columns(o);
    if (interleaves) arrange(o, part, x, x2, first, true);
    else arrange(o, part, x, x2, first, false);
}

// ---- Tiles ----

/// Whether tiles begin anew in every row of an image: otherwise what is between rows would fill more of them.
static bool is_by_rows(const apus_amx *o) {
    if (o->isPlain) return true;
    const long all = arranged_columns(o);
    return all > o->columns && (o->columns + ROWS - 1) / ROWS * ROWS < all;
}

long apus_amx_most_tiles(const apus_amx *o, Part part) {
    return is_by_rows(o) ? part.images * part.rows * ((o->columns + ROWS - 1) / ROWS)
                         : (part.images * part.rows * arranged_columns(o) + ROWS - 1) / ROWS;
}

static bool is_whole(const Tile *tile) {
    for (int i = 0; i < ROWS; i++)
        if (tile->places[i] < 0 || tile->places[i] != tile->places[0] + i) return false;
    return true;
}

long apus_amx_tiles(const apus_amx *o, Part part, long stride, Tile *tiles) {
    const Tile *const first = tiles--;
    const long columns = arranged_columns(o), step = o->isPlain ? o->stride : 1;
    const bool isByRows = is_by_rows(o);
    long filled = ROWS;
    for (long row = 0; row < part.rows; row++)
        for (long image = 0; image < part.images; image++)
            for (long column = 0; column < (isByRows ? o->columns : columns); column++) {
                if (filled == ROWS || (isByRows && column == 0)) {
                    *++tiles = (Tile){
                        .position = (row * step * part.images + image) * columns + column * step };
                    for (int i = 0; i < ROWS; i++) tiles->places[i] = -1;
                    filled = 0;
                }
                if (column < o->columns)
                    tiles->places[filled] = (part.image + image) * stride
                        + ((part.row + row) * o->step + o->firstRow) * o->targetWidth
                        + column * o->step + o->firstColumn;
                filled++;
                if (filled == ROWS) tiles->isWhole = is_whole(tiles);
            }
    return tiles + 1 - first;
}
