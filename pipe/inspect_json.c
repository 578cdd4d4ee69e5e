/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_json.c - penstock inspect's report, for machines. See inspect.h. */
#include "pipe/inspect.h"

#include <jansson.h>
#include <math.h>

/* JSON has no NaN and no infinity: null. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* A key of bytes that are no UTF-8 is left out. */
static json_t *text(const char *string)
{
    json_t *value = string ? json_string(string) : NULL;

    return value ? value : json_null();
}

static json_t *sizes_json(const struct ps_sizes *sizes, bool all)
{
    json_t *out = json_object();

    json_object_set_new(out, "count", integer(sizes->count));
    json_object_set_new(out, "empty", integer(sizes->empty_count));
    json_object_set_new(out, "bytes", integer(sizes->total_bytes));
    json_object_set_new(out, "smallest", integer(sizes->least_bytes));
    json_object_set_new(out, "median", integer(sizes->median_bytes));
    json_object_set_new(out, "largest", integer(sizes->most_bytes));
    if (!all)
        return out;
    json_t *list = json_array();

    for (size_t i = 0; i < sizes->count; i++) {
        json_t *object = json_object();

        json_object_set_new(object, "key", text(sizes->keys[i]));
        json_object_set_new(object, "bytes", integer(sizes->bytes[i]));
        json_array_append_new(list, object);
    }
    json_object_set_new(out, "list", list);
    return out;
}

static json_t *read_json(const struct ps_inspect *inspect)
{
    json_t *out = json_object();

    json_object_set_new(out, "objects", integer(inspect->objects_ended));
    json_object_set_new(out, "bytes", integer(inspect->bytes_read));
    json_object_set_new(out, "content_bytes", integer(inspect->content_bytes));
    return out;
}

static json_t *numbers_json(const struct ps_numbers *numbers)
{
    json_t *out = json_object();
    bool any = numbers->count > 0;

    json_object_set_new(out, "count", integer(numbers->count));
    json_object_set_new(out, "nan", integer(numbers->nan_count));
    json_object_set_new(out, "inf", integer(numbers->inf_count));
    json_object_set_new(out, "min", any ? number(numbers->least) : json_null());
    json_object_set_new(out, "max", any ? number(numbers->most) : json_null());
    json_object_set_new(out, "mean", any ? number(numbers->mean) : json_null());
    return out;
}

static json_t *label_json(const struct ps_numbers *numbers)
{
    json_t *out = numbers_json(numbers);
    bool few = numbers->distinct_count <= PS_DISTINCT_MAX;

    json_object_set_new(out, "distinct", few ? integer(numbers->distinct_count) : json_null());
    if (!few || numbers->fractions)
        return out;
    json_t *list = json_array();

    for (uint32_t i = 0; i < numbers->distinct_count; i++) {
        json_t *value = json_object();

        json_object_set_new(value, "value", number((double)numbers->distinct[i]));
        json_object_set_new(value, "records", integer(numbers->distinct_rows[i]));
        json_array_append_new(list, value);
    }
    json_object_set_new(out, "values", list);
    return out;
}

static json_t *values_json(const float *values, size_t count)
{
    json_t *out = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, number((double)values[i]));
    return out;
}

static json_t *rows_json(const struct ps_inspect *inspect)
{
    json_t *out = json_array();
    size_t labels = inspect->shape.label_dim;
    size_t row_len = labels + inspect->shape.feature_dim;

    for (uint32_t i = 0; i < inspect->rows_kept; i++) {
        if (inspect->line_kept) {
            json_array_append_new(out, text(inspect->line_kept[i]));
            continue;
        }
        const float *values = inspect->row_kept + row_len * i;
        json_t *row = json_object();

        json_object_set_new(row, "labels", values_json(values, labels));
        json_object_set_new(row, "features", values_json(values + labels, row_len - labels));
        json_array_append_new(out, row);
    }
    return out;
}

