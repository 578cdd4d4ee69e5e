/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/group_fixture.h - a group whose ranks are threads of the test, each with a device of
 * its own: the plainest group there can be, and so the reference for the others.
 *
 *     static void rank(struct tr_group *group, struct tr_device *device, void *cookie) { ... }
 *     group_run(4, "delayed", rank, cookie);
 *
 * cmocka's assertions cannot leave a thread: a rank checks by group_check, which ends the program.
 */
#ifndef GROUP_FIXTURE_H
#define GROUP_FIXTURE_H

#include "tests/unit/trainer_fixture.h"

#include <pthread.h>

#include "trainer/group.h"

#define GROUP_RANKS_MAX 8U

/* In a rank's thread: says where, and ends the program. */
#define group_check(truth)                                                                         \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: rank's check failed: %s\n", __FILE__, __LINE__, #truth);       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef void (*group_rank_fn)(struct tr_group *group, struct tr_device *device, void *cookie);

/* What the ranks share. */
struct group_threads {
    uint32_t count;
    pthread_barrier_t all;
    const void *given[GROUP_RANKS_MAX];
    size_t given_bytes[GROUP_RANKS_MAX];
    struct group_said {
        uint32_t flags;
        uint32_t rows;
    } said[2][GROUP_RANKS_MAX]; /* of two steps in turn */
};

struct group_thread {
    struct tr_group base; /* first: the table is given a struct tr_group */
    struct group_threads *shared;
    uint64_t steps_said;
    uint64_t steps_heard;
    struct tr_device *device;
    group_rank_fn run;
    void *cookie;
};

static inline struct group_thread *group_thread_of(struct tr_group *group)
{
    return (struct group_thread *)(void *)group;
}

/* Every rank's bytes can be read between the two. */
static inline void group_give(struct group_thread *g, const void *bytes, size_t len_bytes)
{
    g->shared->given[g->base.rank] = bytes;
    g->shared->given_bytes[g->base.rank] = len_bytes;
    pthread_barrier_wait(&g->shared->all);
}

static inline void group_given(struct group_thread *g)
{
    pthread_barrier_wait(&g->shared->all);
}

static inline void group_add(void *to, const void *from, size_t n, enum tr_number type)
{
    for (size_t i = 0; i < n; i++) {
        if (type == TR_NUMBER_FLOAT)
            ((float *)to)[i] += ((const float *)from)[i];
        else if (type == TR_NUMBER_DOUBLE)
            ((double *)to)[i] += ((const double *)from)[i];
        else
            ((uint64_t *)to)[i] += ((const uint64_t *)from)[i];
    }
}

static inline int group_thread_sum(struct tr_group *group, void *values, size_t n,
                                   enum tr_number type, struct tr_error *error)
{
    struct group_thread *g = group_thread_of(group);
    size_t len_bytes = n * tr_number_bytes(type);
    void *sums = malloc(len_bytes + 1);
    (void)error;
    group_check(sums != NULL);
    group_give(g, values, len_bytes);
    for (uint32_t r = 0; r < g->shared->count; r++) {
        group_check(g->shared->given_bytes[r] == len_bytes);
        if (r == 0)
            memcpy(sums, g->shared->given[r], len_bytes);
        else
            group_add(sums, g->shared->given[r], n, type);
    }
    group_given(g);
    memcpy(values, sums, len_bytes);
    free(sums);
    return 0;
}

static inline int group_thread_broadcast(struct tr_group *group, void *bytes, size_t len_bytes,
                                         struct tr_error *error)
{
    struct group_thread *g = group_thread_of(group);
    (void)error;
    group_give(g, bytes, len_bytes);
    group_check(g->shared->given_bytes[0] == len_bytes);
    if (group->rank > 0)
        memcpy(bytes, g->shared->given[0], len_bytes);
    group_given(g);
    return 0;
}

