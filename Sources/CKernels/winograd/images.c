// The transforms of images: input, output and the output's gradient.
#include "cuts.h"
#include "rows.h"
#include "../halves.h"

#include <string.h>

typedef float V_unaligned __attribute__((vector_size(64), aligned(4)));
typedef int32_t Mask __attribute__((vector_size(64)));
#define POSITIVE(v) ((V)((Mask)(v) & ((v) > 0)))

#define T float
#define TYPED(f) f##_float
#define READ LOAD_float
#define WRITE STORE_float
#define KERNEL WIDE
#include "kinds.inc"
#undef T
#undef TYPED
#undef READ
#undef WRITE
#undef KERNEL
#define T bf16
#define TYPED(f) f##_bf16
#define READ LOAD_bf16
#define WRITE(B, p, v) *(halves_16 *)(p) = ROUNDED(v)
#define KERNEL HALVES
#include "kinds.inc"
#undef T
#undef TYPED
#undef READ
#undef WRITE
#undef KERNEL

// The kind of tile and the type of images choose the function.
#define DISPATCH(f, ...)                                                                       \
    do {                                                                                        \
        if (w->type == apus_bfloat16) BY_KIND(f, bf16, __VA_ARGS__)                             \
        else BY_KIND(f, float, __VA_ARGS__)                                                     \
    } while (0)
#define BY_KIND(f, T, ...)                                                                     \
    {                                                                                           \
        if (w->stride == 1) f##_unit_##T(__VA_ARGS__);                                          \
        else if (w->transposes) f##_spread_##T(__VA_ARGS__);                                    \
        else f##_strided_##T(__VA_ARGS__);                                                      \
    }

void apus_winograd_transform_input(
    const apus_winograd *w, const void *x, Products v, long first, long count, long begin, long end) {
    DISPATCH(transform_input, w, x, v, first, count, begin, end);
}

void apus_winograd_transform_output(
    const apus_winograd *w, Products m, const float *bias, void *y, long first, long count,
    long begin, long end) {
    DISPATCH(transform_output, w, m, bias, y, first, count, begin, end);
}

// Only a convolution has weights whose gradient is asked for.
#undef BY_KIND
#define BY_KIND(f, T, ...)                                                                     \
    {                                                                                           \
        if (w->stride == 1) f##_unit_##T(__VA_ARGS__);                                          \
        else f##_strided_##T(__VA_ARGS__);                                                      \
    }

void apus_winograd_transform_gradient(
    const apus_winograd *w, const void *dy, Products d, long first, long count, long begin, long end) {
    DISPATCH(transform_gradient, w, dy, d, first, count, begin, end);
}

long apus_winograd_tiles(const apus_winograd *w) {
    const Cut c = cut_of(w);
    return w->batch * c.down * c.across;
}
