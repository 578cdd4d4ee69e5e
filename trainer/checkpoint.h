/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/checkpoint.h - files from which training goes on: one for each point in time, whole or
 * not there at all.
 *
 *   DIR/checkpoint-EPOCH-BATCH.safetensors   bytes as "U8" arrays; __metadata__ holds texts: what
 *                                            the checkpoint is of, where each channel is, and a
 *                                            checksum of the whole file
 *
 * A file is written under a name that SageMaker's copying to S3 passes over, flushed, renamed.
 *
 * Owner: the caller owns directories, texts and items. Threads: the device's thread.
 * Errors: functions return 0, or -1 with *error.
 */
#ifndef TRAINER_CHECKPOINT_H
#define TRAINER_CHECKPOINT_H

#include "trainer/model.h"

/* A text of __metadata__, e.g. {"hp.optimizer", "adam"}. */
struct tr_mark {
    char name[64];
    const char *text;
};

#define TR_CHECKPOINT_ITEMS_MAX (TR_TENSORS_MAX + 3U)

struct tr_checkpoint {
    const char *directory;
    uint32_t keep;               /* newest files that stay */
    struct tr_device *device;    /* of items there */
    struct tr_group *group;      /* whose other ranks wait meanwhile; NULL: none do */
    const struct tr_mark *marks; /* have to be the same when training goes on */
    size_t mark_count;
    const struct tr_mark *places; /* others */
    size_t place_count;
    size_t item_count;
    struct tr_state_item items[TR_CHECKPOINT_ITEMS_MAX]; /* those without memory are left out */
};

/* Makes the directory, and takes away what a killed process has left unfinished. */
int tr_checkpoint_prepare(const char *directory, struct tr_error *error);

/* Waits for the device and writes; files beyond the newest `keep` are removed. */
int tr_checkpoint_write(const struct tr_checkpoint *checkpoint, uint32_t epoch, uint64_t batch,
                        struct tr_error *error);

/* A file in memory. */
struct tr_loaded;

/* How a file that is passed over is told. */
typedef void (*tr_checkpoint_warn_fn)(void *cookie, const char *line);

/* Loads the newest file that is whole; others are warned of and passed over. *out is NULL if there
 * is none. A whole one of other marks is an error that names the first that differs. */
int tr_checkpoint_load(const char *directory, const struct tr_mark *marks, size_t mark_count,
                       tr_checkpoint_warn_fn warn, void *cookie, struct tr_loaded **out,
                       struct tr_error *error);
void tr_loaded_free(struct tr_loaded **loaded); /* accepts NULL */

/* Together: rank 0's file, or that it has none, comes to all. */
int tr_loaded_broadcast(struct tr_loaded **loaded, struct tr_group *group, struct tr_error *error);

const char *tr_loaded_path(const struct tr_loaded *loaded);

/* A text of __metadata__, "" if there is none. */
const char *tr_loaded_text(const struct tr_loaded *loaded, const char *name);

/* An item's bytes; NULL if there is none of that name. */
const void *tr_loaded_item(const struct tr_loaded *loaded, const char *name, size_t *len_bytes);

/* Copies what is loaded into the items, all of which have to be there, in their sizes; returns when
 * the device has it. `device` may be NULL if none is on it. */
int tr_loaded_restore(const struct tr_loaded *loaded, struct tr_device *device,
                      const struct tr_state_item *items, size_t count, struct tr_error *error);

#endif
