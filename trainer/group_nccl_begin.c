/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_nccl_begin.c - see trainer/group_nccl.h: whether all ranks can, and the
 * communicator of all. Every rank comes to the same verdict, from what all have said.
 */
#include "trainer/group_nccl_parts.h"

#include "trainer/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INIT_S 60.0 /* of ranks that are all alive */

/* What a rank says of itself. */
struct card {
    char machine[64];
    char place[32];
    char why[192]; /* it cannot; "": it can */
    int32_t version;
    bool offers; /* a GPU */
};

static void set_why(struct card *card, const struct tr_error *why)
{
    snprintf(card->why, sizeof card->why, "%.*s", (int)sizeof card->why - 1, why->text);
}

/* The same for all containers of a machine, whatever they are called. */
static void read_machine(char *machine, size_t room_bytes)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file || !fgets(machine, (int)room_bytes, file))
        machine[0] = '\0';
    if (file)
        fclose(file);
}

static void write_card(struct group_nccl *g, bool offers, struct card *card)
{
    struct tr_error why = {""};
    *card = (struct card){.offers = offers};
    if (!offers)
        tr_fail(&why, "it computes on the device %s", g->device->ops->name);
    else
        tr_nccl_open(&g->nccl, &why);
    set_why(card, &why);
    card->version = g->nccl.version;
    read_machine(card->machine, sizeof card->machine);
    snprintf(card->place, sizeof card->place, "%s", g->device->place);
}

static int say_no(char *line, size_t line_bytes, uint32_t rank, const char *why)
{
    snprintf(line, line_bytes, "sums: by the host, since rank %" PRIu32 ": %s", rank, why);
    return 0;
}

/* 1 where all cards allow it. Where no rank offers a GPU there is nothing to say. */
static int judge(const struct card *cards, uint32_t count, char *line, size_t line_bytes)
{
    bool any = false;
    char why[192];
    for (uint32_t r = 0; r < count; r++)
        any = any || cards[r].offers;
    for (uint32_t r = 0; r < count && any; r++) {
        if (cards[r].why[0])
            return say_no(line, line_bytes, r, cards[r].why);
        if (cards[r].version != cards[0].version) {
            snprintf(why, sizeof why, "NCCL is of version %d, that of rank 0 of %d",
                     cards[r].version, cards[0].version);
            return say_no(line, line_bytes, r, why);
        }
        for (uint32_t other = 0; other < r; other++) {
            if (!cards[r].place[0] || strcmp(cards[r].place, cards[other].place) != 0 ||
                strcmp(cards[r].machine, cards[other].machine) != 0)
                continue;
            snprintf(why, sizeof why, "it has the same GPU as rank %" PRIu32 " (%s)", other,
                     cards[r].place);
            return say_no(line, line_bytes, r, why);
        }
    }
    return any;
}

/* All ranks' cards, and what is to be made of them. */
static int agree(struct group_nccl *g, const struct card *own, char *line, size_t line_bytes,
                 struct tr_error *error)
{
    struct tr_gathered all;
    uint32_t count = g->wrap.base.count;
    if (tr_group_gather(g->wrap.inside, own, sizeof *own, &all, error) < 0)
        return -1;
    int rc = -1;
    struct card *cards = calloc(count, sizeof *cards);
    if (!cards || all.begins[count] != count * sizeof *cards) {
        tr_fail(error, cards ? "ranks are of different versions of penstock" : "no memory");
    } else {
        memcpy(cards, all.bytes, count * sizeof *cards);
        rc = judge(cards, count, line, line_bytes);
    }
    free(cards);
    tr_gathered_free(&all);
    return rc;
}

/* --- the communicator ----------------------------------------------------------------------------
 */

static void set_result(const struct group_nccl *g, int result, struct card *card)
{
    struct tr_error why;
    if (result == TR_NCCL_SUCCESS)
        return;
    if (result == TR_NCCL_IN_PROGRESS)
        tr_fail(&why, "NCCL is not ready after %g s", INIT_S);
    else
        tr_nccl_failed(&g->nccl, g->comm, result, &why);
    set_why(card, &why);
}

