// The element types of images. Arithmetic is in 32 bits whatever is stored.
#ifndef APUS_ELEMENTS_H
#define APUS_ELEMENTS_H

#include <stdint.h>

/// The upper half of a 32-bit float: its exponent, 8 bits of precision.
typedef uint16_t bf16;

#define INLINE static inline __attribute__((always_inline))

INLINE float load_float(const float *p) { return *p; }
INLINE void store_float(float *p, float v) { *p = v; }

INLINE float load_bf16(const bf16 *p) {
    union { uint32_t bits; float value; } u = { .bits = (uint32_t)*p << 16 };
    return u.value;
}

/// Rounds to nearest, ties to even; what is not a number stays so.
INLINE void store_bf16(bf16 *p, float v) {
    union { float value; uint32_t bits; } u = { .value = v };
    uint32_t rounded = (u.bits + 0x7FFF + ((u.bits >> 16) & 1)) >> 16;
    *p = (bf16)(v != v ? 0x7FC0 : rounded);
}

// Vectors of one channel block, in memory at any address that suits an element. Macros, because a
// function cannot return vectors that the oldest instruction set lacks.
#define VECTORS(B)                                                                \
    typedef float vector_##B __attribute__((vector_size(B * 4), aligned(2)));     \
    typedef int32_t mask_##B __attribute__((vector_size(B * 4)));                 \
    typedef uint32_t bits_##B __attribute__((vector_size(B * 4)));                \
    typedef uint16_t halves_##B __attribute__((vector_size(B * 2), aligned(2)));  \
    typedef float streamed_##B __attribute__((vector_size(B * 4)));               \
    typedef uint16_t streamed_halves_##B __attribute__((vector_size(B * 2)));     \
    typedef _Bool flags_##B __attribute__((ext_vector_type(B)));
VECTORS(16)
VECTORS(8)
#undef VECTORS

/// One bit an element of a channel block.
typedef uint16_t signs_16;
typedef uint8_t signs_8;
#define EACH_BIT_8 1, 2, 4, 8, 16, 32, 64, 128
#define EACH_BIT_16 EACH_BIT_8, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768

/// The bits of a comparison of B elements, and the comparison's result again.
#define PACKED(B, condition) PACKED_(B, condition)
#define UNPACKED(B, bits) UNPACKED_(B, bits)
#define PACKED_(B, condition) \
    __builtin_bit_cast(signs_##B, __builtin_convertvector(condition, flags_##B))
#define UNPACKED_(B, bits) (((mask_##B){0} + (bits) & (mask_##B){ EACH_BIT_##B }) != 0)

/// Loads and stores of B elements of type T (float or bf16) as 32-bit floats.
#define LOAD(T, B, p) LOAD_(T, B, p)
#define STORE(T, B, p, v) STORE_(T, B, p, v)
#define LOAD_(T, B, p) LOAD_##T(B, p)
#define STORE_(T, B, p, v) STORE_##T(B, p, v)

/// A store past the caches, to an address that suits the vector.
#define STREAM(T, B, p, v) STREAM_(T, B, p, v)
#define STREAM_(T, B, p, v) STREAM_##T(B, p, v)

#define LOAD_float(B, p) (*(const vector_##B *)(p))
#define STORE_float(B, p, v) (*(vector_##B *)(p) = (v))
#define STREAM_float(B, p, v) \
    __builtin_nontemporal_store((streamed_##B)(v), (streamed_##B *)(p))
#define LOAD_bf16(B, p) \
    ((vector_##B)(__builtin_convertvector(*(const halves_##B *)(p), bits_##B) << 16))
#define STORE_bf16(B, p, v) *(halves_##B *)(p) = SHORTENED(B, v)
#define STREAM_bf16(B, p, v) \
    __builtin_nontemporal_store((streamed_halves_##B)SHORTENED(B, v), (streamed_halves_##B *)(p))
/// B 32-bit floats as brain floats. Where functions may use the instruction for it, their file defines this anew.
#define SHORTENED(B, v) ROUNDED_IN_INTEGERS(B, v)
#define ROUNDED_IN_INTEGERS(B, v)                                                 \
    ({                                                                            \
        const vector_##B value_ = (v);                                            \
        const bits_##B bits_ = (bits_##B)value_;                                  \
        const bits_##B isNaN_ = (bits_##B)(value_ != value_);                     \
        const bits_##B rounded_ = (bits_ + 0x7FFF + ((bits_ >> 16) & 1)) >> 16;   \
        __builtin_convertvector(                                                  \
            (rounded_ & ~isNaN_) | (isNaN_ & 0x7FC0), halves_##B);                \
    })

#endif
