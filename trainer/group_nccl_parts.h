/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_nccl_parts.h - what a group with NCCL holds: for trainer/group_nccl.c and
 * trainer/group_nccl_begin.c.
 */
#ifndef TRAINER_GROUP_NCCL_PARTS_H
#define TRAINER_GROUP_NCCL_PARTS_H

#include "trainer/group_nccl.h"
#include "trainer/group_wrap.h"
#include "trainer/nccl.h"

#include <stdatomic.h>

#define NCCL_REQUESTS 16U /* sums under way */

struct nccl_request {
    struct group_nccl *group;
    void *values;
    size_t n;
    enum tr_number type;
    struct tr_event *done; /* the stream has come past the sum */
};

struct group_nccl {
    struct tr_group_wrap wrap; /* first */
    struct tr_nccl nccl;
    struct tr_nccl_comm *comm; /* NULL before it is made; gone once `ended` */
    struct tr_device *device;  /* NULL once forgotten */
    struct nccl_request requests[NCCL_REQUESTS];
    uint64_t given;
    _Atomic int refused; /* what a call on the stream returned; written where the stream runs */
    _Atomic bool ended;
    struct tr_error failure; /* "": none */
};

extern const struct tr_group_ops tr_nccl_ops;

/* NCCL's state; what a call on the stream returned comes first. */
int tr_nccl_state(struct group_nccl *g);
/* Ends what NCCL has under way, once; other ranks are not asked. */
void tr_nccl_give_up(struct tr_group_wrap *wrap);
/* The device's watch. */
int tr_nccl_watch(void *cookie, char *text, size_t text_bytes);
void tr_nccl_forget(struct tr_group *group);

#endif
