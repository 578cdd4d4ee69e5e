/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group.c - see trainer/group.h: what is the same for every implementation. */
#include "trainer/group.h"

#include "trainer/device_use.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES ((size_t)4096)

int tr_group_sum(struct tr_group *group, void *values, size_t n, enum tr_number type,
                 struct tr_error *error)
{
    return group ? group->ops->sum(group, values, n, type, error) : 0;
}

/* --- device memory -------------------------------------------------------------------------------
 */

static void free_landing(struct tr_group *group)
{
    if (group->landing_pinned)
        group->device->ops->unpin(group->device, group->landing, group->landing_bytes);
    free(group->landing);
    group->landing = NULL;
    group->landing_bytes = 0;
    group->landing_pinned = false;
}

/* Room for a sum's values, in memory that copies run beside the host with. */
static int make_landing(struct tr_group *group, struct tr_device *device, size_t len_bytes,
                        struct tr_error *error)
{
    const struct tr_device_ops *ops = device->ops;
    size_t room = (len_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (group->landing_bytes >= len_bytes)
        return 0;
    free_landing(group);
    group->device = device;
    if (!group->landed && ops->event_new(device, &group->landed) < 0)
        return tr_device_failed(device, error);
    group->landing = aligned_alloc(PAGE_BYTES, room);
    if (!group->landing)
        return tr_fail(error, "no memory for %zu bytes of sums over ranks", room);
    group->landing_bytes = room;
    group->landing_pinned = ops->pin && ops->pin(device, group->landing, room) == 0;
    return 0;
}

/* Later work on the compute stream starts after what was given to the copy stream. */
static int compute_after_copies(struct tr_group *group, struct tr_error *error)
{
    struct tr_device *device = group->device;
    if (device->ops->event_record(device, group->landed, TR_STREAM_COPY) < 0 ||
        device->ops->stream_wait(device, TR_STREAM_COMPUTE, group->landed) < 0)
        return tr_device_failed(device, error);
    return 0;
}

/* The copy back need not be waited for: the next one into the landing comes after it. */
static int sum_by_host(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                       enum tr_number type, struct tr_error *error)
{
    const struct tr_device_ops *ops = device->ops;
    size_t len_bytes = n * tr_number_bytes(type);
    if (ops->reads_host_memory)
        return tr_group_sum(group, values, n, type, error);
    if (make_landing(group, device, len_bytes, error) < 0 ||
        tr_device_take(device, group->landed, group->landing, values, len_bytes, error) < 0 ||
        tr_group_sum(group, group->landing, n, type, error) < 0)
        return -1;
    if (ops->upload(device, values, group->landing, len_bytes) < 0)
        return tr_device_failed(device, error);
    return compute_after_copies(group, error);
}

int tr_group_sum_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                    enum tr_number type, struct tr_error *error)
{
    if (!group || n == 0)
        return 0;
    return group->ops->sum_on ? group->ops->sum_on(group, device, values, n, type, error)
                              : sum_by_host(group, device, values, n, type, error);
}

int tr_group_sum_gradients(struct tr_group *group, struct tr_device *device, float *gradients,
                           size_t n, uint32_t rows, struct tr_error *error)
{
    if (rows == 0 && device->ops->zero(device, gradients, n * sizeof *gradients) < 0)
        return tr_device_failed(device, error);
    return tr_group_sum_on(group, device, gradients, n, TR_NUMBER_FLOAT, error);
}

int tr_group_fold_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                     enum tr_number type, struct tr_error *error)
{
    if (tr_group_sum_on(group, device, values, n, type, error) < 0)
        return -1;
    return tr_group_unfold_on(group, device, values, n, type, error);
}

int tr_group_unfold_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                       enum tr_number type, struct tr_error *error)
{
    if (tr_group_rank(group) > 0 &&
        device->ops->zero(device, values, n * tr_number_bytes(type)) < 0)
        return tr_device_failed(device, error);
    return 0;
}

/* --- the rest ------------------------------------------------------------------------------------
 */

int tr_group_broadcast(struct tr_group *group, void *bytes, size_t len_bytes,
                       struct tr_error *error)
{
    return group ? group->ops->broadcast(group, bytes, len_bytes, error) : 0;
}

int tr_group_gather(struct tr_group *group, const void *bytes, size_t len_bytes,
                    struct tr_gathered *to, struct tr_error *error)
{
    *to = (struct tr_gathered){0};
    if (group)
        return group->ops->gather(group, bytes, len_bytes, to, error);
    to->bytes = malloc(len_bytes + 1);
    to->begins = calloc(2, sizeof *to->begins);
    if (!to->bytes || !to->begins) {
        tr_gathered_free(to);
        return tr_fail(error, "no memory");
    }
    if (len_bytes > 0)
        memcpy(to->bytes, bytes, len_bytes);
    to->begins[1] = len_bytes;
    return 0;
}

void tr_gathered_free(struct tr_gathered *gathered)
{
    free(gathered->bytes);
    free(gathered->begins);
    *gathered = (struct tr_gathered){0};
}

int tr_group_say(struct tr_group *group, uint32_t flags, uint32_t rows, struct tr_error *error)
{
    return group ? group->ops->say(group, flags, rows, error) : 0;
}

int tr_group_hear(struct tr_group *group, struct tr_heard *heard, struct tr_error *error)
{
    *heard = (struct tr_heard){0};
    return group ? group->ops->hear(group, heard, error) : 0;
}

int tr_group_beat(struct tr_group *group, struct tr_error *error)
{
    return group ? group->ops->beat(group, error) : 0;
}

void tr_group_leave(struct tr_group *group, const char *why)
{
    if (group && !group->parts)
        group->ops->leave(group, why);
}

void tr_group_part(struct tr_group *group)
{
    if (group)
        group->parts = true;
}

void tr_group_forget(struct tr_group *group)
{
    if (group && group->ops->forget)
        group->ops->forget(group);
    if (!group || !group->device)
        return;
    group->device->ops->drain(group->device);
    free_landing(group);
    group->device->ops->event_free(group->device, group->landed);
    group->landed = NULL;
    group->device = NULL;
}

void tr_group_free(struct tr_group **group)
{
    struct tr_group *g = *group;
    *group = NULL;
    if (!g)
        return;
    tr_group_forget(g);
    g->ops->free(g);
}
