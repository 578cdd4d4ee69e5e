/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_group_nccl.c - groups with NCCL, which is tests/fake_nccl.c: what every group has
 * to do, who goes without it and why, and how ranks that are gone end what waits for them. The
 * ranks are threads, with a TCP group and a device each.
 */
#include "tests/unit/group_checks.h"
#include "tests/unit/mesh_fixture.h"

#include <dlfcn.h>

#include "trainer/call.h"
#include "trainer/group_nccl.h"
#include "trainer/group_open.h"

#define RANKS 3U
#define MANY 50 /* sums: more than may be under way */
#define LONG_S 120.0
#define SHORT_S 3.0

struct rank {
    struct tr_mesh_options options;
    const struct example *example;
    struct tr_group *group;
    struct tr_device *device;
    char line[600];
    pthread_barrier_t *end; /* of those who are still there */
};

/* What ranks do after the beginning, and what the beginning says. */
struct example {
    const char *line;
    void (*run)(struct rank *rank);
    const char *place; /* of every rank's device */
    uint32_t offering; /* so many ranks offer a GPU */
    double deadline_s;
};

static char library[4096];
static int (*destroyed)(void);
static int (*aborted)(void);

static void *rank_main(void *cookie)
{
    struct rank *r = cookie;
    const struct example *e = r->example;
    struct tr_error error;
    struct tr_group *inside;
    group_check(tr_group_tcp_open(&r->options, &inside, &error) == 0);
    r->group = inside;
    group_check(tr_device_open("delayed", &r->device, r->line, sizeof r->line) == 0);
    snprintf(r->device->place, sizeof r->device->place, "%s", e->place ? e->place : "");
    group_check(tr_group_nccl_begin(&r->group, tr_group_tcp_mesh(inside), r->device,
                                    r->options.rank < e->offering, r->line, sizeof r->line,
                                    &error) == 0);
    if (!strstr(r->line, e->line) || (!*e->line && *r->line))
        fprintf(stderr, "'%s' is not '%s'\n", r->line, e->line);
    group_check(strstr(r->line, e->line) && (*e->line || !*r->line));
    bool with_nccl = strncmp(e->line, "sums: by NCCL", 13) == 0;
    group_check(with_nccl == (r->group != inside));
    e->run(r);
    tr_group_forget(r->group);
    group_check(!r->device->watch);
    tr_device_close(&r->device);
    tr_group_free(&r->group);
    return NULL;
}

/* Runs the example in three ranks; nothing may be left of NCCL: of each communicator either all
 * parted in peace, or it was aborted. */
static void run(const struct example *example, int destroyed_more, int aborted_more)
{
    struct mesh_place place = mesh_place_new();
    struct rank ranks[RANKS];
    pthread_t threads[RANKS];
    pthread_barrier_t end;
    int destroyed_before = destroyed();
    int aborted_before = aborted();
    pthread_barrier_init(&end, NULL, RANKS);
    for (uint32_t r = 0; r < RANKS; r++) {
        ranks[r] = (struct rank){.options = mesh_options(&place, r, RANKS), .example = example};
        ranks[r].options.deadline_s = example->deadline_s > 0.0 ? example->deadline_s : LONG_S;
        ranks[r].end = &end;
        assert_int_equal(pthread_create(&threads[r], NULL, rank_main, &ranks[r]), 0);
    }
    for (uint32_t r = 0; r < RANKS; r++)
        assert_int_equal(pthread_join(threads[r], NULL), 0);
    pthread_barrier_destroy(&end);
    assert_int_equal(destroyed() - destroyed_before, destroyed_more);
    assert_int_equal(aborted() - aborted_before, aborted_more);
}

/* --- what groups do ------------------------------------------------------------------------------
 */

