// The transforms' matrices times a column (or a row) of a tile.
#ifndef APUS_WINOGRAD_ROWS_H
#define APUS_WINOGRAD_ROWS_H

#include "winograd.h"

// With the points 1/sqrt(2) and sqrt(2) the result loses half as many digits as with 1 and 2.
#define P 0.70710678f
#define Q 1.41421356f
#define P2 0.5f
#define Q2 2.0f

// ---- F(3, 3) with the points +-P, +-Q and infinity, F(2, 3) with 0, +-P and infinity. Weights are
// transformed as for all points: what G divides by too much, the rows of B are multiplied by. ----

WIDE_INLINE void input_row_3(const V *d, V *e) {
    const V p = P * (d[3] - Q2 * d[1]), q = P2 * (d[2] - Q2 * d[0]);
    const V r = Q * (d[3] - P2 * d[1]), s = Q2 * (d[2] - P2 * d[0]);
    e[0] = (V){0};
    e[1] = q + p;
    e[2] = q - p;
    e[3] = s + r;
    e[4] = s - r;
    e[5] = d[0] + d[4] - (P2 + Q2) * d[2];
}

WIDE_INLINE void output_row_3(const V *d, V *e) {
    const V p = d[1] + d[2], q = d[1] - d[2], r = d[3] + d[4], s = d[3] - d[4];
    e[0] = p + r;
    e[1] = P * q + Q * s;
    e[2] = P2 * p + (Q2 * r + d[5]);
}

WIDE_INLINE void gradient_row_3(const V *d, V *e) {
    const V p = d[0] + P2 * d[2], r = d[0] + Q2 * d[2];
    e[0] = (V){0};
    e[1] = p + P * d[1];
    e[2] = p - P * d[1];
    e[3] = r + Q * d[1];
    e[4] = r - Q * d[1];
    e[5] = d[2];
}

WIDE_INLINE void input_row_2(const V *d, V *e) {
    e[0] = d[0] - Q2 * d[2];
    e[1] = (P2 - Q2) * (d[2] + P * d[1]);
    e[2] = (P2 - Q2) * (d[2] - P * d[1]);
    e[3] = e[4] = (V){0};
    e[5] = d[3] - P2 * d[1];
}

WIDE_INLINE void output_row_2(const V *d, V *e) {
    e[0] = d[0] + (d[1] + d[2]);
    e[1] = P * (d[1] - d[2]) + d[5];
}

WIDE_INLINE void gradient_row_2(const V *d, V *e) {
    e[0] = d[0];
    e[1] = d[0] + P * d[1];
    e[2] = d[0] - P * d[1];
    e[3] = e[4] = (V){0};
    e[5] = d[1];
}

// ---- F(4, 3). P * Q = 1. ----

/// e = B^T d
WIDE_INLINE void input_row(const V *d, V *e, long pad, long outputs) {
    if (outputs == 3) return input_row_3(d, e);
    if (outputs == 2) return input_row_2(d, e);
    const V p = d[4] - Q2 * d[2], q = d[3] - Q2 * d[1];
    const V r = d[4] - P2 * d[2], s = d[3] - P2 * d[1];
    e[0] = d[0] + d[4] - (P2 + Q2) * d[2];
    e[1] = p + P * q;
    e[2] = p - P * q;
    e[3] = r + Q * s;
    e[4] = r - Q * s;
    e[5] = d[1] + d[5] - (P2 + Q2) * d[3];
}

/// e = A^T d
WIDE_INLINE void output_row(const V *d, V *e, long pad, long outputs) {
    if (outputs == 3) return output_row_3(d, e);
    if (outputs == 2) return output_row_2(d, e);
    const V p = d[1] + d[2], q = d[1] - d[2], r = d[3] + d[4], s = d[3] - d[4];
    e[0] = d[0] + p + r;
    e[1] = P * q + Q * s;
    e[2] = P2 * p + Q2 * r;
    e[3] = P2 * P * q + (Q2 * Q * s + d[5]);
}

/// e = A d
WIDE_INLINE void gradient_row(const V *d, V *e, long outputs) {
    if (outputs == 3) return gradient_row_3(d, e);
    if (outputs == 2) return gradient_row_2(d, e);
    const V p = d[0] + P2 * d[2], q = d[1] + P2 * d[3];
    const V r = d[0] + Q2 * d[2], s = d[1] + Q2 * d[3];
    e[0] = d[0];
    e[1] = p + P * q;
    e[2] = p - P * q;
    e[3] = r + Q * s;
    e[4] = r - Q * s;
    e[5] = d[3];
}

// The rows of G: (1, x, x^2) divided by the product of the differences to the other points.
#define GP (1 / (2 * P2 * (P2 - Q2)))
#define GQ (1 / (2 * Q2 * (Q2 - P2)))

/// e = G d
WIDE_INLINE void weight_row(const V *d, V *e) {
    const V p = GP * d[0] + GP * P2 * d[2], r = GQ * d[0] + GQ * Q2 * d[2];
    e[0] = d[0];
    e[1] = p + GP * P * d[1];
    e[2] = p - GP * P * d[1];
    e[3] = r + GQ * Q * d[1];
    e[4] = r - GQ * Q * d[1];
    e[5] = d[2];
}

/// e = G^T d
WIDE_INLINE void weight_gradient_row(const V *d, V *e) {
    const V p = d[1] + d[2], q = d[1] - d[2], r = d[3] + d[4], s = d[3] - d[4];
    e[0] = d[0] + (GP * p + GQ * r);
    e[1] = GP * P * q + GQ * Q * s;
    e[2] = GP * P2 * p + (GQ * Q2 * r + d[5]);
}

// ---- F(4, 2) with the points +-K, +-L and infinity, on every second pixel; and what lies between ----

