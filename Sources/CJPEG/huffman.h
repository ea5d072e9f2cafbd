// A faster entropy decoder for usual JPEG files, in place of libjpeg's: of the time that decoding a
// photograph takes, more than half goes into its Huffman codes. All else stays libjpeg's.
#ifndef APUS_HUFFMAN_H
#define APUS_HUFFMAN_H

#include <stdio.h>
#include <jpeglib.h>

typedef struct apus_huffman apus_huffman;

/// Does not return: the picture is to be decoded again, from the start, by libjpeg's own decoder.
typedef void (*apus_give_up)(j_decompress_ptr) __attribute__((noreturn));

/// From so many bytes of data on, making tables for one picture takes less time than they save.
enum { APUS_HUFFMAN_PAYS = 1 << 14 };

/// A decoder for one picture after the other, which keeps its tables; null if there is no memory.
apus_huffman *apus_huffman_create(void);
void apus_huffman_destroy(apus_huffman *decoder);

/// Takes the place of libjpeg's entropy decoder for this picture, after jpeg_start_decompress, and
/// returns 1 if it has 8 bits and a single sequential scan, with all of its file in memory, and if
/// the decoder has its tables or the file is long enough for making them.
///
/// Data that are not just as they should be are not judged here: they make the decoder give up.
int apus_huffman_attach(apus_huffman *decoder, j_decompress_ptr info, apus_give_up give_up);

#endif
