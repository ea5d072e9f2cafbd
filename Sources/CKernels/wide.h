// Functions for machines with AVX-512, which their callers ask for.
#ifndef APUS_WIDE_H
#define APUS_WIDE_H

// Elsewhere the compiler makes what it can of the vectors.
#if defined(__x86_64__)
// Without a minimal width clang would split the vectors in two.
#define WIDE __attribute__((target("arch=x86-64-v4,prfchw"), min_vector_width(512)))
#else
#define WIDE
#endif
#define WIDE_INLINE static inline __attribute__((always_inline)) WIDE
#define UNROLL _Pragma("clang loop unroll(full)")

typedef float V __attribute__((vector_size(64)));

#define BLOCKS(channels) (((channels) + 15) / 16)
#define LANES(channels, block) ((channels) - (block) * 16 < 16 ? (channels) - (block) * 16 : 16)

#endif
