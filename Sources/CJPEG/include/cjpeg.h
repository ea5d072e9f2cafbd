// A part of a JPEG picture through libjpeg-turbo: TurboJPEG 2 decodes whole pictures only. C rather
// than Swift because libjpeg reports errors by longjmp, which must not cross Swift.
//
// Calls come in the order begin, start, read; each returns 0 on failure and then has a message.
// Every flaw of the data is a failure, also those libjpeg could guess its way around.
#ifndef APUS_CJPEG_H
#define APUS_CJPEG_H

typedef struct apus_jpeg apus_jpeg;

/// What a file says about its picture. Samples is 1 for gray, 3 for color, 4 for inks.
typedef struct { int width, height, samples; } apus_jpeg_header;

/// What a picture may have too much of.
typedef enum { APUS_JPEG_NOTHING, APUS_JPEG_SCANS, APUS_JPEG_SECONDS } apus_jpeg_limit;

/// A decoder for one thread, used for one picture after the other; null if there is no memory.
apus_jpeg *apus_jpeg_create(void);
void apus_jpeg_destroy(apus_jpeg *jpeg);

/// Leaves all of decoding to libjpeg, for comparison with our entropy decoder, or not.
void apus_jpeg_set_plain(apus_jpeg *jpeg, int is_plain);
/// Whether the picture that was read last came from our entropy decoder.
int apus_jpeg_is_fast(const apus_jpeg *jpeg);

/// Reads the header of a file that stays in memory until the picture is read. Files of more than
/// `scans` scans will fail, as each costs the time of a whole picture, and so will pictures that take
/// more than about `seconds` of processor time.
int apus_jpeg_begin(
    apus_jpeg *jpeg, const unsigned char *bytes, unsigned long count, int scans, double seconds,
    apus_jpeg_header *header);

/// Prepares to read at 1 / denominator (1, 2, 4, 8) of the size, gray, RGB or CMYK by `samples`, and
/// widens columns left..<left + width to what can be decoded by itself.
int apus_jpeg_start(apus_jpeg *jpeg, int denominator, int samples, int *left, int *width);

/// Reads rows top..<top + height of these columns, packed.
int apus_jpeg_read(apus_jpeg *jpeg, int top, int height, unsigned char *pixels);

const char *apus_jpeg_message(const apus_jpeg *jpeg);
/// The limit that the failure is about, if it is about one.
apus_jpeg_limit apus_jpeg_exceeded(const apus_jpeg *jpeg);

#endif
