/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate_gzip.c - gzip (RFC 1952) by ISA-L, whose inflate is two to three times zlib's.
 *
 * ISA-L does the deflate data and their CRC-32. Heads and trailers are read here, byte by byte:
 * what comes between members, and what is wrong, is then exactly known.
 *
 * ISA-L takes a few tables of codes that zlib refuses, incomplete ones of which nothing missing is
 * used; the CRC-32 then has the last word.
 *
 * Each call of isal_inflate goes through a buffer of its own for 32 to 64 KiB, and keeps 32 KiB of
 * history at its end: callers give it room for several times that.
 */
#include "formats/bytes.h"
#include "formats/crc.h"
#include "formats/inflate_codecs.h"

#include <stdlib.h>
#include <string.h>

#include <isa-l/igzip_lib.h>

enum { HEAD_BYTES = 10, TRAILER_BYTES = 8 };
enum { FLAG_HEAD_CRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_RESERVED = 0xe0 };

/* A member's fields in the order they come; PADDING is after its last. */
enum phase { HEAD, EXTRA_LEN, EXTRA, NAME, COMMENT, HEAD_CRC, DATA, TRAILER, PADDING };

struct gzip {
    enum phase phase;
    uint64_t member_no;     /* from 1 */
    uint64_t member_offset; /* of its first byte in the object */
    uint8_t flags;
    uint8_t field[HEAD_BYTES]; /* bytes of the fixed field under way */
    size_t field_bytes;
    size_t extra_bytes;
    uint32_t head_crc;
    uint32_t size_bytes; /* of the member's contents, modulo 2^32 */
    struct inflate_state state;
};

static void *gzip_open(const struct fmt_options *options, size_t memory_bytes)
{
    (void)options, (void)memory_bytes;
    return calloc(1, sizeof(struct gzip));
}

static void gzip_start(void *codec)
{
    struct gzip *g = codec;

    g->phase = HEAD;
    g->field_bytes = 0;
    g->head_crc = 0;
    g->member_no = 1;
    g->member_offset = 0;
}

static enum fmt_inflate_rc fail(const struct gzip *g, const char *cause, struct fmt_error *error)
{
    fmt_fail(error, g->member_offset, 0, "gzip member %llu: %s", (unsigned long long)g->member_no,
             cause);
    return FMT_INFLATE_E_FORMAT;
}

/* ---- head ---- */

/* The next field that the member has, after `phase`. */
static enum phase next_field(const struct gzip *g, enum phase phase)
{
    static const uint8_t flag_of[] = {[EXTRA_LEN] = FLAG_EXTRA,
                                      [EXTRA] = FLAG_EXTRA,
                                      [NAME] = FLAG_NAME,
                                      [COMMENT] = FLAG_COMMENT,
                                      [HEAD_CRC] = FLAG_HEAD_CRC};

    do
        phase++;
    while (phase < DATA && !(g->flags & flag_of[phase]));
    return phase;
}

static void end_field(struct gzip *g)
{
    g->field_bytes = 0;
    g->phase = next_field(g, g->phase);
    if (g->phase == EXTRA && g->extra_bytes == 0)
        g->phase = next_field(g, EXTRA);
    if (g->phase != DATA)
        return;
    isal_inflate_init(&g->state);
    g->state.crc_flag = ISAL_GZIP_NO_HDR;
    g->size_bytes = 0;
}

/* Adds a byte to the field of `len_bytes`: whether it is complete now. */
static bool collect(struct gzip *g, uint8_t byte, size_t len_bytes)
{
    g->field[g->field_bytes++] = byte;
    return g->field_bytes == len_bytes;
}

/* What is wrong with the first bytes of a member, as soon as it can be known; NULL: nothing. */
static const char *check_head(const struct gzip *g)
{
    static const uint8_t magic[] = {0x1f, 0x8b, 8};
    size_t at = g->field_bytes - 1;

    if (at < sizeof magic && g->field[at] != magic[at])
        return at == 2            ? "its method is not deflate"
               : g->member_no > 1 ? "what follows the member before it is neither another one nor "
                                    "zero padding"
                                  : "not gzip: the object does not begin with 1f 8b";
    if (at == 3 && (g->field[3] & FLAGS_RESERVED))
        return "its head has flags that are not defined";
    return NULL;
}

/* Takes one byte of a member's head. Returns the cause of an error, or NULL. */
static const char *read_head(struct gzip *g, uint8_t byte)
{
    const char *cause = NULL;

    if (g->phase != HEAD_CRC)
        g->head_crc = (uint32_t)fmt_crc_plainly(FMT_CRC32, g->head_crc, &byte, 1);
    switch (g->phase) {
    case HEAD:
        if (collect(g, byte, HEAD_BYTES)) {
            g->flags = g->field[3];
            end_field(g);
            return NULL;
        }
        return check_head(g);
    case EXTRA_LEN:
        if (collect(g, byte, 2)) {
            g->extra_bytes = g->field[0] | (size_t)g->field[1] << 8;
            end_field(g);
        }
        return NULL;
    case EXTRA:
        if (--g->extra_bytes == 0)
            end_field(g);
        return NULL;
    case NAME:
    case COMMENT:
        if (byte == 0)
            end_field(g);
        return NULL;
    case HEAD_CRC:
        if (!collect(g, byte, 2))
            return NULL;
        if ((g->field[0] | g->field[1] << 8) != (int)(g->head_crc & 0xffff))
            cause = "its head's CRC-16 differs";
        end_field(g);
        return cause;
    case DATA:
    case TRAILER:
    case PADDING:
        break;
    }
    return NULL;
}

