/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/sparse_kernels.h - the arithmetic on compressed sparse rows (CSR): what each kernel takes
 * and gives.
 *
 * The gradient of a weight is a sum over the entries of its column. TR_KERNEL_CSR_ORDER sorts a
 * batch's entries by column, in row order within one, and the sums are taken in that order: the
 * same batch gives the same bits on any device.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Units: entries, of all rows of a batch together. Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_SPARSE_KERNELS_H
#define TRAINER_SPARSE_KERNELS_H

#include "trainer/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sorting goes by digits of so many bits; a GPU's block takes so many entries. */
#define TR_CSR_DIGIT_BITS 8U
#define TR_CSR_DIGITS (1U << TR_CSR_DIGIT_BITS)
#define TR_CSR_TILE 2048U

/* Numbers that `counts` has room for. */
#define TR_CSR_COUNTS(entries) (((size_t)(entries) / TR_CSR_TILE + 1U) * TR_CSR_DIGITS)

/* Sorts the entries of a batch by column. */
struct tr_csr_order_args {
    const uint32_t *row_offsets; /* (rows + 1) */
    const uint32_t *columns;     /* (entries), each below dim */
    uint32_t rows;
    uint32_t entries; /* row_offsets[rows] */
    uint32_t dim;
    uint32_t *sorted_columns; /* (entries), ascending */
    uint32_t *sorted_entries; /* (entries): which entry that was */
    uint32_t *entry_rows;     /* (entries): row of each entry as it came */
    uint32_t *spare_columns;  /* (entries), scratch, as the next */
    uint32_t *spare_entries;
    uint32_t *counts; /* TR_CSR_COUNTS(entries), scratch */
};

/* One optimizer step on those rows of a (dim, width) matrix whose column occurs in the batch; the
 * others and their optimizer's memory stay as they are. update.g and update.n are not looked at.
 * The gradient of w[c, f] is the sum, over the entries x of column c in row order, of
 *   dz[row] x                             without sums
 *   dz[row] x (sums[row, f] - w[c, f] x)  with sums: see trainer/fm_kernels.h */
struct tr_csr_update_args {
    struct tr_update_args update;
    const uint32_t *sorted_columns; /* of tr_csr_order_args, as the next two */
    const uint32_t *sorted_entries;
    const uint32_t *entry_rows;
    const float *values; /* (entries) */
    const float *dz;     /* (rows) */
    const float *sums;   /* (rows, width), or NULL */
    uint32_t entries;
    uint32_t width;
};

/* z = b + sum(values * scale[columns] * w[columns]) of every row. */
struct tr_csr_forward_args {
    const uint32_t *row_offsets; /* (rows + 1) */
    const uint32_t *columns;     /* (row_offsets[rows]) */
    const float *values;
    const float *scale; /* (dim), or NULL: 1 */
    const float *w;     /* (dim, width) */
    const float *b;     /* (width) */
    float *z;           /* (rows, width) */
    uint32_t rows;
    uint32_t width;
};

/* dw of the columns that the batch has: the sum, over the entries x of a column in row order, of
 * dz[row] x scale[column]. The others are left as they are. */
struct tr_csr_gradient_args {
    const uint32_t *sorted_columns; /* of tr_csr_order_args, as the next two */
    const uint32_t *sorted_entries;
    const uint32_t *entry_rows;
    const float *values; /* (entries) */
    const float *scale;  /* (dim), or NULL: 1 */
    const float *dz;     /* (rows, width) */
    float *dw;           /* (dim, width) */
    uint32_t entries;
    uint32_t width;
};

static inline int tr_launch_csr_order(struct tr_device *device,
                                      const struct tr_csr_order_args *args)
{
    return device->ops->launch(device, TR_KERNEL_CSR_ORDER, args, sizeof *args);
}

static inline int tr_launch_csr_update(struct tr_device *device,
                                       const struct tr_csr_update_args *args)
{
    return device->ops->launch(device, TR_KERNEL_CSR_UPDATE, args, sizeof *args);
}

static inline int tr_launch_csr_forward(struct tr_device *device,
                                        const struct tr_csr_forward_args *args)
{
    return device->ops->launch(device, TR_KERNEL_CSR_FORWARD, args, sizeof *args);
}

static inline int tr_launch_csr_gradient(struct tr_device *device,
                                         const struct tr_csr_gradient_args *args)
{
    return device->ops->launch(device, TR_KERNEL_CSR_GRADIENT, args, sizeof *args);
}

/* Digits that a column below `dim` has: passes of the sort. */
static inline uint32_t tr_csr_passes(uint32_t dim)
{
    uint32_t passes = 1;
    while (passes < 4 && (dim - 1) >> (passes * TR_CSR_DIGIT_BITS) > 0)
        passes++;
    return passes;
}

#ifdef __cplusplus
}
#endif
#endif
