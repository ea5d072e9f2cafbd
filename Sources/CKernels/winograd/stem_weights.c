// The transforms of a stem's weights, and of their gradients back.
#include "stem.h"

#include <string.h>

/// The rows of G: (1, x, x^2, x^3) divided by the product of the differences to the other points.
static const float weight_rows[POINTS][4] = {
#define ROW(X, N) { 1 / (N), (X) / (N), (X) * (X) / (N), (X) * (X) * (X) / (N) }
#define NP (2 * P * (P2 - Q2) * (P2 - R2))
#define NQ (2 * Q * (Q2 - P2) * (Q2 - R2))
#define NR (2 * R * (R2 - P2) * (R2 - Q2))
    ROW(P, NP), ROW(-P, -NP), ROW(Q, NQ), ROW(-Q, -NQ), ROW(R, NR), ROW(-R, -NR), { 0, 0, 0, 1 }
};

long apus_stem_weight_count(const apus_stem *s) { return STEM_PAIRS(s) * STEM_PAIR; }

/// Where the weight of an output channel and phase lies at position 0.
static float *place_of(const apus_stem *s, float *u, long output, long phase) {
    const long pair = output / 32, isLast = pair == STEM_PAIRS(s) - 1;
    const long width = isLast && BLOCKS(s->outputChannels) % 2 ? 16 : 32;
    return u + pair * STEM_PAIR + phase * width + output % 32;
}

/// Weight (i, j) of a phase's 4x4 for an output channel; null for the row and the column that are none.
static float *weight_of(const apus_stem *s, float *weights, long output, long phase, long i, long j) {
    const long row = 2 * i + phase / 2 % 2, column = 2 * j + phase % 2;
    if (row > 6 || column > 6) return NULL;
    return weights + ((output * s->channels + phase / 4) * 7 + row) * 7 + column;
}

void apus_stem_weights(const apus_stem *s, const float *weights, float *u) {
    memset(u, 0, apus_stem_weight_count(s) * sizeof(float));
    for (long output = 0; output < s->outputChannels; output++)
        for (long phase = 0; phase < PHASES(s); phase++) {
            float t[POINTS][4] = {{0}}, *to = place_of(s, u, output, phase);
            for (long i = 0; i < 4; i++)
                for (long j = 0; j < 4; j++) {
                    const float *w = weight_of(s, (float *)weights, output, phase, i, j);
                    for (long p = 0; w && p < POINTS; p++) t[p][j] += weight_rows[p][i] * *w;
                }
            for (long p = 0; p < TILE_POSITIONS; p++) {
                float sum = 0;
                for (long j = 0; j < 4; j++) sum += weight_rows[p % POINTS][j] * t[p / POINTS][j];
                to[p * STEM_POSITION] = sum;
            }
        }
}

void apus_stem_weight_gradient_finish(const apus_stem *s, const float *sums, long parts, float *weights) {
    for (long output = 0; output < s->outputChannels; output++)
        for (long phase = 0; phase < PHASES(s); phase++) {
            float t[4][POINTS] = {{0}};
            const float *from = place_of(s, (float *)sums, output, phase);
            for (long p = 0; p < TILE_POSITIONS; p++) {
                float sum = 0;
                for (long k = 0; k < parts; k++)
                    sum += from[p * STEM_POSITION + k * apus_stem_weight_count(s)];
                for (long i = 0; i < 4; i++) t[i][p % POINTS] += weight_rows[p / POINTS][i] * sum;
            }
            for (long i = 0; i < 4; i++)
                for (long j = 0; j < 4; j++) {
                    float *w = weight_of(s, weights, output, phase, i, j), sum = 0;
                    for (long p = 0; p < POINTS; p++) sum += weight_rows[p][j] * t[i][p];
                    if (w) *w = sum;
                }
        }
}
