/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/batch.c - see trainer/batch.h. */
#include "trainer/batch.h"

#include "trainer/cpu_kernels.h"

#include <string.h>

#define ALIGN_BYTES ((size_t)64)

static size_t features_bytes(const struct penstock_batch *batch)
{
    return (size_t)batch->rows * batch->feature_dim * sizeof(float);
}

static size_t labels_at(const struct penstock_batch *batch)
{
    return (features_bytes(batch) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

size_t tr_batch_copy_bytes(const struct penstock_batch *batch)
{
    if (!tr_batch_lends(batch))
        return batch->len_bytes;
    if (batch->label_dim == 0)
        return features_bytes(batch);
    return labels_at(batch) + (size_t)batch->rows * batch->label_dim * sizeof(float);
}

void tr_batch_rows_at(const struct penstock_batch *batch, void *base, struct penstock_batch *out)
{
    *out = *batch;
    out->base = base;
    out->data = base;
    out->features = base;
    out->labels = batch->label_dim > 0 ? (float *)(void *)((char *)base + labels_at(batch)) : NULL;
    out->len_bytes = tr_batch_copy_bytes(batch);
    out->type = PENSTOCK_FLOAT32;
    out->runs = NULL;
    out->run_count = 0;
}

struct tr_gather_args tr_batch_gather(const struct penstock_batch *batch, const void *records,
                                      float *features, float *labels)
{
    return (struct tr_gather_args){.records = records,
                                   .stride_bytes = batch->stride_bytes,
                                   .features_offset = batch->features_offset,
                                   .labels_offset = batch->labels_offset,
                                   .features = features,
                                   .labels = labels,
                                   .rows = batch->rows,
                                   .dim = features ? batch->feature_dim : 0,
                                   .label_dim = labels ? batch->label_dim : 0,
                                   .features_are_wide = batch->type == PENSTOCK_FLOAT64,
                                   .labels_are_wide = batch->label_type == PENSTOCK_FLOAT64};
}

/* Of the records where they lie. */
static void gather(const struct penstock_batch *batch, float *features, float *labels)
{
    struct tr_gather_args args = tr_batch_gather(batch, NULL, features, labels);
    for (uint32_t i = 0; i < batch->run_count; i++) {
        args.records = batch->runs[i].data;
        args.rows = batch->runs[i].rows;
        tr_cpu_gather(NULL, &args);
        if (args.features)
            args.features += (size_t)args.rows * args.dim;
        if (args.labels)
            args.labels += (size_t)args.rows * args.label_dim;
    }
}

void tr_batch_copy(const struct penstock_batch *batch, void *base, struct penstock_batch *out)
{
    if (tr_batch_lends(batch)) {
        tr_batch_rows_at(batch, base, out);
        gather(batch, base, (float *)(uintptr_t)out->labels);
        return;
    }
    memcpy(base, batch->base, batch->len_bytes);
    tr_batch_at(batch, base, out);
}

void tr_batch_labels(const struct penstock_batch *batch, float *labels)
{
    gather(batch, NULL, labels);
}
