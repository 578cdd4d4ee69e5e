/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_wrap.c - see trainer/group_wrap.h. */
#include "trainer/group_wrap.h"

#include <poll.h>

void tr_wrap_begin(struct tr_group_wrap *wrap, const struct tr_group_ops *ops,
                   struct tr_group *inside, struct tr_mesh *mesh)
{
    wrap->base.ops = ops;
    wrap->base.rank = inside->rank;
    wrap->base.count = inside->count;
    wrap->inside = inside;
    wrap->mesh = mesh;
}

int tr_wrap_enter(struct tr_group_wrap *wrap, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes, struct tr_error *error)
{
    return wrap->mesh ? tr_mesh_enter(wrap->mesh, kind, type, size_bytes, error) : 0;
}

int tr_wrap_poll(struct tr_group_wrap *wrap, int timeout_ms, struct tr_error *error)
{
    if (wrap->mesh)
        return tr_mesh_poll(wrap->mesh, timeout_ms, error);
    poll(NULL, 0, timeout_ms);
    return tr_group_beat(wrap->inside, error);
}

void tr_wrap_exit(struct tr_group_wrap *wrap)
{
    if (wrap->mesh)
        tr_mesh_exit(wrap->mesh);
}

static int settle(struct tr_group *group, int rc)
{
    struct tr_group_wrap *wrap = tr_wrap_of(group);
    if (rc < 0 && wrap->give_up)
        wrap->give_up(wrap);
    return rc;
}

int tr_wrap_sum(struct tr_group *group, void *values, size_t n, enum tr_number type,
                struct tr_error *error)
{
    return settle(group, tr_group_sum(tr_wrap_of(group)->inside, values, n, type, error));
}

int tr_wrap_broadcast(struct tr_group *group, void *bytes, size_t len_bytes, struct tr_error *error)
{
    return settle(group, tr_group_broadcast(tr_wrap_of(group)->inside, bytes, len_bytes, error));
}

int tr_wrap_gather(struct tr_group *group, const void *bytes, size_t len_bytes,
                   struct tr_gathered *to, struct tr_error *error)
{
    return settle(group, tr_group_gather(tr_wrap_of(group)->inside, bytes, len_bytes, to, error));
}

int tr_wrap_say(struct tr_group *group, uint32_t flags, uint32_t rows, struct tr_error *error)
{
    return settle(group, tr_group_say(tr_wrap_of(group)->inside, flags, rows, error));
}

int tr_wrap_hear(struct tr_group *group, struct tr_heard *heard, struct tr_error *error)
{
    return settle(group, tr_group_hear(tr_wrap_of(group)->inside, heard, error));
}

int tr_wrap_beat(struct tr_group *group, struct tr_error *error)
{
    return settle(group, tr_group_beat(tr_wrap_of(group)->inside, error));
}

void tr_wrap_leave(struct tr_group *group, const char *why)
{
    struct tr_group_wrap *wrap = tr_wrap_of(group);
    tr_group_leave(wrap->inside, why);
    if (wrap->give_up)
        wrap->give_up(wrap);
}
