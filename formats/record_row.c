/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_row.c - see record_row.h. */
#include "formats/record_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/record_numbers.h"

#define DIM_MAX ((uint64_t)UINT32_MAX)

void fmt_record_scratch_free(struct fmt_record_scratch *scratch)
{
    free(scratch->keys);
    free(scratch->numbers);
    *scratch = (struct fmt_record_scratch){.keys = NULL};
}

static bool scratch_reserve(struct fmt_record_scratch *scratch, size_t count)
{
    if (count <= scratch->room)
        return true;
    fmt_record_scratch_free(scratch);
    scratch->keys = malloc(count * sizeof(*scratch->keys));
    scratch->numbers = malloc(count * sizeof(*scratch->numbers));
    if (scratch->keys == NULL || scratch->numbers == NULL)
        return false;
    scratch->room = count;
    return true;
}

static enum fmt_rc fail_memory(struct fmt_error *error)
{
    (void)fmt_fail(error, 0, 0, "out of memory");
    return FMT_E_MEMORY;
}

/* --- what a value is -----------------------------------------------------------------------------
 */

/* A value as messages name it: "feature", or: feature "height". */
struct title {
    char text[100];
};

static struct title title_of(const struct fmt_record_options *options, uint32_t no)
{
    struct title title;
    const struct fmt_record_wanted *wanted = &options->query.wanted[no];
    const char *what = wanted->is_label ? "label" : "feature";
    if (wanted->name == NULL)
        (void)snprintf(title.text, sizeof(title.text), "%s", what);
    else
        (void)snprintf(title.text, sizeof(title.text), "%s \"%.80s\"", what, wanted->name);
    return title;
}

static enum fmt_rc fail_kind(const struct fmt_record_options *options, uint32_t no,
                             enum fmt_record_kind kind, struct fmt_error *error)
{
    struct title title = title_of(options, no);
    switch (kind) {
    case FMT_RECORD_ABSENT:
        return fmt_fail(error, 0, 0, "record has no %s", title.text);
    case FMT_RECORD_AMBIGUOUS:
        return fmt_fail(error, 0, 0,
                        "record has several %ss, none of them named \"values\": say which by the "
                        "content type's parameter %s",
                        title.text, options->query.wanted[no].is_label ? "label" : "features");
    case FMT_RECORD_EMPTY:
        return fmt_fail(error, 0, 0, "record has a %s without a tensor", title.text);
    case FMT_RECORD_BYTES:
        return fmt_fail(error, 0, 0, "%s is of type bytes: numbers are wanted%s", title.text,
                        options->query.wanted[no].is_label
                            ? ""
                            : "; the content type's parameter text takes bytes");
    case FMT_RECORD_TENSOR:
        break;
    }
    return fmt_fail(error, 0, 0, "%s is a tensor: the content type's parameter text takes bytes",
                    title.text);
}

static enum fmt_rc fail_malformed(struct fmt_error *error)
{
    return fmt_fail(error, 0, 0,
                    "the record is not a protobuf message aialgs.data.Record: a varint is longer "
                    "than 10 bytes");
}

static enum fmt_rc put_numbers(const struct fmt_record_options *options, uint32_t no,
                               const struct fmt_record_value *value, enum fmt_feature_type type,
                               void *out, struct fmt_error *error)
{
    uint64_t unfit = 0;
    if (FMT_LITTLE_ENDIAN && value->type == FMT_RECORD_F32 && type == FMT_F32) {
        if (value->value_count > 0) /* else out may be NULL */
            memcpy(out, value->values, value->values_bytes);
        return FMT_OK;
    }
    switch (fmt_record_numbers(value, type, out, &unfit)) {
    case FMT_NUMBERS_OK:
        return FMT_OK;
    case FMT_NUMBERS_MALFORMED:
        return fail_malformed(error);
    case FMT_NUMBERS_UNFIT:
        break;
    }
    return fmt_fail(error, 0, 0, "number %" PRIu64 " of %s is none of type %s", unfit,
                    title_of(options, no).text, type == FMT_U8 ? "uint8" : "int32");
}

