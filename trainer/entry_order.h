/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/entry_order.h - the entries of a batch of sparse rows, sorted by column on the device,
 * and the memory for that.
 *
 * Owner: the caller frees it before the device. Threads: the device's.
 */
#ifndef TRAINER_ENTRY_ORDER_H
#define TRAINER_ENTRY_ORDER_H

#include "trainer/error.h"
#include "trainer/sparse_kernels.h"
#include "trainer/tally.h"

/* Device arrays of `room` entries; all zero: none. */
struct tr_entry_order {
    uint32_t *columns; /* sorted, as the next */
    uint32_t *entries;
    uint32_t *rows; /* of each entry as it came */
    uint32_t *spare_columns;
    uint32_t *spare_entries;
    uint32_t *counts;
    uint32_t room;
};

/* Makes room for batches of so many entries, and half as many again, which others may have. Waits
 * for the device when it has to allocate: only when a batch is larger than any before. Returns 0,
 * or -1 with *error. */
int tr_entry_order_room(struct tr_entry_order *order, struct tr_tally *tally, uint32_t entries,
                        struct tr_error *error);

/* The device is idle. */
void tr_entry_order_free(struct tr_entry_order *order, struct tr_device *device);

/* Gives the sort of a batch to the compute stream. Returns 0, or -1 with the reason in
 * device->error. */
int tr_entry_order_sort(const struct tr_entry_order *order, struct tr_device *device,
                        const uint32_t *row_offsets, const uint32_t *columns, uint32_t rows,
                        uint32_t entries, uint32_t dim);

#endif
