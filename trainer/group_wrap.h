/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_wrap.h - a group whose engine does some of the calls, and leaves the others, signs
 * of life and steps to a group inside: its control plane.
 *
 * Owner: the wrap owns the group inside. Threads, errors: as trainer/group.h.
 */
#ifndef TRAINER_GROUP_WRAP_H
#define TRAINER_GROUP_WRAP_H

#include "trainer/mesh.h"

struct tr_group_wrap {
    struct tr_group base; /* first: the table is given a struct tr_group */
    struct tr_group *inside;
    struct tr_mesh *mesh; /* of the group inside; NULL: it has none */
    /* A call of the group inside has failed, or ranks part: what the engine has under way has to
     * come to an end. NULL: nothing to do. */
    void (*give_up)(struct tr_group_wrap *wrap);
};

static inline struct tr_group_wrap *tr_wrap_of(struct tr_group *group)
{
    return (struct tr_group_wrap *)(void *)group;
}

/* Begins a wrap of *inside, which is its from now on. */
void tr_wrap_begin(struct tr_group_wrap *wrap, const struct tr_group_ops *ops,
                   struct tr_group *inside, struct tr_mesh *mesh);

/* This rank comes to a call that the engine does: the others are to know, and to agree. */
int tr_wrap_enter(struct tr_group_wrap *wrap, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes, struct tr_error *error);
/* While the engine is at it: waits for at most timeout_ms for news of the others. */
int tr_wrap_poll(struct tr_group_wrap *wrap, int timeout_ms, struct tr_error *error);
void tr_wrap_exit(struct tr_group_wrap *wrap);

/* What the group inside does: for tables of engines. */
int tr_wrap_sum(struct tr_group *group, void *values, size_t n, enum tr_number type,
                struct tr_error *error);
int tr_wrap_broadcast(struct tr_group *group, void *bytes, size_t len_bytes,
                      struct tr_error *error);
int tr_wrap_gather(struct tr_group *group, const void *bytes, size_t len_bytes,
                   struct tr_gathered *to, struct tr_error *error);
int tr_wrap_say(struct tr_group *group, uint32_t flags, uint32_t rows, struct tr_error *error);
int tr_wrap_hear(struct tr_group *group, struct tr_heard *heard, struct tr_error *error);
int tr_wrap_beat(struct tr_group *group, struct tr_error *error);
void tr_wrap_leave(struct tr_group *group, const char *why);

/* In a table: what every engine leaves to the group inside. */
#define TR_WRAP_OPS                                                                                \
    .broadcast = tr_wrap_broadcast, .gather = tr_wrap_gather, .say = tr_wrap_say,                  \
    .hear = tr_wrap_hear, .beat = tr_wrap_beat, .leave = tr_wrap_leave

#endif
