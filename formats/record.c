/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record.c - application/x-recordio-protobuf: dense tensors in RecordIO frames to rows.
 *
 * Owner: a decoder owns its scratch memory, which grows to the largest record of several parts and
 * is not used for others.
 */
#include "formats/record.h"

#include <inttypes.h>
#include <stdlib.h>

#include "formats/fmt.h"
#include "formats/record_template.h"
#include "formats/recordio.h"
#include "formats/recordio_find.h"

/* Where the parts of a record are joined. */
struct scratch {
    uint8_t *memory;
    size_t size_bytes;
};

/* Records in a row that do not match the template before another one is learnt. */
#define MISSES_MAX 4u

struct fmt_decoder {
    struct fmt_shape shape;
    struct scratch scratch;
    struct fmt_template template;
    uint32_t misses;
};

/* The record's payload: in place, or joined in *scratch. NULL when memory is out. */
static const uint8_t *get_body(const uint8_t *in, const struct fmt_recordio_record *record,
                               struct scratch *scratch)
{
    if (record->part_count == 1)
        return in + FMT_RECORDIO_HEAD_BYTES;
    if (scratch->size_bytes < record->body_bytes) {
        uint8_t *memory = realloc(scratch->memory, record->body_bytes);
        if (memory == NULL)
            return NULL;
        *scratch = (struct scratch){memory, record->body_bytes};
    }
    if (scratch->memory == NULL)
        return in; /* all parts are empty: any address will do */
    fmt_recordio_join(in, record, false, scratch->memory);
    return scratch->memory;
}

static enum fmt_rc fail_memory(struct fmt_error *error)
{
    (void)fmt_fail(error, 0, 0, "out of memory");
    return FMT_E_MEMORY;
}

static enum fmt_rc parse(const uint8_t *body, size_t len, struct fmt_record *record,
                         struct fmt_error *error)
{
    enum fmt_record_verdict verdict = fmt_record_walk(body, len, record);
    if (verdict == FMT_RECORD_REFUSED)
        verdict = fmt_record_unpack(body, len, record);
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
                    "the record's %zu bytes are not a protobuf message aialgs.data.Record", len);
}

static enum fmt_rc check_map(const struct fmt_record_map *map, const char *what,
                             struct fmt_error *error)
{
    switch (map->problem) {
    case FMT_RECORD_GOOD:
        return FMT_OK;
    case FMT_RECORD_ABSENT:
        return fmt_fail(error, 0, 0, "record has no %s", what);
    case FMT_RECORD_AMBIGUOUS:
        return fmt_fail(error, 0, 0,
                        "record has several %ss, none of them named \"values\": name the one to "
                        "use \"values\"",
                        what);
    case FMT_RECORD_NO_TENSOR:
        return fmt_fail(error, 0, 0, "record has a %s without a tensor", what);
    case FMT_RECORD_BYTES:
        return fmt_fail(error, 0, 0,
                        "%ss of type bytes are not supported: write a float32, float64 or int32 "
                        "tensor",
                        what);
    case FMT_RECORD_SPARSE:
        return fmt_fail(error, 0, 0,
                        "sparse records are not supported yet (%s with keys or without values): "
                        "write dense tensors",
                        what);
    case FMT_RECORD_SHAPE:
        return fmt_fail(error, 0, 0, "record has %" PRIu64 " %ss, its shape says otherwise",
                        map->count, what);
    }
    return FMT_OK;
}

static enum fmt_rc check_count(uint64_t count, uint32_t dim, const char *what,
                               struct fmt_error *error)
{
    if (count == dim)
        return FMT_OK;
    return fmt_fail(error, 0, 0, "record has %" PRIu64 " %s%s, the channel has %" PRIu32, count,
                    what, count == 1 ? "" : "s", dim);
}

/* Parses one record and checks all but the counts. Missing labels are 0 labels. */
static enum fmt_rc read_record(const uint8_t *in, const struct fmt_recordio_record *place,
                               struct scratch *scratch, struct fmt_record *record,
                               struct fmt_error *error)
{
    const uint8_t *body = get_body(in, place, scratch);
    if (body == NULL)
        return fail_memory(error);
    enum fmt_rc rc = parse(body, place->body_bytes, record, error);
    if (rc != FMT_OK)
        return rc;
    rc = check_map(&record->features, "feature", error);
    if (rc != FMT_OK || record->labels.problem == FMT_RECORD_ABSENT)
        return rc;
    return check_map(&record->labels, "label", error);
}

