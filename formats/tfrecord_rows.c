/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tfrecord_rows.c - application/x-tfrecord: records to rows. See tfrecord_rows.h. */
#include "formats/tfrecord_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/tfrecord.h"

struct fmt_decoder {
    const struct fmt_tfrecord_options *options;
    struct fmt_shape shape;
};

/* ---- options ---- */

static void options_clear(void *own)
{
    struct fmt_tfrecord_options *options = own;
    free(options->example);
    free(options->label);
    free(options->text);
}

static enum fmt_rc set_option(void *own, const char *name, const char *value,
                              struct fmt_error *error)
{
    struct fmt_tfrecord_options *options = own;
    char **to = strcasecmp(name, "example") == 0 ? &options->example
                : strcasecmp(name, "label") == 0 ? &options->label
                : strcasecmp(name, "text") == 0  ? &options->text
                                                 : NULL;
    if (to == NULL)
        return FMT_E_ARGUMENT;
    char *copy = strdup(value);
    if (copy == NULL) {
        (void)fmt_refuse(error, "out of memory");
        return FMT_E_MEMORY;
    }
    free(*to);
    *to = copy;
    return FMT_OK;
}

/* Adds the names that commas part, from names[*count] on. */
static enum fmt_rc add_names(struct fmt_tfrecord_options *options, const char *parameter,
                             const char *names, uint32_t *count, struct fmt_error *error)
{
    while (names != NULL) {
        const char *comma = strchr(names, ',');
        size_t len = comma != NULL ? (size_t)(comma - names) : strlen(names);
        if (len == 0)
            return fmt_refuse(error, "content type: %s has an empty name", parameter);
        if (*count == FMT_TFRECORD_NAMES_MAX)
            return fmt_refuse(error, "content type: more than %u names of features",
                              FMT_TFRECORD_NAMES_MAX);
        for (uint32_t i = 0; i < *count; i++)
            if (options->names[i].len_bytes == len &&
                memcmp(options->names[i].text, names, len) == 0)
                return fmt_refuse(error, "content type: feature %.*s is named twice",
                                  len < 80 ? (int)len : 80, names);
        options->names[(*count)++] = (struct fmt_example_name){names, len};
        names = comma != NULL ? comma + 1 : NULL;
    }
    return FMT_OK;
}

static enum fmt_rc check_options(void *own, struct fmt_error *error)
{
    struct fmt_tfrecord_options *options = own;
    uint32_t count = 0;
    enum fmt_rc rc = add_names(options, "example", options->example, &count, error);
    options->feature_count = count;
    if (rc == FMT_OK)
        rc = add_names(options, "label", options->label, &count, error);
    options->label_count = count - options->feature_count;
    if (rc == FMT_OK)
        rc = add_names(options, "text", options->text, &count, error);
    options->text_count = count - options->feature_count - options->label_count;
    if (rc == FMT_OK && options->label_count > 1)
        return fmt_refuse(error, "content type: label is one feature, not %u",
                          options->label_count);
    if (rc == FMT_OK && options->label_count == count && count > 0)
        return fmt_refuse(error, "content type: label needs example or text beside it");
    return rc;
}

static uint32_t name_count(const struct fmt_tfrecord_options *options)
{
    return options->feature_count + options->label_count + options->text_count;
}

/* ---- rows ---- */

/* fmt_fail about feature number i. */
static enum fmt_rc fail_feature(const struct fmt_tfrecord_options *options, uint32_t i,
                                const char *what, struct fmt_error *error)
{
    const struct fmt_example_name *name = &options->names[i];
    return fmt_fail(error, 0, 0, "the record's feature %.*s %s",
                    name->len_bytes < 80 ? (int)name->len_bytes : 80, name->text, what);
}

/* Finds all features wanted. */
static enum fmt_rc find(const struct fmt_tfrecord_options *options,
                        const struct fmt_tfrecord *record, struct fmt_wire *found,
                        struct fmt_error *error)
{
    uint32_t count = name_count(options);
    if (!fmt_example_find(record->data, record->data_bytes, options->names, count, found))
        return fmt_fail(error, 0, 0, "the record's %zu bytes are no tf.train.Example",
                        record->data_bytes);
    for (uint32_t i = 0; i < count; i++)
        if (found[i].at == NULL)
            return fail_feature(options, i, "is missing", error);
    return FMT_OK;
}

