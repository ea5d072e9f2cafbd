// Weight gradients of images in brain floats, whose products the processor adds up in pairs. What is summed over are
// pixels, so pairs of pixels are laid beside each other first, for every tap of the window those that it meets.
#include "kernels.h"
#include "halves.h"

typedef float Unaligned __attribute__((vector_size(64), aligned(4)));

/// Pixels of the output that are worked on together: of several whole images or a part of one, where an odd number
/// ends in a pair with zeros.
typedef struct { long image, images, pixel, count; } Group;

enum { GROUP = 196 };

static long smaller(long a, long b) { return a < b ? a : b; }

static long pixels_of(const apus_pairs *p) { return p->outputHeight * p->outputWidth; }

static long images_per_group(const apus_pairs *p) {
    return pixels_of(p) < GROUP ? GROUP / pixels_of(p) : 1;
}

static long parts_per_image(const apus_pairs *p) { return (pixels_of(p) + GROUP - 1) / GROUP; }

static Group group_at(const apus_pairs *p, long index) {
    const long together = images_per_group(p), parts = parts_per_image(p), pixels = pixels_of(p);
    const long image = index / parts * together, part = index % parts;
    // Parts begin at even pixels.
    const long begin = pixels * part / parts / 2 * 2;
    const long end = part + 1 < parts ? pixels * (part + 1) / parts / 2 * 2 : pixels;
    const long images = p->batch - image < together ? p->batch - image : together;
    return (Group){ image, images, begin, end - begin };
}

static long most_pairs(const apus_pairs *p) {
    const long parts = parts_per_image(p);
    return images_per_group(p) * (((pixels_of(p) + parts - 1) / parts + 3) / 2);
}

/// Consecutive pixels as pairs.
HALVES_INLINE void pair(const bf16 *from, long pixels, Pairs *to) {
    const Pixel *p = (const Pixel *)from;
    for (long i = 0; i < pixels / 2; i++) to[i] = interleaved(p[2 * i], p[2 * i + 1]);
    if (pixels % 2) to[pixels / 2] = interleaved(p[pixels - 1], (Pixel){0});
}

/// The pixels of a plane that a tap meets in those of the output from `first` on, zeros outside of it.
HALVES_INLINE void gather(
    const apus_pairs *p, const bf16 *plane, long row, long column, long first, long count, Pixel *to) {
    const long width = p->outputWidth, step = p->stride * 16;
    // Columns of the output from which on those of the input are inside, and are not any more.
    const long left = column < p->padLeft ? (p->padLeft - column + p->stride - 1) / p->stride : 0;
    const long room = p->inputWidth - 1 + p->padLeft - column;
    const long right = room < 0 ? 0 : smaller(width, room / p->stride + 1);
    for (long y = first / width, x = first % width; count > 0; y++, x = 0) {
        const long end = smaller(width, x + count), inputRow = y * p->stride + row - p->padTop;
        const bool isInside = inputRow >= 0 && inputRow < p->inputHeight;
        const bf16 *from = plane + (inputRow * p->inputWidth + column - p->padLeft) * 16;
        count -= end - x;
        const long begin = smaller(left, end), stop = isInside ? smaller(right, end) : 0;
        for (; x < begin; x++) *to++ = (Pixel){0};
        for (; x < stop; x++) *to++ = *(const Pixel *)(from + x * step);
        for (; x < end; x++) *to++ = (Pixel){0};
    }
}

/// Pairs of a block of sources that a tap meets.
static HALVES void pair_sources(
    const apus_pairs *p, const bf16 *x, Group group, long block, long row, long column, Pairs *to) {
    const long plane = p->inputHeight * p->inputWidth * 16, image = BLOCKS(p->sources) * plane;
    const bf16 *from = x + group.image * image + block * plane;
    Pixel met[GROUP + 2];
    for (long n = 0; n < group.images; n++, from += image, to += (group.count + 1) / 2)
        if (p->kernel == 1 && p->stride == 1) pair(from + group.pixel * 16, group.count, to);
        else {
            gather(p, from, row, column, group.pixel, group.count, met);
            pair((const bf16 *)met, group.count, to);
        }
}

