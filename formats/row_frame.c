/* SPDX-License-Identifier: Apache-2.0 */
/* formats/row_frame.c - see row_frame.h. */
#include "formats/row_frame.h"

#include "formats/bytes.h"
#include "formats/convert.h"

#include <inttypes.h>
#include <stdlib.h>

struct fmt_decoder {
    struct fmt_shape shape;
    uint8_t head[FMT_ROW_HEAD_BYTES]; /* of every frame but for its length */
};

static void put_le32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

void fmt_row_put_head(const struct fmt_shape *shape, uint32_t len_bytes, uint8_t *out)
{
    put_le32(out, len_bytes);
    put_le32(out + 4, shape->feature_dim);
    put_le32(out + 8, shape->label_dim | (shape->weighted ? FMT_ROW_WEIGHTED : 0));
    put_le32(out + 12, shape->text_dim);
}

/* Length of the frame at `in`, of which `len` bytes are there; 0: it is none. */
static size_t frame_bytes(const uint8_t *in, size_t len)
{
    uint32_t frame = len >= FMT_ROW_HEAD_BYTES ? fmt_load_le32(in) : 0;

    return frame >= FMT_ROW_HEAD_BYTES && frame % 4 == 0 ? frame : 0;
}

enum fmt_rc fmt_row_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                        bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                        struct fmt_error *error)
{
    size_t at = 0;
    uint32_t rows = 0;

    (void)options, (void)at_start;
    cut->lead_bytes = 0;
    while (rows < rows_max && len - at >= FMT_ROW_HEAD_BYTES) {
        size_t frame = frame_bytes(in + at, len - at);

        if (frame == 0 && rows == 0)
            return fmt_fail(error, 0, 0, "not a frame of a row");
        if (frame == 0 || frame > len - at)
            break;
        at += frame;
        rows++;
    }
    if (rows == 0)
        return at_end ? fmt_fail(error, 0, 0, "truncated: a row's frame goes on") : FMT_MORE;
    cut->len_bytes = at;
    cut->rows = rows;
    return FMT_OK;
}

enum fmt_rc fmt_row_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                          struct fmt_shape *shape, struct fmt_error *error)
{
    size_t frame = frame_bytes(in, len);

    (void)options;
    if (frame == 0 || frame > len)
        return fmt_fail(error, 0, 0, "not a frame of a row");
    uint32_t labels = fmt_load_le32(in + 8);

    *shape = (struct fmt_shape){.feature_dim = fmt_load_le32(in + 4),
                                .label_dim = labels & ~FMT_ROW_WEIGHTED,
                                .weighted = (labels & FMT_ROW_WEIGHTED) != 0,
                                .text_dim = fmt_load_le32(in + 12),
                                .type = FMT_F32};
    if (fmt_row_fixed_bytes(shape) > frame)
        return fmt_fail(error, 0, 0, "a row's frame is shorter than its numbers");
    return FMT_OK;
}

struct fmt_decoder *fmt_row_decoder_new(const struct fmt_options *options,
                                        const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = calloc(1, sizeof *decoder);

    (void)options;
    if (!decoder)
        return NULL;
    decoder->shape = *shape;
    fmt_row_put_head(shape, 0, decoder->head);
    return decoder;
}

void fmt_row_decoder_free(struct fmt_decoder *decoder)
{
    free(decoder);
}

/* Where a row's texts end, from where they begin, appended behind those there are. */
static enum fmt_rc decode_texts(const struct fmt_shape *shape, const uint8_t *ends,
                                size_t room_bytes, uint32_t row, struct fmt_rows *rows)
{
    const uint8_t *texts = ends + (size_t)shape->text_dim * 4;
    uint32_t *out = rows->text_ends + (size_t)row * shape->text_dim;
    size_t base = rows->texts.count;
    uint32_t last = 0;

    for (uint32_t i = 0; i < shape->text_dim; i++) {
        uint32_t end = fmt_load_le32(ends + (size_t)i * 4);

        if (end < last || end > room_bytes)
            return FMT_E_FORMAT;
        out[i] = (uint32_t)(base + end);
        last = end;
    }
    if (!fmt_texts_reserve(&rows->texts, last))
        return FMT_E_MEMORY;
    if (last > 0)
        memcpy(rows->texts.bytes + base, texts, last);
    rows->texts.count = base + last;
    return FMT_OK;
}

static enum fmt_rc decode_frame(const struct fmt_shape *shape, const uint8_t *in, size_t frame,
                                uint32_t row, struct fmt_rows *rows)
{
    size_t features = shape->feature_dim;
    size_t labels = shape->label_dim;

    in += FMT_ROW_HEAD_BYTES;
    fmt_convert_f32(in, features, (float *)rows->features + row * features);
    in += features * 4;
    if (labels > 0)
        fmt_convert_f32(in, labels, rows->labels + row * labels);
    in += labels * 4;
    if (shape->weighted) {
        fmt_convert_f32(in, 1, rows->weights + row);
        in += 4;
    }
    if (shape->text_dim == 0)
        return FMT_OK;
    return decode_texts(shape, in, frame - fmt_row_fixed_bytes(shape), row, rows);
}

enum fmt_rc fmt_row_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                           struct fmt_rows *rows, struct fmt_error *error)
{
    const struct fmt_shape *shape = &decoder->shape;
    size_t at = 0;

    for (uint32_t row = 0; row < span->rows; row++) {
        const uint8_t *in = span->in + at;
        size_t frame = frame_bytes(in, span->len - at);

        if (frame == 0 || frame > span->len - at || frame < fmt_row_fixed_bytes(shape))
            return fmt_fail(error, at, row, "not a frame of a row");
        if (memcmp(in + 4, decoder->head + 4, FMT_ROW_HEAD_BYTES - 4) != 0)
            return fmt_fail(error, at, row,
                            "it has %" PRIu32 " features, %" PRIu32 " labels and %" PRIu32
                            " texts, rows before it had others",
                            fmt_load_le32(in + 4), fmt_load_le32(in + 8) & ~FMT_ROW_WEIGHTED,
                            fmt_load_le32(in + 12));
        enum fmt_rc rc = decode_frame(shape, in, frame, row, rows);

        if (rc == FMT_E_FORMAT)
            return fmt_fail(error, at, row, "a row's frame is shorter than its texts");
        if (rc != FMT_OK)
            return rc;
        at += frame;
    }
    return FMT_OK;
}
