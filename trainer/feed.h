/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/feed.h - the feeding loop: batches from a source through device slots into a model.
 *
 *   source --next--> host slot --one copy, copy stream--> device slot --model, compute stream-->
 *
 * A batch that lends its records (penstock_batch.runs) goes to the device as it was received, one
 * copy a run; the compute stream makes matrices of it before the model's work.
 *
 *   E1 "copied"  the compute stream waits for it; the host slot is released when it is done
 *   E2 "used"    recorded after the model's work; the next copy into the device slot waits for it
 *
 * The host never waits while the device keeps up: E1 is polled, both waits above are the streams'.
 * It waits for the oldest E1 only when every device slot holds a batch that is still being copied:
 * that is the back-pressure of a device slower than the source. A device that reads host memory
 * (cpu) gets the host slot itself, and the slot is released when the model's call returns.
 *
 * Owner: the caller owns feed, device, source and sink. Threads: one thread drives a feed.
 */
#ifndef TRAINER_FEED_H
#define TRAINER_FEED_H

#include "pipe/penstock.h"
#include "trainer/device.h"
#include "trainer/error.h"

/* Where batches come from; the contract is penstock_next's and penstock_release's. */
struct tr_source {
    void *cookie;
    int (*next)(void *cookie, int timeout_ms, const struct penstock_batch **batch);
    void (*release)(void *cookie, const struct penstock_batch *batch);
    /* Most bytes that a batch can have (len_bytes), once there has been one. */
    size_t (*batch_bytes_max)(void *cookie);
};

/* A batch as the model sees it. The arrays are the device's; shapes, counts and the rest are those
 * of *host, which is on loan for the call. What the batch does not have is NULL. Of a batch that
 * lends records, *host has labels but no features. */
struct tr_device_batch {
    const float *features;       /* (rows, feature_dim) */
    const float *labels;         /* (rows, label_dim) */
    const void *data;            /* (rows, feature_dim) of any type; `features` if float32 */
    const float *weights;        /* (rows) */
    const uint32_t *row_offsets; /* (rows + 1): CSR */
    const uint32_t *columns;     /* (row_offsets[rows]) */
    const float *values;
    const struct penstock_batch *host;
    uint32_t slot; /* of the device: batches of the same slot are at the same place */
};

/* Where batches go. `step` gives the model's work to the compute stream and returns 0, or -1 with
 * *error. */
struct tr_sink {
    void *cookie;
    int (*step)(void *cookie, const struct tr_device_batch *batch, struct tr_error *error);
};

struct tr_feed;

/* What came of feeding so far. "Late" is what happened after the third batch: in a steady state
 * nothing is allocated, the host waits for no event and every copy is from pinned memory. A device
 * that reads host memory copies nothing. */
struct tr_feed_stats {
    uint64_t batches;
    uint64_t batches_lent;  /* those that came as records */
    uint64_t batches_timed; /* those whose times are in busy_s and stall_s */
    uint64_t late_allocs;
    uint64_t late_host_waits;
    uint64_t late_pageable_copies;
    size_t slot_bytes; /* of one device slot */
    double busy_s;     /* the device worked on batches, */
    double stall_s;    /* and waited for one between two of a pass, by its own clock */
};

#define TR_FEED_SLOTS_MIN 2U
#define TR_FEED_SLOTS_MAX 4U

/* slot_count  device slots, TR_FEED_SLOTS_MIN .. TR_FEED_SLOTS_MAX
 * Device slots are allocated with the first batch. Returns 0, or -1. */
int tr_feed_new(struct tr_device *device, uint32_t slot_count, struct tr_feed **out,
                struct tr_error *error);

/* Waits for the device, frees, and clears *feed; accepts NULL. No batch is on loan by then. */
void tr_feed_free(struct tr_feed **feed);

/* Feeds batches until the source says something else than PENSTOCK_OK or PENSTOCK_AGAIN, which
 * *source_rc receives (PENSTOCK_EPOCH_END, PENSTOCK_END or an error). Every batch has been released
 * on return; the model's work may still be running. Returns 0, or -1 with *error when the device
 * or the sink failed. */
int tr_feed_run(struct tr_feed *feed, const struct tr_source *source, const struct tr_sink *sink,
                int *source_rc, struct tr_error *error);

/* Keeps a copy of the next batch for tr_feed_replay. */
void tr_feed_keep(struct tr_feed *feed);

/* Gives the batch kept to the sink over and over for about `seconds`: what the model could do if
 * data never had to be waited for. *steps_per_s receives its rate, 0 when no batch was kept. The
 * device is idle before and after. */
int tr_feed_replay(struct tr_feed *feed, const struct tr_sink *sink, double seconds,
                   double *steps_per_s, struct tr_error *error);

/* The device is idle, or batches that it still works on are left out. */
struct tr_feed_stats tr_feed_get_stats(struct tr_feed *feed);

#endif