/* ---- trailer and padding ---- */

static const char *check_trailer(const struct gzip *g)
{
    if (fmt_load_le32(g->field) != g->state.crc)
        return "CRC-32 differs: its contents are corrupt";
    if (fmt_load_le32(g->field + 4) != g->size_bytes)
        return "its contents are not as long as its trailer says";
    return NULL;
}

static const char *read_trailer(struct gzip *g, uint8_t byte)
{
    if (!collect(g, byte, TRAILER_BYTES))
        return NULL;
    const char *cause = check_trailer(g);

    g->field_bytes = 0;
    g->phase = PADDING;
    return cause;
}

/* Begins the next member at a byte that is not padding. */
static const char *read_padding(struct gzip *g, uint8_t byte, uint64_t offset)
{
    if (byte == 0)
        return NULL;
    g->phase = HEAD;
    g->head_crc = 0;
    g->member_no++;
    g->member_offset = offset;
    return read_head(g, byte);
}

/* ---- data ---- */

static const char *explain(int isal_rc)
{
    switch (isal_rc) {
    case ISAL_INVALID_BLOCK:
        return "corrupt: an invalid deflate block";
    case ISAL_INVALID_SYMBOL:
        return "corrupt: an invalid deflate symbol";
    case ISAL_INVALID_LOOKBACK:
        return "corrupt: a deflate distance reaches before the contents' start";
    default:
        return "corrupt: deflate data that cannot be decoded";
    }
}

/* ISA-L reads whole words: what it took after the last block is the trailer's beginning. */
static void end_data(struct gzip *g)
{
    int unused_bits = g->state.read_in_length;
    uint64_t word = g->state.read_in >> (unused_bits % 8);

    g->phase = TRAILER;
    for (; unused_bits >= 8; unused_bits -= 8, word >>= 8)
        g->field[g->field_bytes++] = (uint8_t)word;
}

static int read_data(struct gzip *g, struct fmt_inflate_step *step)
{
    struct inflate_state *state = &g->state;
    size_t in_bytes = step->in_bytes - step->consumed_bytes;
    size_t out_bytes = step->out_bytes - step->produced_bytes;
    uint32_t in_most = in_bytes < INT32_MAX ? (uint32_t)in_bytes : INT32_MAX;
    uint32_t out_most = out_bytes < INT32_MAX ? (uint32_t)out_bytes : INT32_MAX;

    state->next_in = (uint8_t *)(uintptr_t)(step->in + step->consumed_bytes);
    state->avail_in = in_most;
    state->next_out = step->out + step->produced_bytes;
    state->avail_out = out_most;
    int rc = isal_inflate(state);

    if (rc < 0) /* its counts mean nothing then, nor does what it wrote last */
        return rc;
    step->consumed_bytes += in_most - state->avail_in;
    step->produced_bytes += out_most - state->avail_out;
    g->size_bytes += out_most - state->avail_out;
    return rc;
}

/* ---- all together ---- */

static const char *read_byte(struct gzip *g, uint8_t byte, uint64_t offset)
{
    if (g->phase < DATA)
        return read_head(g, byte);
    return g->phase == TRAILER ? read_trailer(g, byte) : read_padding(g, byte, offset);
}

/* Every byte there is has been consumed, and there is room left. */
static enum fmt_inflate_rc want_more(const struct gzip *g, const struct fmt_inflate_step *step,
                                     struct fmt_error *error)
{
    if (!step->at_end)
        return FMT_INFLATE_IN;
    if (g->phase == PADDING)
        return FMT_INFLATE_END;
    if (g->phase == TRAILER)
        return fail(g, "truncated: the object ends inside its trailer", error);
    return fail(g,
                g->phase == DATA ? "truncated: the object ends inside its data"
                                 : "truncated: the object ends inside its head",
                error);
}

static enum fmt_inflate_rc gzip_run(void *codec, struct fmt_inflate_step *step, uint64_t in_offset,
                                    struct fmt_error *error)
{
    struct gzip *g = codec;

    for (;;) {
        if (g->phase == DATA) {
            int rc = read_data(g, step);

            if (rc < 0)
                return fail(g, explain(rc), error);
            if (g->state.block_state == ISAL_BLOCK_FINISH)
                end_data(g);
            else if (step->produced_bytes == step->out_bytes)
                return FMT_INFLATE_OUT;
            else if (step->consumed_bytes == step->in_bytes)
                return want_more(g, step, error);
        } else if (step->consumed_bytes == step->in_bytes) {
            return want_more(g, step, error);
        } else {
            size_t at = step->consumed_bytes++;
            const char *cause = read_byte(g, step->in[at], in_offset + at);

            if (cause)
                return fail(g, cause, error);
        }
    }
}

const struct fmt_codec_ops fmt_codec_gzip = {
    .open = gzip_open, .close = free, .start = gzip_start, .run = gzip_run};
