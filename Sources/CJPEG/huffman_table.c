#include "huffman_table.h"
#include <string.h>

static huffman_code make_code(unsigned symbol, unsigned length, int is_dc) {
    huffman_code code = {length, is_dc ? 0 : symbol >> 4, symbol & 15};
    // A run of 15 zeros without a value is 16 zeros.
    if (!is_dc && code.size == 0 && code.run < 15) code.run = END;
    return code;
}

huffman_code apus_huffman_find(
    const huffman_table *table, uint64_t bits, unsigned from, int is_dc) {
    uint32_t top = (uint32_t)(bits >> 48);
    for (unsigned length = from; length <= 16; length++) {
        if (top >= table->ends[length]) continue;
        int place = (int)(top >> (16 - length)) + table->offsets[length];
        return make_code(table->values[place], length, is_dc);
    }
    return (huffman_code){0, 0, 0};
}

static huffman_entry make_entry(
    int first, unsigned step, unsigned to_second, unsigned before, unsigned size) {
    return (before + size) | before << 8 | step << 12 | to_second << 16
        | (huffman_entry)first << 24;
}

static void make_entries(huffman_table *table, const huffman_code *codes, int is_dc) {
    for (unsigned i = 0; i < ENTRIES; i++) {
        huffman_code code = codes[i];
        unsigned used = code.length + code.size;
        if (code.length == 0) {
            table->entries[i] = LONGER;
            continue;
        }
        // The value must have room in 8 bits of an entry.
        if (!is_dc && code.run != END && code.size < 8 && used < LOOKAHEAD) {
            huffman_code next = codes[(i << used) & (ENTRIES - 1)];
            if (next.length > 0 && used + next.length <= LOOKAHEAD) {
                int value = huffman_value((uint64_t)i << (64 - LOOKAHEAD), code.length, code.size);
                unsigned step = next.run == END ? END : 1 + next.run;
                table->entries[i] = make_entry(
                    value, code.run, step, used + next.length, next.size);
                continue;
            }
        }
        table->entries[i] = make_entry(0, 0, code.run, code.length, code.size);
    }
}

int apus_huffman_make(huffman_table *table, const JHUFF_TBL *source, int is_dc, int pays) {
    int is_same = memcmp(table->counts, source->bits, sizeof table->counts) == 0
        && memcmp(table->values, source->huffval, sizeof table->values) == 0;
    if (is_same && table->is_made) return 1;
    if (!is_same) {
        memcpy(table->counts, source->bits, sizeof table->counts);
        memcpy(table->values, source->huffval, sizeof table->values);
        table->is_made = 0;
        if (!pays) return 0;
    }
    huffman_code codes[ENTRIES];
    unsigned code = 0, place = 0, filled = 0;
    for (unsigned length = 1; length <= 16; length++) {
        table->offsets[length] = (int)place - (int)code;
        for (unsigned i = 0; i < table->counts[length]; i++, code++, place++) {
            if (length > LOOKAHEAD) continue;
            unsigned end = (code + 1) << (LOOKAHEAD - length);
            while (filled < end) codes[filled++] = make_code(table->values[place], length, is_dc);
        }
        table->ends[length] = code << (16 - length);
        code <<= 1;
    }
    memset(codes + filled, 0, (ENTRIES - filled) * sizeof *codes);
    make_entries(table, codes, is_dc);
    table->is_made = 1;
    return 1;
}
