/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/plan.h - which object comes when: the order of a channel's stream, over epochs and shards.
 *
 * The lister appends objects in key order while they are already being streamed. An order index g
 * of an epoch maps to an object by arithmetic alone: shard h of n takes g = h, h + n, h + 2n, ...;
 * without shuffle object g of the listing, with shuffle object ps_permute(g). Nothing is
 * materialised: a cursor is two integers, and every host computes the same order.
 *
 * Of FIFOs every epoch has one object of its own, added when the epoch begins; its size is known
 * when it has ended.
 *
 * Owner: the channel. Threads: one lister adds, any thread reads; objects never move once added,
 * and change in nothing but the size of a FIFO, once. Units: bytes.
 */
#ifndef PIPE_PLAN_H
#define PIPE_PLAN_H

#include "pipe/penstock.h"

/* The size of an object whose end has not come. */
#define PS_SIZE_UNKNOWN UINT64_MAX

struct ps_object {
    const char *key;  /* S3 key, or path below the source's directory */
    const char *etag; /* as listed, with quotes; for files an identity made of mtime, size, inode */
    /* >= 1: empty objects never enter a plan; but a FIFO, which may be empty, and
     * PS_SIZE_UNKNOWN until it has ended. */
    _Atomic uint64_t size_bytes;
    uint32_t source_no; /* which of the channel's URIs */
};

struct ps_plan; /* opaque */

struct ps_cursor {
    uint32_t epoch;
    uint64_t index; /* objects of this shard already passed in this epoch */
};

enum ps_plan_answer {
    PS_PLAN_OBJECT,    /* *object is the one at the cursor */
    PS_PLAN_WAIT,      /* not known yet: ask again when the plan has grown */
    PS_PLAN_EPOCH_END, /* the cursor is past the epoch's last object */
    PS_PLAN_END,       /* the cursor's epoch is past the last one */
    PS_PLAN_FAILED,    /* the listing failed: ps_plan_error */
};

struct ps_plan_config {
    bool shuffle;
    uint64_t seed;
    uint32_t shard_index;
    uint32_t shard_count; /* >= 1 */
    uint32_t epochs;      /* 0 = without end */
    bool fifos;           /* object n is all of epoch n */
};

/* NULL when memory is out. */
struct ps_plan *ps_plan_new(const struct ps_plan_config *config);
void ps_plan_free(struct ps_plan *plan);

/* Appends an object; strings are copied. Objects of no size and keys that end in "/" are skipped,
 * unless they are FIFOs. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. Lister only. */
int ps_plan_add(struct ps_plan *plan, uint32_t source_no, const char *key, const char *etag,
                uint64_t size_bytes);

/* The last object added, a FIFO, has ended. Whoever waits for that is the caller's to wake. */
void ps_plan_end_fifo(struct ps_plan *plan, uint64_t size_bytes);

/* The listing is complete, or failed for good. Lister only, once. */
void ps_plan_complete(struct ps_plan *plan);
void ps_plan_fail(struct ps_plan *plan, const struct penstock_error *error);

enum ps_plan_answer ps_plan_at(struct ps_plan *plan, const struct ps_cursor *cursor,
                               const struct ps_object **object);

/* The listing's error after PS_PLAN_FAILED. */
const struct penstock_error *ps_plan_error(const struct ps_plan *plan);

/* Objects added so far, all shards. */
uint64_t ps_plan_count(struct ps_plan *plan);

#endif
