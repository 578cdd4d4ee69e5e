/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_sparse.h - a sparse matrix as scipy.sparse.save_npz writes it: compressed rows, of
 * which row i has the entries indptr[i] .. indptr[i + 1] of `data` and `indices`.
 *
 * Owner: the caller; ps_pack_sparse_close ends it. Threads: the caller's.
 */
#ifndef PIPE_PACK_SPARSE_H
#define PIPE_PACK_SPARSE_H

#include "formats/array.h"
#include "pipe/penstock.h"

struct ps_pack_sparse {
    struct fmt_array data; /* vectors, as are the next two; they lie in memory[] */
    struct fmt_array indices;
    struct fmt_array indptr;
    uint64_t rows;
    uint64_t cols;
    uint32_t entries_max; /* of a row */
    uint8_t *memory[3];
};

/* Whether an .npz archive holds such a matrix, of any layout. */
bool ps_pack_is_sparse(const uint8_t *in, size_t len);

/* Loads it from the archive in[len]; `path` is for messages. Checks that all rows lie within the
 * data. Returns PENSTOCK_OK, PENSTOCK_E_FORMAT or _MEMORY; then there is nothing to close. */
int ps_pack_sparse_open(struct ps_pack_sparse *sparse, const uint8_t *in, size_t len,
                        const char *path, struct penstock_error *error);

/* Writes the entries of row `row`, values in `type`, to arrays of entries_max; *count receives
 * their number. Returns FMT_OK, or FMT_E_FORMAT for an index that is no column, or a number that
 * the type cannot hold. */
enum fmt_rc ps_pack_sparse_row(const struct ps_pack_sparse *sparse, uint64_t row,
                               enum fmt_type type, void *values, uint64_t *keys, uint32_t *count,
                               struct fmt_error *error);

void ps_pack_sparse_close(struct ps_pack_sparse *sparse);

#endif
