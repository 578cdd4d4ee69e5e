/* SPDX-License-Identifier: Apache-2.0 */
/* tests/record_reference.h - a plain recordio-protobuf decoder that the real one is compared with:
 * frames read here, one byte at a time, records by protobuf-c, one number at a time. It shares the
 * channel's parsed options with what it is compared with, and nothing else. For tests and fuzz
 * targets only.
 */
#ifndef TESTS_RECORD_REFERENCE_H
#define TESTS_RECORD_REFERENCE_H

#include "formats/record_options.h"
#include "record.pb-c.h"
#include "tests/drive.h"

static inline uint32_t reference_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* Reads a record's frames at *at, and joins its parts in body (large enough). False when they are
 * malformed or do not end. */
static inline bool reference_frames(const uint8_t *in, size_t len, size_t *at, uint8_t *body,
                                    size_t *body_bytes)
{
    *body_bytes = 0;
    for (bool inside = false;; inside = true) {
        if (len - *at < 8 || reference_u32(in + *at) != 0xced7230a)
            return false;
        uint32_t flag = reference_u32(in + *at + 4) >> 29;
        size_t part_bytes = reference_u32(in + *at + 4) & 0x1fffffff;
        size_t padded_bytes = part_bytes % 4 == 0 ? part_bytes : part_bytes + 4 - part_bytes % 4;
        if (flag > 3 || (inside ? flag < 2 : flag > 1) || len - *at - 8 < padded_bytes)
            return false;
        if (part_bytes > 0)
            memcpy(body + *body_bytes, in + *at + 8, part_bytes);
        *body_bytes += part_bytes;
        *at += 8 + padded_bytes;
        if (flag == 0 || flag == 3)
            return true;
    }
}

/* --- what protobuf-c found, and a row of it ----------------------------------------------------
 */

typedef Aialgs__Data__Record reference_record;
typedef Aialgs__Data__Value reference_value;

/* The entry that counts: NULL if there is none, or no single one (*bad), or it has no value (*bad).
 */
static inline const reference_value *reference_find(const reference_record *record,
                                                    const struct fmt_record_query *query,
                                                    uint32_t no, bool *bad)
{
    bool is_label = query->wanted[no].is_label;
    size_t count = is_label ? record->n_label : record->n_features;
    const char *first = NULL;
    bool several = false;
    int best = 0; /* 1: any, 2: "values", or the name wanted */
    const reference_value *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *key = is_label ? record->label[i]->key : record->features[i]->key;
        const reference_value *value =
            is_label ? record->label[i]->value : record->features[i]->value;
        bool taken = false; /* by its name, for something else */
        int rank = 1;
        if (key == NULL)
            key = "";
        for (uint32_t k = 0; k < query->count; k++)
            if (k != no && query->wanted[k].is_label == is_label && query->wanted[k].name != NULL &&
                strcmp(query->wanted[k].name, key) == 0)
                taken = true;
        if (query->wanted[no].name != NULL) {
            if (strcmp(query->wanted[no].name, key) != 0)
                continue;
            rank = 2;
        } else if (taken) {
            continue;
        } else {
            if (first != NULL && strcmp(first, key) != 0)
                several = true;
            first = key;
            if (strcmp(key, "values") == 0)
                rank = 2;
        }
        if (rank < best)
            continue;
        best = rank;
        found = value;
        if (value == NULL)
            *bad = true;
        else
            *bad = false;
    }
    if (best == 1 && several)
        *bad = true;
    return *bad ? NULL : found;
}

/* A tensor's members, whatever its type. */
struct reference_tensor {
    const reference_value *value;
    size_t count;
    size_t key_count;
    const uint64_t *keys;
    uint64_t width; /* UINT64_MAX: it is malformed */
    bool sparse;
};

