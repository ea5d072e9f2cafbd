// Forward passes and input gradients by Strassen's algorithm.
#include "strassen.h"
#include "product.h"

/// Pixels of a chunk: of three groups, or what of both images, if need be their copies, and the sums of them
/// fits into 512 KiB. More are slower (128 to 512 channels, 32 images of 28x28 pixels: 13.3 instead of 13.9 ms of 96).
static long most_pixels(const apus_strassen *s) {
    const long fitting = (copies_sources(s) ? 21845 : 32768) / s->o.sources, most = 3 * GROUP_PIXELS;
    return fitting < GROUP_PIXELS ? GROUP_PIXELS : fitting > most ? most : fitting;
}

long apus_strassen_chunks(const apus_strassen *s) {
    return s->o.batch / 2 * chunks_per_image(&s->o, most_pixels(s));
}

long apus_strassen_scratch(const apus_strassen *s) {
    // Sums, two results of a pair of blocks and copies of the pixels that are read or, with a stride, written.
    const bool spreads = s->stride > 1 && s->o.transposes;
    const long copies = copies_sources(s) ? 2 * s->o.sources : spreads ? 4 * 32 : 0;
    return (2 * s->o.sources + 2 * 32 + copies) / 16 * BLOCK_STRIDE(most_pixels(s));
}

/// Whether results are written past the caches: lines that are only written need not be read first, nor take the place
/// of weights (128 to 512 channels, 32 images of 28x28 pixels: 14.0 instead of 15.7 ms). Few megabytes may
/// be read again from the third-level cache, what is added to is in the first.
static bool outgrows_caches(const apus_strassen *s) {
    const bool spreads = s->stride > 1 && s->o.transposes;
    return !s->o.adds && !spreads && s->o.batch * s->o.targets * s->o.pixels > 1 << 20;
}

long apus_strassen_weight_units(const apus_strassen *s) { return (s->o.targets + 63) / 64; }

void apus_strassen_weights(
    const apus_strassen *s, const float *weights, float *u, float *t, long begin, long end) {
    const apus_one_by_one *o = &s->o;
    const long pairs = o->targets / 64, blocks = o->sources / 32, tile = 16 * 32, half = blocks * tile;
    for (long pair = begin; pair < end; pair++) {
        if (pair == pairs) {
            apus_one_by_one_weights(o, weights, u, o->targets / 16 - 2, o->targets / 16);
            continue;
        }
        // Summed while they are in the first-level cache.
        for (long block = 0; block < blocks; block++) {
            Quarters b;
            for (long i = 0; i < 4; i++) {
                const long target = 2 * (pair + i % 2 * pairs), source = block + i / 2 * blocks;
                b.q[i].base = u + (target * blocks + source) * tile;
                for (long j = 0; j < 2; j++)
                    apus_weight_tile(o, weights, source, target + j, b.q[i].base + j * 16, 32);
            }
            apus_strassen_right(b, quarters_at(t + pair * half + block * tile, pairs * half, 1), 1, 32);
        }
    }
}

/// What is fetched while products are made: a chunk of both images, from channel block to channel block.
typedef struct {
    /// The first image's, the distance between blocks and what is added for the second image's.
    const float *from;
    long plane, distance;
    /// Of an image.
    long blocks;
    long lines;
    /// What comes next.
    long block, line;
} Fetch;

/// The next 16 cache lines; what is here already where everything has been fetched.
INLINE const char *next_lines(Fetch *f, const float *here) {
    if (f->block >= 2 * f->blocks) return (const char *)here;
    const float *next = f->from + f->block * f->plane + f->line * 16;
    if (f->block >= f->blocks) next += f->distance;
    f->line += 16;
    if (f->line >= f->lines) { f->line = 0; f->block++; }
    return (const char *)next;
}

/// One of several products, whose sums stay in registers from one to the next: the sums, or zeros, and `base`
/// where there is one, and x * u go on, and with `plus` where there is one are written to y: a quarter of the
/// result, or a sum that is read again.
typedef struct {
    Matrix x;
    const float *u;
    bool continues;
    Matrix base, plus, y;
    bool isResult;
} Link;

