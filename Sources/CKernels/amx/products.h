// The products of tiles.
#ifndef APUS_AMX_PRODUCTS_H
#define APUS_AMX_PRODUCTS_H

#include "amx.h"

#include <stdbool.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define TILES                                                                                  \
    __attribute__((                                                                            \
        target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16,prfchw"), min_vector_width(512)))
#define TILES_INLINE static inline __attribute__((always_inline)) TILES

/// Makes all tiles whole.
TILES_INLINE void begin_tiles(void) {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        .palette = 1 };
    for (int k = 0; k < 8; k++) { shape.bytes[k] = 64; shape.rows[k] = ROWS; }
    _tile_loadconfig(&shape);
}

TILES_INLINE void end_tiles(void) { _tile_release(); }

// Tiles 0 to 3 are the sums of two blocks of rows and two of columns, 4 and 5 the rows' operand, 6 and 7 the columns'.
TILES_INLINE void begin_sums(const float *sum) {
    if (sum) {
        _tile_loadd(0, sum, 64); _tile_loadd(1, sum + 256, 64);
        _tile_loadd(2, sum + 512, 64); _tile_loadd(3, sum + 768, 64);
    } else {
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    }
}

TILES_INLINE void end_sums(float *sum) {
    _tile_stored(0, sum, 64); _tile_stored(1, sum + 256, 64);
    _tile_stored(2, sum + 512, 64); _tile_stored(3, sum + 768, 64);
}

/// Rows of an operand are aRow or bRow bytes apart, its second tile aStep or bStep from the first.
TILES_INLINE void add_tiles(
    const char *a, long aRow, long aStep, const char *b, long bRow, long bStep, const int rows,
    const int columns) {
    _tile_loadd(4, a, aRow);
    _tile_loadd(6, b, bRow);
    _tile_dpbf16ps(0, 4, 6);
    if (columns == 2) { _tile_loadd(7, b + bStep, bRow); _tile_dpbf16ps(1, 4, 7); }
    if (rows == 2) {
        _tile_loadd(5, a + aStep, aRow);
        _tile_dpbf16ps(2, 5, 6);
        if (columns == 2) _tile_dpbf16ps(3, 5, 7);
    }
}
#endif

/// The same without tiles.
HALVES_INLINE void add_without_tiles(
    float *sum, const char *a, long aRow, long aStep, const char *b, long bRow, long bStep, int rows,
    int columns) {
    typedef Pair Row __attribute__((vector_size(64), aligned(4)));
    for (int block = 0; block < rows * columns; block++) {
        const int i = block / columns, j = block % columns;
        float *to = sum + (i * 2 + j) * 256;
        for (int row = 0; row < ROWS; row++) {
            const Pair *factors = (const Pair *)(a + i * aStep + row * aRow);
            V total = *(const V *)(to + row * 16);
            for (int k = 0; k < 16; k++)
                total = add_products(
                    total, *(const Row *)(b + j * bStep + k * bRow), (Pairs){0} + factors[k]);
            *(V *)(to + row * 16) = total;
        }
    }
}

#endif
