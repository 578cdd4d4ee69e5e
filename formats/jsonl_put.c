/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jsonl_put.c - from the values that a walk has captured to a row, or to the shape of rows.
 *
 * The walk has checked every byte: nothing here fails for grammar, only for what a value is.
 */
#include "formats/jsonl_read.h"
#include "formats/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void begin(struct fmt_json *json, const struct fmt_json_value *value)
{
    fmt_json_begin(json, value->bytes, value->len_bytes);
    json->number_words = true;
}

/* ---- tensors ---- */

struct jsonl_tensor fmt_jsonl_tensor(const struct fmt_json_value *object)
{
    struct jsonl_tensor tensor = {.values = {.kind = FMT_JSON_NONE}};
    struct fmt_json_value name;
    struct fmt_json_value value;
    struct fmt_json json;

    begin(&json, object);
    for (enum fmt_rc rc = fmt_json_enter(&json, '{', NULL); rc == FMT_OK;) {
        rc = fmt_json_next(&json, &name, &value, NULL);
        if (rc != FMT_OK || value.kind == FMT_JSON_NONE)
            break;
        if (fmt_json_is(&name, "values", 6))
            tensor.values = value;
        else if (fmt_json_is(&name, "keys", 4))
            tensor.keys = value;
        else if (fmt_json_is(&name, "shape", 5))
            tensor.shape = value;
    }
    return tensor;
}

bool fmt_jsonl_is_filled(const struct fmt_json_value *array)
{
    struct fmt_json_value value = {.kind = FMT_JSON_NONE};
    struct fmt_json json;

    if (array->kind != FMT_JSON_ARRAY)
        return false;
    begin(&json, array);
    return fmt_json_enter(&json, '[', NULL) == FMT_OK &&
           fmt_json_next(&json, NULL, &value, NULL) == FMT_OK && value.kind != FMT_JSON_NONE;
}

