#include "cjpeg.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <jpeglib.h>
#include "huffman.h"

struct apus_jpeg {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    apus_jpeg_limit exceeded;
    int scans;
    double seconds, start;
    unsigned watched;
    // What was asked for, to ask for it again.
    const unsigned char *bytes;
    unsigned long count;
    int denominator, samples, left, width;
    // Our entropy decoder: made when needed; used for this picture, in doubt about it, not wanted.
    apus_huffman *huffman;
    int pictures, is_fast, is_doubtful, is_plain;
};

static void fail(j_common_ptr info) {
    apus_jpeg *jpeg = info->client_data;
    info->err->format_message(info, jpeg->message);
    longjmp(jpeg->escape, 1);
}

// A warning means that part of the picture is made up, such as the rest of a file cut short.
static void warn(j_common_ptr info, int level) {
    if (level < 0) fail(info);
}

static __attribute__((noreturn)) void doubt(j_decompress_ptr info) {
    apus_jpeg *jpeg = info->client_data;
    jpeg->is_doubtful = 1;
    longjmp(jpeg->escape, 1);
}

// Other work on the machine does not count, nor does a process that is stopped for a while.
static double processor_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

// libjpeg calls this for every few rows of every scan. Looking at the clock takes as long as decoding
// some of them, so it is done now and then, and not at all for small pictures.
static void watch(j_common_ptr info) {
    apus_jpeg *jpeg = info->client_data;
    if (info->is_decompressor && jpeg->info.input_scan_number > jpeg->scans) {
        jpeg->exceeded = APUS_JPEG_SCANS;
        snprintf(jpeg->message, sizeof jpeg->message, "more than %d scans", jpeg->scans);
        longjmp(jpeg->escape, 1);
    }
    if (jpeg->watched++ % 32 != 31) return;
    double now = processor_seconds();
    if (jpeg->watched == 32) jpeg->start = now;
    else if (now - jpeg->start > jpeg->seconds) {
        jpeg->exceeded = APUS_JPEG_SECONDS;
        longjmp(jpeg->escape, 1);
    }
}

apus_jpeg *apus_jpeg_create(void) {
    apus_jpeg *jpeg = calloc(1, sizeof *jpeg);
    if (!jpeg) return NULL;
    jpeg->info.err = jpeg_std_error(&jpeg->errors);
    jpeg->errors.error_exit = fail;
    jpeg->errors.emit_message = warn;
    jpeg->info.client_data = jpeg;
    if (setjmp(jpeg->escape)) {
        free(jpeg);
        return NULL;
    }
    jpeg_create_decompress(&jpeg->info);
    jpeg->info.client_data = jpeg;
    jpeg->progress.progress_monitor = watch;
    jpeg->info.progress = &jpeg->progress;
    return jpeg;
}

void apus_jpeg_destroy(apus_jpeg *jpeg) {
    apus_huffman_destroy(jpeg->huffman);
    jpeg_destroy_decompress(&jpeg->info);
    free(jpeg);
}

void apus_jpeg_set_plain(apus_jpeg *jpeg, int is_plain) { jpeg->is_plain = is_plain; }
int apus_jpeg_is_fast(const apus_jpeg *jpeg) { return jpeg->is_fast; }

// The functions called again when our entropy decoder is in doubt set no escape of their own.

static void begin(apus_jpeg *jpeg) {
    jpeg_abort_decompress(&jpeg->info);
    jpeg_mem_src(&jpeg->info, jpeg->bytes, jpeg->count);
    jpeg_read_header(&jpeg->info, TRUE);
}

static void start(apus_jpeg *jpeg) {
    struct jpeg_decompress_struct *info = &jpeg->info;
    int samples = jpeg->samples;
    info->scale_num = 1;
    info->scale_denom = jpeg->denominator;
    info->out_color_space = samples == 1 ? JCS_GRAYSCALE : (samples == 4 ? JCS_CMYK : JCS_RGB);
    jpeg_start_decompress(info);
    if (jpeg->left > 0 || jpeg->width < (int)info->output_width) {
        JDIMENSION first = jpeg->left, columns = jpeg->width;
        jpeg_crop_scanline(info, &first, &columns);
        jpeg->left = first;
        jpeg->width = columns;
    }
}

static void read_rows(apus_jpeg *jpeg, int top, int height, unsigned char *pixels) {
    struct jpeg_decompress_struct *info = &jpeg->info;
    if (top > 0) jpeg_skip_scanlines(info, top);
    size_t stride = (size_t)info->output_width * info->output_components;
    JSAMPROW rows[8];
    for (int y = 0; y < height;) {
        int count = height - y < 8 ? height - y : 8;
        for (int i = 0; i < count; i++) rows[i] = pixels + (y + i) * stride;
        y += jpeg_read_scanlines(info, rows, count);
    }
    // The rest below is not looked at; a picture read to its end must end well.
    if (info->output_scanline == info->output_height) jpeg_finish_decompress(info);
    else jpeg_abort_decompress(info);
}

// Makes our entropy decoder only for a picture that is worth it, or when there are many.
static void use_huffman(apus_jpeg *jpeg) {
    if (jpeg->is_plain) return;
    if (!jpeg->huffman && (jpeg->pictures > 1 || jpeg->count >= APUS_HUFFMAN_PAYS))
        jpeg->huffman = apus_huffman_create();
    if (jpeg->huffman) jpeg->is_fast = apus_huffman_attach(jpeg->huffman, &jpeg->info, doubt);
}

int apus_jpeg_begin(
    apus_jpeg *jpeg, const unsigned char *bytes, unsigned long count, int scans, double seconds,
    apus_jpeg_header *header) {
    jpeg->bytes = bytes;
    jpeg->count = count;
    jpeg->scans = scans;
    jpeg->seconds = seconds;
    jpeg->exceeded = APUS_JPEG_NOTHING;
    jpeg->watched = 0;
    jpeg->pictures += jpeg->pictures < 2;
    jpeg->is_fast = jpeg->is_doubtful = 0;
    if (setjmp(jpeg->escape)) return 0;
    begin(jpeg);
    J_COLOR_SPACE space = jpeg->info.jpeg_color_space;
    header->width = jpeg->info.image_width;
    header->height = jpeg->info.image_height;
    header->samples = space == JCS_GRAYSCALE ? 1 : (space == JCS_CMYK || space == JCS_YCCK ? 4 : 3);
    return 1;
}

int apus_jpeg_start(apus_jpeg *jpeg, int denominator, int samples, int *left, int *width) {
    jpeg->denominator = denominator;
    jpeg->samples = samples;
    jpeg->left = *left;
    jpeg->width = *width;
    if (setjmp(jpeg->escape)) return 0;
    start(jpeg);
    use_huffman(jpeg);
    *left = jpeg->left;
    *width = jpeg->width;
    return 1;
}

int apus_jpeg_read(apus_jpeg *jpeg, int top, int height, unsigned char *pixels) {
    if (setjmp(jpeg->escape) == 0) {
        read_rows(jpeg, top, height, pixels);
        return 1;
    }
    if (!jpeg->is_doubtful) return 0;
    jpeg->is_fast = jpeg->is_doubtful = 0;
    if (setjmp(jpeg->escape)) return 0;
    begin(jpeg);
    start(jpeg);
    read_rows(jpeg, top, height, pixels);
    return 1;
}

const char *apus_jpeg_message(const apus_jpeg *jpeg) { return jpeg->message; }
apus_jpeg_limit apus_jpeg_exceeded(const apus_jpeg *jpeg) { return jpeg->exceeded; }
