// Products of a matrix with a few vectors: fully connected layers in use, and convolutions of a single pixel. The
// matrix is read once, four rows beside each other, as it lies in files.
#include "kernels.h"
#include "clones.h"
#include "elements.h"

/// The products of four rows with one vector.
INLINE void multiply_rows(
    const float *const rows[4], const float *x, long columns, float products[4]) {
    vector_16 sums[4] = {{0}, {0}, {0}, {0}};
    long k = 0;
    for (; k + 16 <= columns; k += 16)
        for (int i = 0; i < 4; i++)
            sums[i] += LOAD(float, 16, x + k) * LOAD(float, 16, rows[i] + k);
    for (int i = 0; i < 4; i++) {
        float sum = 0;
        for (int lane = 0; lane < 16; lane++) sum += sums[i][lane];
        products[i] = sum;
    }
    for (; k < columns; k++)
        for (int i = 0; i < 4; i++) products[i] += x[k] * rows[i][k];
}

CLONES void apus_vector_products(
    const apus_vectors *v, const float *x, const float *matrix, const float *bias, float *y, long begin,
    long end) {
    for (long row = begin; row < end; row += 4) {
        const float *rows[4];
        // Past the end the last row is repeated.
        for (long i = 0; i < 4; i++)
            rows[i] = matrix + (row + i < end ? row + i : end - 1) * v->columns;
        for (long n = 0; n < v->count; n++) {
            float products[4];
            multiply_rows(rows, x + n * v->xStep, v->columns, products);
            for (long i = 0; i < 4 && row + i < end; i++)
                y[n * v->yStep + row + i] = products[i] + (bias ? bias[row + i] : 0);
        }
    }
}
