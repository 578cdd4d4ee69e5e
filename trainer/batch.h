/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/batch.h - a batch whose bytes were copied as they are: the same arrays at another base.
 *
 * Owner: the caller owns the bytes. Threads: any. Pure.
 */
#ifndef TRAINER_BATCH_H
#define TRAINER_BATCH_H

#include "pipe/penstock.h"

static inline const void *tr_moved(const void *array, const void *from, const void *to)
{
    return array ? (const char *)to + ((const char *)array - (const char *)from) : NULL;
}

/* *out is `batch` with the len_bytes bytes from its base on at `base`. Framed batches lend bytes
 * that lie elsewhere: they are not for this. */
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

#endif
