/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_report.c - penstock inspect's report, for people. See inspect.h. */
#include "pipe/inspect.h"

#include <stdarg.h>

enum { OBJECTS_SHOWN = 5, VALUES_SHOWN = 8, LINE_BYTES_MAX = 2048 };

typedef unsigned long long ull;

static void __attribute__((format(printf, 2, 3))) say(FILE *to, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fputs(line, to);
}

/* ---- objects ---- */

static void print_object(const struct ps_sizes *sizes, size_t i, FILE *to)
{
    say(to, "    %14llu  %s\n", (ull)sizes->bytes[i], sizes->keys[i]);
}

/* The largest ones, by repeated search: there are few to be shown. */
static void print_largest(const struct ps_sizes *sizes, FILE *to)
{
    size_t shown[OBJECTS_SHOWN];

    say(to, "  largest:\n");
    for (size_t n = 0; n < OBJECTS_SHOWN; n++) {
        size_t best = sizes->count;

        for (size_t i = 0; i < sizes->count; i++) {
            bool taken = false;

            for (size_t k = 0; k < n; k++)
                taken |= shown[k] == i;
            if (!taken && (best == sizes->count || sizes->bytes[i] > sizes->bytes[best]))
                best = i;
        }
        shown[n] = best;
        print_object(sizes, best, to);
    }
}

static void print_objects(const struct ps_sizes *sizes, bool all, FILE *to)
{
    bool few = all || sizes->count <= (size_t)2 * OBJECTS_SHOWN;
    size_t shown = few ? sizes->count : OBJECTS_SHOWN;

    say(to, "Objects        %zu, %llu bytes", sizes->count, (ull)sizes->total_bytes);
    if (sizes->empty_count > 0)
        say(to, "; %llu more are empty", (ull)sizes->empty_count);
    fputc('\n', to);
    if (sizes->count > 0)
        say(to, "Sizes          smallest %llu, median %llu, largest %llu bytes\n",
            (ull)sizes->least_bytes, (ull)sizes->median_bytes, (ull)sizes->most_bytes);
    if (!few)
        say(to, "  first:\n");
    for (size_t i = 0; i < shown; i++)
        print_object(sizes, i, to);
    if (!few)
        print_largest(sizes, to);
}

/* ---- format ---- */

/* What a content type does not say; NULL: nothing. */
static const char *remark(enum ps_kind kind)
{
    switch (kind) {
    case PS_KIND_CSV:
    case PS_KIND_CSV_OTHER:
        return "label_size=1 is SageMaker's convention: the first column";
    case PS_KIND_JSON_LINES:
        return "names are by kind, from the first line; label, target, class and y are labels";
    case PS_KIND_IMAGE_RECORDIO:
    case PS_KIND_JPEG:
    case PS_KIND_PNG:
        return "image_shape is an example: channels, height, width";
    case PS_KIND_LST:
        return "labels of pictures: for application/x-image;lst=FILE";
    case PS_KIND_RECORDIO_INDEX:
        return "where the records of a RecordIO file begin: not needed to read it";
    case PS_KIND_NPY:
    case PS_KIND_ZIP:
    case PS_KIND_IDX:
        return "penstock pack turns .npy, .npz and IDX files into shards of records";
    case PS_KIND_UNKNOWN:
    case PS_KIND_RECORD_PROTOBUF:
    case PS_KIND_RECORDIO:
    case PS_KIND_LIBSVM:
    case PS_KIND_JSON:
    case PS_KIND_TEXT:
    case PS_KIND_TFRECORD:
    case PS_KIND_PARQUET:
    case PS_KIND_AVRO:
    case PS_KIND_BINARY:
        break;
    }
    return NULL;
}

static void print_format(const struct ps_inspect *inspect, FILE *to)
{
    char content_type[PS_TYPE_BYTES];

    ps_inspect_content_type(inspect, content_type, sizeof content_type);
    say(to, "Format         %s%s\n", ps_kind_name(inspect->kind),
        inspect->content_type ? " (as told)" : "");
    say(to, "Options        content type %s, compression %s\n", content_type,
        ps_inspect_compression(inspect));
    if (!inspect->content_type && remark(inspect->kind))
        say(to, "               (%s)\n", remark(inspect->kind));
    say(to, "Read           %llu of %llu bytes, %llu of %zu objects to their end",
        (ull)inspect->bytes_read, (ull)inspect->sizes.total_bytes, (ull)inspect->objects_ended,
        inspect->sizes.count);
    if (inspect->content_bytes != inspect->bytes_read)
        say(to, "; they hold %llu bytes", (ull)inspect->content_bytes);
    fputc('\n', to);
}

/* ---- records ---- */

static void print_numbers(const char *what, const struct ps_numbers *numbers, FILE *to)
{
    say(to, "%-14s ", what);
    if (numbers->count > 0)
        say(to, "min %.9g, max %.9g, mean %.9g", numbers->least, numbers->most, numbers->mean);
    else
        say(to, "no finite number");
    say(to, "; %llu NaN or missing, %llu infinite\n", (ull)numbers->nan_count,
        (ull)numbers->inf_count);
}

