#include "cjpeg.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

struct apus_jpeg {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    int scans, has_too_many_scans;
    char message[JMSG_LENGTH_MAX];
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

static void watch(j_common_ptr info) {
    apus_jpeg *jpeg = info->client_data;
    if (info->is_decompressor && jpeg->info.input_scan_number > jpeg->scans) {
        jpeg->has_too_many_scans = 1;
        snprintf(jpeg->message, sizeof jpeg->message, "more than %d scans", jpeg->scans);
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
    jpeg_destroy_decompress(&jpeg->info);
    free(jpeg);
}

int apus_jpeg_begin(
    apus_jpeg *jpeg, const unsigned char *bytes, unsigned long count, int scans,
    apus_jpeg_header *header) {
    jpeg_abort_decompress(&jpeg->info);
    jpeg->scans = scans;
    jpeg->has_too_many_scans = 0;
    if (setjmp(jpeg->escape)) return 0;
    jpeg_mem_src(&jpeg->info, bytes, count);
    jpeg_read_header(&jpeg->info, TRUE);
    J_COLOR_SPACE space = jpeg->info.jpeg_color_space;
    header->width = jpeg->info.image_width;
    header->height = jpeg->info.image_height;
    header->samples = space == JCS_GRAYSCALE ? 1 : (space == JCS_CMYK || space == JCS_YCCK ? 4 : 3);
    return 1;
}

int apus_jpeg_start(apus_jpeg *jpeg, int denominator, int samples, int *left, int *width) {
    struct jpeg_decompress_struct *info = &jpeg->info;
    if (setjmp(jpeg->escape)) return 0;
    info->scale_num = 1;
    info->scale_denom = denominator;
    info->out_color_space = samples == 1 ? JCS_GRAYSCALE : (samples == 4 ? JCS_CMYK : JCS_RGB);
    jpeg_start_decompress(info);
    if (*left > 0 || *width < (int)info->output_width) {
        JDIMENSION first = *left, columns = *width;
        jpeg_crop_scanline(info, &first, &columns);
        *left = first;
        *width = columns;
    }
    return 1;
}

int apus_jpeg_read(apus_jpeg *jpeg, int top, int height, unsigned char *pixels) {
    struct jpeg_decompress_struct *info = &jpeg->info;
    if (setjmp(jpeg->escape)) return 0;
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
    return 1;
}

const char *apus_jpeg_message(const apus_jpeg *jpeg) { return jpeg->message; }
int apus_jpeg_has_too_many_scans(const apus_jpeg *jpeg) { return jpeg->has_too_many_scans; }
