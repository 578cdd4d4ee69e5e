/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_sparse.c - see pack_sparse.h. */
#include "pipe/pack_sparse.h"

#include "formats/npz.h"
#include "pipe/error.h"

#include <stdlib.h>
#include <string.h>

/* Deflate shrinks at most 1032 times: a size beyond that is a lie, not an allocation. */
#define SHRINK_MOST 1100

static int bad_file(struct penstock_error *error, const char *path, const char *member,
                    const struct fmt_error *cause)
{
    return ps_fail(error, PENSTOCK_E_FORMAT, "%s, %s: %s", path, member, cause->text);
}

bool ps_pack_is_sparse(const uint8_t *in, size_t len)
{
    struct fmt_npz_member member;

    return fmt_npz_find(in, len, "format", &member, NULL) == FMT_OK &&
           fmt_npz_find(in, len, "shape", &member, NULL) == FMT_OK &&
           fmt_npz_find(in, len, "data", &member, NULL) == FMT_OK;
}

/* A member's bytes, which are the caller's to free. */
static int extract(const uint8_t *in, size_t len, const char *path, const char *name,
                   uint8_t **bytes, size_t *bytes_len, struct penstock_error *error)
{
    struct fmt_npz_member member;
    struct fmt_error cause = {.text = ""};

    if (fmt_npz_find(in, len, name, &member, &cause) != FMT_OK)
        return bad_file(error, path, name, &cause);
    if (member.full_bytes == 0 || member.full_bytes / SHRINK_MOST > member.len_bytes)
        return ps_fail(error, PENSTOCK_E_FORMAT, "%s: member %s announces an impossible size", path,
                       name);
    *bytes_len = member.full_bytes;
    *bytes = malloc(member.full_bytes);
    if (!*bytes)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory while reading %s", path);
    if (fmt_npz_extract(&member, *bytes, &cause) == FMT_OK)
        return PENSTOCK_OK;
    free(*bytes);
    *bytes = NULL;
    return bad_file(error, path, name, &cause);
}

/* A member that is a vector, in memory[no]. */
static int open_vector(struct ps_pack_sparse *sparse, int no, const uint8_t *in, size_t len,
                       const char *path, const char *name, struct fmt_array *array,
                       struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    size_t bytes_len;
    int rc = extract(in, len, path, name, &sparse->memory[no], &bytes_len, error);

    if (rc != PENSTOCK_OK)
        return rc;
    if (fmt_npy_parse(sparse->memory[no], bytes_len, array, &cause) != FMT_OK)
        return bad_file(error, path, name, &cause);
    if (array->cols != 1)
        return ps_fail(error, PENSTOCK_E_FORMAT, "%s, %s: it is no vector", path, name);
    return PENSTOCK_OK;
}

/* The words of scipy's layouts stand at the end of an array of one byte string. */
static int check_layout(const uint8_t *in, size_t len, const char *path,
                        struct penstock_error *error)
{
    uint8_t *bytes;
    size_t bytes_len;
    int rc = extract(in, len, path, "format", &bytes, &bytes_len, error);

    if (rc != PENSTOCK_OK)
        return rc;
    bool is_csr = bytes_len > 3 && memcmp(bytes + bytes_len - 3, "csr", 3) == 0;

    free(bytes);
    if (is_csr)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_FORMAT,
                   "%s is a sparse matrix that is not stored by rows: convert it with .tocsr() "
                   "before scipy.sparse.save_npz",
                   path);
}

/* `count` numbers from the vector's place `from`, as int64. */
static enum fmt_rc read_integers(const struct fmt_array *array, uint64_t from, uint64_t count,
                                 int64_t *out, struct fmt_error *error)
{
    struct fmt_array part = *array;

    part.data += from * array->item_bytes;
    part.rows = 1;
    part.cols = count;
    part.column_major = false;
    return fmt_array_row(&part, 0, FMT_INT64, out, error);
}

