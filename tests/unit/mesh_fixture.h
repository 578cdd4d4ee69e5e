/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/mesh_fixture.h - ranks on 127.0.0.1: a listener for rank 0, options for each, and
 * groups over TCP whose ranks are threads of the test.
 *
 *     static void rank(struct tr_group *group, struct tr_device *device, void *cookie) { ... }
 *     tcp_run(4, rank, cookie);     // as group_run of group_fixture.h; the device is NULL
 */
#ifndef MESH_FIXTURE_H
#define MESH_FIXTURE_H

#include "tests/unit/group_fixture.h"

#include "trainer/group_tcp.h"
#include "trainer/mesh_address.h"

/* A port for rank 0, which is given the listening socket. */
struct mesh_place {
    int fd;
    uint16_t port;
};

static inline struct mesh_place mesh_place_new(void)
{
    struct tr_address at;
    group_check(tr_address_local("127.0.0.1", &at, NULL) == 0);
    struct mesh_place place = {.fd = tr_address_listen(&at)};
    group_check(place.fd >= 0);
    at = tr_address_of_own(place.fd);
    place.port = tr_address_port(&at);
    return place;
}

static inline struct tr_mesh_options mesh_options(const struct mesh_place *place, uint32_t rank,
                                                  uint32_t count)
{
    return (struct tr_mesh_options){.rank = rank,
                                    .count = count,
                                    .host = "127.0.0.1",
                                    .port = place->port,
                                    .listen_fd = rank == 0 ? place->fd : 0,
                                    .job = "a test",
                                    .deadline_s = 60.0,
                                    .join_deadline_s = 60.0};
}

struct tcp_rank {
    struct tr_mesh_options options;
    group_rank_fn run;
    void *cookie;
};

static inline void *tcp_rank_main(void *cookie)
{
    const struct tcp_rank *rank = cookie;
    struct tr_group *group;
    struct tr_error error;
    int rc = tr_group_tcp_open(&rank->options, &group, &error);
    if (rc < 0)
        fprintf(stderr, "rank %u: %s\n", rank->options.rank, error.text);
    group_check(rc == 0);
    rank->run(group, NULL, rank->cookie);
    tr_group_free(&group);
    return NULL;
}

/* Runs one thread for each rank, and waits for all. */
static inline void tcp_run(uint32_t count, group_rank_fn run, void *cookie)
{
    struct mesh_place place = mesh_place_new();
    struct tcp_rank ranks[GROUP_RANKS_MAX];
    pthread_t threads[GROUP_RANKS_MAX];
    assert_true(count <= GROUP_RANKS_MAX);
    for (uint32_t r = 0; r < count; r++) {
        ranks[r] = (struct tcp_rank){mesh_options(&place, r, count), run, cookie};
        assert_int_equal(pthread_create(&threads[r], NULL, tcp_rank_main, &ranks[r]), 0);
    }
    for (uint32_t r = 0; r < count; r++)
        assert_int_equal(pthread_join(threads[r], NULL), 0);
}

#endif
