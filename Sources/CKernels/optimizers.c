#include "kernels.h"
#include "clones.h"

CLONES void apus_sgd(
    float *w, const float *g, float *v, float rate, float momentum, float decay, float factor,
    bool nesterov, long begin, long end) {
    for (long i = begin; i < end; i++) {
        float d = g[i] * factor + decay * w[i];
        v[i] = momentum * v[i] + d;
        w[i] -= rate * (nesterov ? d + momentum * v[i] : v[i]);
    }
}

CLONES void apus_adamw(
    float *w, const float *g, float *m, float *v, float rate, float beta1, float beta2, float epsilon,
    float decay, float factor, float correction1, float correction2, long begin, long end) {
    float step = rate / correction1, root = 1.0f / __builtin_sqrtf(correction2);
    for (long i = begin; i < end; i++) {
        float d = g[i] * factor;
        m[i] = beta1 * m[i] + (1 - beta1) * d;
        v[i] = beta2 * v[i] + (1 - beta2) * d * d;
        w[i] -= rate * decay * w[i];
        w[i] -= step * m[i] / (__builtin_sqrtf(v[i]) * root + epsilon);
    }
}

CLONES void apus_ema(float *average, const float *w, float keep, long begin, long end) {
    for (long i = begin; i < end; i++) average[i] += (1 - keep) * (w[i] - average[i]);
}

// Eight partial sums in a fixed order: the same result on every machine.
CLONES double apus_sum_of_squares(const float *x, long begin, long end) {
    double s[8] = {0};
    long i = begin;
    for (; i + 8 <= end; i += 8)
        for (int l = 0; l < 8; l++) s[l] += (double)x[i + l] * x[i + l];
    for (; i < end; i++) s[0] += (double)x[i] * x[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

CLONES double apus_sum_of_decayed_squares(
    const float *g, const float *w, float factor, float decay, long begin, long end) {
    double s[8] = {0};
    for (long i = begin; i < end; i += 8)
        for (int l = 0; l < 8 && i + l < end; l++) {
            double d = (double)factor * g[i + l] + (double)decay * w[i + l];
            s[l] += d * d;
        }
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}