/* NCCL connects by threads of its own; the other ranks are watched meanwhile. */
static int await_comm(struct group_nccl *g, struct card *card, struct tr_error *error)
{
    double until_s = tr_now_s() + INIT_S;
    int result;
    if (tr_wrap_enter(&g->wrap, TR_CALL_GATHER, TR_NUMBER_FLOAT, 0, error) < 0)
        return -1;
    while ((result = tr_nccl_state(g)) == TR_NCCL_IN_PROGRESS && tr_now_s() < until_s) {
        if (tr_wrap_poll(&g->wrap, 1, error) < 0)
            return -1;
    }
    tr_wrap_exit(&g->wrap);
    set_result(g, result, card);
    return 0;
}

/* Rank 0's identifier comes to all, or why there is none. A rank that is refused at once says so
 * before the others wait for it. 1 when all have a communicator. */
static int connect_all(struct group_nccl *g, struct card *card, char *line, size_t line_bytes,
                       struct tr_error *error)
{
    struct {
        struct tr_nccl_id id;
        int result;
    } first = {.result = TR_NCCL_SUCCESS};
    const struct tr_group *base = &g->wrap.base;
    if (base->rank == 0)
        first.result = g->nccl.get_unique_id(&first.id);
    if (tr_group_broadcast(g->wrap.inside, &first, sizeof first, error) < 0)
        return -1;
    if (first.result == TR_NCCL_SUCCESS)
        first.result = tr_nccl_begin(&g->nccl, &first.id, base->rank, base->count, &g->comm);
    if (first.result != TR_NCCL_IN_PROGRESS)
        set_result(g, first.result, card);
    int rc = agree(g, card, line, line_bytes, error);
    if (rc <= 0)
        return rc;
    if (await_comm(g, card, error) < 0)
        return -1;
    return agree(g, card, line, line_bytes, error);
}

static int make_events(struct group_nccl *g, struct card *card)
{
    struct tr_error why;
    for (uint32_t i = 0; i < NCCL_REQUESTS; i++) {
        g->requests[i].group = g;
        if (g->device->ops->event_new(g->device, &g->requests[i].done) < 0) {
            tr_fail(&why, "%s", g->device->error);
            set_why(card, &why);
            return -1;
        }
    }
    return 0;
}

/* The group inside stays the caller's. */
static void drop(struct group_nccl *g)
{
    tr_nccl_give_up(&g->wrap);
    for (uint32_t i = 0; i < NCCL_REQUESTS; i++)
        g->device->ops->event_free(g->device, g->requests[i].done);
    free(g);
}

int tr_group_nccl_begin(struct tr_group **group, struct tr_mesh *mesh, struct tr_device *device,
                        bool offers, char *line, size_t line_bytes, struct tr_error *error)
{
    struct card card;
    struct group_nccl *g = calloc(1, sizeof *g);
    *line = '\0';
    if (!g)
        return tr_fail(error, "no memory for a group");
    tr_wrap_begin(&g->wrap, &tr_nccl_ops, *group, mesh);
    g->wrap.give_up = tr_nccl_give_up;
    g->device = device;
    write_card(g, offers, &card);
    make_events(g, &card);
    int rc = agree(g, &card, line, line_bytes, error);
    if (rc > 0)
        rc = connect_all(g, &card, line, line_bytes, error);
    if (rc <= 0) {
        drop(g);
        return rc;
    }
    device->watch = tr_nccl_watch;
    device->watch_cookie = g;
    snprintf(line, line_bytes, "sums: by NCCL %d.%d.%d, on the GPUs", g->nccl.version / 10000,
             g->nccl.version / 100 % 100, g->nccl.version % 100);
    *group = &g->wrap.base;
    return 0;
}