/* Feature number i as numbers; it has to have `dim` of them, unless that is 0. */
static enum fmt_rc read_numbers(const struct fmt_tfrecord_options *options, uint32_t i,
                                struct fmt_wire feature, float *out, uint64_t dim, uint64_t room,
                                uint64_t *count, struct fmt_error *error)
{
    struct fmt_example_values values;
    if (!fmt_example_read(feature, out, room, &values))
        return fail_feature(options, i, "is malformed", error);
    if (values.kind == FMT_EXAMPLE_BYTES)
        return fail_feature(options, i, "is a list of bytes: numbers are wanted; see text", error);
    *count = values.count;
    if (values.count > INT32_MAX)
        return fail_feature(options, i, "has more than 2^31 - 1 numbers", error);
    if (values.count == dim || dim == 0)
        return FMT_OK;
    char what[100];
    (void)snprintf(what, sizeof(what), "has %" PRIu64 " numbers, the channel's have %" PRIu64,
                   values.count, dim);
    return fail_feature(options, i, what, error);
}

static enum fmt_rc learn(const struct fmt_options *channel, const uint8_t *in, size_t len,
                         struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_tfrecord_options *options = channel->own;
    struct fmt_wire found[FMT_TFRECORD_NAMES_MAX];
    struct fmt_tfrecord record;
    uint64_t dims[2] = {0, 0}; /* of features, of the label */
    enum fmt_rc rc = fmt_tfrecord_read(in, len, &record, error);
    if (rc != FMT_OK)
        return rc;
    *shape = (struct fmt_shape){.text_dim = 1};
    if (name_count(options) == 0)
        return FMT_OK;
    rc = find(options, &record, found, error);
    for (uint32_t i = 0; rc == FMT_OK && i < options->feature_count + options->label_count; i++) {
        uint64_t count = 0;
        rc = read_numbers(options, i, found[i], NULL, 0, 0, &count, error);
        if (rc == FMT_OK && count == 0)
            rc = fail_feature(options, i, "has no number", error);
        options->dims[i] = (uint32_t)count;
        dims[i >= options->feature_count] += count;
    }
    if (rc == FMT_OK && dims[0] > INT32_MAX)
        rc = fmt_fail(error, 0, 0, "the record has more than 2^31 - 1 numbers");
    *shape = (struct fmt_shape){.feature_dim = (uint32_t)dims[0],
                                .label_dim = (uint32_t)dims[1],
                                .text_dim = options->text_count};
    return rc;
}

static struct fmt_decoder *decoder_new(const struct fmt_options *options,
                                       const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = malloc(sizeof(*decoder));
    if (decoder != NULL)
        *decoder = (struct fmt_decoder){options->own, *shape};
    return decoder;
}

static void decoder_free(struct fmt_decoder *decoder)
{
    free(decoder);
}

static enum fmt_rc put_text(struct fmt_rows *rows, uint64_t text_no, const uint8_t *bytes,
                            size_t len, struct fmt_error *error)
{
    if (!fmt_texts_reserve(&rows->texts, len)) {
        (void)fmt_fail(error, 0, 0,
                       "no memory for a batch's texts, of at most 2 GiB: make the batch smaller");
        return FMT_E_MEMORY;
    }
    if (len > 0)
        memcpy(rows->texts.bytes + rows->texts.count, bytes, len);
    rows->texts.count += len;
    rows->text_ends[text_no] = (uint32_t)rows->texts.count;
    return FMT_OK;
}

