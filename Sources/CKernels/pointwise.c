#include "kernels.h"
#include "clones.h"
#include "elements.h"
#include "transcendental.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

void apus_flush_denormals(void) {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
}

// The counter-based generator of ApusTensor's RandomKey.
INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

INLINE float kept(uint64_t key, uint64_t index, float rate, float value, float scale) {
    uint64_t bits = mix(key + (index + 1) * 0x9E3779B97F4A7C15u);
    return (float)(bits >> 40) * 0x1p-24f >= rate ? value * scale : 0;
}

#define ELEMENT float
#include "pointwise.inc"
#undef ELEMENT
#define ELEMENT bf16
#include "pointwise.inc"
#undef ELEMENT

// The type chooses the kernel.
#define DISPATCH(NAME, PARAMETERS, ...)                         \
    void NAME PARAMETERS {                                      \
        if (t == apus_float32) NAME##_float(__VA_ARGS__);       \
        else NAME##_bf16(__VA_ARGS__);                          \
    }

DISPATCH(apus_add,
    (apus_type t, const void *a, const void *b, void *y, long begin, long end),
    a, b, y, begin, end)
DISPATCH(apus_multiply,
    (apus_type t, const void *x, float factor, void *y, long begin, long end),
    x, factor, y, begin, end)
DISPATCH(apus_activate,
    (apus_type t, apus_function f, float slope, const void *x, void *y, long begin, long end),
    f, slope, x, y, begin, end)
DISPATCH(apus_activate_gradient,
    (apus_type t, apus_function f, float slope, const void *dy, const void *saved, void *dx,
     long begin, long end),
    f, slope, dy, saved, dx, begin, end)

void apus_dropout(
    apus_format f, const void *x, void *y, float rate, uint64_t key, long channels, long hw,
    long begin, long end) {
    if (f.type == apus_float32)
        apus_dropout_float(f.block, x, y, rate, key, channels, hw, begin, end);
    else apus_dropout_bf16(f.block, x, y, rate, key, channels, hw, begin, end);
}

CLONES void apus_widen(const void *x, float *y, long begin, long end) {
    for (long i = begin; i < end; i++) y[i] = load_bf16((const bf16 *)x + i);
}

CLONES void apus_narrow(const float *x, void *y, long begin, long end) {
    for (long i = begin; i < end; i++) store_bf16((bf16 *)y + i, x[i]);
}

CLONES void apus_add_bias(
    const float *x, const float *bias, float *y, long columns, long begin, long end) {
    for (long r = begin; r < end; r++)
        for (long c = 0; c < columns; c++) y[r * columns + c] = x[r * columns + c] + bias[c];
}

CLONES void apus_sum_rows(
    const float *x, float *y, long rows, long columns, long begin, long end) {
    for (long c = begin; c < end; c++) y[c] = 0;
    for (long r = 0; r < rows; r++)
        for (long c = begin; c < end; c++) y[c] += x[r * columns + c];
}
