/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/first_batch.h - an epoch's first batch, kept to fill up its last one (last_batch "wrap").
 *
 * Owner: the channel's placing. Threads: one that knows that all rows of the slot are in place.
 */
#ifndef PIPE_FIRST_BATCH_H
#define PIPE_FIRST_BATCH_H

#include "pipe/slot_rows.h"

/* Copies the rows of a finished slot, which holds those of all shares. */
void ps_first_batch_keep(const struct ps_slot *slot);

/* Fills up a slot of the epoch's last batch, of which there are `rows`, all shares; it may be the
 * first one, too. False if it does not fit, and then *place tells how many rows take how much.
 */
bool ps_first_batch_fill(struct ps_slot *slot, uint32_t rows, struct ps_place *place);

#endif
