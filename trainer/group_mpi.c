/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_mpi.c - see trainer/group_mpi.h. */
#include "trainer/group_mpi.h"

#include "trainer/group_wrap.h"
#include "trainer/mesh_address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* MPI is asked so often before there is a look at the other ranks; and so often in all before the
 * host rests in between, as then it waits for a rank that computes. */
#define TESTS_BETWEEN_POLLS 1000U
#define TESTS_OF_HASTE 1000000U
#define ADDRESSES_MAX 8 /* that rank 0 tells of itself */

struct group_mpi {
    struct tr_group_wrap wrap; /* first */
    struct tr_mpi *mpi;
    bool failed; /* the others are not waited for at the end */
};

static struct group_mpi *mpi_of(struct tr_group *group)
{
    return (struct group_mpi *)(void *)group;
}

/* --- the meeting place ---------------------------------------------------------------------------
 */

/* Its addresses as others may know them, with commas between them. -1: there is none. */
static int name_all(char *hosts, size_t hosts_bytes)
{
    struct tr_address own[ADDRESSES_MAX];
    int count = tr_address_of_host(own, ADDRESSES_MAX);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        char text[TR_ADDRESS_TEXT_BYTES];
        tr_address_text(&own[i], text);
        if (at + strlen(text) + 2 > hosts_bytes)
            break;
        at += (size_t)snprintf(hosts + at, hosts_bytes - at, "%s%s", at > 0 ? "," : "", text);
    }
    return at > 0 ? 0 : -1;
}

static int listen_for_all(bool all_here, struct tr_meeting *meeting, struct tr_error *error)
{
    struct tr_address at;
    if (all_here) {
        snprintf(meeting->host, sizeof meeting->host, "127.0.0.1");
        if (tr_address_find(meeting->host, 0, &at, 1, error) < 1)
            return -1;
        meeting->listen_fd = tr_address_listen(&at);
    } else if (name_all(meeting->host, sizeof meeting->host) < 0) {
        return tr_fail(error, "no network interface of rank 0 that is up has an address: set "
                              "PENSTOCK_MASTER=HOST:PORT");
    } else {
        meeting->listen_fd = tr_address_listen_anywhere(0);
    }
    if (meeting->listen_fd < 0)
        return tr_fail(error, "cannot listen at %s: %s", meeting->host, strerror(errno));
    at = tr_address_of_own(meeting->listen_fd);
    meeting->port = tr_address_port(&at);
    return 0;
}

/* Rank 0's failure is told to all, as they wait. */
int tr_mpi_meet(struct tr_mpi *mpi, uint32_t rank, bool all_here, struct tr_meeting *meeting,
                struct tr_error *error)
{
    struct {
        struct tr_meeting meeting;
        struct tr_error error;
    } told = {.meeting = {.listen_fd = -1}};
    int own_fd = -1;
    if (rank == 0 && listen_for_all(all_here, &told.meeting, &told.error) == 0) {
        own_fd = told.meeting.listen_fd;
        told.error.text[0] = '\0';
    }
    if (tr_mpi_broadcast(mpi, &told, sizeof told, error) < 0) {
        if (own_fd >= 0)
            close(own_fd);
        return -1;
    }
    *meeting = told.meeting;
    meeting->listen_fd = own_fd;
    return told.error.text[0] ? tr_fail(error, "%s", told.error.text) : 0;
}

/* --- sums ----------------------------------------------------------------------------------------
 */

static int await_sum(struct group_mpi *g, struct tr_error *error)
{
    for (uint64_t tests = 1;; tests++) {
        int done = tr_mpi_sum_done(g->mpi, error);
        bool hasty = tests < TESTS_OF_HASTE;
        if (done != 0)
            return done < 0 ? -1 : 0;
        if ((!hasty || tests % TESTS_BETWEEN_POLLS == 0) &&
            tr_wrap_poll(&g->wrap, hasty ? 0 : 1, error) < 0)
            return -1;
    }
}

static int sum_part(struct group_mpi *g, void *values, size_t n, enum tr_number type,
                    struct tr_error *error)
{
    if (tr_wrap_enter(&g->wrap, TR_CALL_SUM, type, n * tr_number_bytes(type), error) < 0 ||
        tr_mpi_sum_begin(g->mpi, values, n, type, error) < 0 || await_sum(g, error) < 0) {
        g->failed = true;
        return -1;
    }
    tr_wrap_exit(&g->wrap);
    return 0;
}

static int mpi_sum(struct tr_group *group, void *values, size_t n, enum tr_number type,
                   struct tr_error *error)
{
    uint8_t *at = values;
    while (n > 0) {
        size_t part = n < TR_MPI_VALUES_MAX ? n : TR_MPI_VALUES_MAX;
        if (sum_part(mpi_of(group), at, part, type, error) < 0)
            return -1;
        at += part * tr_number_bytes(type);
        n -= part;
    }
    return 0;
}

static void note_failure(struct tr_group_wrap *wrap)
{
    mpi_of(&wrap->base)->failed = true;
}

static void mpi_free(struct tr_group *group)
{
    struct group_mpi *g = mpi_of(group);
    tr_group_free(&g->wrap.inside);
    tr_mpi_close(&g->mpi, !g->failed);
    free(g);
}

static const struct tr_group_ops mpi_ops = {
    .name = "mpi",
    .sum = mpi_sum,
    TR_WRAP_OPS,
    .free = mpi_free,
};

int tr_group_mpi_new(struct tr_group *tcp, struct tr_mpi *mpi, struct tr_group **out,
                     struct tr_error *error)
{
    struct group_mpi *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g)
        return tr_fail(error, "no memory for a group");
    tr_wrap_begin(&g->wrap, &mpi_ops, tcp, tr_group_tcp_mesh(tcp));
    g->wrap.give_up = note_failure;
    g->mpi = mpi;
    *out = &g->wrap.base;
    return 0;
}