static HALVES void pair_targets(const apus_pairs *p, const bf16 *dy, Group group, long block, Pairs *to) {
    const long plane = pixels_of(p) * 16, image = BLOCKS(p->targets) * plane;
    const bf16 *from = dy + group.image * image + block * plane + group.pixel * 16;
    for (long n = 0; n < group.images; n++, from += image, to += (group.count + 1) / 2)
        pair(from, group.count, to);
}

/// s[output][input block] (+)= sum over pixels of x[input block][pixel] * dy[output][pixel], of four
/// outputs and so many blocks that the sums fit into the registers. Meanwhile a group's cache lines at
/// `next` are fetched, in images `stride` bytes apart.
HALVES_INLINE void correlate(
    const Pairs *x, const Pair *dy, float *s, long row, long images, long count, bool adds,
    const void *next, long stride, const int blocks) {
    enum { OUTPUTS = 4 };
    V sum[OUTPUTS * 4];
    const long all = images * count;
    UNROLL for (int i = 0; i < OUTPUTS; i++)
        UNROLL for (int j = 0; j < blocks; j++) {
            sum[i * blocks + j] = (V){0};
            __builtin_prefetch(s + i * row + j * 16, 1);
        }
    for (; images > 0; images--, next = (const char *)next + stride) {
        const char *ahead = next;
        for (long n = count; n > 0; n--, x++, dy += 16, ahead += 64) {
            __builtin_prefetch(ahead, 0, 2);
            Pairs v[4];
            UNROLL for (int j = 0; j < blocks; j++) v[j] = x[j * all];
            UNROLL for (int i = 0; i < OUTPUTS; i++) {
                const Pairs a = (Pairs){0} + dy[i];
                UNROLL for (int j = 0; j < blocks; j++)
                    sum[i * blocks + j] = add_products(sum[i * blocks + j], v[j], a);
            }
        }
    }
    UNROLL for (int i = 0; i < OUTPUTS; i++)
        UNROLL for (int j = 0; j < blocks; j++) {
            Unaligned *to = (Unaligned *)(s + i * row + j * 16);
            *to = adds ? *to + sum[i * blocks + j] : sum[i * blocks + j];
        }
}

typedef void Correlate(
    const Pairs *x, const Pair *dy, float *s, long row, long images, long count, bool adds,
    const void *next, long stride);

#define CORRELATE(BLOCKS)                                                                      \
    static HALVES void correlate_##BLOCKS(                                                      \
        const Pairs *x, const Pair *dy, float *s, long row, long images, long count, bool adds, \
        const void *next, long stride) {                                                        \
        correlate(x, dy, s, row, images, count, adds, next, stride, BLOCKS);                    \
    }
CORRELATE(1) CORRELATE(2) CORRELATE(3) CORRELATE(4)

static Correlate *const kernels[] = { correlate_1, correlate_2, correlate_3, correlate_4 };

/// Blocks of sources whose sums are made over all pixels at a time, for all targets. Pairs of targets are then made as
/// often as there are such parts, those of sources for every tap: with several taps four blocks, of which each is
/// multiplied with all targets at once, so that the sums stay in the cache (512 to 512 channels, 3x3 with a stride to 7x7
/// pixels: 18.2 ms, all at once 18.8).
static long most_sources(const apus_pairs *p, long sources) { return smaller(sources, p->kernel == 1 ? 16 : 4); }

static long sum_count(const apus_pairs *p, long sources, long targets) {
    return p->kernel * p->kernel * most_sources(p, sources) * targets * 256;
}

long apus_pairs_scratch(const apus_pairs *p, long sources, long targets) {
    const long pairs = (most_sources(p, sources) + targets) * most_pairs(p) * 16;
    return sum_count(p, sources, targets) + pairs;
}

/// Blocks whose sums are made.
typedef struct { long firstSource, lastSource, firstTarget, lastTarget; } Part;

/// The planes of a group that is worked on next, in runs of as many cache lines as a group of targets has.
typedef struct {
    const apus_pairs *p;
    const bf16 *x, *dy;
    Group group;
    Part part;
    /// What comes next.
    long source, target, run;
} Fetch;

