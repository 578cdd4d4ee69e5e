/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record.c - application/x-recordio-protobuf: tensors in RecordIO frames to rows.
 *
 * Owner: a decoder owns its scratch memory, which grows to the largest record of several parts and
 * the longest tensor that changes its layout, and is not used for others.
 */
#include "formats/record.h"

#include <stdlib.h>
#include <string.h>

#include "formats/fmt.h"
#include "formats/record_framed.h"
#include "formats/record_options.h"
#include "formats/record_row.h"
#include "formats/record_template.h"
#include "formats/recordio.h"
#include "formats/recordio_find.h"
#include "formats/recordio_join.h"

/* Records in a row that do not match the template before another one is learnt; and how many times
 * longer that may become while none is found. */
enum { MISSES_MAX = 4, PATIENCE_MAX = 64 };

struct fmt_decoder {
    const struct fmt_record_options *options;
    struct fmt_shape shape;
    struct fmt_joiner joiner;
    struct fmt_record_scratch scratch;
    struct fmt_template template;
    uint32_t misses;
    uint32_t patience; /* misses before the next try */
};

/* What was found in one record, and the message it is in if that is not the record itself. */
struct parsed {
    struct fmt_record_value values[FMT_RECORD_WANTED_MAX];
    void *message;
};

static enum fmt_rc fail_memory(struct fmt_error *error)
{
    (void)fmt_fail(error, 0, 0, "out of memory");
    return FMT_E_MEMORY;
}

/* Finds what is wanted in a payload. parsed->message is the caller's to free. */
static enum fmt_record_verdict parse_body(const struct fmt_joiner *joiner,
                                          const struct fmt_record_query *query,
                                          struct parsed *parsed)
{
    enum fmt_record_verdict verdict =
        fmt_record_walk(joiner->body, joiner->len_bytes, query, parsed->values);
    parsed->message = NULL;
    if (verdict == FMT_RECORD_REFUSED)
        verdict = fmt_record_unpack(joiner->body, joiner->len_bytes, query, parsed->values,
                                    &parsed->message);
    return verdict;
}

/* The same in the record at `in`. */
static enum fmt_rc parse(const uint8_t *in, const struct fmt_recordio_record *place,
                         const struct fmt_record_query *query, struct fmt_joiner *joiner,
                         struct parsed *parsed, struct fmt_error *error)
{
    parsed->message = NULL;
    enum fmt_rc rc = fmt_joiner_join(joiner, in, place, error);
    if (rc != FMT_OK)
        return rc;
    enum fmt_record_verdict verdict = parse_body(joiner, query, parsed);
    if (joiner->is_guess && verdict == FMT_RECORD_MALFORMED) {
        fmt_joiner_retry(joiner, in, place);
        verdict = parse_body(joiner, query, parsed);
    }
    switch (verdict) {
    case FMT_RECORD_PARSED:
        return FMT_OK;
    case FMT_RECORD_NO_MEMORY:
        return fail_memory(error);
    case FMT_RECORD_REFUSED:
    case FMT_RECORD_MALFORMED:
        break;
    }
    return fmt_fail(error, 0, 0,
                    "the record's %zu bytes are not a protobuf message aialgs.data.Record",
                    joiner->len_bytes);
}

/* Where values lie in all records, or in those that are like the first. */
static enum fmt_rc learn_framing(const struct fmt_options *options,
                                 const struct fmt_record_value *values, const uint8_t *in,
                                 const struct fmt_recordio_record *place, struct fmt_shape *shape,
                                 struct fmt_error *error)
{
    const struct fmt_record_options *wanted = fmt_record_options(options);
    if (wanted->framed) {
        enum fmt_rc rc = fmt_record_learn_framing(wanted, values, in, place, shape, error);
        shape->type = shape->framing.feature_type;
        return rc;
    }
    if (options == NULL || !options->leave_records || !fmt_record_may_stay(wanted, shape))
        return FMT_OK;
    if (fmt_record_learn_framing(wanted, values, in, place, shape, NULL) == FMT_OK)
        shape->framing.lenient = true;
    else
        shape->framing = (struct fmt_framing){.stride_bytes = 0};
    return FMT_OK;
}

static enum fmt_rc learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                         struct fmt_shape *shape, struct fmt_error *error)
{
    const struct fmt_record_options *wanted = fmt_record_options(options);
    struct fmt_recordio_record place;
    enum fmt_rc rc = fmt_recordio_read(in, len, &place, error);
    if (rc != FMT_OK)
        return rc;
    struct fmt_joiner joiner = {.multipart = wanted->multipart};
    struct parsed parsed;
    uint32_t dims[FMT_RECORD_FEATURES_MAX];
    rc = parse(in, &place, &wanted->query, &joiner, &parsed, error);
    if (rc == FMT_OK)
        rc = fmt_record_learn(wanted, parsed.values, shape, dims, error);
    if (rc == FMT_OK)
        rc = learn_framing(options, parsed.values, in, &place, shape, error);
    if (rc == FMT_OK && options != NULL && options->own != NULL)
        memcpy(((struct fmt_record_options *)options->own)->dims, dims,
               wanted->feature_count * sizeof(dims[0]));
    fmt_record_free(parsed.message);
    fmt_joiner_clear(&joiner);
    return rc;
}