/* Whether a tensor is well-formed, and how wide it is. */
static enum fmt_rc measure(const struct fmt_record_options *options, uint32_t no,
                           const struct fmt_record_value *value, uint64_t *width,
                           struct fmt_error *error)
{
    if (value->kind != FMT_RECORD_TENSOR)
        return fail_kind(options, no, value->kind, error);
    if (!fmt_record_is_sparse(value)) {
        *width = value->value_count;
        if (value->has_shape && value->shape_product != value->value_count)
            return fmt_fail(error, 0, 0, "%s has %" PRIu64 " values, its shape says otherwise",
                            title_of(options, no).text, value->value_count);
        return FMT_OK;
    }
    *width = value->shape_product;
    if (!value->has_shape)
        return fmt_fail(error, 0, 0, "%s has keys, but no shape that tells how many columns",
                        title_of(options, no).text);
    if (value->key_count != value->value_count)
        return fmt_fail(error, 0, 0, "%s has %" PRIu64 " keys for %" PRIu64 " values",
                        title_of(options, no).text, value->key_count, value->value_count);
    return FMT_OK;
}

static enum fmt_rc fail_sparse(const struct fmt_record_options *options, uint32_t no,
                               struct fmt_error *error)
{
    return fmt_fail(error, 0, 0, "%s is sparse: only features may be", title_of(options, no).text);
}

/* --- shape ---------------------------------------------------------------------------------------
 */

static enum fmt_rc learn_features(const struct fmt_record_options *options,
                                  const struct fmt_record_value *values, struct fmt_shape *shape,
                                  uint32_t *dims, struct fmt_error *error)
{
    bool is_sparse = options->layout == FMT_LAYOUT_SPARSE;
    uint64_t all = 0;
    for (uint32_t i = 0; i < options->feature_count; i++) {
        uint64_t width = 0;
        dims[i] = 0;
        if (options->text_count > 0 && options->features == NULL &&
            values[i].kind == FMT_RECORD_ABSENT)
            continue; /* a channel of texts */
        enum fmt_rc rc = measure(options, i, &values[i], &width, error);
        if (rc != FMT_OK)
            return rc;
        if (width == 0)
            return fmt_fail(error, 0, 0, "record has no %s values", title_of(options, i).text);
        if (width > DIM_MAX || (all += width) > DIM_MAX)
            return fmt_fail(error, 0, 0, "record has more than %" PRIu64 " values", DIM_MAX);
        dims[i] = (uint32_t)width;
        if (options->layout == FMT_LAYOUT_AUTO && fmt_record_is_sparse(&values[i]))
            is_sparse = true;
    }
    shape->feature_dim = (uint32_t)all;
    shape->sparse = is_sparse && all > 0;
    shape->type = shape->sparse ? FMT_F32 : options->type;
    if (shape->sparse && options->type != FMT_F32)
        return fmt_fail(error, 0, 0,
                        "record is sparse, and the content type's parameter type is for dense "
                        "features: add layout=dense, or leave it out");
    return FMT_OK;
}

enum fmt_rc fmt_record_learn(const struct fmt_record_options *options,
                             const struct fmt_record_value *values, struct fmt_shape *shape,
                             uint32_t *dims, struct fmt_error *error)
{
    *shape =
        (struct fmt_shape){.text_dim = options->text_count, .weighted = options->weight != NULL};
    enum fmt_rc rc = learn_features(options, values, shape, dims, error);
    const struct fmt_record_value *label = &values[fmt_record_label_no(options)];
    if (rc != FMT_OK || label->kind == FMT_RECORD_ABSENT)
        return rc;
    uint64_t width = 0;
    if (label->kind == FMT_RECORD_TENSOR && fmt_record_is_sparse(label))
        return fail_sparse(options, fmt_record_label_no(options), error);
    rc = measure(options, fmt_record_label_no(options), label, &width, error);
    if (rc == FMT_OK && width > DIM_MAX)
        return fmt_fail(error, 0, 0, "record has more than %" PRIu64 " labels", DIM_MAX);
    shape->label_dim = (uint32_t)width;
    return rc;
}

enum fmt_rc fmt_record_learn_again(const struct fmt_record_options *options, const uint32_t *words,
                                   size_t count, struct fmt_shape *shape, uint32_t *dims,
                                   struct fmt_error *error)
{
    bool sparse = count > 0 && words[0] != 0;
    uint64_t all = 0;

    if (count != 2 + (size_t)options->feature_count)
        return fmt_fail(error, 0, 0, "not what a first record tells: %zu numbers", count);
    for (uint32_t i = 0; i < options->feature_count; i++)
        all += dims[i] = words[2 + i];
    if (all > DIM_MAX || (sparse && (options->type != FMT_F32 || all == 0)))
        return fmt_fail(error, 0, 0, "not what a first record tells: %" PRIu64 " values", all);
    *shape = (struct fmt_shape){.feature_dim = (uint32_t)all,
                                .label_dim = words[1],
                                .text_dim = options->text_count,
                                .sparse = sparse,
                                .type = sparse ? FMT_F32 : options->type,
                                .weighted = options->weight != NULL};
    return FMT_OK;
}