typedef struct {
    const Link *links;
    long count;
    /// Of all links.
    long channels;
    /// The first pixel, in floats.
    long at;
    Fetch *fetch;
    /// The image of the results where these are added to what it holds, and its signs or null.
    const float *joined;
    const signs_16 *signs;
    /// Whether results are written past the caches.
    bool streams;
} Chain;

WIDE_INLINE void follow(const Chain *c, const int pixels) {
    V sum[2 * GROUP_PIXELS];
    for (const Link *l = c->links; l < c->links + c->count; l++) {
        UNROLL for (int i = 0; i < 2 * pixels; i++) if (!l->continues) sum[i] = (V){0};
#define AT(MATRIX, i, j) (*(V *)((MATRIX).base + (j) * (MATRIX).block + c->at + (i) * 16))
        if (l->base.base)
            UNROLL for (int i = 0; i < pixels; i++)
                UNROLL for (int j = 0; j < 2; j++) sum[2 * i + j] += AT(l->base, i, j);
        const bool joins = c->joined && l->isResult;
        if (joins)
            UNROLL for (int i = 0; i < pixels; i++)
                UNROLL for (int j = 0; j < 2; j++) __builtin_prefetch(&AT(l->y, i, j), 1, 3);
        const float *x = l->x.base + c->at, *u = l->u;
        for (long channels = c->channels; channels > 0; channels -= 16, x += l->x.block) {
            const char *next = next_lines(c->fetch, x);
            for (long lane = 0; lane < 16; lane++, u += 32, next += 64) {
                __builtin_prefetch(next, 0, 2);
                V v[2];
                UNROLL for (int j = 0; j < 2; j++) v[j] = *(const V *)(u + 16 * j);
                UNROLL for (int i = 0; i < pixels; i++) {
                    const float a = x[i * 16 + lane];
                    UNROLL for (int j = 0; j < 2; j++) sum[2 * i + j] += a * v[j];
                }
            }
        }
        // What goes on in the next link stays as it is.
#define WRITE(VALUE)                                                                            \
    UNROLL for (int i = 0; i < pixels; i++)                                                     \
        UNROLL for (int j = 0; j < 2; j++) AT(l->y, i, j) = sum[2 * i + j] VALUE
#define PASS(VALUE)                                                                             \
    UNROLL for (int i = 0; i < pixels; i++)                                                     \
        UNROLL for (int j = 0; j < 2; j++) STREAM_float(16, &AT(l->y, i, j), sum[2 * i + j] VALUE)
#define PLUS + AT(l->plus, i, j)
#define JOINED + joined(c->joined, c->signs, (float *)&AT(l->y, i, j) - c->joined)
        if (joins && l->plus.base) WRITE(PLUS JOINED);
        else if (joins) WRITE(JOINED);
        else if (l->isResult && c->streams && l->plus.base) PASS(PLUS);
        else if (l->isResult && c->streams) PASS();
        else if (l->plus.base) WRITE(PLUS);
        else WRITE();
    }
}

#define FOLLOW(PIXELS) static WIDE void follow_##PIXELS(const Chain *c) { follow(c, PIXELS); }
FOLLOW(1) FOLLOW(2) FOLLOW(3) FOLLOW(4) FOLLOW(5) FOLLOW(6) FOLLOW(7) FOLLOW(8)

/// By the number of pixels, less one.
static void (*const follows[])(const Chain *) = {
    follow_1, follow_2, follow_3, follow_4, follow_5, follow_6, follow_7, follow_8 };

/// The links for all pixels of a chunk, as many at a time as have their sums in registers.
static void multiply(Chain c, long pixels) {
    const long groups = (pixels + GROUP_PIXELS - 1) / GROUP_PIXELS;
    for (long group = 0; group < groups; group++) {
        const long first = pixels * group / groups, end = pixels * (group + 1) / groups;
        c.at = first * 16;
        follows[end - first - 1](&c);
    }
}

/// The last pair of blocks, by direct sums, where halves would be half a pair longer.
static void multiply_rest(const apus_strassen *s, Matrix x, const float *u, float *y, Chunk chunk) {
    const apus_one_by_one *o = &s->o;
    const long noOffset = 0, groups = (chunk.count + GROUP_PIXELS - 1) / GROUP_PIXELS;
    const Matrix to = targets_of(s, y, chunk, o->targets / 16 - 2);
    Product p = {
        .xBlock = x.block, .yBlock = to.block, .u = u, .channels = o->sources, .offsets = &noOffset, .taps = 1,
        .joins = o->adds, .next = (const char *)x.base };
    for (long group = 0; group < groups; group++) {
        const long first = chunk.count * group / groups, end = chunk.count * (group + 1) / groups;
        p.x = x.base + first * 16;
        p.y = to.base + first * 16;
        if (o->signs) p.signs = (const signs_16 *)o->signs + (p.y - y) / 16;
        apus_product(&p, end - first, true);
    }
}

