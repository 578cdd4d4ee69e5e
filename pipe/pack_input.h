/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_input.h - a file of numbers as an array: .npy, .npz, IDX, each perhaps gzipped, or CSV.
 *
 * Owner: the caller; ps_pack_input_close ends it. Threads: the caller's.
 */
#ifndef PIPE_PACK_INPUT_H
#define PIPE_PACK_INPUT_H

#include "formats/array.h"
#include "pipe/pack_sparse.h"
#include "pipe/penstock.h"

struct ps_pack_input {
    struct fmt_array array; /* points into the memory below */
    bool is_sparse;         /* there is no array, but this: */
    struct ps_pack_sparse sparse;
    struct fmt_array labels; /* CSV only: its label columns; no rows otherwise */
    void *map;               /* the file */
    size_t map_bytes;
    uint8_t *inflated; /* its content, if it was compressed; or CSV's features */
    float *csv_labels;
};

/* Loads PATH[:MEMBER] (a member of an .npz); the format is told by the content. Without MEMBER an
 * .npz may be a sparse matrix of scipy.sparse.save_npz. Returns
 * PENSTOCK_OK, PENSTOCK_E_NOT_FOUND, _DENIED, _SYSTEM, _MEMORY or _FORMAT. */
int ps_pack_input_open(struct ps_pack_input *input, const char *name, struct penstock_error *error);

/* Loads a CSV file, whose first label_size columns are labels. */
int ps_pack_input_csv(struct ps_pack_input *input, const char *path, uint32_t label_size,
                      struct penstock_error *error);

static inline uint64_t ps_pack_input_rows(const struct ps_pack_input *input)
{
    return input->is_sparse ? input->sparse.rows : input->array.rows;
}

static inline uint64_t ps_pack_input_cols(const struct ps_pack_input *input)
{
    return input->is_sparse ? input->sparse.cols : input->array.cols;
}

void ps_pack_input_close(struct ps_pack_input *input);

#endif
