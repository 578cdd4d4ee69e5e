/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate_frames.c - lz4 frames by inflate_lz4.c, zstd frames by libzstd: one way to drive
 * both. Frames back to back and skippable frames are theirs; that an object ends between two
 * frames, and where a frame began, is known here.
 *
 * libzstd decodes a frame that it is handed whole in another way than one that comes in pieces, and
 * some malformed frames that hold the same either way are refused in the one only.
 */
#include "formats/inflate_frames.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#define ZSTD_BEYOND_WINDOW_BYTES                                                                   \
    ((size_t)512 << 10) /* its context, and blocks beside the window                               \
                         */

/* ---- zstd ---- */

static void zstd_reset(void *context)
{
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
}

static void zstd_run(void *context, struct fmt_frame_call *call)
{
    ZSTD_inBuffer in = {.src = call->in, .size = call->in_bytes};
    ZSTD_outBuffer out = {.dst = call->out, .size = call->out_bytes};
    size_t left = ZSTD_decompressStream(context, &out, &in);

    call->in_bytes = in.pos;
    call->out_bytes = out.pos;
    call->frame_ended = left == 0;
    if (!ZSTD_isError(left))
        return;
    ZSTD_ErrorCode code = ZSTD_getErrorCode(left);

    call->cause = ZSTD_getErrorName(left);
    call->trouble = code == ZSTD_error_prefix_unknown                  ? FMT_FRAME_STRANGER
                    : code == ZSTD_error_frameParameter_windowTooLarge ? FMT_FRAME_WINDOW
                    : code == ZSTD_error_memory_allocation             ? FMT_FRAME_MEMORY
                                                                       : FMT_FRAME_CORRUPT;
}

/* libzstd, when it is fed in pieces, does not compare the size that a frame's head tells with its
 * contents' if the last block is empty. */
static const char *zstd_check(const struct fmt_frames *f)
{
    unsigned long long told_bytes = ZSTD_getFrameContentSize(f->head, f->head_bytes);

    if (told_bytes == ZSTD_CONTENTSIZE_UNKNOWN || told_bytes == f->made_bytes)
        return NULL;
    return "its contents are not as long as its head says";
}

static const struct fmt_frames_library zstd = {
    .name = "zstd", .first_byte = 0x28, .reset = zstd_reset, .run = zstd_run, .check = zstd_check};

/* The largest window whose memory is within the bounds. */
static int window_log(size_t memory_bytes)
{
    int log = 10; /* the least of the format */

    while (log < 30 && ((size_t)2 << log) + ZSTD_BEYOND_WINDOW_BYTES <= memory_bytes)
        log++;
    return log;
}

static void *zstd_open(const struct fmt_options *options, size_t memory_bytes)
{
    struct fmt_frames *f = calloc(1, sizeof *f);
    ZSTD_DCtx *context = ZSTD_createDCtx();

    (void)options;
    if (!f || !context ||
        ZSTD_isError(
            ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, window_log(memory_bytes)))) {
        ZSTD_freeDCtx(context);
        free(f);
        return NULL;
    }
    f->library = &zstd;
    f->context = context;
    return f;
}

static void zstd_close(void *codec)
{
    struct fmt_frames *f = codec;

    if (f)
        ZSTD_freeDCtx(f->context);
    free(f);
}

/* ---- both ---- */

void fmt_frames_start(void *codec)
{
    struct fmt_frames *f = codec;

    f->library->reset(f->context);
    f->frame_no = 0;
    f->inside = false;
}

static enum fmt_inflate_rc fail(const struct fmt_frames *f, const struct fmt_frame_call *call,
                                struct fmt_error *error)
{
    const char *name = f->library->name;
    unsigned long long frame_no = f->frame_no;

    switch (call->trouble) {
    case FMT_FRAME_MEMORY:
        return FMT_INFLATE_E_MEMORY;
    case FMT_FRAME_STRANGER:
        if (frame_no == 1)
            fmt_fail(error, f->frame_offset, 0, "not %s: the object does not begin with a frame",
                     name);
        else
            fmt_fail(error, f->frame_offset, 0, "what follows %s frame %llu is not another one",
                     name, frame_no - 1);
        break;
    case FMT_FRAME_WINDOW:
        fmt_fail(error, f->frame_offset, 0,
                 "%s frame %llu: its window is larger than this memory limit allows: raise the "
                 "memory limit",
                 name, frame_no);
        break;
    case FMT_FRAME_GOOD:
        fmt_fail(error, f->frame_offset, 0, "%s frame %llu: truncated: the object ends inside it",
                 name, frame_no);
        break;
    case FMT_FRAME_CORRUPT:
        fmt_fail(error, f->frame_offset, 0, "%s frame %llu: corrupt: %s", name, frame_no,
                 call->cause);
        break;
    }
    return FMT_INFLATE_E_FORMAT;
}

/* False: the byte does not begin a frame. (libzstd would take frames of versions before 0.8, but
 * not in pieces.) */
static bool begin_frame(struct fmt_frames *f, uint8_t byte, uint64_t offset)
{
    f->inside = true;
    f->frame_no++;
    f->frame_offset = offset;
    f->head_bytes = 0;
    f->made_bytes = 0;
    return byte == f->library->first_byte || (byte & 0xf0) == 0x50;
}

/* Takes note of what a call has done. */
static void book(struct fmt_frames *f, struct fmt_frame_call *call)
{
    for (size_t i = 0; i < call->in_bytes && f->head_bytes < sizeof f->head; i++)
        f->head[f->head_bytes++] = call->in[i];
    f->made_bytes += call->out_bytes;
    f->inside = !call->frame_ended;
    if (call->frame_ended && f->library->check)
        call->cause = f->library->check(f);
    if (call->cause)
        call->trouble = FMT_FRAME_CORRUPT;
}

enum fmt_inflate_rc fmt_frames_run(void *codec, struct fmt_inflate_step *step, uint64_t in_offset,
                                   struct fmt_error *error)
{
    struct fmt_frames *f = codec;

    for (;;) {
        if (!f->inside && step->consumed_bytes == step->in_bytes)
            return step->at_end ? FMT_INFLATE_END : FMT_INFLATE_IN;
        size_t at = step->consumed_bytes;

        if (!f->inside && !begin_frame(f, step->in[at], in_offset + at))
            return fail(f, &(struct fmt_frame_call){.trouble = FMT_FRAME_STRANGER}, error);
        struct fmt_frame_call call = {.in = step->in + step->consumed_bytes,
                                      .in_bytes = step->in_bytes - step->consumed_bytes,
                                      .out = step->out + step->produced_bytes,
                                      .out_bytes = step->out_bytes - step->produced_bytes};

        f->library->run(f->context, &call);
        if (call.trouble != FMT_FRAME_GOOD)
            return fail(f, &call, error);
        step->consumed_bytes += call.in_bytes;
        step->produced_bytes += call.out_bytes;
        book(f, &call);
        if (call.cause)
            return fail(f, &call, error);
        if (call.frame_ended)
            continue;
        if (step->produced_bytes == step->out_bytes || call.enough)
            return FMT_INFLATE_OUT;
        if (step->consumed_bytes == step->in_bytes)
            return step->at_end ? fail(f, &call, error) : FMT_INFLATE_IN;
    }
}

const struct fmt_codec_ops fmt_codec_zstd = {
    .open = zstd_open, .close = zstd_close, .start = fmt_frames_start, .run = fmt_frames_run};