static inline void reference_members(struct reference_tensor *out, size_t count, size_t key_count,
                                     const uint64_t *keys, size_t shape_count,
                                     const uint64_t *shape)
{
    uint64_t product = 1;
    bool good = true;
    for (size_t i = 0; i < shape_count; i++)
        if (__builtin_mul_overflow(product, shape[i], &product)) {
            good = false;
            break;
        }
    out->count = count;
    out->key_count = key_count;
    out->keys = keys;
    out->sparse = key_count > 0 || (count == 0 && shape_count > 0);
    out->width = out->sparse ? product : count;
    if (out->sparse && (shape_count == 0 || key_count != count))
        good = false;
    if (!out->sparse && shape_count > 0 && product != count)
        good = false;
    if (!good)
        out->width = UINT64_MAX;
}

/* False: the value is no tensor. */
static inline bool reference_tensor(const reference_value *value, struct reference_tensor *out)
{
    out->value = value;
    if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT32_TENSOR) {
        const Aialgs__Data__Float32Tensor *t = value->float32_tensor;
        reference_members(out, t->n_values, t->n_keys, t->keys, t->n_shape, t->shape);
    } else if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT64_TENSOR) {
        const Aialgs__Data__Float64Tensor *t = value->float64_tensor;
        reference_members(out, t->n_values, t->n_keys, t->keys, t->n_shape, t->shape);
    } else if (value->value_case == AIALGS__DATA__VALUE__VALUE_INT32_TENSOR) {
        const Aialgs__Data__Int32Tensor *t = value->int32_tensor;
        reference_members(out, t->n_values, t->n_keys, t->keys, t->n_shape, t->shape);
    } else {
        return false;
    }
    return out->width != UINT64_MAX;
}

/* Number i in a type; false when the type does not hold it. */
static inline bool reference_number(const reference_value *value, size_t i,
                                    enum fmt_feature_type type, void *out)
{
    double number = 0;
    if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT32_TENSOR) {
        if (type == FMT_F32) { /* keeps the bits of a NaN */
            memcpy(out, &value->float32_tensor->values[i], sizeof(float));
            return true;
        }
        number = value->float32_tensor->values[i];
    } else if (value->value_case == AIALGS__DATA__VALUE__VALUE_FLOAT64_TENSOR) {
        if (type == FMT_F64) {
            memcpy(out, &value->float64_tensor->values[i], sizeof(double));
            return true;
        }
        number = value->float64_tensor->values[i];
    } else {
        number = value->int32_tensor->values[i];
    }
    if (type == FMT_F32) {
        float single = (float)number;
        memcpy(out, &single, sizeof(single));
        return true;
    }
    if (type == FMT_F64) {
        memcpy(out, &number, sizeof(number));
        return true;
    }
    double low = type == FMT_U8 ? 0 : -2147483648.0;
    double high = type == FMT_U8 ? 255 : 2147483647.0;
    if (!(number >= low && number <= high))
        return false;
    int32_t whole = (int32_t)number;
    if ((double)whole != number)
        return false;
    if (type == FMT_U8)
        *(uint8_t *)out = (uint8_t)whole;
    else
        memcpy(out, &whole, sizeof(whole));
    return true;
}

/* Dense numbers, of sparse tensors too. */
static inline bool reference_dense(const struct reference_tensor *tensor,
                                   enum fmt_feature_type type, uint8_t *out)
{
    size_t size = fmt_feature_bytes(type);
    if (tensor->sparse)
        memset(out, 0, tensor->width * size);
    for (size_t i = 0; i < tensor->count; i++) {
        size_t at = tensor->sparse ? tensor->keys[i] : i;
        if (at >= tensor->width || !reference_number(tensor->value, i, type, out + at * size))
            return false;
    }
    return true;
}

/* Entries of one feature, columns and values apart. False when a key is out of range. */
static inline bool reference_entries(const struct reference_tensor *tensor, size_t offset,
                                     uint32_t *columns, float *values, uint32_t *count)
{
    for (size_t i = 0; i < tensor->count; i++) {
        float value;
        if (tensor->sparse && tensor->keys[i] >= tensor->width)
            return false;
        (void)reference_number(tensor->value, i, FMT_F32, &value);
        if (!tensor->sparse && value == 0)
            continue;
        columns[*count] = (uint32_t)(offset + (tensor->sparse ? tensor->keys[i] : i));
        memcpy(&values[(*count)++], &value, sizeof(value));
    }
    return true;
}

