// Sums of products of tiles.
#include "amx.h"

#include <string.h>

/// Where the i-th tile of a factor begins.
static inline const char *tile_at(const Factor *f, long i) {
    return f->at + (f->offsets ? f->offsets[i] : i * f->step);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TILES                                                                                  \
    __attribute__((                                                                            \
        target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16,prfchw"), min_vector_width(512)))

static TILES void begin(void) {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        .palette = 1 };
    for (int k = 0; k < 8; k++) { shape.bytes[k] = 64; shape.rows[k] = ROWS; }
    _tile_loadconfig(&shape);
}

static TILES void end(void) { _tile_release(); }

// Registers 0 to 3 hold the sums of two tiles of a and two of b, 4 and 5 are a's, 6 and 7 b's.
static inline __attribute__((always_inline)) TILES void sum_tiles(
    const Factor a, const Factor b, long count, bool adds, float *sum, const int rows,
    const int columns) {
    if (adds) {
        _tile_loadd(0, sum, 64); _tile_loadd(1, sum + 256, 64);
        _tile_loadd(2, sum + 512, 64); _tile_loadd(3, sum + 768, 64);
    } else {
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    }
    for (long i = 0; i < count; i++) {
        const char *x = tile_at(&a, i), *y = tile_at(&b, i);
        _tile_loadd(4, x, a.row);
        _tile_loadd(6, y, b.row);
        _tile_dpbf16ps(0, 4, 6);
        if (columns == 2) { _tile_loadd(7, y + b.second, b.row); _tile_dpbf16ps(1, 4, 7); }
        if (rows == 2) {
            _tile_loadd(5, x + a.second, a.row);
            _tile_dpbf16ps(2, 5, 6);
            if (columns == 2) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sum, 64); _tile_stored(1, sum + 256, 64);
    _tile_stored(2, sum + 512, 64); _tile_stored(3, sum + 768, 64);
}

typedef void Sum(const Factor *a, const Factor *b, long count, bool adds, float *sum);

#define SUM(ROWS, COLUMNS)                                                                     \
    static TILES void sum_##ROWS##_##COLUMNS(                                                   \
        const Factor *a, const Factor *b, long count, bool adds, float *sum) {                  \
        sum_tiles(*a, *b, count, adds, sum, ROWS, COLUMNS);                                     \
    }
SUM(1, 1) SUM(1, 2) SUM(2, 1) SUM(2, 2)

static Sum *const sums[2][2] = { { sum_1_1, sum_1_2 }, { sum_2_1, sum_2_2 } };

void apus_amx_begin(void) { if (apus_has_amx()) begin(); }
void apus_amx_end(void) { if (apus_has_amx()) end(); }
#else
void apus_amx_begin(void) {}
void apus_amx_end(void) {}
#endif

/// Without tiles.
static HALVES void sum_without(
    const Factor *a, const Factor *b, long count, bool adds, float *sum, int rows, int columns) {
    typedef Pair Row __attribute__((vector_size(64), aligned(4)));
    if (!adds) memset(sum, 0, 4 * TILE);
    for (long n = 0; n < count; n++)
        for (int row = 0; row < rows * ROWS; row++)
            for (int j = 0; j < columns; j++) {
                const int i = row / ROWS, line = row % ROWS;
                const Pair *x = (const Pair *)(tile_at(a, n) + i * a->second + line * a->row);
                const char *y = tile_at(b, n) + j * b->second;
                V *to = (V *)(sum + (i * 2 + j) * 256 + line * 16), total = *to;
                for (int k = 0; k < 16; k++)
                    total = add_products(total, *(const Row *)(y + k * b->row), (Pairs){0} + x[k]);
                *to = total;
            }
}

void apus_amx_sum(
    const Factor *a, const Factor *b, long count, bool adds, float *sum, int rows, int columns) {
#if defined(__x86_64__)
    if (apus_has_amx()) {
        sums[rows - 1][columns - 1](a, b, count, adds, sum);
        return;
    }
#endif
    sum_without(a, b, count, adds, sum, rows, columns);
}
