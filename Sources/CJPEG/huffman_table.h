// What the next bits of a JPEG scan mean, one or two coefficients a look.
#ifndef APUS_HUFFMAN_TABLE_H
#define APUS_HUFFMAN_TABLE_H

#include <stdint.h>
#include <stdio.h>
#include <jpeglib.h>

// Bits that are looked at at once. With 10 or 12, photographs take some percent longer: there are
// fewer pairs, or the tables leave little of the first-level cache to anything else.
enum { LOOKAHEAD = 11, ENTRIES = 1 << LOOKAHEAD };

// A coefficient that lies within the bits looked at, if there is room for a code behind it, and then
// one whose code does; its value may go beyond.
//   bits 0-5: how many bits all of it takes; bit 6: LONGER, the code is longer than LOOKAHEAD
//   bits 8-11: how many bits come before the value of the second
//   bits 12-15: from here to the place of the first
//   bits 16-22: from there to the second, END for the end of the block, 0 if there is no first
//   bits 24-31: the value of the first, signed; 0 if there is none, which its place is anyway
typedef uint32_t huffman_entry;
enum { LONGER = 0x40, END = 64 };

typedef struct {
    // As in the file.
    UINT8 counts[17], values[256];
    int is_made;
    huffman_entry entries[ENTRIES];
    // By length: the first code that is longer, at the top of 16 bits; the place of a code's symbol
    // in `values`, less the code.
    uint32_t ends[17];
    int offsets[17];
} huffman_table;

// One code, of any length.
typedef struct {
    // 0 if no code is like this.
    unsigned length;
    // Zeros before the coefficient, or END.
    unsigned run;
    // Bits of its value, at most 15.
    unsigned size;
} huffman_code;

// Makes a table from one that libjpeg has checked, unless it is the same as before. A new one is only
// remembered unless it `pays` to make it. Returns whether the table is made.
int apus_huffman_make(huffman_table *table, const JHUFF_TBL *source, int is_dc, int pays);

// The code of `from` bits or more that is at the top of `bits`.
huffman_code apus_huffman_find(
    const huffman_table *table, uint64_t bits, unsigned from, int is_dc);

// The value of `size` bits behind `skipped` bits: the lower half of the numbers of a size stands for
// negative values.
static inline int huffman_value(uint64_t bits, unsigned skipped, unsigned size) {
    uint64_t top = bits << skipped;
    uint64_t mask = ~(uint64_t)((int64_t)top >> 63);
    // In two steps, as size may be 0, which gives 0.
    uint64_t magnitude = ((top ^ mask) >> 1) >> (63 - size);
    return (int)((magnitude ^ mask) - mask);
}

#endif
