#include "huffman.h"
#include <stdlib.h>

// libjpeg's modules have a header that not every system installs; other libraries have others.
#ifdef LIBJPEG_TURBO_VERSION_NUMBER
#if __has_include(<jpegint.h>)
#define HAS_MODULES
#endif
#endif

#ifndef HAS_MODULES
apus_huffman *apus_huffman_create(void) { return calloc(1, 1); }
void apus_huffman_destroy(apus_huffman *decoder) { free(decoder); }
int apus_huffman_attach(apus_huffman *decoder, j_decompress_ptr info, apus_give_up give_up) {
    return 0;
}
#else

#include <string.h>
#include <jpegint.h>
#include "huffman_table.h"

// Data are copied without their stuffing, so that the loops need not look for it. An MCU takes less
// than MCU_BYTES: a coefficient has at most 31 bits. Data that end early are noticed behind an MCU.
enum { MCU_BYTES = D_MAX_BLOCKS_IN_MCU * 64 * 4, CLEAN_BYTES = 1 << 15 };

// The next bits at the top of a word, of which `count` are counted, and the bytes behind those.
typedef struct {
    uint64_t bits;
    unsigned count;
    const uint8_t *next;
} bit_reader;

struct apus_huffman {
    // First: libjpeg knows no more of a decoder.
    struct jpeg_entropy_decoder module;
    apus_give_up give_up;
    huffman_table dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
    const huffman_table *block_dc[D_MAX_BLOCKS_IN_MCU], *block_ac[D_MAX_BLOCKS_IN_MCU];
    int dc_values[MAX_COMPS_IN_SCAN];
    size_t mcus_left;
    unsigned mcus_to_restart, restarts;
    // What has not been copied; where the last marker was met, if `is_at_marker`.
    const uint8_t *file, *file_end;
    int is_at_marker;
    bit_reader reader;
    const uint8_t *clean_end;
    uint8_t clean[CLEAN_BYTES + MCU_BYTES];
};

