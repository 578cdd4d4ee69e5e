/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_nccl.c - see trainer/group_nccl.h: sums, and how they end. Beginning is
 * group_nccl_begin.c.
 */
#include "trainer/group_nccl_parts.h"

#include "trainer/call.h"
#include "trainer/clock.h"
#include "trainer/device_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEWS_S 2.0      /* NCCL often sees first that a rank is gone, and cannot say which */
#define FINALIZE_S 10.0 /* after all sums are done */

static struct group_nccl *nccl_of(struct tr_group *group)
{
    return (struct group_nccl *)(void *)group;
}

void tr_nccl_give_up(struct tr_group_wrap *wrap)
{
    struct group_nccl *g = nccl_of(&wrap->base);
    if (!atomic_exchange(&g->ended, true) && g->comm)
        g->nccl.comm_abort(g->comm);
}

/* --- state ---------------------------------------------------------------------------------------
 */

int tr_nccl_state(struct group_nccl *g)
{
    int state = atomic_load(&g->refused);
    if (state != TR_NCCL_SUCCESS)
        return state;
    int rc = g->nccl.get_async_error(g->comm, &state);
    return rc != TR_NCCL_SUCCESS ? rc : state;
}

/* Says what NCCL says, unless the group inside comes to know which rank is to blame. */
static int blame(struct group_nccl *g, int result, struct tr_error *error)
{
    double until_s = tr_now_s() + NEWS_S;
    int rc = 0;
    while (rc == 0 && tr_now_s() < until_s)
        rc = tr_wrap_poll(&g->wrap, 10, error);
    return rc < 0 ? -1 : tr_nccl_failed(&g->nccl, g->comm, result, error);
}

static int fail(struct group_nccl *g, const struct tr_error *failure, struct tr_error *error)
{
    if (!atomic_load(&g->ended))
        g->failure = *failure;
    tr_nccl_give_up(&g->wrap);
    return tr_fail(error, "%s", g->failure.text);
}

/* One look at NCCL and at the other ranks: 1 NCCL is ready, 0 not yet, -1 neither can go on. */
static int look(struct group_nccl *g, struct tr_error *error)
{
    struct tr_error failure;
    if (atomic_load(&g->ended))
        return tr_fail(error, "%s",
                       g->failure.text[0] ? g->failure.text : "NCCL's work has been given up");
    int state = tr_nccl_state(g);
    if (state != TR_NCCL_SUCCESS && state != TR_NCCL_IN_PROGRESS) {
        blame(g, state, &failure);
        return fail(g, &failure, error);
    }
    if (tr_wrap_poll(&g->wrap, 0, &failure) < 0)
        return fail(g, &failure, error);
    return state == TR_NCCL_SUCCESS;
}

int tr_nccl_watch(void *cookie, char *text, size_t text_bytes)
{
    struct tr_error error;
    if (look(cookie, &error) >= 0)
        return 0;
    snprintf(text, text_bytes, "%s", error.text);
    return -1;
}

/* --- sums ----------------------------------------------------------------------------------------
 */

/* With the stream: what comes to it later comes after the sum. */
static void add_up(void *cookie, void *stream)
{
    const struct nccl_request *r = cookie;
    struct group_nccl *g = r->group;
    if (atomic_load(&g->ended))
        return;
    int rc = g->nccl.all_reduce(r->values, r->values, r->n, tr_nccl_type(r->type), TR_NCCL_SUM,
                                g->comm, stream);
    if (rc != TR_NCCL_SUCCESS && rc != TR_NCCL_IN_PROGRESS)
        atomic_store(&g->refused, rc);
}

/* What NCCL has in hand is not yet on the stream. */
static int await_ready(struct group_nccl *g, struct tr_error *error)
{
    int ready;
    while ((ready = look(g, error)) == 0)
        tr_wrap_poll(&g->wrap, 1, NULL);
    return ready < 0 ? -1 : 0;
}

static int device_failed(struct group_nccl *g, struct tr_error *error)
{
    struct tr_error failure;
    tr_device_failed(g->device, &failure);
    return fail(g, &failure, error);
}

static int nccl_sum_on(struct tr_group *group, struct tr_device *device, void *values, size_t n,
                       enum tr_number type, struct tr_error *error)
{
    struct group_nccl *g = nccl_of(group);
    struct nccl_request *r = &g->requests[g->given % NCCL_REQUESTS];
    const struct tr_call_args call = {add_up, r};
    if (tr_device_await(device, r->done) < 0)
        return device_failed(g, error);
    if (look(g, error) < 0 ||
        tr_wrap_enter(&g->wrap, TR_CALL_SUM, type, n * tr_number_bytes(type), error) < 0) {
        tr_nccl_give_up(&g->wrap);
        return -1;
    }
    r->values = values;
    r->n = n;
    r->type = type;
    g->given++;
    if (tr_launch_call(device, &call) < 0 ||
        device->ops->event_record(device, r->done, TR_STREAM_COMPUTE) < 0)
        return device_failed(g, error);
    return await_ready(g, error);
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* What is under way is waited for; then all part, or this rank alone. */
static void end_comm(struct group_nccl *g)
{
    const struct nccl_request *last = &g->requests[(g->given + NCCL_REQUESTS - 1) % NCCL_REQUESTS];
    double until_s = tr_now_s() + FINALIZE_S;
    if (atomic_load(&g->ended) || (g->given > 0 && tr_device_await(g->device, last->done) < 0))
        return;
    int state = g->nccl.comm_finalize(g->comm);
    if (state == TR_NCCL_SUCCESS)
        state = TR_NCCL_IN_PROGRESS;
    while (state == TR_NCCL_IN_PROGRESS && tr_now_s() < until_s) {
        state = tr_nccl_state(g);
        if (state == TR_NCCL_IN_PROGRESS && tr_wrap_poll(&g->wrap, 1, NULL) < 0)
            break;
    }
    if (state != TR_NCCL_SUCCESS || atomic_exchange(&g->ended, true))
        tr_nccl_give_up(&g->wrap);
    else
        g->nccl.comm_destroy(g->comm);
}

void tr_nccl_forget(struct tr_group *group)
{
    struct group_nccl *g = nccl_of(group);
    if (!g->device)
        return;
    if (g->comm)
        end_comm(g);
    tr_nccl_give_up(&g->wrap);
    g->device->watch = NULL;
    g->device->ops->drain(g->device);
    for (uint32_t i = 0; i < NCCL_REQUESTS; i++)
        g->device->ops->event_free(g->device, g->requests[i].done);
    g->device = NULL;
}

void tr_group_nccl_end(struct tr_group **group)
{
    tr_group_forget(*group);
    if (!*group || (*group)->ops != &tr_nccl_ops)
        return;
    struct group_nccl *g = nccl_of(*group);
    *group = g->wrap.inside;
    (*group)->parts = g->wrap.base.parts;
    free(g);
}

static void nccl_free(struct tr_group *group)
{
    tr_group_free(&tr_wrap_of(group)->inside);
    free(nccl_of(group));
}

const struct tr_group_ops tr_nccl_ops = {
    .name = "nccl",
    .sum = tr_wrap_sum,
    .sum_on = nccl_sum_on,
    TR_WRAP_OPS,
    .forget = tr_nccl_forget,
    .free = nccl_free,
};
