/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group.h - the ranks of a training run, and what they do together.
 *
 * A rank is a process that trains on its share of every batch; all make the same steps on the same
 * weights. What they add up, hand round or agree on is a call that every rank makes, in the same
 * order: "together" below. Such a call waits for the others, as long as each gives a sign of life
 * within the group's deadline; its error names the rank that did not, or that has gone or failed.
 *
 * A pointer to a group is NULL in a run of one rank: every function takes that, and does what one
 * rank alone has to.
 *
 * Owner: the caller frees the group, after the models that have it.
 * Threads: the device's thread.
 * Errors: int functions return 0, or -1 with *error; after that the group can only be left and
 *   freed.
 */
#ifndef TRAINER_GROUP_H
#define TRAINER_GROUP_H

#include "trainer/device.h"
#include "trainer/error.h"

enum tr_number { TR_NUMBER_FLOAT, TR_NUMBER_DOUBLE, TR_NUMBER_WORD /* uint64_t */ };

static inline size_t tr_number_bytes(enum tr_number type)
{
    return type == TR_NUMBER_FLOAT ? sizeof(float) : sizeof(uint64_t);
}

struct tr_group;

/* Every rank's bytes: those of rank r are bytes + begins[r] .. begins[r + 1]. */
struct tr_gathered {
    uint8_t *bytes;
    size_t *begins; /* (ranks + 1) */
};

/* What a rank says of a step: flags, and of how many rows its next batch is. */
#define TR_SAYS_MORE 1U /* there is a next batch */
#define TR_SAYS_STOP 2U /* a signal asks to end */
#define TR_SAYS_SAVE 4U /* of rank 0: a checkpoint is due */

/* What all ranks said of a step. */
struct tr_heard {
    uint32_t any;         /* flags that at least one rank gave */
    uint32_t all;         /* flags that every rank gave */
    uint32_t first;       /* rank 0's */
    uint64_t rows;        /* of all ranks */
    uint64_t rows_before; /* of the ranks before this one */
};

/* What an implementation of groups has to have; see the functions below. */
struct tr_group_ops {
    const char *name; /* "tcp", "mpi" */
    int (*sum)(struct tr_group *group, void *values, size_t n, enum tr_number type,
               struct tr_error *error);
    /* NULL: by way of host memory. */
    int (*sum_on)(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                  enum tr_number type, struct tr_error *error);
    int (*broadcast)(struct tr_group *group, void *bytes, size_t len_bytes, struct tr_error *error);
    /* to->begins and to->bytes are allocated by this. */
    int (*gather)(struct tr_group *group, const void *bytes, size_t len_bytes,
                  struct tr_gathered *to, struct tr_error *error);
    int (*say)(struct tr_group *group, uint32_t flags, uint32_t rows, struct tr_error *error);
    int (*hear)(struct tr_group *group, struct tr_heard *heard, struct tr_error *error);
    int (*beat)(struct tr_group *group, struct tr_error *error);
    void (*leave)(struct tr_group *group, const char *why);
    /* NULL: the implementation has nothing of a device. */
    void (*forget)(struct tr_group *group);
    void (*free)(struct tr_group *group);
};

/* The start of every implementation's group. */
struct tr_group {
    const struct tr_group_ops *ops;
    uint32_t rank;
    uint32_t count;
    /* Host memory that sums of device memory go through; NULL before the first. */
    void *landing;
    size_t landing_bytes;
    bool landing_pinned;
    struct tr_device *device; /* that the landing and the event are of */
    struct tr_event *landed;
    bool parts; /* see tr_group_part */
};

static inline uint32_t tr_group_rank(const struct tr_group *group)
{
    return group ? group->rank : 0;
}

static inline uint32_t tr_group_count(const struct tr_group *group)
{
    return group ? group->count : 1;
}

/* Together: every rank's `values`, of host memory, become their sums over all ranks: the same bits
 * on each, and those of adding in the order of ranks, but for an implementation that leaves the
 * order to its library ("mpi"). */
int tr_group_sum(struct tr_group *group, void *values, size_t n, enum tr_number type,
                 struct tr_error *error);

/* Together: the same for device memory, behind what was given to the compute stream; what is given
 * to it later sees the sums. May wait for the device. The bits are those of tr_group_sum, but for
 * an implementation that adds on the devices. */
int tr_group_sum_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                    enum tr_number type, struct tr_error *error);

/* Together: gradients of all rows of a batch. That of a rank without rows was not written to, and
 * is nothing. */
int tr_group_sum_gradients(struct tr_group *group, struct tr_device *device, float *gradients,
                           size_t n, uint32_t rows, struct tr_error *error);

/* Together: the sums go to rank 0 alone, and the others' values become zero. Device memory. */
int tr_group_fold_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                     enum tr_number type, struct tr_error *error);

/* Of each rank alone: values that are those of rank 0 after a fold, on every rank as a checkpoint
 * has them, become zero on the others. */
int tr_group_unfold_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                       enum tr_number type, struct tr_error *error);

/* Together: rank 0's bytes, which are as many on every rank, come to all. */
int tr_group_broadcast(struct tr_group *group, void *bytes, size_t len_bytes,
                       struct tr_error *error);

/* Together: every rank's bytes, as many as each has, come to all. *to is to be freed. */
int tr_group_gather(struct tr_group *group, const void *bytes, size_t len_bytes,
                    struct tr_gathered *to, struct tr_error *error);
void tr_gathered_free(struct tr_gathered *gathered); /* also of one that is all zero */

/* Once a step: says something of it, without waiting. What all said is heard before the next is
 * said. */
int tr_group_say(struct tr_group *group, uint32_t flags, uint32_t rows, struct tr_error *error);
int tr_group_hear(struct tr_group *group, struct tr_heard *heard, struct tr_error *error);

/* A sign of life, to be given every second or so by a rank that waits for data; without waiting. -1
 * where another rank has failed. */
int tr_group_beat(struct tr_group *group, struct tr_error *error);

/* Ends the group for all: the others' calls fail, and say that this rank failed, and why. */
void tr_group_leave(struct tr_group *group, const char *why);

/* All ranks have agreed to end here: none has failed, and to leave the group is to do nothing. One
 * that is slower may still be in the last call together. */
void tr_group_part(struct tr_group *group);

/* Frees what the group has of the device that sums were made on: before that is closed. */
void tr_group_forget(struct tr_group *group);

/* Frees and clears *group; accepts NULL. Others that still call see that this
 * rank has gone. */
void tr_group_free(struct tr_group **group);

#endif