// Their powers are exact. The result has 0.6 of the error with P and Q, and 1.5 times that of a direct sum.
#define K 0.375f
#define L 1.25f
#define K2 (K * K)
#define L2 (L * L)

/// e = B^T d, of five: for three outputs without -K, for two without +-L.
WIDE_INLINE void second_row(V d0, V d1, V d2, V d3, V d4, V *e, long outputs) {
    if (outputs == 3) {
        e[0] = 2 * K * (d2 - L2 * d0);
        e[1] = (V){0};
        e[2] = (L2 - K2) * d1 + (L + K) * (d2 - K * L * d0);
        e[3] = (L2 - K2) * d1 - (L - K) * (d2 + K * L * d0);
        e[4] = d3 - L2 * d1 - K * (d2 - L2 * d0);
        return;
    }
    if (outputs == 2) {
        e[0] = (K2 - L2) * (d1 + K * d0);
        e[1] = (K2 - L2) * (d1 - K * d0);
        e[2] = e[3] = (V){0};
        e[4] = d2 - K2 * d0;
        return;
    }
    const V p = d3 - L2 * d1, q = d2 - L2 * d0, r = d3 - K2 * d1, s = d2 - K2 * d0;
    e[0] = p + K * q;
    e[1] = p - K * q;
    e[2] = r + L * s;
    e[3] = r - L * s;
    e[4] = K2 * L2 * d0 + (d4 - (K2 + L2) * d2);
}

/// e = A^T d, of five.
WIDE_INLINE void second_output_row(const V *d, V *e, long outputs) {
    if (outputs == 3) {
        const V r = d[2] + d[3], s = d[2] - d[3];
        e[0] = d[0] + r;
        e[1] = K * d[0] + L * s;
        e[2] = K2 * d[0] + (L2 * r + d[4]);
        e[3] = (V){0};
        return;
    }
    if (outputs == 2) {
        e[0] = d[0] + d[1];
        e[1] = K * (d[0] - d[1]) + d[4];
        e[2] = e[3] = (V){0};
        return;
    }
    const V p = d[0] + d[1], q = d[0] - d[1], r = d[2] + d[3], s = d[2] - d[3];
    e[0] = p + r;
    e[1] = K * q + L * s;
    e[2] = K2 * p + L2 * r;
    e[3] = K2 * K * q + (L2 * L * s + d[4]);
}

WIDE_INLINE void strided_input_row(const V *d, V *e, long pad, long outputs) {
    second_row(d[0], d[2], d[4], d[6], d[8], e, outputs);
    UNROLL for (int i = 0; i < 4; i++) e[5 + i] = d[2 * i + 1];
}

WIDE_INLINE void strided_output_row(const V *d, V *e, long pad, long outputs) {
    second_output_row(d, e, outputs);
    UNROLL for (int i = 0; i < 4; i++) e[i] += d[5 + i];
}

/// e = A d
WIDE_INLINE void strided_gradient_row(const V *d, V *e, long outputs) {
    UNROLL for (int i = 0; i < 4; i++) e[5 + i] = d[i];
    if (outputs == 3) {
        const V r = d[0] + L2 * d[2];
        e[0] = d[0] + K2 * d[2] + K * d[1];
        e[1] = (V){0};
        e[2] = r + L * d[1];
        e[3] = r - L * d[1];
        e[4] = d[2];
        return;
    }
    if (outputs == 2) {
        e[0] = d[0] + K * d[1];
        e[1] = d[0] - K * d[1];
        e[2] = e[3] = (V){0};
        e[4] = d[1];
        return;
    }
    const V p = d[0] + K2 * d[2], q = d[1] + K2 * d[3];
    const V r = d[0] + L2 * d[2], s = d[1] + L2 * d[3];
    e[0] = p + K * q;
    e[1] = p - K * q;
    e[2] = r + L * s;
    e[3] = r - L * s;
    e[4] = d[3];
}

// In an input gradient every second pixel gets two weights from five pixels of the output's gradient, and
// those between get the third from four of them: without padding (of the convolution) the latter lie
// behind, with a padding of one before. `pad` is that of the gradient, which is the other of the two.

WIDE_INLINE void spread_input_row(const V *d, V *e, long pad, long outputs) {
    second_row(d[0], d[1], d[2], d[3], d[4], e, outputs);
    UNROLL for (int i = 0; i < 4; i++) e[5 + i] = pad ? d[i + 1] : d[i];
}

WIDE_INLINE void spread_output_row(const V *d, V *e, long pad, long outputs) {
    V seconds[4];
    second_output_row(d, seconds, outputs);
    UNROLL for (int i = 0; i < 4; i++) {
        e[2 * i] = pad ? seconds[i] : d[5 + i];
        e[2 * i + 1] = pad ? d[5 + i] : seconds[i];
    }
}

// The rows of G: (1, x) divided by the product of the differences to the other points.
#define HK (1 / (2 * (K2 - L2)))
#define HL (1 / (2 * (L2 - K2)))

/// e = G d of the outer two, and the one between.
WIDE_INLINE void strided_weight_row(const V *d, V *e) {
    e[0] = HK * d[2] + HK / K * d[0];
    e[1] = HK * d[2] - HK / K * d[0];
    e[2] = HL * d[2] + HL / L * d[0];
    e[3] = HL * d[2] - HL / L * d[0];
    e[4] = d[2];
    e[5] = d[1];
}

/// e = G^T d
WIDE_INLINE void strided_weight_gradient_row(const V *d, V *e) {
    e[0] = HK / K * (d[0] - d[1]) + HL / L * (d[2] - d[3]);
    e[1] = d[5];
    e[2] = HK * (d[0] + d[1]) + (HL * (d[2] + d[3]) + d[4]);
}

#endif