/* --- rows ----------------------------------------------------------------------------------------
 */

static enum fmt_rc fail_count(uint64_t count, uint32_t dim, const char *what,
                              struct fmt_error *error)
{
    return fmt_fail(error, 0, 0, "record has %" PRIu64 " %s%s, the channel has %" PRIu32, count,
                    what, count == 1 ? "" : "s", dim);
}

/* Keys into out[], each less than `dim`, moved by `offset`. */
static enum fmt_rc put_keys(const struct fmt_record_options *options, uint32_t no,
                            const struct fmt_record_value *value, uint32_t dim, uint32_t offset,
                            uint32_t *out, struct fmt_error *error)
{
    uint64_t most;
    if (!fmt_record_keys(value, out, &most))
        return fail_malformed(error);
    if (value->key_count > 0 && most >= dim)
        return fmt_fail(error, 0, 0, "%s has the key %" PRIu64 ", its shape says %" PRIu32,
                        title_of(options, no).text, most, dim);
    for (size_t i = 0; offset > 0 && i < value->key_count; i++)
        out[i] += offset;
    return FMT_OK;
}

/* Zeros, and the values of a sparse tensor where they belong. */
static enum fmt_rc scatter(const struct fmt_record_options *options, uint32_t no,
                           const struct fmt_record_value *value, uint32_t dim,
                           enum fmt_feature_type type, uint8_t *out,
                           struct fmt_record_scratch *scratch, struct fmt_error *error)
{
    size_t count = (size_t)value->value_count;
    size_t size = fmt_feature_bytes(type);
    if (!scratch_reserve(scratch, count))
        return fail_memory(error);
    enum fmt_rc rc = put_keys(options, no, value, dim, 0, scratch->keys, error);
    /* numbers are no longer than a double: each lies at its place in an array of their type */
    if (rc == FMT_OK)
        rc = put_numbers(options, no, value, type, scratch->numbers, error);
    if (rc != FMT_OK)
        return rc;
    const uint8_t *numbers = (const uint8_t *)scratch->numbers;
    memset(out, 0, dim * size);
    for (size_t i = 0; i < count; i++)
        memcpy(out + scratch->keys[i] * size, numbers + i * size, size);
    return FMT_OK;
}

static enum fmt_rc add_entries(const struct fmt_record_options *options, uint32_t no,
                               const struct fmt_record_value *value, uint32_t dim, uint32_t offset,
                               struct fmt_entries *entries, struct fmt_error *error)
{
    size_t count = (size_t)value->value_count;
    if (count == 0)
        return FMT_OK; /* there may be no memory yet */
    if (!fmt_entries_reserve(entries, count))
        return fail_memory(error);
    uint32_t *columns = entries->columns + entries->count;
    float *numbers = entries->values + entries->count;
    enum fmt_rc rc = put_numbers(options, no, value, FMT_F32, numbers, error);
    if (rc != FMT_OK)
        return rc;
    if (fmt_record_is_sparse(value)) {
        entries->count += count;
        return put_keys(options, no, value, dim, offset, columns, error);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == 0)
            continue;
        numbers[kept] = numbers[i];
        columns[kept++] = offset + (uint32_t)i;
    }
    entries->count += kept;
    return FMT_OK;
}

static enum fmt_rc put_dense(const struct fmt_record_options *options, uint32_t no,
                             const struct fmt_record_value *value, uint32_t dim,
                             enum fmt_feature_type type, uint8_t *out,
                             struct fmt_record_scratch *scratch, struct fmt_error *error)
{
    if (fmt_record_is_sparse(value))
        return scatter(options, no, value, dim, type, out, scratch, error);
    return put_numbers(options, no, value, type, out, error);
}