void apus_strassen_multiply(
    const apus_strassen *s, const float *x, const float *u, const float *t, float *y, float *scratch,
    long begin, long end) {
    const apus_one_by_one *o = &s->o;
    const long most = most_pixels(s), block = BLOCK_STRIDE(most);
    const long pairs = o->targets / 64, channels = o->sources / 2, blocks = channels / 16;
    const long half = channels * 32, quarter = pairs * half;
    const bool copies = copies_sources(s), spreads = s->stride > 1 && o->transposes;
    const Quarters sums = quarters_at(scratch, block, blocks);
    const Matrix none = {0}, m = { scratch + 4 * blocks * block, block };
    const Matrix n = { m.base + 2 * block, block };
    float *const copied = n.base + 2 * block;
    const float *const joined = o->adds ? y : 0;
    const bool streams = outgrows_caches(s), hasRest = o->targets % 64;
#define CHAIN(LINKS) (Chain){ LINKS, sizeof LINKS / sizeof *LINKS, channels, 0, &f, joined, o->signs, streams }
    for (long index = begin; index < end; index++) {
        const Chunk chunk = chunk_at(o, index, most), chunks[] = { chunk, partner(s, chunk) };
        const Chunk next = chunk_at(o, index + 1 < end ? index + 1 : index, most);
        Fetch f = {
            .from = sources_of(s, x, next, 0).base, .plane = o->pixels * 16,
            .blocks = 2 * blocks, .lines = next.count };
        f.distance = sources_of(s, x, partner(s, next), 0).base - f.from - f.blocks * f.plane;
        if (s->stride > 1 && !spreads) f.block = 2 * f.blocks;
        Quarters a = quarters_at(copied, block, blocks);
        for (long i = 0; i < 4; i++) {
            if (copies) apus_strassen_copy(s, x, chunks[i / 2], i % 2 * blocks, blocks, a.q[i]);
            else a.q[i] = sources_of(s, x, chunks[i / 2], i % 2 * blocks);
        }
        apus_strassen_left(a, sums, blocks, chunk.count);
        for (long pair = 0; pair < pairs; pair++) {
            Quarters c = quarters_at(copied, block, 2);
            for (long i = 0; i < 4 && !spreads; i++)
                c.q[i] = targets_of(s, y, chunks[i / 2], 2 * (i % 2 * pairs + pair));
            const float *b11 = u + pair * 2 * half, *b21 = b11 + half;
            const float *b22 = u + (pair + pairs) * 2 * half + half;
            const float *t1 = t + pair * half, *t2 = t1 + quarter, *t3 = t2 + quarter, *t4 = t3 + quarter;
            const Link top[] = {
                { a.q[0], b11, false, none, none, m },
                { a.q[1], b21, true, none, none, c.q[0], .isResult = true } };
            const Link left[] = {
                { sums.q[1], t2, false, m, none, m }, { sums.q[2], t3, true, none, none, n },
                { a.q[3], t4, true, none, none, c.q[2], .isResult = true } };
            const Link right[] = {
                { sums.q[0], t1, false, none, n, c.q[3], .isResult = true },
                { sums.q[3], b22, true, m, none, c.q[1], .isResult = true } };
            multiply(CHAIN(top), chunk.count);
            multiply(CHAIN(left), chunk.count);
            multiply(CHAIN(right), chunk.count);
            for (long i = 0; i < 4 && spreads; i++)
                apus_strassen_spread(s, c.q[i], chunks[i / 2], 2 * (i % 2 * pairs + pair), y);
        }
        // Halves of a chunk's sources lie behind each other even where they are copies.
        for (long i = 0; i < 2 && hasRest; i++)
            multiply_rest(s, a.q[2 * i], u + 2 * pairs * 2 * half, y, chunks[i]);
    }
}
