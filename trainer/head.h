/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/head.h - keeps the first rows of a source, so that feature scaling can be learnt from
 * them before the first step, and then plays them and the rest as one source: nothing is fetched
 * twice and no row is left out.
 *
 * Owner: the head owns its copies: pinned ones are freed with it, since to unpin is to wait for the
 * device, the others as they are released. The caller owns device and inner source.
 * Threads: one.
 */
#ifndef TRAINER_HEAD_H
#define TRAINER_HEAD_H

#include "trainer/feed.h"
#include "trainer/group.h"

struct tr_head;

/* Copies are pinned for the device, as the inner source's batches are. NULL when memory is out. */
struct tr_head *tr_head_new(struct tr_device *device, const struct tr_source *inner);
void tr_head_free(struct tr_head **head); /* accepts NULL */

/* Copies batches until they hold rows_max rows, with those elsewhere, or the next like the last
 * would exceed len_bytes_max (one batch is always taken), or the inner source says anything but
 * PENSTOCK_OK, which is passed on after the copies. Called once. Returns 0, or -1 with *error when
 * memory is out. */
int tr_head_fill(struct tr_head *head, uint64_t rows_max, size_t len_bytes_max,
                 struct tr_error *error);

/* Together, once, after filling: the first rows of all ranks become the ones that tr_head_batch
 * tells of, the same on every rank; what the source plays stays each rank's own. Without a group
 * nothing happens. */
int tr_head_join(struct tr_head *head, struct tr_group *group, struct tr_error *error);

/* Batch `index` of those kept, NULL past the last. Valid until it is released through the source,
 * or, of several ranks, as long as the head. */
const struct penstock_batch *tr_head_batch(const struct tr_head *head, size_t index);

/* What ended tr_head_fill: PENSTOCK_OK when it had enough. */
int tr_head_rc(const struct tr_head *head);

/* Whether every kept batch, and what ended tr_head_fill, has been handed out. */
bool tr_head_is_past(const struct tr_head *head);

/* The kept batches, then the inner source's. Valid until tr_head_free. */
struct tr_source tr_head_source(struct tr_head *head);

#endif
