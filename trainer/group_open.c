/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_open.c - see trainer/group_open.h. */
#include "trainer/group_open.h"

#include "trainer/group_mpi.h"
#include "trainer/group_nccl.h"
#include "trainer/group_tcp.h"
#include "trainer/group_wrap.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum wish { WISH_AUTO, WISH_TCP, WISH_MPI };

static int read_wish(const struct tr_ranks *ranks, enum wish *wish, struct tr_error *error)
{
    static const char *const names[] = {"auto", "tcp", "mpi"};
    const char *text = getenv("PENSTOCK_GROUP");
    *wish = WISH_AUTO;
    while (text && *text && strcmp(text, names[*wish]) != 0) {
        if (*wish == WISH_MPI)
            return tr_fail(error, "PENSTOCK_GROUP: '%.64s' is none of auto, tcp, mpi", text);
        ++*wish;
    }
    if (*wish == WISH_MPI && ranks->engine != TR_ENGINE_OPEN_MPI)
        return tr_fail(error,
                       "PENSTOCK_GROUP=mpi, but Open MPI's mpirun has not launched this process");
    return 0;
}

/* Whether MPI is there, and then open; `why` says why it is not. */
static int open_mpi(const struct tr_ranks *ranks, enum wish wish, struct tr_mpi **mpi, char *why,
                    size_t why_bytes, struct tr_error *error)
{
    struct tr_error missing;
    *mpi = NULL;
    if (ranks->engine != TR_ENGINE_OPEN_MPI || (wish == WISH_TCP && ranks->master_port > 0))
        return 0;
    if (tr_mpi_open(mpi, &missing) == 0)
        return 0;
    if (wish == WISH_MPI)
        return tr_fail(error, "%s", missing.text);
    if (ranks->master_port == 0)
        return tr_fail(error,
                       "%.1000s; so nothing says where the ranks meet: set "
                       "PENSTOCK_MASTER=HOST:PORT of rank 0",
                       missing.text);
    snprintf(why, why_bytes, ": %.200s", missing.text);
    return 0;
}

static int open_tcp(const struct tr_ranks *ranks, double deadline_s,
                    const struct tr_meeting *meeting, struct tr_group **out, struct tr_error *error)
{
    bool is_here = ranks->network[0] && if_nametoindex(ranks->network) > 0;
    const struct tr_mesh_options options = {.rank = ranks->rank,
                                            .count = ranks->count,
                                            .host = meeting->host,
                                            .port = meeting->port,
                                            .listen_fd = meeting->listen_fd,
                                            .local = is_here ? ranks->network : NULL,
                                            .job = ranks->job,
                                            .deadline_s = deadline_s};
    if (is_here)
        setenv("NCCL_SOCKET_IFNAME", ranks->network, 0);
    return tr_group_tcp_open(&options, out, error);
}

/* MPI that was only asked where to meet is closed again. */
static int open_with(const struct tr_ranks *ranks, double deadline_s, enum wish wish,
                     struct tr_mpi **mpi, struct tr_group **out, struct tr_error *error)
{
    struct tr_meeting meeting = {.port = ranks->master_port, .listen_fd = -1};
    struct tr_group *tcp;
    bool all_here = ranks->local_count == ranks->count;
    snprintf(meeting.host, sizeof meeting.host, "%s", ranks->master_host);
    if (ranks->master_port == 0 && tr_mpi_meet(*mpi, ranks->rank, all_here, &meeting, error) < 0)
        return -1;
    if (wish == WISH_TCP)
        tr_mpi_close(mpi, true);
    if (open_tcp(ranks, deadline_s, &meeting, &tcp, error) < 0)
        return -1;
    *out = tcp;
    if (*mpi && tr_group_mpi_new(tcp, *mpi, out, error) < 0) {
        tr_group_free(&tcp);
        return -1;
    }
    return 0;
}

int tr_group_open(const struct tr_ranks *ranks, double deadline_s, struct tr_group **out,
                  char *line, size_t line_bytes, struct tr_error *error)
{
    char why[256] = "";
    enum wish wish;
    struct tr_mpi *mpi = NULL;
    *out = NULL;
    *line = '\0';
    if (read_wish(ranks, &wish, error) < 0)
        return -1;
    if (ranks->count == 1)
        return 0;
    if (open_mpi(ranks, wish, &mpi, why, sizeof why, error) < 0)
        return -1;
    if (open_with(ranks, deadline_s, wish, &mpi, out, error) < 0) {
        *out = NULL;
        tr_mpi_close(&mpi, false);
        return -1;
    }
    if (mpi)
        snprintf(line, line_bytes, "group: mpi (%s)", tr_mpi_version(mpi));
    else
        snprintf(line, line_bytes, "group: tcp%s", why);
    return 0;
}

int tr_group_use_device(struct tr_group **group, struct tr_device *device, char *line,
                        size_t line_bytes, struct tr_error *error)
{
    *line = '\0';
    if (!*group)
        return 0;
    bool is_tcp = strcmp((*group)->ops->name, "tcp") == 0;
    struct tr_mesh *mesh = is_tcp ? tr_group_tcp_mesh(*group) : tr_wrap_of(*group)->mesh;
    return tr_group_nccl_begin(group, mesh, device, strcmp(device->ops->name, "cuda") == 0, line,
                               line_bytes, error);
}

void tr_group_drop_device(struct tr_group **group)
{
    tr_group_nccl_end(group);
}