/* A whole number without sign, point or exponent, below 2^32 - 1. */
static bool read_whole(const struct fmt_json_value *value, uint32_t *out)
{
    uint64_t sum = 0;

    if (value->kind != FMT_JSON_NUMBER || value->len_bytes > 10)
        return false;
    for (size_t i = 0; i < value->len_bytes; i++) {
        if (value->bytes[i] < '0' || value->bytes[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(value->bytes[i] - '0');
    }
    *out = (uint32_t)sum;
    return sum < UINT32_MAX;
}

/* The product of a shape's numbers; 0 if there is none. */
static enum fmt_rc read_shape(const struct jsonl_target *target, const struct fmt_json_value *shape,
                              uint32_t *columns, struct fmt_error *error)
{
    struct fmt_json_value value;
    struct fmt_json json;
    uint64_t product = 1;
    uint32_t factor;

    *columns = 0;
    if (!fmt_jsonl_is_filled(shape))
        return FMT_OK;
    begin(&json, shape);
    (void)fmt_json_enter(&json, '[', NULL);
    while (fmt_json_next(&json, NULL, &value, NULL) == FMT_OK && value.kind != FMT_JSON_NONE) {
        if (!read_whole(&value, &factor) || product * factor == 0 || product * factor > INT32_MAX)
            return fmt_fail(error, 0, 0, "%s: the shape is none", target->name);
        product *= factor;
    }
    *columns = (uint32_t)product;
    return FMT_OK;
}

/* ---- numbers ---- */

/* An array of numbers, or of such arrays, on its way to a row. */
struct flat {
    const struct jsonl_target *target;
    bool missing_is_nan;
    float *out; /* NULL: they are only counted */
    uint32_t room;
    uint32_t count;
    unsigned leaves; /* depth of the numbers; 0: none seen */
    uint32_t sizes[JSONL_DIMENSIONS_MAX + 1];
    bool sized[JSONL_DIMENSIONS_MAX + 1];
    struct fmt_error *error;
};

static enum fmt_rc add_number(struct flat *f, const struct fmt_json_value *value)
{
    float number = 0;

    switch (value->kind) {
    case FMT_JSON_NUMBER:
        (void)fmt_number_scan(value->bytes, value->bytes + value->len_bytes, &number);
        break;
    case FMT_JSON_TRUE:
        number = 1;
        break;
    case FMT_JSON_FALSE:
        break;
    case FMT_JSON_STRING:
        if (!fmt_json_is(value, "NaN", 3))
            return fmt_fail(f->error, 0, 0, "%s: a string stands where a number should be",
                            f->target->name);
        number = NAN;
        break;
    case FMT_JSON_NULL:
        if (!f->missing_is_nan)
            return fmt_fail(f->error, 0, 0, "%s: a number is null; missing=nan reads it as NaN",
                            f->target->name);
        number = NAN;
        break;
    case FMT_JSON_NONE:
    case FMT_JSON_ARRAY:
    case FMT_JSON_OBJECT:
        return fmt_fail(f->error, 0, 0, "%s: %s stands where a number should be", f->target->name,
                        fmt_json_kind_name(value->kind));
    }
    if (f->out != NULL && f->count < f->room)
        f->out[f->count] = number;
    f->count += f->count < UINT32_MAX;
    return FMT_OK;
}

static enum fmt_rc add_array(struct flat *f, const struct fmt_json_value *array, unsigned depth)
{
    struct fmt_json_value value;
    struct fmt_json json;
    uint32_t size = 0;

    if (depth > JSONL_DIMENSIONS_MAX)
        return fmt_fail(f->error, 0, 0, "%s: arrays are more than %d deep", f->target->name,
                        JSONL_DIMENSIONS_MAX);
    begin(&json, array);
    (void)fmt_json_enter(&json, '[', NULL);
    for (; fmt_json_next(&json, NULL, &value, NULL) == FMT_OK && value.kind != FMT_JSON_NONE;
         size += size < UINT32_MAX) {
        bool inner = value.kind == FMT_JSON_ARRAY;

        if (!inner && f->leaves == 0)
            f->leaves = depth;
        if (inner ? f->leaves != 0 && f->leaves <= depth : f->leaves != depth)
            return fmt_fail(f->error, 0, 0, "%s: numbers and arrays stand side by side",
                            f->target->name);
        enum fmt_rc rc = inner ? add_array(f, &value, depth + 1) : add_number(f, &value);

        if (rc != FMT_OK)
            return rc;
    }
    if (f->sized[depth] && f->sizes[depth] != size)
        return fmt_fail(f->error, 0, 0,
                        "%s: arrays of %" PRIu32 " and of %" PRIu32 " stand side by side",
                        f->target->name, f->sizes[depth], size);
    f->sized[depth] = true;
    f->sizes[depth] = size;
    return FMT_OK;
}

/* All numbers of a value that is no tensor. */
static enum fmt_rc add_all(struct flat *f, const struct fmt_json_value *value)
{
    return value->kind == FMT_JSON_ARRAY ? add_array(f, value, 1) : add_number(f, value);
}

/* The numbers of a dense target, `room` of them at most to `out`; *count: all there are. */
static enum fmt_rc read_numbers(const struct fmt_jsonl_options *options,
                                const struct jsonl_target *target,
                                const struct fmt_json_value *value, float *out, uint32_t room,
                                uint32_t *count, struct fmt_error *error)
{
    struct flat f = {.target = target,
                     .missing_is_nan = options->missing_is_nan != 0,
                     .out = out,
                     .room = room,
                     .error = error};
    struct jsonl_tensor tensor = {.values = *value};
    uint32_t columns = 0;
    enum fmt_rc rc = FMT_OK;

    if (value->kind == FMT_JSON_OBJECT) {
        tensor = fmt_jsonl_tensor(value);
        if (tensor.values.kind == FMT_JSON_NONE)
            return fmt_fail(error, 0, 0, "%s: an object without \"values\" is no numbers",
                            target->name);
        if (fmt_jsonl_is_filled(&tensor.keys))
            return fmt_fail(error, 0, 0, "%s: a sparse row among dense ones", target->name);
        rc = read_shape(target, &tensor.shape, &columns, error);
    }
    if (rc == FMT_OK)
        rc = add_all(&f, &tensor.values);
    if (rc == FMT_OK && columns != 0 && columns != f.count)
        return fmt_fail(error, 0, 0, "%s: %" PRIu32 " values for a shape of %" PRIu32, target->name,
                        f.count, columns);
    *count = f.count;
    return rc;
}

/* ---- the shape ---- */

/* A tensor is sparse as protobuf records are: by its keys, or by a shape alone. */
static bool is_sparse(const struct fmt_json_value *value)
{
    if (value->kind != FMT_JSON_OBJECT)
        return false;
    struct jsonl_tensor tensor = fmt_jsonl_tensor(value);

    return fmt_jsonl_is_filled(&tensor.keys) ||
           (fmt_jsonl_is_filled(&tensor.shape) && !fmt_jsonl_is_filled(&tensor.values));
}

static enum fmt_rc fit_target(struct fmt_jsonl_options *options, struct jsonl_target *target,
                              const struct fmt_json_value *value, uint32_t feature_dim,
                              struct fmt_error *error)
{
    bool absent = value->kind == FMT_JSON_NONE;

    target->dim = 1;
    target->absent = target->optional && absent;
    if (target->kind == JSONL_TEXT || target->absent)
        return FMT_OK;
    if (absent && options->missing_is_nan == 0)
        return fmt_fail(error, 0, 0, "the line has no %s", target->name);
    if (absent || value->kind == FMT_JSON_NULL)
        return options->missing_is_nan != 0
                   ? FMT_OK
                   : read_numbers(options, target, value, NULL, 0, &target->dim, error);
    if (target->kind == JSONL_FEATURE && is_sparse(value)) {
        struct jsonl_tensor tensor = fmt_jsonl_tensor(value);

        options->sparse = true;
        enum fmt_rc rc = read_shape(target, &tensor.shape, &target->dim, error);

        if (target->dim == 0)
            target->dim = feature_dim;
        return rc;
    }
    enum fmt_rc rc = read_numbers(options, target, value, NULL, 0, &target->dim, error);

    if (rc == FMT_OK && target->dim == 0)
        return fmt_fail(error, 0, 0, "%s: the array is empty", target->name);
    if (rc == FMT_OK && target->kind == JSONL_WEIGHT && target->dim != 1)
        return fmt_fail(error, 0, 0, "%s: a weight is one number, not %" PRIu32, target->name,
                        target->dim);
    return rc;
}

static enum fmt_rc no_features(struct fmt_error *error)
{
    return fmt_fail(error, 0, 0,
                    "the line has no \"features\": name the members that are, as in "
                    "\"application/jsonlines;features=NAME,NAME;label=NAME\"");
}

/* Gives each target its place in a row. */
static enum fmt_rc place_targets(struct fmt_jsonl_options *options, struct fmt_shape *shape,
                                 struct fmt_error *error)
{
    uint64_t columns[JSONL_KINDS] = {0};
    uint32_t counts[JSONL_KINDS] = {0};

    for (uint32_t i = 0; i < options->target_count; i++) {
        struct jsonl_target *target = &options->targets[i];

        target->column = (uint32_t)columns[target->kind];
        columns[target->kind] += target->absent ? 0 : target->dim;
        counts[target->kind] += !target->absent;
    }
    if (counts[JSONL_FEATURE] == 0 && counts[JSONL_TEXT] == 0)
        return no_features(error);
    if (options->sparse && counts[JSONL_FEATURE] > 1)
        return fmt_fail(error, 0, 0, "sparse features go by one name, not by %" PRIu32,
                        counts[JSONL_FEATURE]);
    if (columns[JSONL_FEATURE] > INT32_MAX || columns[JSONL_LABEL] > INT32_MAX)
        return fmt_fail(error, 0, 0, "the line holds too many numbers");
    *shape = (struct fmt_shape){.feature_dim = (uint32_t)columns[JSONL_FEATURE],
                                .label_dim = (uint32_t)columns[JSONL_LABEL],
                                .text_dim = counts[JSONL_TEXT],
                                .sparse = options->sparse,
                                .weighted = counts[JSONL_WEIGHT] > 0};
    return FMT_OK;
}

enum fmt_rc fmt_jsonl_fit(struct fmt_jsonl_options *options, const jsonl_slot *slots,
                          uint32_t feature_dim, struct fmt_shape *shape, struct fmt_error *error)
{
    options->sparse = false;
    for (uint32_t i = 0; i < options->target_count; i++) {
        struct jsonl_target *target = &options->targets[i];
        enum fmt_rc rc =
            fit_target(options, target, fmt_jsonl_value(target, slots), feature_dim, error);

        if (rc != FMT_OK)
            return rc;
    }
    return place_targets(options, shape, error);
}

size_t fmt_jsonl_fitted(const struct fmt_jsonl_options *options, uint32_t *words)
{
    if (options->target_count >= FMT_LEARNT_MAX)
        return FMT_LEARNT_MAX + 1;
    words[0] = options->sparse;
    for (uint32_t i = 0; i < options->target_count; i++)
        words[1 + i] = options->targets[i].absent ? JSONL_NONE : options->targets[i].dim;
    return 1 + (size_t)options->target_count;
}

enum fmt_rc fmt_jsonl_fit_again(struct fmt_jsonl_options *options, const uint32_t *words,
                                size_t count, struct fmt_shape *shape, struct fmt_error *error)
{
    if (count != 1 + (size_t)options->target_count)
        return fmt_fail(error, 0, 0, "not what a first line tells: %zu numbers", count);
    options->sparse = words[0] != 0;
    for (uint32_t i = 0; i < options->target_count; i++) {
        struct jsonl_target *target = &options->targets[i];
        bool is_one = target->kind == JSONL_TEXT || target->kind == JSONL_WEIGHT;
        uint32_t dim = words[1 + i];

        target->absent = dim == JSONL_NONE;
        target->dim = target->absent ? 1 : dim;
        if ((target->absent && !target->optional) || target->dim > INT32_MAX ||
            (is_one && target->dim != 1) || (target->kind == JSONL_LABEL && target->dim == 0))
            return fmt_fail(error, 0, 0, "not what a first line tells of %s", target->name);
    }
    return place_targets(options, shape, error);
}

/* ---- rows ---- */

void fmt_jsonl_put_missing(const struct jsonl_target *target, const struct jsonl_row *row)
{
    if (target->kind == JSONL_TEXT || (target->kind == JSONL_FEATURE && row->entry_end != NULL))
        return;
    float *out = fmt_jsonl_place(target, row);

    for (uint32_t i = 0; i < target->dim; i++)
        out[i] = target->kind == JSONL_WEIGHT ? 1 : NAN;
}

/* Keys and values of a sparse row, behind the entries there are. */
static enum fmt_rc put_entries(const struct jsonl_target *target,
                               const struct fmt_json_value *value, const struct jsonl_row *row,
                               bool missing_is_nan, struct fmt_error *error)
{
    struct fmt_entries *entries = row->entries;
    struct jsonl_tensor tensor = fmt_jsonl_tensor(value);
    struct flat f = {.target = target, .missing_is_nan = missing_is_nan, .error = error};
    uint32_t limit = target->dim == 0 ? INT32_MAX : target->dim;
    uint32_t columns = 0;
    uint32_t keys = 0;
    struct fmt_json_value key;
    struct fmt_json json;
    enum fmt_rc rc = read_shape(target, &tensor.shape, &columns, error);

    if (rc == FMT_OK && columns != 0 && columns != target->dim)
        return fmt_fail(error, 0, 0, "%s: the shape is %" PRIu32 ", the channel's %" PRIu32,
                        target->name, columns, target->dim);
    if (rc == FMT_OK && tensor.values.kind == FMT_JSON_ARRAY)
        rc = add_array(&f, &tensor.values, 1);
    if (rc != FMT_OK)
        return rc;
    if (!fmt_entries_reserve(entries, (size_t)f.count + 1)) /* one at least: there is memory */
        return FMT_E_MEMORY;
    f.out = entries->values + entries->count;
    f.room = f.count;
    f.count = 0;
    if (tensor.values.kind == FMT_JSON_ARRAY)
        (void)add_array(&f, &tensor.values, 1);
    if (tensor.keys.kind == FMT_JSON_ARRAY) {
        begin(&json, &tensor.keys);
        (void)fmt_json_enter(&json, '[', NULL);
        for (; fmt_json_next(&json, NULL, &key, NULL) == FMT_OK && key.kind != FMT_JSON_NONE;
             keys++) {
            uint32_t column;

            if (!read_whole(&key, &column) || column >= limit)
                return fmt_fail(error, 0, 0, "%s: key %" PRIu32 " is not from 0 to %" PRIu32,
                                target->name, keys, limit - 1);
            if (keys < f.count)
                entries->columns[entries->count + keys] = column;
        }
    }
    if (keys != f.count)
        return fmt_fail(error, 0, 0, "%s: %" PRIu32 " keys for %" PRIu32 " values", target->name,
                        keys, f.count);
    entries->count += keys;
    return FMT_OK;
}

static enum fmt_rc put_target(const struct fmt_jsonl_options *options,
                              const struct jsonl_target *target, const jsonl_slot *value,
                              const struct jsonl_row *row, struct fmt_error *error)
{
    bool missing_is_nan = options->missing_is_nan != 0;
    uint32_t count;

    if (value->kind == FMT_JSON_NONE || (value->kind == FMT_JSON_NULL && missing_is_nan)) {
        if (!missing_is_nan)
            return fmt_fail(error, 0, 0, "the line has no %s; missing=nan lets it", target->name);
        fmt_jsonl_put_missing(target, row);
        return FMT_OK;
    }
    if (target->kind == JSONL_FEATURE && options->sparse) {
        if (value->kind != FMT_JSON_OBJECT)
            return fmt_fail(error, 0, 0, "%s: a dense row among sparse ones", target->name);
        return put_entries(target, value, row, missing_is_nan, error);
    }
    enum fmt_rc rc = read_numbers(options, target, value, fmt_jsonl_place(target, row), target->dim,
                                  &count, error);

    if (rc == FMT_OK && count != target->dim)
        return fmt_fail(error, 0, 0, "%s: %" PRIu32 " numbers, the channel has %" PRIu32,
                        target->name, count, target->dim);
    return rc;
}

enum fmt_rc fmt_jsonl_put_texts(const struct fmt_jsonl_options *options, const jsonl_slot *slots,
                                const struct jsonl_row *row, struct fmt_error *error)
{
    struct fmt_texts *texts = row->texts;

    for (uint32_t i = 0; i < options->target_count; i++) {
        const struct jsonl_target *target = &options->targets[i];

        if (target->kind != JSONL_TEXT)
            continue;
        const jsonl_slot *value = fmt_jsonl_value(target, slots);
        bool missing = value->kind == FMT_JSON_NONE || value->kind == FMT_JSON_NULL;

        if (missing && options->missing_is_nan == 0)
            return fmt_fail(error, 0, 0, "the line has no %s; missing=nan lets it", target->name);
        if (!missing) {
            if (!fmt_texts_reserve(texts, value->len_bytes + 1)) /* as above */
                return FMT_E_MEMORY;
            if (value->kind == FMT_JSON_STRING) {
                texts->count += fmt_json_unescape(value, texts->bytes + texts->count);
            } else {
                memcpy(texts->bytes + texts->count, value->bytes, value->len_bytes);
                texts->count += value->len_bytes;
            }
        }
        row->text_ends[target->column] = (uint32_t)texts->count;
    }
    return FMT_OK;
}

enum fmt_rc fmt_jsonl_put(const struct fmt_jsonl_options *options, const jsonl_slot *slots,
                          const struct jsonl_row *row, struct fmt_error *error)
{
    size_t entries_before = row->entries->count;
    size_t texts_before = row->texts->count;
    enum fmt_rc rc = FMT_OK;

    for (uint32_t i = 0; i < options->target_count && rc == FMT_OK; i++) {
        const struct jsonl_target *target = &options->targets[i];

        if (target->kind != JSONL_TEXT && !target->absent)
            rc = put_target(options, target, fmt_jsonl_value(target, slots), row, error);
    }
    if (rc == FMT_OK)
        rc = fmt_jsonl_put_texts(options, slots, row, error);
    if (rc != FMT_OK) {
        row->entries->count = entries_before;
        row->texts->count = texts_before;
        return rc;
    }
    if (row->entry_end != NULL)
        *row->entry_end = (uint32_t)row->entries->count;
    return FMT_OK;
}