static void set_rows(const struct ps_inspect *inspect, json_t *out)
{
    json_t *labels = json_array();

    json_object_set_new(out, "records", integer(inspect->records));
    json_object_set_new(out, "feature_dim", integer(inspect->shape.feature_dim));
    json_object_set_new(out, "label_dim", integer(inspect->shape.label_dim));
    if (inspect->shape.sparse)
        json_object_set_new(out, "entries", integer(inspect->entries));
    if (inspect->shape.text_dim > 0) {
        json_object_set_new(out, "text_dim", integer(inspect->shape.text_dim));
        json_object_set_new(out, "text_bytes", integer(inspect->text_bytes));
    }
    for (uint32_t i = 0; i < inspect->shape.label_dim && i < PS_LABELS_SHOWN; i++)
        json_array_append_new(labels, label_json(&inspect->labels[i]));
    json_object_set_new(out, "labels", labels);
    json_object_set_new(out, "features", numbers_json(&inspect->features));
    json_object_set_new(out, "rows", rows_json(inspect));
}

static void set_payloads(const struct ps_inspect *inspect, json_t *out)
{
    json_t *payloads = json_object();

    json_object_set_new(out, "records", integer(inspect->records));
    json_object_set_new(payloads, "in_parts", integer(inspect->records_in_parts));
    json_object_set_new(payloads, "bytes", integer(inspect->payload_total_bytes));
    json_object_set_new(payloads, "smallest", integer(inspect->payload_least_bytes));
    json_object_set_new(payloads, "largest", integer(inspect->payload_most_bytes));
    json_object_set_new(payloads, "format", text(inspect->payload_kind));
    json_object_set_new(out, "payloads", payloads);
}

static json_t *problems_json(const struct ps_inspect *inspect)
{
    json_t *out = json_array();

    for (int i = 0; i < PS_PROBLEMS; i++) {
        const struct ps_problem_list *list = &inspect->problems[i];
        json_t *problem = json_object();
        json_t *examples = json_array();

        for (uint64_t k = 0; k < list->count && k < PS_EXAMPLES_MAX; k++) {
            json_t *example = json_object();

            json_object_set_new(example, "key", text(list->examples[k].key));
            json_object_set_new(example, "offset", integer(list->examples[k].offset_bytes));
            json_object_set_new(example, "text", text(list->examples[k].text));
            json_array_append_new(examples, example);
        }
        json_object_set_new(problem, "problem", text(ps_problem_name((enum ps_problem)i)));
        json_object_set_new(problem, "count", integer(list->count));
        json_object_set_new(problem, "examples", examples);
        if (list->count > 0)
            json_array_append(out, problem);
        json_decref(problem);
    }
    return out;
}

int ps_inspect_print_json(const struct ps_inspect *inspect, bool all, FILE *to)
{
    char content_type[PS_TYPE_BYTES];
    json_t *out = json_object();

    json_object_set_new(out, "objects", sizes_json(&inspect->sizes, all));
    if (inspect->objects > 0) {
        ps_inspect_content_type(inspect, content_type, sizeof content_type);
        json_object_set_new(out, "format", text(ps_kind_name(inspect->kind)));
        json_object_set_new(out, "content_type", text(content_type));
        json_object_set_new(out, "compression", text(ps_inspect_compression(inspect)));
        json_object_set_new(out, "read", read_json(inspect));
        if (inspect->options.ops)
            set_rows(inspect, out);
        else if (inspect->kind == PS_KIND_RECORDIO || inspect->kind == PS_KIND_IMAGE_RECORDIO)
            set_payloads(inspect, out);
    }
    json_object_set_new(out, "problems", problems_json(inspect));
    int rc = json_dumpf(out, to, JSON_INDENT(2));

    fputc('\n', to);
    json_decref(out);
    return rc == 0 ? PENSTOCK_OK : PENSTOCK_E_SYSTEM;
}
