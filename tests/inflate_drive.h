/* SPDX-License-Identifier: Apache-2.0 */
/* tests/inflate_drive.h - hand an object to formats/inflate.h in steps, each with input and output
 * that end at pages that must not be touched; and gzip by zlib, lz4 by liblz4, to compare with. For
 * tests of one source file.
 */
#ifndef TESTS_INFLATE_DRIVE_H
#define TESTS_INFLATE_DRIVE_H

#include "formats/inflate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <lz4frame.h>
#include <zlib.h>

#define PIECE_BYTES_MAX ((size_t)1 << 20)
#define CONTENTS_BYTES_MAX ((size_t)8 << 20) /* more is cut off: the rest is not looked at */

struct inflated {
    uint8_t *bytes;
    size_t len_bytes;
    size_t room_bytes;
    enum fmt_inflate_rc rc;
    struct fmt_error error;
    bool cut_off;
    bool bad_codes; /* zlib refuses a table of codes, which ISA-L may take if nothing bad is used */
};

/* How large the next piece of input, or of room for output, is: 1 .. PIECE_BYTES_MAX. */
typedef size_t (*piece_fn)(uint32_t *seed);

static inline size_t piece_all(uint32_t *seed)
{
    (void)seed;
    return PIECE_BYTES_MAX;
}

static inline size_t piece_one(uint32_t *seed)
{
    (void)seed;
    return 1;
}

static inline uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Mostly small ones, now and then long ones. */
static inline size_t piece_random(uint32_t *seed)
{
    uint32_t draw = next_random(seed);

    return draw % 8 == 0 ? 1 + draw % 100000 : 1 + draw % 40;
}

/* PIECE_BYTES_MAX bytes; the page behind them must not be touched. */
static inline uint8_t *make_guarded(void)
{
    uint8_t *base = mmap(NULL, PIECE_BYTES_MAX + 65536, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED || mprotect(base, PIECE_BYTES_MAX, PROT_READ | PROT_WRITE) != 0)
        abort();
    return base;
}

static inline size_t least_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline void keep_produced(struct inflated *got, const uint8_t *out, size_t len_bytes)
{
    if (got->len_bytes + len_bytes > CONTENTS_BYTES_MAX) {
        got->cut_off = true;
        return;
    }
    if (got->len_bytes + len_bytes > got->room_bytes) {
        got->room_bytes = 2 * (got->len_bytes + len_bytes);
        got->bytes = realloc(got->bytes, got->room_bytes);
        if (!got->bytes)
            abort();
    }
    if (len_bytes > 0)
        memcpy(got->bytes + got->len_bytes, out, len_bytes);
    got->len_bytes += len_bytes;
}

/* Inflates in[0 .. len) by pieces; got->bytes is to be freed. */
static inline void drive_inflate(struct fmt_inflate *inflate, enum fmt_codec codec,
                                 const uint8_t *in, size_t len, piece_fn in_piece,
                                 piece_fn out_piece, uint32_t seed, struct inflated *got)
{
    static uint8_t *in_guarded, *out_guarded;
    size_t at = 0;
    size_t shown = 0; /* bytes handed over, consumed or not */

    if (!in_guarded) {
        in_guarded = make_guarded();
        out_guarded = make_guarded();
    }
    *got = (struct inflated){.bytes = malloc(1), .rc = FMT_INFLATE_IN};
    fmt_inflate_start(inflate, codec);
    while ((got->rc == FMT_INFLATE_IN || got->rc == FMT_INFLATE_OUT) && !got->cut_off) {
        if (got->rc == FMT_INFLATE_IN)
            shown = least_size(len, least_size(at + in_piece(&seed), at + PIECE_BYTES_MAX));
        size_t out_bytes = least_size(out_piece(&seed), PIECE_BYTES_MAX);
        struct fmt_inflate_step step = {.in = in_guarded + PIECE_BYTES_MAX - (shown - at),
                                        .in_bytes = shown - at,
                                        .at_end = shown == len,
                                        .out = out_guarded + PIECE_BYTES_MAX - out_bytes,
                                        .out_bytes = out_bytes};

        memcpy(in_guarded + PIECE_BYTES_MAX - (shown - at), in + at, shown - at);
        got->rc = fmt_inflate_run(inflate, &step, &got->error);
        if (step.consumed_bytes > step.in_bytes || step.produced_bytes > step.out_bytes ||
            (got->rc == FMT_INFLATE_IN && (step.consumed_bytes < step.in_bytes || step.at_end)) ||
            (got->rc == FMT_INFLATE_OUT && step.produced_bytes == 0) ||
            (got->rc == FMT_INFLATE_END && (step.consumed_bytes < step.in_bytes || !step.at_end)))
            abort();
        at += step.consumed_bytes;
        keep_produced(got, step.out, step.produced_bytes);
    }
}

