// Tiles of the matrix of similarities between rows: what losses of pairs do with them. A tile is
// row-major; its columns, a multiple of 16, are those of a block. Entries that take no part (a row
// with itself, columns past the last) hold -infinity.
#include "kernels.h"
#include "clones.h"
#include "transcendental.h"

#include <math.h>

/// Sums run in so many lanes: additions in one would wait for each other.
#define LANES 16
#define EACH_LANE(l) for (int l = 0; l < LANES; l++)

/// exp(x), which is nothing at all far below zero.
INLINE float vanishing_exponential(float x) { return x < -87.0f ? 0.0f : exponential(x); }

INLINE float greater(float a, float b) { return a > b ? a : b; }

INLINE float sum_of_lanes(const float *s) {
    float sum = 0;
    EACH_LANE(l) sum += s[l];
    return sum;
}

/// The largest of a row and `top`.
INLINE float largest_of_row(const float *row, long columns, float top) {
    float lanes[LANES];
    EACH_LANE(l) lanes[l] = top;
    for (long c = 0; c < columns; c += LANES) EACH_LANE(l) lanes[l] = greater(row[c + l], lanes[l]);
    EACH_LANE(l) top = greater(lanes[l], top);
    return top;
}

CLONES void apus_tile_row_sums(
    const float *x, long rows, long columns, float *largest, double *sums) {
    for (long r = 0; r < rows; r++) {
        const float *row = x + r * columns;
        float top = largest_of_row(row, columns, largest[r]), sum[LANES] = {0};
        if (top == -INFINITY) continue;
        for (long c = 0; c < columns; c += LANES)
            EACH_LANE(l) sum[l] += vanishing_exponential(row[c + l] - top);
        sums[r] = sums[r] * exp((double)largest[r] - top) + sum_of_lanes(sum);
        largest[r] = top;
    }
}

CLONES void apus_tile_column_sums(
    const float *x, long rows, long columns, float *largest, double *sums) {
    // Lanes are columns here; so few that they stay in registers over all rows.
    for (long c = 0; c < columns; c += LANES) {
        float top[LANES], base[LANES], sum[LANES] = {0};
        EACH_LANE(l) top[l] = largest[c + l];
        for (long r = 0; r < rows; r++)
            EACH_LANE(l) top[l] = greater(x[r * columns + c + l], top[l]);
        EACH_LANE(l) base[l] = top[l] == -INFINITY ? 0 : top[l];
        for (long r = 0; r < rows; r++)
            EACH_LANE(l) sum[l] += vanishing_exponential(x[r * columns + c + l] - base[l]);
        EACH_LANE(l) {
            if (top[l] == -INFINITY) continue;
            sums[c + l] = sums[c + l] * exp((double)largest[c + l] - top[l]) + sum[l];
            largest[c + l] = top[l];
        }
    }
}

CLONES void apus_tile_largest(
    const float *x, long rows, long columns, float *rowLargest, float *columnLargest) {
    for (long r = 0; r < rows; r++) {
        const float *row = x + r * columns;
        rowLargest[r] = largest_of_row(row, columns, rowLargest[r]);
        for (long c = 0; c < columns; c++) columnLargest[c] = greater(row[c], columnLargest[c]);
    }
}

CLONES void apus_tile_softmax(
    float *x, long rows, long columns, const float *rowLog, const float *columnLog, float factor) {
    for (long r = 0; r < rows; r++) {
        float *row = x + r * columns, own = rowLog[r];
        for (long c = 0; c < columns; c++)
            row[c] = factor * (vanishing_exponential(row[c] - own)
                + vanishing_exponential(row[c] - columnLog[c]));
    }
}

CLONES double apus_tile_logistic(float *x, long rows, long columns, float factor) {
    double total = 0;
    for (long r = 0; r < rows; r++) {
        float *row = x + r * columns;
        for (long start = 0; start < columns; start += 64 * LANES) {
            // log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); the logarithm is taken of products of up to
            // 64 factors of at most 2.
            float sum[LANES] = {0}, product[LANES];
            EACH_LANE(l) product[l] = 1;
            long end = start + 64 * LANES < columns ? start + 64 * LANES : columns;
            for (long c = start; c < end; c += LANES) EACH_LANE(l) {
                float v = row[c + l], small = vanishing_exponential(v > 0 ? -v : v);
                sum[l] += v > 0 ? v : 0;
                product[l] *= 1.0f + small;
                row[c + l] = factor * (v > 0 ? 1.0f : small) / (1.0f + small);
            }
            total += sum_of_lanes(sum);
            EACH_LANE(l) total += log(product[l]);
        }
    }
    return total;
}

CLONES double apus_tile_hinge(
    float *x, long rows, long columns, const float *rowBound, const float *columnBound,
    float factor, double *rowCounts, double *columnCounts) {
    double total = 0;
    for (long r = 0; r < rows; r++) {
        float *row = x + r * columns, bound = rowBound[r], sum[LANES] = {0}, count[LANES] = {0};
        for (long c = 0; c < columns; c += LANES) EACH_LANE(l) {
            float v = row[c + l], other = columnBound[c + l];
            float above = v > bound ? 1.0f : 0.0f, beyond = v > other ? 1.0f : 0.0f;
            sum[l] += (v > bound ? v - bound : 0) + (v > other ? v - other : 0);
            count[l] += above;
            columnCounts[c + l] += beyond;
            row[c + l] = factor * (above + beyond);
        }
        total += sum_of_lanes(sum);
        rowCounts[r] += sum_of_lanes(count);
    }
    return total;
}

CLONES void apus_tile_label_sums(
    const float *x, long rows, long columns, const int32_t *rowLabels, const int32_t *columnLabels,
    double *rowSums, double *columnSums) {
    for (long r = 0; r < rows; r++) {
        const float *row = x + r * columns;
        float sum[LANES] = {0};
        for (long c = 0; c < columns; c += LANES) EACH_LANE(l) {
            int counts = columnLabels[c + l] == rowLabels[r] && row[c + l] > -INFINITY;
            float v = counts ? row[c + l] : 0;
            sum[l] += v;
            columnSums[c + l] += v;
        }
        rowSums[r] += sum_of_lanes(sum);
    }
}

CLONES void apus_tile_subtract_labels(
    float *x, long rows, long columns, const int32_t *rowLabels, const int32_t *columnLabels,
    const float *rowShares, const float *columnShares, float factor) {
    for (long r = 0; r < rows; r++) {
        float *row = x + r * columns;
        for (long c = 0; c < columns; c++)
            row[c] -= columnLabels[c] == rowLabels[r]
                ? factor * (rowShares[r] + columnShares[c]) : 0;
    }
}
