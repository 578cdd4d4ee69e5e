/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_output.c - see pack_output.h. */
#include "pipe/pack_output.h"

#include "formats/csv_write.h"
#include "formats/record_write.h"
#include "pipe/error.h"
#include "pipe/pack_shards.h"

#include <stdlib.h>

/* Room for one row, converted. */
struct row {
    void *features;
    void *labels;
    size_t encoded_bytes; /* at most */
};

static uint32_t cols_of(const struct fmt_array *array)
{
    return array ? (uint32_t)array->cols : 0;
}

/* A row's features and its labels, if it has any. */
static size_t entries_of(const struct ps_pack_job *job, const struct row *row,
                         struct fmt_record_entry entries[2])
{
    entries[0] = (struct fmt_record_entry){
        .type = job->feature_type, .values = row->features, .count = cols_of(job->features)};
    entries[1] = (struct fmt_record_entry){.is_label = true,
                                           .type = job->label_type,
                                           .values = row->labels,
                                           .count = cols_of(job->labels)};
    return job->labels ? 2 : 1;
}

static int open_row(const struct ps_pack_job *job, struct row *row, struct penstock_error *error)
{
    struct fmt_record_entry entries[2];
    uint32_t feature_count = cols_of(job->features);
    uint32_t label_count = cols_of(job->labels);

    row->features = calloc(feature_count, sizeof(double));
    row->labels = calloc((size_t)label_count + 1, sizeof(double));
    row->encoded_bytes = job->csv ? ((size_t)feature_count + label_count) * FMT_CSV_FIELD_BYTES_MAX
                                  : fmt_record_bytes_max(entries, entries_of(job, row, entries));
    if (row->features && row->labels)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for a row of %u numbers",
                   feature_count);
}

static void close_row(struct row *row)
{
    free(row->features);
    free(row->labels);
}

static void divide(const struct ps_pack_job *job, void *features)
{
    float *floats = features;
    double *doubles = features;
    uint64_t count = job->features->cols;

    for (uint64_t i = 0; job->scale != 1 && i < count; i++)
        if (job->feature_type == FMT_FLOAT32)
            floats[i] /= (float)job->scale;
        else
            doubles[i] /= job->scale;
}

/* Encodes row `row_no` into out[row->encoded_bytes]. */
static int encode(const struct ps_pack_job *job, uint64_t row_no, struct row *row, uint8_t *out,
                  size_t *len, struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    struct fmt_record_entry entries[2];
    size_t entry_count = entries_of(job, row, entries);
    enum fmt_rc rc = fmt_array_row(job->features, row_no, job->feature_type, row->features, &cause);

    if (rc == FMT_OK && job->labels)
        rc = fmt_array_row(job->labels, row_no, job->label_type, row->labels, &cause);
    if (rc == FMT_OK) {
        divide(job, row->features);
        if (job->csv) {
            char *text = (char *)out;

            *len = fmt_csv_write(job->label_type, row->labels, entries[1].count, false, text);
            *len += fmt_csv_write(job->feature_type, row->features, entries[0].count, true,
                                  text + *len);
        } else {
            rc = fmt_record_write(entries, entry_count, out, len, &cause);
        }
    }
    if (rc == FMT_OK)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_FORMAT, "row %llu: %s", (unsigned long long)row_no,
                   cause.text);
}

static int write_rows(const struct ps_pack_job *job, struct ps_pack_shards *shards, uint64_t first,
                      uint64_t end, struct row *row, struct penstock_error *error)
{
    int rc = ps_pack_shards_begin(shards, error);

    for (uint64_t i = first; rc == PENSTOCK_OK && i < end; i++) {
        uint8_t *out;
        size_t len = 0;

        if (job->stop && *job->stop)
            return ps_fail(error, PENSTOCK_E_STOPPED, "interrupted: nothing was written");
        rc = ps_pack_shards_reserve(shards, row->encoded_bytes, &out, error);
        if (rc == PENSTOCK_OK)
            rc = encode(job, i, row, out, &len, error);
        if (rc == PENSTOCK_OK)
            ps_pack_shards_add(shards, len);
    }
    return rc;
}

int ps_pack_write(const struct ps_pack_job *job, struct ps_pack_report *report,
                  struct penstock_error *error)
{
    struct row row = {.features = NULL};

    *report = (struct ps_pack_report){.bytes = 0};
    if (job->features->cols == 0 || job->features->cols > UINT32_MAX / sizeof(double))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "rows of %llu numbers cannot be packed",
                       (unsigned long long)job->features->cols);
    struct ps_pack_shards *shards = NULL;
    uint64_t rows_each = job->features->rows / job->shards;
    int rc = open_row(job, &row, error);

    if (rc == PENSTOCK_OK)
        rc = ps_pack_shards_open(job->directory, job->prefix, job->csv ? "csv" : "pbr", job->shards,
                                 job->force, &shards, error);
    for (uint64_t i = 0; rc == PENSTOCK_OK && i < job->shards; i++) {
        uint64_t end = i + 1 == job->shards ? job->features->rows : (i + 1) * rows_each;

        rc = write_rows(job, shards, i * rows_each, end, &row, error);
    }
    if (rc == PENSTOCK_OK)
        rc = ps_pack_shards_publish(shards, error);
    if (rc == PENSTOCK_OK) {
        report->bytes = ps_pack_shards_bytes(shards);
        report->shards = job->shards;
    }
    ps_pack_shards_close(shards);
    close_row(&row);
    return rc;
}
