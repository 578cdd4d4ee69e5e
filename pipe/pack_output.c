/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_output.c - see pack_output.h. */
#include "pipe/pack_output.h"

#include "formats/csv_write.h"
#include "formats/record_write.h"
#include "pipe/error.h"
#include "pipe/list_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4352
#define BUFFER_BYTES ((size_t)1 << 20)

struct shard {
    char path[PATH_BYTES];
    char temporary[PATH_BYTES];
    FILE *file;
};

/* Room for one row, converted and encoded. */
struct row {
    void *features;
    void *labels;
    uint8_t *encoded;
};

static int failed(struct penstock_error *error, const char *what, const char *path, int sys_errno)
{
    int rc = ps_fail_errno(error, ps_file_rc(sys_errno), sys_errno, "cannot %s %s", what, path);

    ps_error_object(error, NULL, path, 0);
    return rc;
}

static uint32_t cols_of(const struct fmt_array *array)
{
    return array ? (uint32_t)array->cols : 0;
}

static int open_row(const struct ps_pack_job *job, struct row *row, struct penstock_error *error)
{
    struct fmt_tensor features = {job->feature_type, NULL, cols_of(job->features)};
    struct fmt_tensor label = {job->label_type, NULL, cols_of(job->labels)};
    size_t encoded_bytes = job->csv
                               ? ((size_t)features.count + label.count) * FMT_CSV_FIELD_BYTES_MAX
                               : fmt_record_bytes_max(&features, &label);

    row->features = calloc(features.count, sizeof(double));
    row->labels = calloc((size_t)label.count + 1, sizeof(double));
    row->encoded = malloc(encoded_bytes);
    if (row->features && row->labels && row->encoded)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for a row of %u numbers",
                   features.count);
}

static void close_row(struct row *row)
{
    free(row->features);
    free(row->labels);
    free(row->encoded);
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

/* Encodes row `row_no` into row->encoded. */
static int encode(const struct ps_pack_job *job, uint64_t row_no, struct row *row, size_t *len,
                  struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    const struct fmt_tensor features = {job->feature_type, row->features, cols_of(job->features)};
    const struct fmt_tensor label = {job->label_type, row->labels, cols_of(job->labels)};
    enum fmt_rc rc = fmt_array_row(job->features, row_no, job->feature_type, row->features, &cause);

    if (rc == FMT_OK && job->labels)
        rc = fmt_array_row(job->labels, row_no, job->label_type, row->labels, &cause);
    if (rc == FMT_OK) {
        divide(job, row->features);
        if (job->csv) {
            char *text = (char *)row->encoded;

            *len = fmt_csv_write(label.type, label.values, label.count, false, text);
            *len +=
                fmt_csv_write(features.type, features.values, features.count, true, text + *len);
        } else {
            rc =
                fmt_record_write(&features, job->labels ? &label : NULL, row->encoded, len, &cause);
        }
    }
    if (rc == FMT_OK)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_FORMAT, "row %llu: %s", (unsigned long long)row_no,
                   cause.text);
}

static int open_shard(const struct ps_pack_job *job, uint64_t shard_no, struct shard *shard,
                      struct penstock_error *error)
{
    char digits[24];
    int width = snprintf(digits, sizeof digits, "%llu", (unsigned long long)job->shards);
    int len = snprintf(shard->path, sizeof shard->path, "%s/%s_%0*llu.%s", job->directory,
                       job->prefix, width, (unsigned long long)shard_no, job->csv ? "csv" : "pbr");

    if (len >= (int)sizeof shard->path - 8)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the path of a shard is too long: %s",
                       job->directory);
    if (!job->force && access(shard->path, F_OK) == 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s exists already: use --force to replace it",
                       shard->path);
    snprintf(shard->temporary, sizeof shard->temporary, "%s/.%s_%0*llu.tmp", job->directory,
             job->prefix, width, (unsigned long long)shard_no);
    shard->file = fopen(shard->temporary, "wbe");
    if (!shard->file)
        return failed(error, "create", shard->temporary, errno);
    setvbuf(shard->file, NULL, _IOFBF, BUFFER_BYTES);
    return PENSTOCK_OK;
}

/* Makes the shard durable under its own name. */
static int finish_shard(struct shard *shard, struct penstock_error *error)
{
    bool flushed = fflush(shard->file) == 0 && fsync(fileno(shard->file)) == 0;
    int sys_errno = errno;

    if (fclose(shard->file) != 0 && flushed) {
        flushed = false;
        sys_errno = errno;
    }
    shard->file = NULL;
    if (flushed && rename(shard->temporary, shard->path) == 0)
        return PENSTOCK_OK;
    if (flushed)
        sys_errno = errno;
    unlink(shard->temporary);
    return failed(error, "write", shard->path, sys_errno);
}

static int write_rows(const struct ps_pack_job *job, struct shard *shard, uint64_t first,
                      uint64_t count, struct row *row, struct ps_pack_report *report,
                      struct penstock_error *error)
{
    for (uint64_t i = first; i < first + count; i++) {
        size_t len = 0;
        int rc = encode(job, i, row, &len, error);

        if (rc != PENSTOCK_OK)
            return rc;
        if (fwrite(row->encoded, 1, len, shard->file) != len)
            return failed(error, "write", shard->path, errno);
        report->bytes += len;
    }
    return PENSTOCK_OK;
}

static int write_shard(const struct ps_pack_job *job, uint64_t shard_no, struct row *row,
                       struct ps_pack_report *report, struct penstock_error *error)
{
    uint64_t rows_each = job->features->rows / job->shards;
    uint64_t first = shard_no * rows_each;
    uint64_t count = shard_no + 1 == job->shards ? job->features->rows - first : rows_each;
    struct shard shard = {.file = NULL};
    int rc = open_shard(job, shard_no, &shard, error);

    if (rc != PENSTOCK_OK)
        return rc;
    rc = write_rows(job, &shard, first, count, row, report, error);
    if (rc == PENSTOCK_OK)
        return finish_shard(&shard, error);
    fclose(shard.file);
    unlink(shard.temporary);
    return rc;
}

static int make_directory(const char *path, struct penstock_error *error)
{
    char partial[PATH_BYTES];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof partial - 256)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "the output directory's path is empty or too long");
    memcpy(partial, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        partial[i] = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST)
            return failed(error, "create directory", partial, errno);
        partial[i] = i < len ? '/' : '\0';
    }
    return PENSTOCK_OK;
}

int ps_pack_write(const struct ps_pack_job *job, struct ps_pack_report *report,
                  struct penstock_error *error)
{
    struct row row = {.features = NULL};

    *report = (struct ps_pack_report){.bytes = 0};
    if (job->features->cols == 0 || job->features->cols > UINT32_MAX / sizeof(double))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "rows of %llu numbers cannot be packed",
                       (unsigned long long)job->features->cols);
    int rc = make_directory(job->directory, error);

    if (rc == PENSTOCK_OK)
        rc = open_row(job, &row, error);
    for (uint64_t i = 0; rc == PENSTOCK_OK && i < job->shards; i++) {
        rc = write_shard(job, i, &row, report, error);
        report->shards += rc == PENSTOCK_OK;
    }
    close_row(&row);
    return rc;
}