/* A row under construction. */
struct reference_row {
    const struct fmt_record_options *options;
    const reference_record *record;
    struct fmt_shape shape;
    uint32_t dims[FMT_RECORD_FEATURES_MAX];
    struct reference_tensor features[FMT_RECORD_FEATURES_MAX];
    struct reference_tensor labels;
    struct reference_tensor weight;
    const ProtobufCBinaryData *texts[FMT_RECORD_TEXTS_MAX];
};

/* Finds everything, and the shape that the row has of itself. */
static inline bool reference_read(struct reference_row *row)
{
    const struct fmt_record_options *options = row->options;
    const struct fmt_record_query *query = &options->query;
    uint64_t all = 0;
    row->shape = (struct fmt_shape){.text_dim = options->text_count,
                                    .weighted = options->weight != NULL,
                                    .sparse = options->layout == FMT_LAYOUT_SPARSE};
    for (uint32_t i = 0; i < options->feature_count; i++) {
        bool bad = false;
        const reference_value *value = reference_find(row->record, query, i, &bad);
        row->features[i] = (struct reference_tensor){.count = 0};
        row->dims[i] = 0;
        if (value == NULL && !bad && options->text_count > 0 && options->features == NULL)
            continue;
        if (value == NULL || !reference_tensor(value, &row->features[i]) ||
            row->features[i].width > UINT32_MAX)
            return false;
        row->dims[i] = (uint32_t)row->features[i].width;
        all += row->features[i].width;
        if (options->layout == FMT_LAYOUT_AUTO && row->features[i].sparse)
            row->shape.sparse = true;
    }
    if (all > UINT32_MAX)
        return false;
    row->shape.feature_dim = (uint32_t)all;
    if (all == 0)
        row->shape.sparse = false;
    row->shape.type = row->shape.sparse ? FMT_F32 : options->type;
    bool bad = false;
    const reference_value *label = reference_find(row->record, query, options->feature_count, &bad);
    row->labels = (struct reference_tensor){.count = 0};
    if (bad || (label != NULL && (!reference_tensor(label, &row->labels) || row->labels.sparse)))
        return false;
    row->shape.label_dim = (uint32_t)row->labels.count;
    uint32_t no = options->feature_count + 1;
    if (options->weight != NULL) {
        const reference_value *weight = reference_find(row->record, query, no++, &bad);
        if (weight == NULL || !reference_tensor(weight, &row->weight) || row->weight.sparse ||
            row->weight.count != 1)
            return false;
    }
    for (uint32_t i = 0; i < options->text_count; i++) {
        const reference_value *text = reference_find(row->record, query, no++, &bad);
        if (text == NULL || text->value_case != AIALGS__DATA__VALUE__VALUE_BYTES ||
            text->bytes->n_value != 1)
            return false;
        row->texts[i] = &text->bytes->value[0];
    }
    return true;
}

/* A first record: whether a channel may have its shape. */
static inline bool reference_may_learn(const struct reference_row *row)
{
    bool has_texts = row->options->text_count > 0 && row->options->features == NULL;
    for (uint32_t i = 0; i < row->options->feature_count; i++)
        if (row->dims[i] == 0 && (row->features[i].value != NULL || !has_texts))
            return false;
    return !row->shape.sparse || row->options->type == FMT_F32;
}

