/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_record.c - application/x-recordio: RecordIO whose records are pictures with labels,
 * as mxnet's im2rec writes them (mxnet, src/io/image_recordio.h).
 *
 * A record is: flag (u32), label (float32), two ids (u64 each), then `flag` labels (float32) if
 * flag is not 0 (the one before does not count then), then the picture's file. Writers cut records
 * where their payload holds RecordIO's magic number, and leave that out.
 */
#include "formats/image_decoder.h"

#include <strings.h>

#include "formats/bytes.h"
#include "formats/image_label.h"
#include "formats/recordio.h"
#include "formats/recordio_find.h"

enum { HEAD_BYTES = 24, LABEL_AT = 4 };

static enum fmt_rc record_set_option(void *own, const char *name, const char *value,
                                     struct fmt_error *error)
{
    struct fmt_image_options *image = own;
    if (strcasecmp(name, "lst") == 0)
        return FMT_E_ARGUMENT; /* the records have their labels */
    if (strcasecmp(name, "multipart") == 0)
        return fmt_option_word(name, value, fmt_multipart_words, &image->multipart, error);
    return fmt_image_set_option(own, name, value, error);
}

static enum fmt_rc record_check_options(void *own, struct fmt_error *error)
{
    struct fmt_image_options *image = own;
    if (image->label_width == UINT32_MAX && image->label_pad_width == 0)
        image->label_width = 1;
    return fmt_image_check_options(own, error);
}

static enum fmt_rc decode_payload(const struct fmt_decoder *decoder, struct fmt_lot lot,
                                  uint8_t *features, float *labels, struct fmt_error *error)
{
    const uint8_t *in = decoder->joiner.body;
    size_t len = decoder->joiner.len_bytes;
    if (len < HEAD_BYTES)
        return fmt_fail(error, 0, 0, "the record has %zu bytes, a picture's head alone has %d", len,
                        HEAD_BYTES);
    uint32_t flag = fmt_load_le32(in);
    if (flag > (len - HEAD_BYTES) / 4)
        return fmt_fail(error, 0, 0, "the record is to have %u labels: it is too short for that",
                        flag);
    enum fmt_rc rc = fmt_image_put_labels(decoder->image, in + (flag > 0 ? HEAD_BYTES : LABEL_AT),
                                          flag > 0 ? flag : 1, labels, error);
    size_t head_bytes = HEAD_BYTES + (size_t)flag * 4;
    if (rc != FMT_OK)
        return rc;
    return fmt_image_read(decoder->reader, decoder->image, lot, in + head_bytes, len - head_bytes,
                          features, error);
}

/* The record at `in`. Where its frames leave open how it was cut, it was so that there is a
 * picture. */
static enum fmt_rc decode_record(struct fmt_decoder *decoder, struct fmt_lot lot, const uint8_t *in,
                                 const struct fmt_recordio_record *record, uint8_t *features,
                                 float *labels, struct fmt_error *error)
{
    enum fmt_rc rc = fmt_joiner_join(&decoder->joiner, in, record, error);
    if (rc != FMT_OK)
        return rc;
    rc = decode_payload(decoder, lot, features, labels, error);
    if (rc != FMT_E_FORMAT || !decoder->joiner.is_guess)
        return rc;
    fmt_joiner_retry(&decoder->joiner, in, record);
    return decode_payload(decoder, lot, features, labels, error);
}

static enum fmt_rc record_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                                 struct fmt_rows *rows, struct fmt_error *error)
{
    size_t at = 0;
    for (uint32_t i = 0; i < span->rows; i++) {
        struct fmt_recordio_record record;
        struct fmt_lot lot = {decoder->seed, span->position + i, span->epoch};
        float *labels =
            decoder->label_dim > 0 ? rows->labels + (size_t)i * decoder->label_dim : NULL;
        enum fmt_rc rc = fmt_recordio_read(span->in + at, span->len - at, &record, error);
        if (rc == FMT_OK)
            rc = decode_record(decoder, lot, span->in + at, &record,
                               (uint8_t *)rows->features + i * decoder->row_bytes, labels, error);
        if (rc != FMT_OK) {
            if (error != NULL) {
                error->row = i;
                error->offset_bytes = at;
            }
            return rc;
        }
        at += record.len_bytes;
    }
    return FMT_OK;
}

const struct fmt_ops fmt_image_record = {
    .content_type = "application/x-recordio",
    .parameters = FMT_IMAGE_PARAMETERS ", multipart",
    .options_bytes = sizeof(struct fmt_image_options),
    .options_init = fmt_image_options_init,
    .set_option = record_set_option,
    .check_options = record_check_options,
    .options_clear = fmt_image_options_clear,
    .cut = fmt_recordio_cut,
    .resync = fmt_recordio_resync,
    .learn = fmt_image_learn,
    .decoder_new = fmt_image_decoder_new,
    .decoder_free = fmt_image_decoder_free,
    .decode = record_decode,
};