/* Room for what is to be compared with; kept, as sanitizers take long to allocate so much. */
static inline uint8_t *contents_room(void)
{
    static uint8_t *room;

    if (!room && !(room = malloc(CONTENTS_BYTES_MAX)))
        abort();
    return room;
}

static inline void keep_contents(struct inflated *got, size_t len_bytes)
{
    got->len_bytes = len_bytes;
    got->bytes = malloc(len_bytes + 1);
    if (!got->bytes)
        abort();
    memcpy(got->bytes, contents_room(), len_bytes);
}

/* The same by liblz4: frames back to back. */
static inline void lz4_inflate(const uint8_t *in, size_t len, struct inflated *got)
{
    static LZ4F_dctx *context;
    size_t at = 0, left = 0, len_bytes = 0;

    *got = (struct inflated){.rc = FMT_INFLATE_E_FORMAT};
    if (!context && LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        abort();
    LZ4F_resetDecompressionContext(context);
    while (at < len && !LZ4F_isError(left) && !got->cut_off) {
        size_t taken = len - at, made = CONTENTS_BYTES_MAX - len_bytes;

        left = LZ4F_decompress(context, contents_room() + len_bytes, &made, in + at, &taken, NULL);
        got->cut_off = made == CONTENTS_BYTES_MAX - len_bytes;
        at += taken;
        len_bytes += made;
    }
    if (left == 0)
        got->rc = FMT_INFLATE_END;
    keep_contents(got, len_bytes);
}

/* A team of one, which does jobs last first. */
static inline void run_backwards(void *cookie, unsigned count, void (*job)(void *, unsigned),
                                 void *arg)
{
    (void)cookie;
    while (count-- > 0)
        job(arg, count);
}

static const struct fmt_team backward_team = {.size = 4, .run = run_backwards};

/* The same by zlib: members back to back, zeros after the last. */
static inline void zlib_inflate(const uint8_t *in, size_t len, struct inflated *got)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len};
    int rc = Z_OK;

    *got = (struct inflated){.rc = FMT_INFLATE_E_FORMAT};
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        abort();
    z.next_out = contents_room();
    z.avail_out = (uInt)CONTENTS_BYTES_MAX;
    while (rc == Z_OK) {
        rc = inflate(&z, Z_NO_FLUSH);
        if (rc == Z_OK && z.avail_out == 0)
            got->cut_off = true;
        if (rc == Z_OK && (z.avail_in == 0 || z.avail_out == 0))
            rc = Z_BUF_ERROR;
        if (rc != Z_STREAM_END)
            continue;
        while (z.avail_in > 0 && *z.next_in == 0) {
            z.next_in++;
            z.avail_in--;
        }
        if (z.avail_in == 0)
            got->rc = FMT_INFLATE_END;
        else
            rc = inflateReset(&z);
    }
    keep_contents(got, CONTENTS_BYTES_MAX - z.avail_out);
    got->bad_codes = rc == Z_DATA_ERROR && z.msg && strstr(z.msg, " set");
    inflateEnd(&z);
}

#endif