/// The next run, and the bytes from image to image; what is here already where everything has been fetched.
static const void *next_run(Fetch *f, const void *here, long *stride) {
    const apus_pairs *p = f->p;
    const Group group = f->group;
    if (f->target < f->part.lastTarget) {
        const long plane = pixels_of(p) * 16, image = BLOCKS(p->targets) * plane;
        *stride = image * 2;
        return f->dy + group.image * image + f->target++ * plane + group.pixel * 16;
    }
    if (f->source < f->part.lastSource) {
        const long plane = p->inputHeight * p->inputWidth * 16, image = BLOCKS(p->sources) * plane;
        const long row = group.pixel / p->outputWidth * p->stride, column = group.pixel % p->outputWidth * p->stride;
        const bf16 *first = f->x + group.image * image + f->source * plane + (row * p->inputWidth + column) * 16;
        const bf16 *run = first + f->run * ((group.count + 1) / 2) * 32;
        *stride = image * 2;
        if (++f->run == p->stride * p->stride) f->run = 0, f->source++;
        return run;
    }
    *stride = 0;
    return here;
}

/// The sums of a part, [tap][target][source].
static void correlate_part(
    const apus_pairs *p, const bf16 *x, const bf16 *dy, Part part, float *s, Pairs *scratch) {
    const long together = images_per_group(p), groups = (p->batch + together - 1) / together * parts_per_image(p);
    // Up to four blocks of sources at once, in equal shares: a rest of one would be slow.
    const long sources = part.lastSource - part.firstSource, shares = (sources + 3) / 4;
    const long targets = part.lastTarget - part.firstTarget;
    const long taps = p->kernel * p->kernel, row = sources * 16, sum = targets * 16 * row;
    for (long index = 0; index < groups; index++) {
        const Group group = group_at(p, index);
        const long perImage = (group.count + 1) / 2, pairs = group.images * perImage;
        Pairs *const from = scratch, *const with = from + sources * pairs;
        Fetch f = { p, x, dy, group_at(p, index + 1 < groups ? index + 1 : index), part, part.firstSource, part.firstTarget, 0 };
        for (long k = 0; k < targets; k++) pair_targets(p, dy, group, part.firstTarget + k, with + k * pairs);
        for (long tap = 0; tap < taps; tap++) {
            for (long i = 0; i < sources; i++)
                pair_sources(p, x, group, part.firstSource + i, tap / p->kernel, tap % p->kernel, from + i * pairs);
            for (long share = 0; share < shares; share++) {
                const long i = sources * share / shares, blocks = sources * (share + 1) / shares - i;
                for (long k = 0; k < targets; k++)
                    for (long lane = 0; lane < LANES(p->targets, part.firstTarget + k); lane += 4) {
                        long stride;
                        const void *next = next_run(&f, with + k * pairs, &stride);
                        kernels[blocks - 1](
                            from + i * pairs, (const Pair *)(with + k * pairs) + lane,
                            s + tap * sum + (k * 16 + lane) * row + i * 16, row, group.images, perImage, index > 0,
                            next, stride);
                    }
            }
        }
    }
}

/// The sums of a part as they are stored.
static void store(const apus_pairs *p, Part part, const float *s, float *weights) {
    const long taps = p->kernel * p->kernel, row = (part.lastSource - part.firstSource) * 16;
    const long sum = (part.lastTarget - part.firstTarget) * 16 * row;
    const long source = part.firstSource * 16, sources = smaller(p->sources - source, row);
    for (long target = part.firstTarget * 16; target < smaller(p->targets, part.lastTarget * 16); target++, s += row) {
        float *to = weights + (target * p->sources + source) * taps;
        if (taps == 1) __builtin_memcpy(to, s, sources * sizeof(float));
        else
            for (long i = 0; i < sources; i++)
                for (long tap = 0; tap < taps; tap++) *to++ = s[tap * sum + i];
    }
}

void apus_pairs_correlate(
    const apus_pairs *p, const void *x, const void *dy, float *weights, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget) {
    const long sources = lastSource - firstSource, most = most_sources(p, sources), parts = (sources + most - 1) / most;
    Pairs *const pairs = (Pairs *)(scratch + sum_count(p, sources, lastTarget - firstTarget));
    for (long i = 0; i < parts; i++) {
        const Part part = {
            firstSource + sources * i / parts, firstSource + sources * (i + 1) / parts, firstTarget, lastTarget };
        correlate_part(p, x, dy, part, scratch, pairs);
        store(p, part, scratch, weights);
    }
}
