/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate_frames.h - what inflate_frames.c drives: a decoder of one kind of frames.
 *
 * Owner, threads: as inflate.h.
 */
#ifndef FORMATS_INFLATE_FRAMES_H
#define FORMATS_INFLATE_FRAMES_H

#include "formats/inflate_codecs.h"

enum { FMT_FRAME_HEAD_BYTES_MAX = 18 };

struct fmt_frames {
    const struct fmt_frames_library *library;
    void *context;                          /* the library's */
    uint64_t frame_no;                      /* from 1 */
    uint64_t frame_offset;                  /* of its first byte in the object */
    bool inside;                            /* a frame has begun, and not ended */
    uint8_t head[FMT_FRAME_HEAD_BYTES_MAX]; /* its first bytes */
    size_t head_bytes;
    uint64_t made_bytes; /* of its contents */
};

/* What a library can say of a frame. */
enum fmt_frame_trouble {
    FMT_FRAME_GOOD,
    FMT_FRAME_STRANGER, /* this is no frame */
    FMT_FRAME_WINDOW,
    FMT_FRAME_MEMORY,
    FMT_FRAME_CORRUPT
};

/* One call of a library. */
struct fmt_frame_call {
    const uint8_t *in;
    size_t in_bytes; /* in: at hand; out: consumed */
    uint8_t *out;
    size_t out_bytes; /* in: room; out: produced */
    bool enough;      /* out: a good deal was produced: there may be more of input and of room */
    bool frame_ended;
    enum fmt_frame_trouble trouble;
    const char *cause; /* in the library's words, if there is trouble */
};

struct fmt_frames_library {
    const char *name;
    uint8_t first_byte; /* of a frame; skippable ones begin with 50 .. 5f in both formats */
    void (*reset)(void *context);
    void (*run)(void *context, struct fmt_frame_call *call);
    const char *(*check)(const struct fmt_frames *frames); /* at a frame's end; or NULL */
};

/* fmt_codec_ops.start and .run of a codec that is a struct fmt_frames. */
void fmt_frames_start(void *codec);
enum fmt_inflate_rc fmt_frames_run(void *codec, struct fmt_inflate_step *step, uint64_t in_offset,
                                   struct fmt_error *error);

#endif
