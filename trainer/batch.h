/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/batch.h - a batch at another place: the same arrays at another base; of one that lends
 * records (penstock_batch.runs), the arrays that are to be made of them.
 *
 * Owner: the caller owns the bytes. Threads: any. Pure.
 */
#ifndef TRAINER_BATCH_H
#define TRAINER_BATCH_H

#include "pipe/penstock.h"
#include "trainer/gather.h"

static inline const void *tr_moved(const void *array, const void *from, const void *to)
{
    return array ? (const char *)to + ((const char *)array - (const char *)from) : NULL;
}

/* *out is `batch` with the len_bytes bytes from its base on at `base`. Batches that lend records
 * have no such bytes: they are not for this. */
static inline void tr_batch_at(const struct penstock_batch *batch, void *base,
                               struct penstock_batch *out)
{
    *out = *batch;
    out->base = base;
    out->features = tr_moved(batch->features, batch->base, base);
    out->labels = tr_moved(batch->labels, batch->base, base);
    out->data = tr_moved(batch->data, batch->base, base);
    out->weights = tr_moved(batch->weights, batch->base, base);
    out->groups = tr_moved(batch->groups, batch->base, base);
    out->row_offsets = tr_moved(batch->row_offsets, batch->base, base);
    out->columns = tr_moved(batch->columns, batch->base, base);
    out->values = tr_moved(batch->values, batch->base, base);
    out->text_offsets = tr_moved(batch->text_offsets, batch->base, base);
    out->text = tr_moved(batch->text, batch->base, base);
}

static inline bool tr_batch_lends(const struct penstock_batch *batch)
{
    return batch->run_count > 0;
}

/* Of a batch that lends: how long its records are, all together. */
static inline size_t tr_batch_records_bytes(const struct penstock_batch *batch)
{
    return batch->rows * batch->stride_bytes;
}

/* *out is `batch`, which lends, with float32 rows from `base` on in place of records; out->base and
 * out->len_bytes are theirs, and labels follow features. */
void tr_batch_rows_at(const struct penstock_batch *batch, void *base, struct penstock_batch *out);

/* What makes such arrays of a batch that lends, once its records are at `records`, one behind the
 * other; what is NULL is not wanted. */
struct tr_gather_args tr_batch_gather(const struct penstock_batch *batch, const void *records,
                                      float *features, float *labels);

/* Bytes that a copy of the batch takes. */
size_t tr_batch_copy_bytes(const struct penstock_batch *batch);

/* *out is a copy of the batch in host memory, of tr_batch_copy_bytes from `base` on: rows in any
 * case. */
void tr_batch_copy(const struct penstock_batch *batch, void *base, struct penstock_batch *out);

/* Collects the labels of a batch that lends: (rows, label_dim). */
void tr_batch_labels(const struct penstock_batch *batch, float *labels);

#endif