static inline int group_thread_gather(struct tr_group *group, const void *bytes, size_t len_bytes,
                                      struct tr_gathered *to, struct tr_error *error)
{
    struct group_thread *g = group_thread_of(group);
    uint32_t count = g->shared->count;
    (void)error;
    group_give(g, bytes, len_bytes);
    to->begins = calloc((size_t)count + 1, sizeof *to->begins);
    group_check(to->begins != NULL);
    for (uint32_t r = 0; r < count; r++)
        to->begins[r + 1] = to->begins[r] + g->shared->given_bytes[r];
    to->bytes = malloc(to->begins[count] + 1);
    group_check(to->bytes != NULL);
    for (uint32_t r = 0; r < count; r++) {
        if (g->shared->given_bytes[r] > 0)
            memcpy(to->bytes + to->begins[r], g->shared->given[r], g->shared->given_bytes[r]);
    }
    group_given(g);
    return 0;
}

/* A step's flags are written before the barrier of hearing them, and again two steps later. */
static inline int group_thread_say(struct tr_group *group, uint32_t flags, uint32_t rows,
                                   struct tr_error *error)
{
    struct group_thread *g = group_thread_of(group);
    (void)error;
    group_check(g->steps_said == g->steps_heard);
    g->shared->said[g->steps_said++ % 2][group->rank] = (struct group_said){flags, rows};
    return 0;
}

static inline int group_thread_hear(struct tr_group *group, struct tr_heard *heard,
                                    struct tr_error *error)
{
    struct group_thread *g = group_thread_of(group);
    const struct group_said *said = g->shared->said[g->steps_heard++ % 2];
    (void)error;
    group_check(g->steps_said == g->steps_heard);
    pthread_barrier_wait(&g->shared->all);
    *heard = (struct tr_heard){.all = UINT32_MAX, .first = said[0].flags};
    for (uint32_t r = 0; r < g->shared->count; r++) {
        heard->any |= said[r].flags;
        heard->all &= said[r].flags;
        heard->rows += said[r].rows;
        heard->rows_before += r < group->rank ? said[r].rows : 0;
    }
    return 0;
}

static inline int group_thread_beat(struct tr_group *group, struct tr_error *error)
{
    (void)group;
    (void)error;
    return 0;
}

static inline void group_thread_leave(struct tr_group *group, const char *why)
{
    (void)group;
    fprintf(stderr, "a rank left: %s\n", why);
    abort();
}

static inline void group_thread_free(struct tr_group *group)
{
    free(group);
}

static const struct tr_group_ops group_threads_ops = {
    .name = "threads",
    .sum = group_thread_sum,
    .broadcast = group_thread_broadcast,
    .gather = group_thread_gather,
    .say = group_thread_say,
    .hear = group_thread_hear,
    .beat = group_thread_beat,
    .leave = group_thread_leave,
    .free = group_thread_free,
};

static inline void *group_thread_main(void *cookie)
{
    struct group_thread *g = cookie;
    g->run(&g->base, g->device, g->cookie);
    return NULL;
}

/* Runs one thread for each rank, and waits for all. */
static inline void group_run(uint32_t count, const char *device, group_rank_fn run, void *cookie)
{
    struct group_threads shared = {.count = count};
    struct group_thread *ranks[GROUP_RANKS_MAX];
    pthread_t threads[GROUP_RANKS_MAX];
    assert_true(count <= GROUP_RANKS_MAX);
    assert_int_equal(pthread_barrier_init(&shared.all, NULL, count), 0);
    for (uint32_t r = 0; r < count; r++) {
        ranks[r] = calloc(1, sizeof *ranks[r]);
        assert_non_null(ranks[r]);
        ranks[r]->base = (struct tr_group){.ops = &group_threads_ops, .rank = r, .count = count};
        ranks[r]->shared = &shared;
        ranks[r]->device = fixture_device(device);
        ranks[r]->run = run;
        ranks[r]->cookie = cookie;
    }
    for (uint32_t r = 0; r < count; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, group_thread_main, ranks[r]), 0);
    for (uint32_t r = 0; r < count; r++)
        assert_int_equal(pthread_join(threads[r], NULL), 0);
    for (uint32_t r = 0; r < count; r++) {
        struct tr_group *group = &ranks[r]->base;
        struct tr_device *opened = ranks[r]->device;
        tr_group_free(&group);
        tr_device_close(&opened);
    }
    pthread_barrier_destroy(&shared.all);
}

#endif