static enum fmt_rc put_numbers(const struct fmt_decoder *decoder, const struct fmt_wire *found,
                               struct fmt_rows *rows, uint32_t row, struct fmt_error *error)
{
    const struct fmt_tfrecord_options *options = decoder->options;
    uint32_t feature_dim = decoder->shape.feature_dim;
    float *features = feature_dim > 0 ? (float *)rows->features + (size_t)row * feature_dim : NULL;
    uint64_t used = 0;
    uint64_t count;
    for (uint32_t i = 0; i < options->feature_count; i++) {
        enum fmt_rc rc = read_numbers(options, i, found[i], features + used, options->dims[i],
                                      feature_dim - used, &count, error);
        if (rc != FMT_OK)
            return rc;
        if (count > feature_dim - used)
            return fail_feature(options, i, "has more numbers than the channel's", error);
        used += count;
    }
    if (used < feature_dim)
        return fmt_fail(error, 0, 0,
                        "the record has %" PRIu64 " numbers, the channel's have %" PRIu32, used,
                        feature_dim);
    if (options->label_count == 0)
        return FMT_OK;
    uint32_t label_dim = decoder->shape.label_dim;
    return read_numbers(options, options->feature_count, found[options->feature_count],
                        rows->labels + (size_t)row * label_dim, label_dim, label_dim, &count,
                        error);
}

static enum fmt_rc put_texts(const struct fmt_decoder *decoder, const struct fmt_wire *found,
                             struct fmt_rows *rows, uint32_t row, struct fmt_error *error)
{
    const struct fmt_tfrecord_options *options = decoder->options;
    uint32_t from = options->feature_count + options->label_count;
    for (uint32_t i = 0; i < options->text_count; i++) {
        struct fmt_example_values values;
        if (!fmt_example_read(found[from + i], NULL, 0, &values))
            return fail_feature(options, from + i, "is malformed", error);
        if (values.kind != FMT_EXAMPLE_BYTES || values.count != 1)
            return fail_feature(options, from + i, "is not a list of bytes with one value", error);
        enum fmt_rc rc = put_text(rows, (uint64_t)row * options->text_count + i, values.bytes.at,
                                  fmt_wire_left(&values.bytes), error);
        if (rc != FMT_OK)
            return rc;
    }
    return FMT_OK;
}

static enum fmt_rc put_row(const struct fmt_decoder *decoder, const struct fmt_tfrecord *record,
                           struct fmt_rows *rows, uint32_t row, struct fmt_error *error)
{
    struct fmt_wire found[FMT_TFRECORD_NAMES_MAX];
    if (name_count(decoder->options) == 0)
        return put_text(rows, row, record->data, record->data_bytes, error);
    enum fmt_rc rc = find(decoder->options, record, found, error);
    if (rc == FMT_OK)
        rc = put_numbers(decoder, found, rows, row, error);
    if (rc == FMT_OK)
        rc = put_texts(decoder, found, rows, row, error);
    return rc;
}

static enum fmt_rc decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                          struct fmt_rows *rows, struct fmt_error *error)
{
    size_t at = 0;
    for (uint32_t row = 0; row < span->rows; row++) {
        struct fmt_tfrecord record = {.data = NULL};
        size_t text_bytes = rows->texts.count;
        enum fmt_rc rc = fmt_tfrecord_read(span->in + at, span->len - at, &record, error);
        if (rc == FMT_MORE) /* not out of `cut` */
            rc = fmt_fail(error, 0, 0, "the record goes on behind its end");
        if (rc == FMT_OK)
            rc = put_row(decoder, &record, rows, row, error);
        if (rc != FMT_OK) {
            rows->texts.count = text_bytes;
            if (error != NULL) {
                error->offset_bytes = at;
                error->row = row;
            }
            return rc;
        }
        at += record.len_bytes;
    }
    return FMT_OK;
}

const struct fmt_ops fmt_tfrecord = {
    .content_type = "application/x-tfrecord",
    .parameters = "example, label, text",
    .options_bytes = sizeof(struct fmt_tfrecord_options),
    .set_option = set_option,
    .check_options = check_options,
    .options_clear = options_clear,
    .cut = fmt_tfrecord_cut,
    .resync = fmt_tfrecord_resync,
    .learn = learn,
    .decoder_new = decoder_new,
    .decoder_free = decoder_free,
    .decode = decode,
};
