// The nonlinearities that end a convolution in use.
#ifndef APUS_ACTIVATE_H
#define APUS_ACTIVATE_H

#include "kernels.h"
#include "transcendental.h"
#include "wide.h"

// Sixteen numbers at a time, whatever the compiler prefers.
#define LANEWISE _Pragma("clang loop vectorize_width(16) interleave_count(2)")

static WIDE void activate(apus_function f, float *y, long count) {
    switch (f) {
    case apus_relu:
        LANEWISE for (long i = 0; i < count; i++) y[i] = y[i] > 0 ? y[i] : 0;
        break;
    case apus_relu6:
        LANEWISE for (long i = 0; i < count; i++) y[i] = y[i] > 6 ? 6 : (y[i] > 0 ? y[i] : 0);
        break;
    case apus_silu:
        LANEWISE for (long i = 0; i < count; i++) y[i] = y[i] * sigmoid(y[i]);
        break;
    default: break;
    }
}

#undef LANEWISE

#endif