static const uint8_t natural_order[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

// MARK: Bits

// Makes 56 bits count. Those behind them may be in the word already: they are the same.
static inline void refill(bit_reader *reader) {
    uint64_t word;
    memcpy(&word, reader->next, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    reader->bits |= word >> reader->count;
    reader->next += (63 - reader->count) >> 3;
    reader->count |= 56;
}

static inline void consume(bit_reader *reader, unsigned count) {
    reader->bits <<= count;
    reader->count -= count;
}

// Bits between the place that is read and the end of what was copied.
static long bits_left(const apus_huffman *my) {
    return (my->clean_end - my->reader.next) * 8 + (long)my->reader.count;
}

// Copies more data, up to the next marker or the end of the file.
static void fill(apus_huffman *my) {
    size_t kept = my->clean_end - my->reader.next;
    memmove(my->clean, my->reader.next, kept);
    my->reader.next = my->clean;
    uint8_t *to = my->clean + kept, *to_end = my->clean + CLEAN_BYTES;
    while (to < to_end && !my->is_at_marker) {
        size_t room = to_end - to, rest = my->file_end - my->file;
        size_t count = room < rest ? room : rest;
        uint8_t *behind = memccpy(to, my->file, 0xFF, count);
        if (behind) count = behind - to;
        to += count;
        my->file += count;
        if (my->file == my->file_end) {
            my->is_at_marker = 1;
        } else if (behind) {
            if (*my->file == 0) {
                my->file++;
            } else {
                my->file--;
                to--;
                my->is_at_marker = 1;
            }
        }
    }
    my->clean_end = to;
}

// Steps over a segment's last bits, which fill its last byte. The marker that must follow.
static unsigned end_segment(apus_huffman *my, j_decompress_ptr info) {
    if (!my->is_at_marker) fill(my);
    long rest = bits_left(my);
    if (!my->is_at_marker || rest < 0 || rest > 7) my->give_up(info);
    if (my->file_end - my->file < 2 || my->file[0] != 0xFF) my->give_up(info);
    return my->file[1];
}

static void begin_segment(apus_huffman *my, j_decompress_ptr info) {
    memset(my->dc_values, 0, sizeof my->dc_values);
    my->mcus_to_restart = info->restart_interval;
    my->is_at_marker = 0;
    my->reader = (bit_reader){0, 0, my->clean};
    my->clean_end = my->clean;
}

// MARK: Blocks

// A block's DC value less the one before; sets `is_bad` where the bits mean nothing.
static inline int read_dc(const huffman_table *table, bit_reader *reader, int *is_bad) {
    refill(reader);
    huffman_entry entry = table->entries[reader->bits >> (64 - LOOKAHEAD)];
    unsigned length = entry >> 8 & 15, total = entry & 63;
    if (__builtin_expect(entry & LONGER, 0)) {
        huffman_code code = apus_huffman_find(table, reader->bits, LOOKAHEAD + 1, 1);
        length = code.length;
        total = length + code.size;
        *is_bad |= length == 0;
    }
    int value = huffman_value(reader->bits, length, total - length);
    consume(reader, total);
    return value;
}

// The other coefficients of a block of zeros; returns whether the bits mean some.
static inline int read_ac(const huffman_table *table, bit_reader *caller, JCOEF *block) {
    bit_reader reader = *caller;
    huffman_entry entry;
    uint64_t bits;
    int first, second;
    // The first place that is not decided, and those of both coefficients.
    unsigned place = 1, first_place, second_place;
    for (;;) {
        refill(&reader);
        // 56 bits are enough for two entries of 11 + 15 bits.
        for (int i = 0; i < 2; i++) {
            bits = reader.bits;
            entry = table->entries[bits >> (64 - LOOKAHEAD)];
            if (__builtin_expect(entry & LONGER, 0)) {
                refill(&reader);
                bits = reader.bits;
                huffman_code code = apus_huffman_find(table, bits, LOOKAHEAD + 1, 0);
                if (code.length == 0) return 0;
                first = 0;
                first_place = place;
                second_place = place + code.run;
                second = huffman_value(bits, code.length, code.size);
                entry = (code.length + code.size) | code.run << 16;
                consume(&reader, entry & 63);
                i = 1;
            } else {
                unsigned before = entry >> 8 & 15, total = entry & 63;
                first = (int32_t)entry >> 24;
                first_place = place + (entry >> 12 & 15);
                second_place = first_place + (entry >> 16 & 127);
                second = huffman_value(bits, before, total - before);
                consume(&reader, total);
            }
            if (second_place >= 63) goto end;
            // Where there is no first, its place is empty so far.
            block[natural_order[first_place]] = (JCOEF)first;
            block[natural_order[second_place]] = (JCOEF)second;
            place = second_place + 1;
        }
    }
end:
    if (first_place > 63) return 0;
    block[natural_order[first_place]] = (JCOEF)first;
    if (second_place == 63) {
        block[63] = (JCOEF)second;
    } else if (first_place == 63) {
        // The block is full: what was taken for its second coefficient may be the next block's.
        huffman_code code = apus_huffman_find(table, bits, 1, 0);
        if (place + code.run != 63 && code.run != END) return 0;
        reader.bits = bits;
        reader.count += entry & 63;
        consume(&reader, code.length + code.size);
    } else if ((entry >> 16 & 127) != END) {
        return 0;
    }
    *caller = reader;
    return 1;
}

// Decodes an MCU to blocks of zeros; without them its rows are skipped.
static boolean decode_mcu(j_decompress_ptr info, JBLOCKROW *blocks) {
    apus_huffman *my = (apus_huffman *)info->entropy;
    if (info->restart_interval > 0) {
        if (my->mcus_to_restart == 0) {
            if (end_segment(my, info) != JPEG_RST0 + (my->restarts++ & 7)) my->give_up(info);
            my->file += 2;
            begin_segment(my, info);
        }
        my->mcus_to_restart--;
    }
    if (!my->is_at_marker && my->clean_end - my->reader.next < MCU_BYTES) fill(my);
    bit_reader reader = my->reader;
    JBLOCK skipped;
    int is_bad = 0;
    for (int b = 0; b < info->blocks_in_MCU; b++) {
        JCOEF *block = blocks ? blocks[b][0] : skipped;
        int *dc = &my->dc_values[info->MCU_membership[b]];
        *dc += read_dc(my->block_dc[b], &reader, &is_bad);
        block[0] = (JCOEF)*dc;
        is_bad |= block[0] != *dc || !read_ac(my->block_ac[b], &reader, block);
        if (is_bad) my->give_up(info);
    }
    my->reader = reader;
    if (bits_left(my) < 0) my->give_up(info);
    if (--my->mcus_left == 0) {
        end_segment(my, info);
        info->src->next_input_byte = my->file;
        info->src->bytes_in_buffer = my->file_end - my->file;
    }
    return TRUE;
}

// MARK: Interface

apus_huffman *apus_huffman_create(void) { return calloc(1, sizeof(apus_huffman)); }
void apus_huffman_destroy(apus_huffman *decoder) { free(decoder); }

int apus_huffman_attach(apus_huffman *my, j_decompress_ptr info, apus_give_up give_up) {
    if (info->progressive_mode || info->arith_code || info->data_precision != 8
        || info->inputctl->has_multiple_scans || info->comps_in_scan != info->num_components
        || info->Ss != 0 || info->Se != 63 || info->Ah != 0 || info->Al != 0)
        return 0;
    int pays = info->src->bytes_in_buffer >= APUS_HUFFMAN_PAYS, is_ready = 1;
    for (int c = 0; c < info->comps_in_scan; c++) {
        int dc = info->cur_comp_info[c]->dc_tbl_no, ac = info->cur_comp_info[c]->ac_tbl_no;
        is_ready &= apus_huffman_make(&my->dc[dc], info->dc_huff_tbl_ptrs[dc], 1, pays);
        is_ready &= apus_huffman_make(&my->ac[ac], info->ac_huff_tbl_ptrs[ac], 0, pays);
    }
    if (!is_ready) return 0;
    for (int b = 0; b < info->blocks_in_MCU; b++) {
        const jpeg_component_info *component = info->cur_comp_info[info->MCU_membership[b]];
        my->block_dc[b] = &my->dc[component->dc_tbl_no];
        my->block_ac[b] = &my->ac[component->ac_tbl_no];
    }
    my->give_up = give_up;
    my->mcus_left = (size_t)info->MCUs_per_row * info->MCU_rows_in_scan;
    my->restarts = 0;
    my->file = info->src->next_input_byte;
    my->file_end = my->file + info->src->bytes_in_buffer;
    begin_segment(my, info);
    my->module = *info->entropy;
    my->module.decode_mcu = decode_mcu;
    info->entropy = &my->module;
    return 1;
}

#endif