/* The row's entries and texts, dense features of other types and weight, as drive.h keeps them. */
static inline bool reference_more(const struct reference_row *row, const struct fmt_shape *shape,
                                  const uint8_t *features, struct drive_result *out)
{
    size_t most = 0;
    for (uint32_t i = 0; i < row->options->feature_count; i++)
        most += row->features[i].count;
    uint32_t *columns = drive_allocate(most * sizeof(*columns));
    float *values = drive_allocate(most * sizeof(*values));
    uint32_t count = 0;
    size_t offset = 0;
    bool good = true;
    for (uint32_t i = 0; shape->sparse && i < row->options->feature_count; i++) {
        good = good && reference_entries(&row->features[i], offset, columns, values, &count);
        offset += row->dims[i];
    }
    if (!shape->sparse && shape->type != FMT_F32)
        drive_put(out, features, shape->feature_dim * fmt_feature_bytes(shape->type));
    if (shape->weighted) {
        float weight;
        (void)reference_number(row->weight.value, 0, FMT_F32, &weight);
        drive_put(out, &weight, sizeof(weight));
    }
    if (shape->sparse) {
        drive_put(out, &count, sizeof(count));
        drive_put(out, columns, count * sizeof(*columns));
        drive_put(out, values, count * sizeof(*values));
    }
    for (uint32_t i = 0; i < row->options->text_count; i++) {
        uint32_t len = (uint32_t)row->texts[i]->len;
        drive_put(out, &len, sizeof(len));
        drive_put(out, row->texts[i]->data, len);
    }
    free(columns);
    free(values);
    return good;
}

static inline bool reference_put(const struct reference_row *row, struct drive_result *r)
{
    const struct fmt_shape *shape = &r->shape;
    size_t size = fmt_feature_bytes(shape->type);
    uint8_t *features = drive_allocate(shape->sparse ? 1 : shape->feature_dim * size + 1);
    float *labels = drive_allocate(shape->label_dim * sizeof(float) + 1);
    bool good = true;
    size_t at = 0;
    for (uint32_t i = 0; !shape->sparse && good && i < row->options->feature_count; i++) {
        if (row->features[i].value != NULL)
            good = reference_dense(&row->features[i], shape->type, features + at);
        at += row->dims[i] * size;
    }
    for (uint32_t i = 0; i < shape->label_dim; i++)
        (void)reference_number(row->labels.value, i, FMT_F32, &labels[i]);
    size_t more_before = r->more_len;
    if (good && !reference_more(row, shape, features, r)) {
        r->more_len = more_before;
        good = false;
    }
    if (good)
        drive_add_row(r, (const float *)(const void *)features, labels);
    free(features);
    free(labels);
    return good;
}

/* Parses with protobuf-c, checks what a channel of r's shape wants (no shape yet: learns), and adds
 * the row. */
static inline bool reference_row(const struct fmt_record_options *options, const uint8_t *body,
                                 size_t body_bytes, struct drive_result *r, uint32_t *dims)
{
    reference_record *record = aialgs__data__record__unpack(NULL, body_bytes, body);
    struct reference_row row = {.options = options, .record = record};
    bool good = record != NULL && reference_read(&row);
    if (good && r->rows == 0) {
        good = reference_may_learn(&row);
        if (good) {
            r->shape = row.shape;
            memcpy(dims, row.dims, sizeof(row.dims));
        }
    }
    for (uint32_t i = 0; good && i < options->feature_count; i++)
        good = row.dims[i] == dims[i];
    good = good && row.shape.label_dim == r->shape.label_dim && reference_put(&row, r);
    aialgs__data__record__free_unpacked(record, NULL);
    return good;
}

/* Decodes the object [in, in + len) as a channel with these options does. */
static inline void record_reference(const struct fmt_options *channel, const uint8_t *in,
                                    size_t len, struct drive_result *r)
{
    const struct fmt_record_options *options = fmt_record_options(channel);
    uint32_t dims[FMT_RECORD_FEATURES_MAX] = {0};
    memset(r, 0, sizeof(*r));
    uint8_t *body = drive_allocate(len);
    for (size_t at = 0; at < len && !r->failed;) {
        size_t start = at;
        size_t body_bytes;
        if (!reference_frames(in, len, &at, body, &body_bytes) ||
            !reference_row(options, body, body_bytes, r, dims)) {
            r->failed = true;
            r->error_offset_bytes = start;
        }
    }
    free(body);
}

#endif
