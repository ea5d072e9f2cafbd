// The transforms' matrices times a column (or a row) of a tile.
#ifndef APUS_WINOGRAD_ROWS_H
#define APUS_WINOGRAD_ROWS_H

#include "winograd.h"

// With the points 1/sqrt(2) and sqrt(2) the result loses half as many digits as with 1 and 2.
#define P 0.70710678f
#define Q 1.41421356f
#define P2 0.5f
#define Q2 2.0f

/// e = B^T d; P * Q = 1.
WIDE_INLINE void input_row(const V *d, V *e) {
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
WIDE_INLINE void output_row(const V *d, V *e) {
    const V p = d[1] + d[2], q = d[1] - d[2], r = d[3] + d[4], s = d[3] - d[4];
    e[0] = d[0] + p + r;
    e[1] = P * q + Q * s;
    e[2] = P2 * p + Q2 * r;
    e[3] = P2 * P * q + (Q2 * Q * s + d[5]);
}

/// e = A d
WIDE_INLINE void gradient_row(const V *d, V *e) {
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

#endif