/* Records that are not decoded are all like the first one. */
static size_t learnt(const struct fmt_options *options, const struct fmt_shape *shape,
                     uint32_t *words)
{
    const struct fmt_record_options *wanted = fmt_record_options(options);
    if (wanted->framed)
        return 0;
    words[0] = shape->sparse;
    words[1] = shape->label_dim;
    memcpy(words + 2, wanted->dims, wanted->feature_count * sizeof(words[0]));
    return 2 + (size_t)wanted->feature_count;
}

static enum fmt_rc learn_again(const struct fmt_options *options, const uint32_t *words,
                               size_t count, struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_record_options *wanted = options->own;
    return fmt_record_learn_again(wanted, words, count, shape, wanted->dims, error);
}

static struct fmt_decoder *decoder_new(const struct fmt_options *options,
                                       const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = calloc(1, sizeof(*decoder));
    if (decoder == NULL)
        return NULL;
    decoder->options = fmt_record_options(options);
    decoder->shape = *shape;
    decoder->joiner.multipart = decoder->options->multipart;
    decoder->patience = 1;
    return decoder;
}

static bool is_framed(const struct fmt_decoder *decoder)
{
    return decoder->shape.framing.stride_bytes > 0;
}

static void decoder_free(struct fmt_decoder *decoder)
{
    if (decoder == NULL)
        return;
    fmt_record_scratch_free(&decoder->scratch);
    fmt_joiner_clear(&decoder->joiner);
    free(decoder);
}

/* A record that does not match the template: of another channel's shape by chance, or by rule when
 * labels are varints of several lengths. */
static void note_miss(struct fmt_decoder *decoder, const uint8_t *in,
                      const struct fmt_recordio_record *place, const struct parsed *parsed)
{
    if (place->part_count != 1 || ++decoder->misses < decoder->patience)
        return;
    decoder->misses = 0;
    if (fmt_template_learn(&decoder->template, decoder->options, &decoder->shape, parsed->values,
                           in, place->body_bytes))
        decoder->patience = MISSES_MAX;
    else if (decoder->patience < PATIENCE_MAX)
        decoder->patience *= 2;
}

/* Decodes the record at `in` to row `row` and says how long it is. */
static enum fmt_rc decode_row(struct fmt_decoder *decoder, const uint8_t *in, size_t len,
                              struct fmt_rows *rows, uint32_t row, size_t *len_bytes,
                              struct fmt_error *error)
{
    const struct fmt_record_options *options = decoder->options;
    struct fmt_recordio_record place;
    struct parsed parsed; /* large: only what is used is written */
    enum fmt_rc rc = fmt_recordio_read(in, len, &place, error);
    if (rc != FMT_OK)
        return rc;
    *len_bytes = place.len_bytes;
    rc = parse(in, &place, &options->query, &decoder->joiner, &parsed, error);
    if (rc == FMT_OK && is_framed(decoder))
        rc = fmt_record_check_framing(options, parsed.values, in, &place, &decoder->shape, error);
    else if (rc == FMT_OK)
        rc = fmt_record_put_row(options, &decoder->shape, options->dims, parsed.values, rows, row,
                                &decoder->scratch, error);
    if (rc == FMT_OK)
        note_miss(decoder, in, &place, &parsed);
    fmt_record_free(parsed.message);
    return rc;
}

static enum fmt_rc decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                          struct fmt_rows *rows, struct fmt_error *error)
{
    size_t at = 0;
    uint32_t row = 0;
    for (;;) {
        const uint8_t *in = span->in + at;
        uint32_t matched =
            is_framed(decoder)
                ? fmt_template_match(&decoder->template, in, span->len - at, span->rows - row)
                : fmt_template_decode(&decoder->template, in, span->len - at, span->rows - row,
                                      rows, row);
        if (matched > 0) {
            decoder->misses = 0;
            at += matched * decoder->template.len_bytes;
            row += matched;
        }
        if (row == span->rows)
            return FMT_OK;
        size_t len_bytes = 0;
        enum fmt_rc rc =
            decode_row(decoder, span->in + at, span->len - at, rows, row, &len_bytes, error);
        if (rc != FMT_OK) {
            if (error != NULL) {
                error->offset_bytes = at;
                error->row = row;
            }
            return rc;
        }
        at += len_bytes;
        row++;
    }
}

const struct fmt_ops fmt_recordio_protobuf = {
    .content_type = "application/x-recordio-protobuf",
    .parameters = FMT_RECORD_PARAMETERS,
    .options_bytes = sizeof(struct fmt_record_options),
    .options_init = fmt_record_options_init,
    .set_option = fmt_record_set_option,
    .check_options = fmt_record_check_options,
    .options_clear = fmt_record_options_clear,
    .cut = fmt_recordio_cut,
    .resync = fmt_recordio_resync,
    .learn = learn,
    .learnt = learnt,
    .learn_again = learn_again,
    .decoder_new = decoder_new,
    .decoder_free = decoder_free,
    .decode = decode,
};