static int read_shape(struct ps_pack_sparse *sparse, const uint8_t *in, size_t len,
                      const char *path, struct penstock_error *error)
{
    struct fmt_error cause = {.text = ""};
    struct fmt_array shape;
    uint8_t *bytes;
    size_t bytes_len;
    int64_t sizes[2] = {0, 0};
    int rc = extract(in, len, path, "shape", &bytes, &bytes_len, error);

    if (rc != PENSTOCK_OK)
        return rc;
    bool good = fmt_npy_parse(bytes, bytes_len, &shape, &cause) == FMT_OK && shape.rows == 2 &&
                shape.cols == 1 && read_integers(&shape, 0, 2, sizes, &cause) == FMT_OK &&
                sizes[0] >= 0 && sizes[1] > 0;

    free(bytes);
    sparse->rows = (uint64_t)sizes[0];
    sparse->cols = (uint64_t)sizes[1];
    if (good)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_FORMAT, "%s, shape: it is not that of a matrix", path);
}

/* Rows that do not overlap, and lie within the data. */
static int check_rows(struct ps_pack_sparse *sparse, const char *path, struct penstock_error *error)
{
    struct fmt_error cause;
    int64_t from = 0;
    int64_t to;

    if (sparse->indptr.rows != sparse->rows + 1 || sparse->indices.rows != sparse->data.rows)
        return ps_fail(error, PENSTOCK_E_FORMAT, "%s: its parts do not go together", path);
    for (uint64_t i = 0; i <= sparse->rows; i++, from = to) {
        if (read_integers(&sparse->indptr, i, 1, &to, &cause) != FMT_OK || to < from ||
            (i == 0 && to != 0) || (uint64_t)to > sparse->data.rows || to - from > UINT32_MAX / 8)
            return ps_fail(error, PENSTOCK_E_FORMAT, "%s, indptr: entry %llu is wrong", path,
                           (unsigned long long)i);
        if (to - from > sparse->entries_max)
            sparse->entries_max = (uint32_t)(to - from);
    }
    return PENSTOCK_OK;
}

int ps_pack_sparse_open(struct ps_pack_sparse *sparse, const uint8_t *in, size_t len,
                        const char *path, struct penstock_error *error)
{
    *sparse = (struct ps_pack_sparse){.rows = 0};
    int rc = check_layout(in, len, path, error);

    if (rc == PENSTOCK_OK)
        rc = read_shape(sparse, in, len, path, error);
    if (rc == PENSTOCK_OK)
        rc = open_vector(sparse, 0, in, len, path, "data", &sparse->data, error);
    if (rc == PENSTOCK_OK)
        rc = open_vector(sparse, 1, in, len, path, "indices", &sparse->indices, error);
    if (rc == PENSTOCK_OK)
        rc = open_vector(sparse, 2, in, len, path, "indptr", &sparse->indptr, error);
    if (rc == PENSTOCK_OK)
        rc = check_rows(sparse, path, error);
    if (rc != PENSTOCK_OK)
        ps_pack_sparse_close(sparse);
    return rc;
}

enum fmt_rc ps_pack_sparse_row(const struct ps_pack_sparse *sparse, uint64_t row,
                               enum fmt_type type, void *values, uint64_t *keys, uint32_t *count,
                               struct fmt_error *error)
{
    int64_t ends[2] = {0, 0};
    struct fmt_array part = sparse->data;
    enum fmt_rc rc = read_integers(&sparse->indptr, row, 2, ends, error);

    if (rc != FMT_OK)
        return rc;
    *count = (uint32_t)(ends[1] - ends[0]);
    part.data += (uint64_t)ends[0] * part.item_bytes;
    part.rows = 1;
    part.cols = *count;
    part.column_major = false;
    rc = fmt_array_row(&part, 0, type, values, error);
    if (rc == FMT_OK)
        rc = read_integers(&sparse->indices, (uint64_t)ends[0], *count, (int64_t *)keys, error);
    for (uint32_t i = 0; rc == FMT_OK && i < *count; i++)
        if (keys[i] >= sparse->cols)
            rc = fmt_fail(error, 0, 0, "column %lld is not one of the matrix' %llu",
                          (long long)(int64_t)keys[i], (unsigned long long)sparse->cols);
    return rc;
}

void ps_pack_sparse_close(struct ps_pack_sparse *sparse)
{
    for (int i = 0; i < 3; i++)
        free(sparse->memory[i]);
    *sparse = (struct ps_pack_sparse){.rows = 0};
}
