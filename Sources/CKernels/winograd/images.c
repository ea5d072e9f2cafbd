// The transforms of images: input, output and the output's gradient.
#include "rows.h"
#include "../elements.h"

#include <string.h>

typedef float V_unaligned __attribute__((vector_size(64), aligned(4)));
typedef int32_t Mask __attribute__((vector_size(64)));
#define POSITIVE(v) ((V)((Mask)(v) & ((v) > 0)))

/// Tiles of a row that are transformed together, sharing the columns in which they overlap.
#define RUN 8
#define COLUMNS (4 * RUN + 2)

typedef struct { long image, row, column, tiles; } Run;

/// The tiles from `tile` on that lie in the same row, at most `limit`.
WIDE_INLINE Run run_of(const apus_winograd *w, long tile, long limit) {
    const long across = (w->outputWidth + 3) / 4, down = (w->outputHeight + 3) / 4;
    Run r = { tile / (across * down), tile / across % down, tile % across, 0 };
    r.tiles = across - r.column;
    if (r.tiles > RUN) r.tiles = RUN;
    if (r.tiles > limit) r.tiles = limit;
    return r;
}

#define T float
#define NAME(f) f##_float
#define READ LOAD_float
#define WRITE STORE_float
#include "images.inc"
#undef T
#undef NAME
#undef READ
#undef WRITE
#define T bf16
#define NAME(f) f##_bf16
#define READ LOAD_bf16
#define WRITE STORE_bf16
#include "images.inc"
#undef T
#undef NAME
#undef READ
#undef WRITE

void apus_winograd_transform_input(
    const apus_winograd *w, const void *x, Products v, long first, long count, long begin, long end) {
    if (w->type == apus_bfloat16) transform_input_bf16(w, x, v, first, count, begin, end);
    else transform_input_float(w, x, v, first, count, begin, end);
}

void apus_winograd_transform_gradient(
    const apus_winograd *w, const void *dy, Products d, long first, long count, long begin, long end) {
    if (w->type == apus_bfloat16) transform_gradient_bf16(w, dy, d, first, count, begin, end);
    else transform_gradient_float(w, dy, d, first, count, begin, end);
}

void apus_winograd_transform_output(
    const apus_winograd *w, Products m, const float *bias, void *y, long first, long count,
    long begin, long end) {
    if (w->type == apus_bfloat16) transform_output_bf16(w, m, bias, y, first, count, begin, end);
    else transform_output_float(w, m, bias, y, first, count, begin, end);
}

long apus_winograd_tiles(const apus_winograd *w) {
    return w->batch * ((w->outputHeight + 3) / 4) * ((w->outputWidth + 3) / 4);
}
