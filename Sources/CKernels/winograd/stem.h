// The stem of networks for large images: 7x7 kernels with a stride of two over plain images of up to three
// channels (four would do).
//
// In each direction four of the seven weights meet the even and three the odd pixels. An image is arranged
// as four phases of every channel, of which a pixel's are side by side, and the convolution is one of 4x4 weights
// with a stride of one: F(4x4, 4x4), for 16 pixels of output and a channel 4 * 49 products instead of
// 16 * 49 (Lavin and Gray 2016). What is worked on at a time are tiles of a row.
//
// stem_weights.c transforms weights, stem.c images.
#ifndef APUS_STEM_H
#define APUS_STEM_H

#include "winograd.h"

// ---- F(4, 4) with the points +-P, +-Q, +-R and infinity: the result is as exact as with F(4, 3) ----

#define P 0.3125f
#define Q 0.875f
#define R 1.75f
#define P2 (P * P)
#define Q2 (Q * Q)
#define R2 (R * R)

/// Of a direction, and of a tile.
enum { POINTS = 7, TILE_POSITIONS = POINTS * POINTS };

// ---- Transformed weights and their gradients: [pair of output blocks][position][phase][lane of the pair] ----

/// Phases, as channels: channel, parity of the row, parity of the column.
#define PHASES(s) (4 * (s)->channels)
#define STEM_PAIRS(s) ((BLOCKS((s)->outputChannels) + 1) / 2)
#define STEM_POSITION PAIR_POSITION(32, 16)
#define STEM_PAIR (TILE_POSITIONS * STEM_POSITION)

#endif