/* Sums one behind the other without a wait of the host; of all types. */
static void sum_many(struct rank *r)
{
    struct tr_error error;
    struct tr_event *event;
    uint64_t words[4] = {1, 2, 3, r->options.rank};
    double value = 1.0;
    group_check(r->device->ops->event_new(r->device, &event) == 0);
    void *memory = tr_device_allocate(r->device, 4, sizeof words[0], &error);
    group_check(memory != NULL);
    group_check(tr_device_put(r->device, event, memory, words, sizeof words, &error) == 0);
    for (int i = 0; i < MANY; i++)
        group_check(tr_group_sum_on(r->group, r->device, memory, 4, TR_NUMBER_WORD, &error) == 0);
    group_check(tr_device_take(r->device, event, words, memory, sizeof words, &error) == 0);
    uint64_t factor = 1; /* 3^50 modulo 2^64; the last word is 0 + 1 + 2 after the first sum */
    for (int i = 0; i < MANY; i++)
        factor *= RANKS;
    group_check(words[0] == factor && words[1] == 2 * factor && words[3] == factor);
    group_check(tr_device_put(r->device, event, memory, &value, sizeof value, &error) == 0);
    group_check(tr_group_sum_on(r->group, r->device, memory, 1, TR_NUMBER_DOUBLE, &error) == 0);
    group_check(tr_device_take(r->device, event, &value, memory, sizeof value, &error) == 0);
    group_check(value == 3.0);
    r->device->ops->event_free(r->device, event);
    r->device->ops->dealloc(r->device, memory);
}

static void check_all(struct rank *r)
{
    group_checks_talk(r->group, r->device, NULL);
    group_checks_sum_on(r->group, r->device, NULL);
    group_checks_tally(r->group, r->device, NULL);
    sum_many(r);
    group_checks_talk(r->group, r->device, NULL);
}

static void nccl_does_what_groups_do(void **state)
{
    const struct example example = {
        .line = "sums: by NCCL 2.99.1, on the GPUs", .run = check_all, .offering = RANKS};
    (void)state;
    run(&example, RANKS, 0);
}

/* --- without it ----------------------------------------------------------------------------------
 */

static void some_go_without(void **state)
{
    const struct example none = {.line = "", .run = check_all};
    const struct example two = {.line = "sums: by the host, since rank 2: it computes on the "
                                        "device delayed",
                                .run = check_all,
                                .offering = 2};
    const struct example same = {.line = "sums: by the host, since rank 1: it has the same GPU as "
                                         "rank 0 (0000:1b:00.0)",
                                 .run = check_all,
                                 .place = "0000:1b:00.0",
                                 .offering = RANKS};
    (void)state;
    run(&none, 0, 0);
    run(&two, 0, 0);
    run(&same, 0, 0);
}

static void go_without(const char *fault, const char *line, int aborted_more)
{
    const struct example example = {.line = line, .run = check_all, .offering = RANKS};
    setenv("FAKE_NCCL", fault, 1);
    run(&example, 0, aborted_more);
    unsetenv("FAKE_NCCL");
}

static void nccl_that_cannot_be_had_is_named(void **state)
{
    (void)state;
    setenv("PENSTOCK_NCCL", "off", 1);
    go_without("", "sums: by the host, since rank 0: PENSTOCK_NCCL=off", 0);
    setenv("PENSTOCK_NCCL", "/nonexistent/libnccl.so.2", 1);
    go_without("", "sums: by the host, since rank 0: /nonexistent/libnccl.so.2: cannot open", 0);
    setenv("PENSTOCK_NCCL", "libc.so.6", 1);
    go_without("", "since rank 0: NCCL has no symbol ncclGetVersion: version 2.14", 0);
    setenv("PENSTOCK_NCCL", library, 1);
    go_without("old", "since rank 0: NCCL is of version 21304, and 2.14 (21400)", 0);
    go_without("no_id", "since rank 0: NCCL: unhandled system error", 0);
}

/* The other two have begun to wait for it: what they have is aborted. */
static void nccl_that_refuses_a_rank_is_named(void **state)
{
    (void)state;
    go_without("no_comm", "since rank 1: NCCL: invalid usage", RANKS - 1);
}

/* --- failures ------------------------------------------------------------------------------------
 */

/* Sums, and waits for them, until that fails. */
static void sum_until(struct rank *r, int stop_after, char *why, size_t why_bytes)
{
    struct tr_error error = {""};
    struct tr_event *event;
    float values[8] = {0.0F};
    int rc = r->device->ops->event_new(r->device, &event);
    void *memory = tr_device_allocate(r->device, 8, sizeof values[0], &error);
    group_check(rc == 0 && memory != NULL);
    for (int i = 0; i < stop_after && rc == 0; i++) {
        rc = tr_group_sum_on(r->group, r->device, memory, 8, TR_NUMBER_FLOAT, &error);
        if (rc == 0)
            rc = tr_device_take(r->device, event, values, memory, sizeof values, &error);
    }
    snprintf(why, why_bytes, "%.*s", (int)why_bytes - 1, error.text);
    r->device->ops->drain(r->device);
    r->device->ops->event_free(r->device, event);
    r->device->ops->dealloc(r->device, memory);
}