static enum fmt_rc put_features(const struct fmt_record_options *options,
                                const struct fmt_shape *shape, const uint32_t *dims,
                                const struct fmt_record_value *values, struct fmt_rows *rows,
                                uint32_t row, struct fmt_record_scratch *scratch,
                                struct fmt_error *error)
{
    size_t size = fmt_feature_bytes(shape->type);
    size_t row_start = (size_t)row * shape->feature_dim;
    uint32_t done = 0;
    for (uint32_t i = 0; i < options->feature_count; i++) {
        const struct fmt_record_value *value = &values[i];
        uint64_t width = 0;
        if (shape->feature_dim == 0 && value->kind == FMT_RECORD_ABSENT)
            continue; /* a channel of texts */
        enum fmt_rc rc = measure(options, i, value, &width, error);
        if (rc != FMT_OK)
            return rc;
        if (options->feature_count > 1 && dims[i] > 0 && width != dims[i])
            return fmt_fail(error, 0, 0,
                            "%s has %" PRIu64 " values, the first record's has %" PRIu32,
                            title_of(options, i).text, width, dims[i]);
        if (width > shape->feature_dim - done ||
            (i + 1 == options->feature_count && width < shape->feature_dim - done))
            return fail_count(done + width, shape->feature_dim, "feature", error);
        if (shape->sparse)
            rc = add_entries(options, i, value, (uint32_t)width, done, &rows->entries, error);
        else if (width > 0)
            rc = put_dense(options, i, value, (uint32_t)width, shape->type,
                           (uint8_t *)rows->features + (row_start + done) * size, scratch, error);
        if (rc != FMT_OK)
            return rc;
        done += (uint32_t)width;
    }
    return FMT_OK;
}

/* Labels and weight, which are dense; those that are missing are 0 labels. */
static enum fmt_rc put_labels(const struct fmt_record_options *options, uint32_t no,
                              const struct fmt_record_value *value, uint32_t dim, const char *what,
                              float *all, uint32_t row, struct fmt_error *error)
{
    uint64_t width = 0;
    if (value->kind == FMT_RECORD_TENSOR && fmt_record_is_sparse(value))
        return fail_sparse(options, no, error);
    if (value->kind != FMT_RECORD_ABSENT) {
        enum fmt_rc rc = measure(options, no, value, &width, error);
        if (rc != FMT_OK)
            return rc;
    }
    if (width != dim)
        return fail_count(width, dim, what, error);
    if (dim == 0)
        return FMT_OK;
    return put_numbers(options, no, value, FMT_F32, all + (size_t)row * dim, error);
}

static enum fmt_rc put_texts(const struct fmt_record_options *options,
                             const struct fmt_record_value *values, struct fmt_rows *rows,
                             uint32_t row, struct fmt_error *error)
{
    uint32_t *ends = rows->text_ends + (size_t)row * options->text_count;
    for (uint32_t i = 0; i < options->text_count; i++) {
        uint32_t no = fmt_record_text_no(options) + i;
        const struct fmt_record_value *value = &values[no];
        if (value->kind != FMT_RECORD_BYTES)
            return fail_kind(options, no, value->kind, error);
        if (value->value_count != 1)
            return fmt_fail(error, 0, 0, "%s has %" PRIu64 " byte strings, not one",
                            title_of(options, no).text, value->value_count);
        if (!fmt_texts_reserve(&rows->texts, value->values_bytes))
            return fail_memory(error);
        if (value->values_bytes > 0)
            memcpy(rows->texts.bytes + rows->texts.count, value->values, value->values_bytes);
        rows->texts.count += value->values_bytes;
        ends[i] = (uint32_t)rows->texts.count;
    }
    return FMT_OK;
}

enum fmt_rc fmt_record_put_row(const struct fmt_record_options *options,
                               const struct fmt_shape *shape, const uint32_t *dims,
                               const struct fmt_record_value *values, struct fmt_rows *rows,
                               uint32_t row, struct fmt_record_scratch *scratch,
                               struct fmt_error *error)
{
    size_t entries_before = rows->entries.count;
    size_t texts_before = rows->texts.count;
    uint32_t label_no = fmt_record_label_no(options);
    enum fmt_rc rc = put_features(options, shape, dims, values, rows, row, scratch, error);
    if (rc == FMT_OK)
        rc = put_labels(options, label_no, &values[label_no], shape->label_dim, "label",
                        rows->labels, row, error);
    if (rc == FMT_OK && shape->weighted)
        rc = put_labels(options, label_no + 1, &values[label_no + 1], 1, "weight", rows->weights,
                        row, error);
    if (rc == FMT_OK && shape->text_dim > 0)
        rc = put_texts(options, values, rows, row, error);
    if (rc == FMT_OK && shape->sparse)
        rows->entry_ends[row] = (uint32_t)rows->entries.count;
    if (rc != FMT_OK) {
        rows->entries.count = entries_before;
        rows->texts.count = texts_before;
    }
    return rc;
}
