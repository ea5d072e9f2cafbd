// Weight gradients by Strassen's algorithm: seven sums of products over all pixels, joined at the end.
#include "strassen.h"

/// Of half the sources or targets, blocks whose products are summed over all pixels at a time: so that the
/// sums, 1.8 MB at most, do not go through memory for every chunk (1024 to 2048 channels, 7x7 pixels: 27 instead of 39 ms).
enum { MOST_BLOCKS = 16 };

static long parts_of(long blocks) { return (blocks + MOST_BLOCKS - 1) / MOST_BLOCKS; }
static long smaller(long a, long b) { return a < b ? a : b; }

long apus_strassen_gradient_scratch(const apus_strassen *s, long sourceBlocks, long targetBlocks) {
    const long sources = smaller(sourceBlocks, MOST_BLOCKS), targets = smaller(targetBlocks, MOST_BLOCKS);
    return 4 * (sources + targets + (copies_sources(s) ? sources : 0)) * BLOCK_STRIDE(GRADIENT_CHUNK);
}

/// The planes of a chunk that is worked on next, some blocks of each half of both images.
typedef struct {
    const apus_strassen *s;
    const float *x, *dy;
    Chunk chunk;
    long firstSource, sources, firstTarget, targets;
    /// What comes next.
    long plane;
} Fetch;

/// The next plane; what is here already where everything has been fetched.
static const float *next_plane(Fetch *f, const float *here) {
    const long plane = f->plane / 4, image = f->plane / 2 % 2, half = f->plane % 2;
    if (plane >= f->sources + f->targets) return here;
    f->plane++;
    const Chunk chunk = image ? partner(f->s, f->chunk) : f->chunk;
    const apus_one_by_one *o = &f->s->o;
    return plane < f->targets
        ? targets_of(f->s, f->dy, chunk, half * (o->targets / 32) + f->firstTarget + plane).base
        : sources_of(f->s, f->x, chunk, half * (o->sources / 32) + f->firstSource + plane - f->targets).base;
}

/// s (+)= a turned * b, of so many blocks and pixels.
static void correlate(
    Matrix a, Matrix b, float *s, long row, long targets, long sources, long pixels, bool adds, Fetch *f) {
    // Up to four blocks of sources at once, in equal groups: a rest of one would be slow.
    const long groups = (sources + 3) / 4;
    for (long group = 0; group < groups; group++) {
        const long first = sources * group / groups;
        const long blocks = sources * (group + 1) / groups - first;
        for (long k = 0; k < targets; k++)
            for (long lane = 0; lane < 16; lane += 4)
                apus_correlate(
                    b.base + first * b.block, b.block, a.base + k * a.block + lane,
                    s + (k * 16 + lane) * row + first * 16, row, pixels, adds,
                    (const char *)next_plane(f, a.base), blocks);
    }
}

/// The seven sums of some blocks, over all pixels.
static void correlate_part(
    const apus_strassen *s, const float *x, const float *dy, float *sums, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget) {
    const apus_one_by_one *o = &s->o;
    const long sources = lastSource - firstSource, targets = lastTarget - firstTarget;
    const long row = o->sources / 2, sum = row * (o->targets / 2), block = BLOCK_STRIDE(GRADIENT_CHUNK);
    const long chunks = o->batch / 2 * chunks_per_image(o, GRADIENT_CHUNK);
    const Quarters left = quarters_at(scratch, block, targets);
    const Quarters right = quarters_at(scratch + 4 * targets * block, block, sources);
    float *const copied = scratch + 4 * (targets + sources) * block;
    sums += firstTarget * 16 * row + firstSource * 16;
    for (long index = 0; index < chunks; index++) {
        const Chunk chunk = chunk_at(o, index, GRADIENT_CHUNK), both[] = { chunk, partner(s, chunk) };
        Fetch f = {
            s, x, dy, chunk_at(o, index + 1 < chunks ? index + 1 : index, GRADIENT_CHUNK),
            firstSource, sources, firstTarget, targets, 0 };
        Quarters a, b = quarters_at(copied, block, sources);
        for (long i = 0; i < 4; i++) {
            a.q[i] = targets_of(s, dy, both[i % 2], i / 2 * (o->targets / 32) + firstTarget);
            const long source = i % 2 * (o->sources / 32) + firstSource;
            if (copies_sources(s)) apus_strassen_copy(s, x, both[i / 2], source, sources, b.q[i]);
            else b.q[i] = sources_of(s, x, both[i / 2], source);
        }
        apus_strassen_left(a, left, targets, chunk.count);
        apus_strassen_right(b, right, sources, chunk.count);
        const struct { Matrix a, b; } factors[] = {
            { a.q[0], b.q[0] }, { a.q[1], b.q[2] }, { left.q[3], b.q[3] }, { a.q[3], right.q[3] },
            { left.q[0], right.q[0] }, { left.q[1], right.q[1] }, { left.q[2], right.q[2] } };
        for (long i = 0; i < 7; i++)
            correlate(
                factors[i].a, factors[i].b, sums + i * sum, row, targets, sources, chunk.count,
                index > 0, &f);
    }
}

void apus_strassen_correlate(
    const apus_strassen *s, const float *x, const float *dy, float *sums, float *scratch,
    long firstSource, long lastSource, long firstTarget, long lastTarget) {
    const long sources = lastSource - firstSource, sourceParts = parts_of(sources);
    const long targets = lastTarget - firstTarget, targetParts = parts_of(targets);
    for (long i = 0; i < sourceParts; i++)
        for (long k = 0; k < targetParts; k++)
            correlate_part(
                s, x, dy, sums, scratch,
                firstSource + sources * i / sourceParts, firstSource + sources * (i + 1) / sourceParts,
                firstTarget + targets * k / targetParts, firstTarget + targets * (k + 1) / targetParts);
}

WIDE void apus_strassen_join(
    const apus_strassen *s, const float *sums, float *weights, long begin, long end) {
    const long row = s->o.sources / 2, sum = row * (s->o.targets / 2);
    for (long i = begin; i < end; i++)
        for (long j = 0; j < row; j += 16) {
            V p[7];
            UNROLL for (int k = 0; k < 7; k++)
                p[k] = *(const Unaligned *)(sums + k * sum + i * row + j);
            const V u = p[0] + p[5], v = u + p[6];
            float *to = weights + i * 2 * row + j, *below = to + s->o.targets * row;
            *(Unaligned *)to = p[0] + p[1];
            *(Unaligned *)(to + row) = u + p[4] + p[2];
            *(Unaligned *)below = v + p[3];
            *(Unaligned *)(below + row) = v + p[4];
        }
}