static void check_why(const struct rank *r, const char *why, const char *expected)
{
    if (!strstr(why, expected))
        fprintf(stderr, "rank %u: '%s' is not in '%s'\n", r->options.rank, expected, why);
    group_check(strstr(why, expected));
}

/* Rank 1 leaves with its reason; the others' streams wait for it. */
static void lose_rank_1(struct rank *r)
{
    char why[600];
    sum_until(r, MANY, why, sizeof why);
    if (r->options.rank == 1)
        check_why(r, why, "NCCL: unhandled system error: the fake's reason");
    else
        check_why(r, why, "rank 1 of 3");
    tr_group_leave(r->group, why);
    pthread_barrier_wait(r->end);
}

static void run_into(const char *fault, void (*lose)(struct rank *rank))
{
    const struct example example = {.line = "sums: by NCCL", .run = lose, .offering = RANKS};
    setenv("FAKE_NCCL", fault, 1);
    run(&example, 0, RANKS);
    unsetenv("FAKE_NCCL");
}

static void a_sum_that_is_refused_ends_the_run(void **state)
{
    (void)state;
    run_into("refused", lose_rank_1);
}

static void see_nobody(struct rank *r)
{
    char why[600];
    sum_until(r, MANY, why, sizeof why);
    if (!strstr(why, "rank "))
        check_why(r, why, "NCCL: remote process exited: the fake's reason");
    tr_group_leave(r->group, why);
    pthread_barrier_wait(r->end);
}

static void an_error_that_nccl_sees_ends_the_run(void **state)
{
    (void)state;
    run_into("remote", see_nobody);
}

/* Rank 2 stays away from the third sum, and gives no sign of life until the others are done. */
static void stay_away(struct rank *r)
{
    char why[600];
    bool away = r->options.rank == 2;
    sum_until(r, away ? 2 : MANY, why, sizeof why);
    if (!away)
        check_why(r, why, "rank 2 of 3 (");
    pthread_barrier_wait(r->end);
}

static void a_silent_rank_is_named(void **state)
{
    const struct example example = {
        .line = "sums: by NCCL", .run = stay_away, .offering = RANKS, .deadline_s = SHORT_S};
    (void)state;
    run(&example, 0, RANKS);
}

/* Rank 2 ends its run while the others' streams wait for its third sum. */
static void go_home(struct rank *r)
{
    char why[600];
    bool away = r->options.rank == 2;
    sum_until(r, away ? 2 : MANY, why, sizeof why);
    if (away)
        tr_group_leave(r->group, "the disk is full");
    else
        check_why(r, why, "rank 2 of 3 (");
    pthread_barrier_wait(r->end);
}

static void a_rank_that_leaves_is_named(void **state)
{
    (void)state;
    run_into("", go_home);
}

static void no_group_needs_no_nccl(void **state)
{
    struct tr_group *group = NULL;
    char line[64] = "?";
    (void)state;
    assert_int_equal(tr_group_use_device(&group, NULL, line, sizeof line, NULL), 0);
    assert_string_equal(line, "");
}

static int use_fake_nccl(void **state)
{
    (void)state;
    if (!fixture_path("../fake_nccl.so", library, sizeof library))
        return -1;
    void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!opened)
        return -1;
    *(void **)&destroyed = dlsym(opened, "fake_nccl_destroyed");
    *(void **)&aborted = dlsym(opened, "fake_nccl_aborted");
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    return setenv("PENSTOCK_NCCL", library, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nccl_does_what_groups_do),
        cmocka_unit_test(some_go_without),
        cmocka_unit_test(nccl_that_cannot_be_had_is_named),
        cmocka_unit_test(nccl_that_refuses_a_rank_is_named),
        cmocka_unit_test(a_sum_that_is_refused_ends_the_run),
        cmocka_unit_test(an_error_that_nccl_sees_ends_the_run),
        cmocka_unit_test(a_silent_rank_is_named),
        cmocka_unit_test(a_rank_that_leaves_is_named),
        cmocka_unit_test(no_group_needs_no_nccl),
    };
    return cmocka_run_group_tests(tests, use_fake_nccl, NULL);
}