static void print_distinct(const struct ps_numbers *numbers, FILE *to)
{
    if (numbers->count == 0)
        return;
    if (numbers->distinct_count > PS_DISTINCT_MAX) {
        say(to, "               more than %d distinct values\n", PS_DISTINCT_MAX);
        return;
    }
    say(to, "               %u distinct values%s", numbers->distinct_count,
        numbers->fractions ? "" : ":");
    for (uint32_t i = 0; !numbers->fractions && i < numbers->distinct_count; i++)
        say(to, "%s %.9g (%llu)", i > 0 ? "," : "", (double)numbers->distinct[i],
            (ull)numbers->distinct_rows[i]);
    fputc('\n', to);
}

static void print_values(const float *values, size_t count, FILE *to)
{
    for (size_t i = 0; i < count && i < VALUES_SHOWN; i++)
        say(to, " %.7g", (double)values[i]);
    if (count > VALUES_SHOWN)
        say(to, " ... (%zu values)", count);
}

static void print_rows(const struct ps_inspect *inspect, FILE *to)
{
    size_t labels = inspect->shape.label_dim;
    size_t row_len = labels + inspect->shape.feature_dim;

    if (inspect->rows_kept > 0)
        say(to, inspect->line_kept ? "First rows\n" : "First rows     label | features\n");
    for (uint32_t i = 0; i < inspect->rows_kept; i++) {
        if (inspect->line_kept) {
            say(to, "    %s\n", inspect->line_kept[i]);
            continue;
        }
        const float *row = inspect->row_kept + row_len * i;

        fputs("   ", to);
        print_values(row, labels, to);
        fputs(" |", to);
        print_values(row + labels, row_len - labels, to);
        fputc('\n', to);
    }
}

static double mean(uint64_t sum, uint64_t count)
{
    return count == 0 ? 0 : (double)sum / (double)count;
}

static void print_records(const struct ps_inspect *inspect, FILE *to)
{
    const struct fmt_shape *shape = &inspect->shape;

    say(to, "Records        %llu", (ull)inspect->records);
    if (shape->sparse)
        say(to, ", sparse, %.4g entries each", mean(inspect->entries, inspect->records));
    if (shape->sparse && shape->feature_dim > 0)
        say(to, " of %u columns", shape->feature_dim);
    if (shape->sparse)
        say(to, ", and %u labels", shape->label_dim);
    else if (inspect->decoder)
        say(to, ", each of %u features and %u labels", shape->feature_dim, shape->label_dim);
    if (shape->text_dim > 0)
        say(to, ", %u texts (%.4g bytes)", shape->text_dim,
            mean(inspect->text_bytes, inspect->records));
    fputc('\n', to);
    for (uint32_t i = 0; i < inspect->shape.label_dim && i < PS_LABELS_SHOWN; i++) {
        char what[16];

        snprintf(what, sizeof what, inspect->shape.label_dim > 1 ? "Label %u" : "Label", i + 1);
        print_numbers(what, &inspect->labels[i], to);
        print_distinct(&inspect->labels[i], to);
    }
    if (shape->feature_dim > 0 || shape->sparse)
        print_numbers("Features", &inspect->features, to);
    print_rows(inspect, to);
}

static void print_payloads(const struct ps_inspect *inspect, FILE *to)
{
    say(to, "Records        %llu, %llu of them in several parts\n", (ull)inspect->records,
        (ull)inspect->records_in_parts);
    if (inspect->records > 0)
        say(to, "Payloads       smallest %llu, mean %llu, largest %llu bytes; the first is %s\n",
            (ull)inspect->payload_least_bytes,
            (ull)(inspect->payload_total_bytes / inspect->records),
            (ull)inspect->payload_most_bytes, inspect->payload_kind);
}

/* ---- problems ---- */

static void print_problem(const struct ps_problem_list *list, enum ps_problem problem, FILE *to)
{
    ull shown = list->count < PS_EXAMPLES_MAX ? list->count : PS_EXAMPLES_MAX;

    say(to, "  %s: %llu\n", ps_problem_name(problem), (ull)list->count);
    for (ull i = 0; i < shown; i++) {
        const struct ps_example *example = &list->examples[i];

        fputs("    ", to);
        if (example->key)
            say(to, "%s, offset %llu: ", example->key, (ull)example->offset_bytes);
        say(to, "%s\n", example->text);
    }
    if (list->count > shown)
        say(to, "    and %llu more\n", (ull)list->count - shown);
}

static void print_problems(const struct ps_inspect *inspect, FILE *to)
{
    bool any = false;

    for (int i = 0; i < PS_PROBLEMS; i++)
        any |= inspect->problems[i].count > 0;
    say(to, "Problems%s\n", any ? "" : "       none found");
    for (int i = 0; i < PS_PROBLEMS; i++)
        if (inspect->problems[i].count > 0)
            print_problem(&inspect->problems[i], (enum ps_problem)i, to);
}

void ps_inspect_print(const struct ps_inspect *inspect, bool all, FILE *to)
{
    print_objects(&inspect->sizes, all, to);
    if (inspect->objects > 0) {
        print_format(inspect, to);
        if (inspect->options.ops)
            print_records(inspect, to);
        else if (inspect->kind == PS_KIND_RECORDIO || inspect->kind == PS_KIND_IMAGE_RECORDIO)
            print_payloads(inspect, to);
    }
    print_problems(inspect, to);
}
