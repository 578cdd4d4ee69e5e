/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_output.c - see pack_output.h. */
#include "pipe/pack_output.h"

#include "formats/csv_write.h"
#include "formats/record_write.h"
#include "formats/recordio_index.h"
#include "pipe/error.h"
#include "pipe/pack_shards.h"

#include <stdlib.h>
#include <string.h>

/* Room for one row, converted. */
struct row {
    struct fmt_record_entry entries[PS_PACK_ENTRIES_MAX];
    void *values[PS_PACK_ENTRIES_MAX];
    uint64_t *keys[PS_PACK_ENTRIES_MAX];
    size_t encoded_bytes; /* at most */
};

static void close_row(struct row *row)
{
    for (size_t i = 0; i < PS_PACK_ENTRIES_MAX; i++) {
        free(row->values[i]);
        free(row->keys[i]);
    }
}

static int open_entry(const struct ps_pack_entry *entry, size_t i, struct row *row,
                      struct penstock_error *error)
{
    uint64_t cols = entry->dense ? entry->dense->cols : entry->sparse->cols;
    uint64_t count = entry->dense ? cols : entry->sparse->entries_max;

    if (cols == 0 || count > UINT32_MAX / sizeof(double))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "rows of %llu numbers cannot be packed",
                       (unsigned long long)count);
    row->values[i] = calloc(count + 1, sizeof(double)); /* for an empty row, too */
    row->keys[i] = entry->sparse ? calloc(count + 1, sizeof(uint64_t)) : NULL;
    if (!row->values[i] || (entry->sparse && !row->keys[i]))
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for a row of %llu numbers",
                       (unsigned long long)count);
    row->entries[i] = (struct fmt_record_entry){.name = entry->name,
                                                .is_label = entry->is_label,
                                                .type = entry->type,
                                                .values = row->values[i],
                                                .count = (uint32_t)count,
                                                .keys = row->keys[i],
                                                .columns = entry->sparse ? cols : 0};
    return PENSTOCK_OK;
}

static int open_row(const struct ps_pack_job *job, struct row *row, struct penstock_error *error)
{
    size_t numbers = 0;

    for (size_t i = 0; i < job->entry_count; i++) {
        int rc = open_entry(&job->entries[i], i, row, error);

        if (rc != PENSTOCK_OK)
            return rc;
        numbers += row->entries[i].count;
    }
    row->encoded_bytes = job->csv ? numbers * FMT_CSV_FIELD_BYTES_MAX
                                  : fmt_record_bytes_max(row->entries, job->entry_count);
    return PENSTOCK_OK;
}

static void divide(double scale, enum fmt_type type, void *values, uint32_t count)
{
    float *floats = values;
    double *doubles = values;

    for (uint32_t i = 0; scale != 1 && i < count; i++)
        if (type == FMT_FLOAT32)
            floats[i] /= (float)scale;
        else
            doubles[i] /= scale;
}

static enum fmt_rc read_entry(const struct ps_pack_job *job, size_t i, uint64_t row_no,
                              struct row *row, struct fmt_error *cause)
{
    const struct ps_pack_entry *entry = &job->entries[i];
    enum fmt_rc rc = entry->sparse
                         ? ps_pack_sparse_row(entry->sparse, row_no, entry->type, row->values[i],
                                              row->keys[i], &row->entries[i].count, cause)
                         : fmt_array_row(entry->dense, row_no, entry->type, row->values[i], cause);

    if (rc == FMT_OK && !entry->is_label)
        divide(job->scale, entry->type, row->values[i], row->entries[i].count);
    return rc;
}

/* Labels, if there are any, then features. */
static size_t encode_csv(const struct ps_pack_job *job, const struct row *row, char *out)
{
    size_t len = 0;

    for (size_t i = job->entry_count; i-- > 0;) {
        const struct fmt_record_entry *entry = &row->entries[i];

        len += fmt_csv_write(entry->type, entry->values, entry->count, i == 0, out + len);
    }
    return len;
}

/* Encodes row `row_no` into out[row->encoded_bytes]. */
static int encode(const struct ps_pack_job *job, uint64_t row_no, struct row *row, uint8_t *out,
                  size_t *len, struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    enum fmt_rc rc = FMT_OK;

    for (size_t i = 0; rc == FMT_OK && i < job->entry_count; i++)
        rc = read_entry(job, i, row_no, row, &cause);
    if (rc == FMT_OK && job->csv)
        *len = encode_csv(job, row, (char *)out);
    else if (rc == FMT_OK)
        rc = fmt_record_write(row->entries, job->entry_count, out, len, &cause);
    if (rc == FMT_OK)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_FORMAT, "row %llu: %s", (unsigned long long)row_no,
                   cause.text);
}

/* The line of a record in its shard's index. */
static int add_line(struct ps_pack_shards *indexes, uint64_t record_no, uint64_t offset,
                    struct penstock_error *error)
{
    char line[FMT_RECORDIO_INDEX_LINE_BYTES];
    size_t len = fmt_recordio_index_line(record_no, offset, line);
    uint8_t *out;
    int rc = ps_pack_shards_reserve(indexes, len, &out, error);

    if (rc != PENSTOCK_OK)
        return rc;
    memcpy(out, line, len);
    ps_pack_shards_add(indexes, len);
    return PENSTOCK_OK;
}

/* One shard, and its index unless that is NULL. */
static int write_rows(const struct ps_pack_job *job, struct ps_pack_shards *shards,
                      struct ps_pack_shards *indexes, uint64_t first, uint64_t end, struct row *row,
                      struct penstock_error *error)
{
    uint64_t offset = 0;
    int rc = ps_pack_shards_begin(shards, error);

    if (rc == PENSTOCK_OK && indexes)
        rc = ps_pack_shards_begin(indexes, error);
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
        if (rc == PENSTOCK_OK && indexes)
            rc = add_line(indexes, i - first, offset, error);
        offset += len;
    }
    return rc;
}

int ps_pack_write(const struct ps_pack_job *job, struct ps_pack_report *report,
                  struct penstock_error *error)
{
    struct row row = {.encoded_bytes = 0};

    *report = (struct ps_pack_report){.bytes = 0};
    struct ps_pack_shards *shards = NULL;
    struct ps_pack_shards *indexes = NULL;
    uint64_t rows_each = job->rows / job->shards;
    int rc = open_row(job, &row, error);

    if (rc == PENSTOCK_OK)
        rc = ps_pack_shards_open(job->directory, job->prefix, job->csv ? "csv" : "pbr", job->shards,
                                 job->force, &shards, error);
    if (rc == PENSTOCK_OK && job->index)
        rc = ps_pack_shards_open(job->directory, job->prefix, "idx", job->shards, job->force,
                                 &indexes, error);
    for (uint64_t i = 0; rc == PENSTOCK_OK && i < job->shards; i++) {
        uint64_t end = i + 1 == job->shards ? job->rows : (i + 1) * rows_each;

        rc = write_rows(job, shards, indexes, i * rows_each, end, &row, error);
    }
    if (rc == PENSTOCK_OK)
        rc = ps_pack_shards_publish(shards, error);
    if (rc == PENSTOCK_OK && indexes)
        rc = ps_pack_shards_publish(indexes, error);
    if (rc == PENSTOCK_OK) {
        report->bytes = ps_pack_shards_bytes(shards);
        report->shards = job->shards;
    }
    ps_pack_shards_close(shards);
    ps_pack_shards_close(indexes);
    close_row(&row);
    return rc;
}