static enum fmt_rc learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                         struct fmt_shape *shape, struct fmt_error *error)
{
    (void)options;
    struct fmt_recordio_record place;
    enum fmt_rc rc = fmt_recordio_read(in, len, &place, error);
    if (rc != FMT_OK)
        return rc;
    struct scratch scratch = {0};
    struct fmt_record record = {0};
    rc = read_record(in, &place, &scratch, &record, error);
    free(scratch.memory);
    if (rc != FMT_OK)
        return rc;
    if (record.features.count == 0)
        return fmt_fail(error, 0, 0, "record has no feature values");
    if (record.features.count > UINT32_MAX || record.labels.count > UINT32_MAX)
        return fmt_fail(error, 0, 0, "record has more than %" PRIu32 " values", UINT32_MAX);
    *shape = (struct fmt_shape){.feature_dim = (uint32_t)record.features.count,
                                .label_dim = (uint32_t)record.labels.count};
    return FMT_OK;
}

static struct fmt_decoder *decoder_new(const struct fmt_options *options,
                                       const struct fmt_shape *shape)
{
    (void)options;
    struct fmt_decoder *decoder = calloc(1, sizeof(*decoder));
    if (decoder != NULL)
        decoder->shape = *shape;
    return decoder;
}

static void decoder_free(struct fmt_decoder *decoder)
{
    if (decoder == NULL)
        return;
    free(decoder->scratch.memory);
    free(decoder);
}

/* A record that does not match the template: of another channel's shape by chance, or by rule when
 * labels are varints of several lengths. */
static void note_miss(struct fmt_decoder *decoder, const uint8_t *in,
                      const struct fmt_recordio_record *place, const struct fmt_record *record)
{
    if (place->part_count != 1)
        return;
    if (decoder->template.len_bytes == 0 || ++decoder->misses >= MISSES_MAX) {
        decoder->misses = 0;
        (void)fmt_template_learn(&decoder->template, in, place->body_bytes, record);
    }
}

/* Decodes the record at `in` and says how long it is. */
static enum fmt_rc decode_row(struct fmt_decoder *decoder, const uint8_t *in, size_t len,
                              float *features, float *labels, size_t *len_bytes,
                              struct fmt_error *error)
{
    struct fmt_recordio_record place;
    enum fmt_rc rc = fmt_recordio_read(in, len, &place, error);
    if (rc != FMT_OK)
        return rc;
    *len_bytes = place.len_bytes;
    struct fmt_record record = {
        .features = {.out = features, .out_max = decoder->shape.feature_dim},
        .labels = {.out = labels, .out_max = decoder->shape.label_dim},
    };
    rc = read_record(in, &place, &decoder->scratch, &record, error);
    if (rc == FMT_OK)
        rc = check_count(record.features.count, decoder->shape.feature_dim, "feature", error);
    if (rc == FMT_OK)
        rc = check_count(record.labels.count, decoder->shape.label_dim, "label", error);
    if (rc == FMT_OK)
        note_miss(decoder, in, &place, &record);
    return rc;
}

static enum fmt_rc decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                          struct fmt_rows *out, struct fmt_error *error)
{
    const uint8_t *in = span->in;
    size_t len = span->len;
    uint32_t rows = span->rows;
    float *features = out->features;
    float *labels = out->labels;
    size_t feature_dim = decoder->shape.feature_dim;
    size_t label_dim = decoder->shape.label_dim;
    size_t at = 0;
    uint32_t row = 0;
    for (;;) {
        float *row_features = features + row * feature_dim;
        float *row_labels = label_dim > 0 ? labels + row * label_dim : NULL;
        uint32_t matched = fmt_template_decode(&decoder->template, in + at, len - at, rows - row,
                                               row_features, row_labels);
        if (matched > 0) {
            decoder->misses = 0;
            at += matched * decoder->template.len_bytes;
            row += matched;
            row_features += matched * feature_dim;
            row_labels = label_dim > 0 ? row_labels + matched * label_dim : NULL;
        }
        if (row == rows)
            return FMT_OK;
        size_t len_bytes = 0;
        enum fmt_rc rc =
            decode_row(decoder, in + at, len - at, row_features, row_labels, &len_bytes, error);
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
    .cut = fmt_recordio_cut,
    .resync = fmt_recordio_resync,
    .learn = learn,
    .decoder_new = decoder_new,
    .decoder_free = decoder_free,
    .decode = decode,
};
