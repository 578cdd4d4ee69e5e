/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/plan.h - which object comes when: the order of a channel's stream, over epochs and shards.
 *
 * The lister appends objects in key order while they are already being streamed. An order index g
 * of an epoch maps to an object by arithmetic alone: shard h of n takes g = h, h + n, h + 2n, ...;
 * without shuffle object g of the listing, with shuffle object ps_permute(g). Nothing is
 * materialised: a cursor is two integers, and every host computes the same order.
 *
 * What a manifest names comes in units, the entries or lines that are permuted and shared: a unit
 * is one object, or one item for each attribute of an augmented manifest, next to each other. Their
 * sizes are found out later (sizer.c), and until a whole unit is known the answer is PS_PLAN_WAIT.
 *
 * Of FIFOs every epoch has one object of its own, added when the epoch begins; its size is known
 * when it has ended.
 *
 * Owner: the channel. Threads: one lister adds, any thread reads; objects never move once added,
 * and change in nothing but the size of a FIFO, once, after ps_plan_at has answered with them.
 * Units: bytes.
 */
#ifndef PIPE_PLAN_H
#define PIPE_PLAN_H

#include "pipe/penstock.h"
#include "pipe/slice.h"

/* The size of an object whose end has not come. */
#define PS_SIZE_UNKNOWN UINT64_MAX

enum ps_object_state {
    PS_OBJECT_LISTED,   /* fetched from its source */
    PS_OBJECT_UNSIZED,  /* the same, once its size and entity tag are known */
    PS_OBJECT_ASKED,    /* and they have been asked for */
    PS_OBJECT_VALUE,    /* a value from a manifest, which the plan itself holds */
    PS_OBJECT_LEFT_OUT, /* it has no bytes, or belongs to a bad line: pass over it */
};

struct ps_object {
    const char *key; /* S3 key, or path; of a value its attribute's name */
    union {
        const char *etag; /* as listed, with quotes; for files an identity made of mtime, size,
                             inode */
        const uint8_t *value;
    };
    /* >= 1: empty objects never enter a plan; but a FIFO, which may be empty, and PS_SIZE_UNKNOWN
     * until it has ended; and what an augmented manifest names. */
    _Atomic uint64_t size_bytes;
    const struct ps_slice *slice; /* what is read of it; NULL: all */
    uint32_t source_no;           /* which of the channel's sources it is fetched from */
    uint32_t uri_no;              /* which of the channel's URIs named it */
    uint32_t line_no; /* element of a manifest, or line of an augmented one, from 1; else 0 */
    uint8_t state;    /* enum ps_object_state */
    uint8_t unsized;  /* of a unit's first item: how many of its items have no size yet */
};

struct ps_plan; /* opaque */

struct ps_cursor {
    uint32_t epoch;
    uint64_t index; /* objects or items of this shard already passed in this epoch */
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
    uint32_t unit_items;  /* 0: objects are listed; else a manifest's, so many a unit */
    uint32_t split_index; /* of each object this slice is read, */
    uint32_t split_count; /* of so many; 0: all of it */
    bool empty_items;     /* an object of no bytes is an item of its own, and not left out */
};

/* NULL when memory is out. */
struct ps_plan *ps_plan_new(const struct ps_plan_config *config);
void ps_plan_free(struct ps_plan *plan);

/* Appends an object; strings are copied. Objects of no size and keys that end in "/" are skipped,
 * unless they are FIFOs; the former not with empty_items either. Returns PENSTOCK_OK or
 * PENSTOCK_E_MEMORY. Lister only. */
int ps_plan_add(struct ps_plan *plan, uint32_t source_no, const char *key, const char *etag,
                uint64_t size_bytes);

/* The same for an object of which a slice is read that is not the plan's to find out; copied. */
int ps_plan_add_slice(struct ps_plan *plan, uint32_t source_no, const char *key, const char *etag,
                      uint64_t size_bytes, const struct ps_slice *slice);

/* Appends a unit of unit_items items. Keys (but for those of values, which are lent for the plan's
 * life) and values are copied. No unit is at any cursor before the plan is complete. Returns
 * PENSTOCK_OK or PENSTOCK_E_MEMORY. Lister only. */
int ps_plan_add_unit(struct ps_plan *plan, const struct ps_object *items);

/* The last object added, a FIFO, has ended. Whoever waits for that is the caller's to wake. */
void ps_plan_end_fifo(struct ps_plan *plan, uint64_t size_bytes);

/* The listing is complete, or failed for good. Lister only, once. */
void ps_plan_complete(struct ps_plan *plan);
void ps_plan_fail(struct ps_plan *plan, const struct penstock_error *error);

enum ps_plan_answer ps_plan_at(struct ps_plan *plan, const struct ps_cursor *cursor,
                               const struct ps_object **object);

/* The same for the sizer: the object may be in any state; one that was unsized is ASKED from now
 * on, and then *unsized is true. */
enum ps_plan_answer ps_plan_ask(struct ps_plan *plan, const struct ps_cursor *cursor,
                                const struct ps_object **object, bool *unsized);

/* Ends that for the object at the cursor. The second leaves out the whole unit, and returns false
 * if it was left out already. Sizer only. */
int ps_plan_size(struct ps_plan *plan, const struct ps_cursor *cursor, uint64_t size_bytes,
                 const char *etag);
bool ps_plan_leave_out(struct ps_plan *plan, const struct ps_cursor *cursor);

/* Items that have neither size nor been left out, all shards; never grows once complete. */
uint64_t ps_plan_unsized(struct ps_plan *plan);

/* Bytes of the ring that the object takes. */
static inline uint64_t ps_object_ring_bytes(const struct ps_object *object)
{
    if (object->state != PS_OBJECT_LISTED)
        return 0;
    return object->slice ? object->slice->to - object->slice->from : object->size_bytes;
}

/* A number for objects 0 .. *count - 1 of the listing, or for all that there are so far if they are
 * fewer; then *count tells how many. *complete: there will be no more. Goes on from the last call's
 * where it can; `hash` takes an object in, with the lock held, and is always the same. */
typedef uint64_t (*ps_plan_hash_fn)(const void *cookie, uint64_t hash,
                                    const struct ps_object *object);
uint64_t ps_plan_hash(struct ps_plan *plan, ps_plan_hash_fn hash, const void *cookie,
                      uint64_t *count, bool *complete);

/* The listing's error after PS_PLAN_FAILED. */
const struct penstock_error *ps_plan_error(const struct ps_plan *plan);

/* Objects without bytes that were skipped so far. */
uint64_t ps_plan_empty_count(struct ps_plan *plan);

/* Objects or items added so far and not left out, all shards. */
uint64_t ps_plan_count(struct ps_plan *plan);

#endif
