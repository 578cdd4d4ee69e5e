/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/batch_join.h - a batch of several ranks' rows, put together from what each has.
 *
 * What models take is in it: dense or sparse features, labels and weights.
 *
 * Owner: as noted. Threads: any. Pure, but for memory.
 * Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_BATCH_JOIN_H
#define TRAINER_BATCH_JOIN_H

#include "trainer/error.h"
#include "trainer/group.h"

#include "pipe/penstock.h"

/* The batch as bytes, which are to be freed; NULL, with *error, when memory is out. `batch` is NULL
 * for one without rows. */
void *tr_batch_pack(const struct penstock_batch *batch, size_t *len_bytes, struct tr_error *error);

/* What `count` ranks packed, their rows in the order of ranks. *out is in one piece, *memory, which
 * is to be freed; both are empty where no rank has rows. */
int tr_batch_join(const struct tr_gathered *packed, uint32_t count, struct penstock_batch *out,
                  void **memory, struct tr_error *error);

#endif
