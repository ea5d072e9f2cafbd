// How fast the machine can be: loops that do nothing but multiply-adds in registers, and one that
// does nothing but move memory. They return what they computed, so that it has to be computed.
#include "kernels.h"
#include "clones.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Keeps the compiler from knowing a constant's value.
static inline float opaque(float x) {
    volatile float y = x;
    return y;
}

// As many independent sums as hide the latency of a multiply-add and fit the registers.
enum { wideSums = 24, narrowSums = 12 };

#if defined(__x86_64__)
__attribute__((target("avx512f")))
static float fmaWide(long rounds) {
    __m512 sums[wideSums];
    __m512 a = _mm512_set1_ps(opaque(0.999f)), b = _mm512_set1_ps(opaque(0.001f));
    for (int k = 0; k < wideSums; k++) sums[k] = _mm512_set1_ps(opaque((float)k));
    for (long i = 0; i < rounds; i++) {
        _Pragma("clang loop unroll(full)")
        for (int k = 0; k < wideSums; k++) sums[k] = _mm512_fmadd_ps(sums[k], a, b);
    }
    __m512 total = sums[0];
    for (int k = 1; k < wideSums; k++) total = _mm512_add_ps(total, sums[k]);
    float lanes[16];
    _mm512_storeu_ps(lanes, total);
    return lanes[0] + lanes[15];
}

__attribute__((target("avx2,fma")))
static float fmaNarrow(long rounds) {
    __m256 sums[narrowSums];
    __m256 a = _mm256_set1_ps(opaque(0.999f)), b = _mm256_set1_ps(opaque(0.001f));
    for (int k = 0; k < narrowSums; k++) sums[k] = _mm256_set1_ps(opaque((float)k));
    for (long i = 0; i < rounds; i++) {
        _Pragma("clang loop unroll(full)")
        for (int k = 0; k < narrowSums; k++) sums[k] = _mm256_fmadd_ps(sums[k], a, b);
    }
    __m256 total = sums[0];
    for (int k = 1; k < narrowSums; k++) total = _mm256_add_ps(total, sums[k]);
    float lanes[8];
    _mm256_storeu_ps(lanes, total);
    return lanes[0] + lanes[7];
}

__attribute__((target("avx512f,avx512bf16")))
static float dotWide(long rounds) {
    __m512 sums[wideSums];
    __m512bh a = _mm512_cvtne2ps_pbh(
        _mm512_set1_ps(opaque(0.5f)), _mm512_set1_ps(opaque(0.25f)));
    __m512bh b = _mm512_cvtne2ps_pbh(
        _mm512_set1_ps(opaque(0.001f)), _mm512_set1_ps(opaque(-0.001f)));
    for (int k = 0; k < wideSums; k++) sums[k] = _mm512_set1_ps(opaque((float)k));
    for (long i = 0; i < rounds; i++) {
        _Pragma("clang loop unroll(full)")
        for (int k = 0; k < wideSums; k++) sums[k] = _mm512_dpbf16_ps(sums[k], a, b);
    }
    __m512 total = sums[0];
    for (int k = 1; k < wideSums; k++) total = _mm512_add_ps(total, sums[k]);
    float lanes[16];
    _mm512_storeu_ps(lanes, total);
    return lanes[0] + lanes[15];
}

// Four sums of 16x16 numbers hide the latency; two tiles of either operand are what is left.
enum { tileSums = 4 };

__attribute__((target("amx-tile,amx-bf16")))
static float dotTiles(long rounds) {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        .palette = 1 };
    for (int k = 0; k < 8; k++) { shape.bytes[k] = 64; shape.rows[k] = 16; }
    _tile_loadconfig(&shape);
    // 0.5 and -0.25 as brain floats, in turn.
    uint16_t operand[512];
    float sum[256];
    const uint32_t one = opaque(1) == 1 ? 0xBE803F00 : 0;
    for (int i = 0; i < 512; i++) operand[i] = (uint16_t)(i % 2 ? one >> 16 : one);
    for (int i = 0; i < 256; i++) sum[i] = opaque((float)i);
    _tile_loadd(0, sum, 64); _tile_loadd(1, sum, 64); _tile_loadd(2, sum, 64);
    _tile_loadd(3, sum, 64); _tile_loadd(4, operand, 64); _tile_loadd(5, operand, 64);
    _tile_loadd(6, operand, 64); _tile_loadd(7, operand, 64);
    for (long i = 0; i < rounds; i++) {
        _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(3, 5, 7);
    }
    float total = 0;
    _tile_stored(0, sum, 64); total += sum[0];
    _tile_stored(1, sum, 64); total += sum[1];
    _tile_stored(2, sum, 64); total += sum[2];
    _tile_stored(3, sum, 64); total += sum[3];
    _tile_release();
    return total;
}
#endif

// For machines without either: vectors of four, which every 64-bit CPU has.
typedef float quad __attribute__((vector_size(16)));

static float fmaQuads(long rounds) {
    quad sums[narrowSums];
    float x = opaque(0.999f), y = opaque(0.001f);
    quad a = {x, x, x, x}, b = {y, y, y, y};
    for (int k = 0; k < narrowSums; k++) sums[k] = a * (float)k;
    for (long i = 0; i < rounds; i++) {
        _Pragma("clang loop unroll(full)")
        for (int k = 0; k < narrowSums; k++) {
            for (int l = 0; l < 4; l++) sums[k][l] = sums[k][l] * a[l] + b[l];
        }
    }
    quad total = sums[0];
    for (int k = 1; k < narrowSums; k++) total += sums[k];
    return total[0] + total[3];
}

double apus_peak(apus_peak_kind kind, long rounds, float *result) {
    switch (kind) {
#if defined(__x86_64__)
    case apus_peak_avx512: *result = fmaWide(rounds); return 2.0 * 16 * wideSums * rounds;
    case apus_peak_avx2: *result = fmaNarrow(rounds); return 2.0 * 8 * narrowSums * rounds;
    case apus_peak_tiles:
        if (apus_has_amx()) {
            *result = dotTiles(rounds);
            return 2.0 * 16 * 16 * 32 * tileSums * rounds;
        }
        // What else such a CPU has.
    case apus_peak_bf16: *result = dotWide(rounds); return 2.0 * 32 * wideSums * rounds;
#endif
    default: *result = fmaQuads(rounds); return 2.0 * 4 * narrowSums * rounds;
    }
}

CLONES void apus_triad(float *a, const float *b, const float *c, float s, long begin, long end) {
    for (long i = begin; i < end; i++) a[i] = b[i] + s * c[i];
}
