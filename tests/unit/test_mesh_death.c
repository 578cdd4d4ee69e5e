/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_mesh_death.c - ranks that die, stop, fail or end are named by all others; ranks
 * that are slow are not. The ranks are processes.
 */
#include "tests/unit/mesh_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "trainer/clock.h"

#define RANKS_MAX 4U
#define PATIENCE_S 60.0 /* of a busy machine */

/* What each process tells the test. */
struct told {
    _Atomic uint32_t steps;
    _Atomic bool failed;
    char error[2048];
};

struct run;
typedef void (*process_fn)(struct run *run, struct tr_group *group, uint32_t rank);

struct run {
    uint32_t count;
    double deadline_s;
    process_fn process;
    uint32_t n;   /* values of a sum */
    uint32_t odd; /* the rank that does something else */
    struct told *told;
    pid_t pids[RANKS_MAX];
};

static void process_main(struct run *run, const struct mesh_place *place, uint32_t rank)
{
    struct tr_mesh_options options = mesh_options(place, rank, run->count);
    struct tr_group *group;
    struct tr_error error = {""};
    options.deadline_s = run->deadline_s;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* none is left behind by a test that fails */
    if (rank != 0)
        close(place->fd);
    group_check(tr_group_tcp_open(&options, &group, &error) == 0);
    run->process(run, group, rank);
    tr_group_free(&group);
    _exit(0);
}

static void start(struct run *run)
{
    struct mesh_place place = mesh_place_new();
    run->told = mmap(NULL, RANKS_MAX * sizeof *run->told, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(run->told != MAP_FAILED);
    for (uint32_t r = 0; r < run->count; r++) {
        run->pids[r] = fork();
        assert_true(run->pids[r] >= 0);
        if (run->pids[r] == 0)
            process_main(run, &place, r);
    }
    close(place.fd);
}

static void wait_steps(const struct run *run, uint32_t steps)
{
    double until_s = tr_now_s() + PATIENCE_S;
    for (uint32_t r = 0; r < run->count; r++) {
        while (run->told[r].steps < steps) {
            if (run->told[r].failed)
                fail_msg("rank %u: %s", r, run->told[r].error);
            assert_true(tr_now_s() < until_s);
            usleep(1000);
        }
    }
}

/* Every rank but one ends, by itself and within the deadline, with exit status 0. */
static void wait_others(const struct run *run, uint32_t but)
{
    for (uint32_t r = 0; r < run->count; r++) {
        int status;
        if (r == but)
            continue;
        assert_int_equal(waitpid(run->pids[r], &status, 0), run->pids[r]);
        assert_int_equal(status, 0);
    }
}

static void end(struct run *run)
{
    munmap(run->told, RANKS_MAX * sizeof *run->told);
}

static void assert_says(const struct told *told, const char *part)
{
    if (!strstr(told->error, part))
        fail_msg("'%s' is not in: %s", part, told->error);
}

/* Steps until something fails: flags and a sum, as training does. */
static void train(struct run *run, struct tr_group *group, uint32_t rank)
{
    struct told *told = &run->told[rank];
    struct tr_error error;
    float *values = calloc(run->n, sizeof *values);
    group_check(values != NULL);
    for (;;) {
        struct tr_heard heard;
        if (tr_group_say(group, TR_SAYS_MORE, 1, &error) < 0 ||
            tr_group_sum(group, values, run->n, TR_NUMBER_FLOAT, &error) < 0 ||
            tr_group_hear(group, &heard, &error) < 0)
            break;
        told->steps++;
    }
    memcpy(told->error, error.text, sizeof told->error);
    told->failed = true;
    tr_group_leave(group, error.text);
    free(values);
}

static void a_killed_rank_is_named(void **state)
{
    static const uint32_t counts[] = {2, 3, 4};
    static const uint32_t sizes[] = {10, 500000};
    (void)state;
    for (size_t c = 0; c < 3; c++) {
        for (size_t s = 0; s < 2; s++) {
            char name[32];
            struct run run = {.count = counts[c], .deadline_s = PATIENCE_S, .n = sizes[s]};
            run.process = train;
            run.odd = counts[c] - 1 - (uint32_t)s;
            start(&run);
            wait_steps(&run, 5);
            double at_s = tr_now_s();
            kill(run.pids[run.odd], SIGKILL);
            wait_others(&run, run.odd);
            assert_true(tr_now_s() - at_s < PATIENCE_S);
            waitpid(run.pids[run.odd], NULL, 0);
            snprintf(name, sizeof name, "rank %u of %u (", run.odd, run.count);
            for (uint32_t r = 0; r < run.count; r++) {
                if (r == run.odd)
                    continue;
                assert_says(&run.told[r], name);
                assert_says(&run.told[r], "127.0.0.1) has gone, in step ");
            }
            end(&run);
        }
    }
}

static void a_stopped_rank_is_named(void **state)
{
    struct run runs[2] = {{.n = 10}, {.n = 500000}}; /* at the same time */
    (void)state;
    for (struct run *run = runs; run < runs + 2; run++) {
        run->count = 4;
        run->deadline_s = 2.0;
        run->process = train;
        run->odd = 2;
        start(run);
        wait_steps(run, 5);
        kill(run->pids[run->odd], SIGSTOP);
    }
    for (struct run *run = runs; run < runs + 2; run++) {
        wait_others(run, run->odd);
        for (uint32_t r = 0; r < run->count; r++) {
            if (r == run->odd)
                continue;
            assert_says(&run->told[r], "rank 2 of 4 (");
            assert_says(&run->told[r],
                        "127.0.0.1) has been silent for 2 s: it was last heard of in step ");
        }
        kill(run->pids[run->odd], SIGKILL);
        waitpid(run->pids[run->odd], NULL, 0);
        end(run);
    }
}

/* A machine that is suspended, and goes on, with all that is on it. */
static void ranks_that_slept_together_go_on(void **state)
{
    struct run run = {.count = 3, .deadline_s = 1.5, .n = 10, .process = train};
    uint32_t steps = 0;
    (void)state;
    start(&run);
    wait_steps(&run, 5);
    for (uint32_t r = 0; r < run.count; r++)
        kill(run.pids[r], SIGSTOP);
    usleep(2500000);
    for (uint32_t r = 0; r < run.count; r++) {
        uint32_t done = run.told[r].steps;
        steps = done > steps ? done : steps;
    }
    for (uint32_t r = 0; r < run.count; r++)
        kill(run.pids[r], SIGCONT);
    wait_steps(&run, steps + 20);
    kill(run.pids[0], SIGKILL);
    waitpid(run.pids[0], NULL, 0);
    wait_others(&run, 0);
    end(&run);
}

/* A rank that is late, but gives signs of life, in the fifth step. */
static void dawdle(struct run *run, struct tr_group *group, uint32_t rank)
{
    struct told *told = &run->told[rank];
    struct tr_error error;
    double *values = calloc(run->n, sizeof *values);
    group_check(values != NULL);
    for (uint32_t step = 0; step < 8; step++) {
        struct tr_heard heard;
        double until_s = tr_now_s() + 2.5 * run->deadline_s;
        while (step == 5 && rank == run->odd && tr_now_s() < until_s) {
            group_check(tr_group_beat(group, &error) == 0);
            usleep(10000);
        }
        values[0] = rank;
        int rc = tr_group_say(group, TR_SAYS_MORE, 1, &error);
        if (rc == 0)
            rc = tr_group_sum(group, values, run->n, TR_NUMBER_DOUBLE, &error);
        if (rc == 0)
            rc = tr_group_hear(group, &heard, &error);
        if (rc < 0)
            fprintf(stderr, "rank %u: %s\n", rank, error.text);
        group_check(rc == 0);
        group_check(values[0] == run->count * (run->count - 1) / 2.0);
        told->steps++;
    }
    free(values);
}

static void a_slow_rank_that_gives_signs_of_life_is_waited_for(void **state)
{
    struct run runs[2] = {{.n = 1, .odd = 0}, {.n = 100000, .odd = 1}}; /* at the same time */
    (void)state;
    for (struct run *run = runs; run < runs + 2; run++) {
        run->count = 3;
        run->deadline_s = 1.0;
        run->process = dawdle;
        start(run);
    }
    for (struct run *run = runs; run < runs + 2; run++) {
        wait_others(run, UINT32_MAX);
        for (uint32_t r = 0; r < run->count; r++)
            assert_int_equal(run->told[r].steps, 8);
        end(run);
    }
}

/* One fails by itself; the others notice, in a sum, or while they wait for data and give signs of
 * life. */
static void fail_alone(struct run *run, struct tr_group *group, uint32_t rank)
{
    struct told *told = &run->told[rank];
    struct tr_error error;
    float value = 1.0F;
    int rc = tr_group_sum(group, &value, 1, TR_NUMBER_FLOAT, &error);
    if (rank == run->odd) {
        group_check(rc == 0);
        tr_group_leave(group, "the loss of batch 12 is not a number\n\x1b[31m");
        group_check(tr_group_sum(group, &value, 1, TR_NUMBER_FLOAT, &error) < 0);
        return;
    }
    if (rank == 0) {
        group_check(rc < 0 || tr_group_sum(group, &value, 1, TR_NUMBER_FLOAT, &error) < 0);
    } else {
        while (rc == 0 && tr_group_beat(group, &error) == 0)
            usleep(1000);
    }
    memcpy(told->error, error.text, sizeof told->error);
}

static void why_a_rank_left_comes_through(void **state)
{
    struct run run = {.count = 4, .deadline_s = PATIENCE_S, .process = fail_alone, .odd = 1};
    (void)state;
    start(&run);
    wait_others(&run, UINT32_MAX);
    for (uint32_t r = 0; r < run.count; r++) {
        if (r != run.odd)
            assert_says(&run.told[r],
                        "127.0.0.1) failed: the loss of batch 12 is not a number??[31m");
    }
    assert_says(&run.told[0], "rank 1 of 4 (");
    end(&run);
}

/* One ends early, without a word of failure. */
static void end_early(struct run *run, struct tr_group *group, uint32_t rank)
{
    struct told *told = &run->told[rank];
    struct tr_error error;
    struct tr_heard heard;
    for (uint32_t step = 0; step < 3 || rank != run->odd; step++) {
        if (tr_group_say(group, 0, 0, &error) < 0 || tr_group_hear(group, &heard, &error) < 0) {
            memcpy(told->error, error.text, sizeof told->error);
            return;
        }
    }
}

static void a_rank_that_ends_before_the_others_is_named(void **state)
{
    struct run run = {.count = 3, .deadline_s = PATIENCE_S, .process = end_early, .odd = 1};
    (void)state;
    start(&run);
    wait_others(&run, UINT32_MAX);
    for (uint32_t r = 0; r < run.count; r++) {
        if (r == run.odd)
            continue;
        assert_says(&run.told[r], "rank 1 of 3 (");
        assert_says(&run.told[r], "has ended its run, in step 3");
    }
    end(&run);
}

/* The last values are on their way to the others when a rank has freed its group. */
static void end_at_once(struct run *run, struct tr_group *group, uint32_t rank)
{
    struct tr_error error;
    float *values = calloc(run->n, sizeof *values);
    group_check(values != NULL);
    values[run->n - 1] = (float)rank;
    if (rank > 0)
        usleep(200000 * rank);
    int rc = tr_group_sum(group, values, run->n, TR_NUMBER_FLOAT, &error);
    if (rc < 0)
        fprintf(stderr, "rank %u: %s\n", rank, error.text);
    group_check(rc == 0);
    group_check(values[run->n - 1] == 3.0F);
    if (rank == 0) {
        memset(values, 7, run->n * sizeof *values);
        group_check(tr_group_broadcast(group, values, run->n * sizeof *values, &error) == 0);
        free(values);
        return;
    }
    usleep(500000);
    rc = tr_group_broadcast(group, values, run->n * sizeof *values, &error);
    if (rc < 0)
        fprintf(stderr, "rank %u: %s\n", rank, error.text);
    group_check(rc == 0);
    for (size_t i = 0; i < run->n * sizeof *values; i++)
        group_check(((uint8_t *)values)[i] == 7);
    free(values);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
    struct run run = {.count = 3, .deadline_s = PATIENCE_S, .process = end_at_once, .n = 100000};
    (void)state;
    start(&run);
    wait_others(&run, UINT32_MAX);
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_named),
        cmocka_unit_test(a_stopped_rank_is_named),
        cmocka_unit_test(ranks_that_slept_together_go_on),
        cmocka_unit_test(a_slow_rank_that_gives_signs_of_life_is_waited_for),
        cmocka_unit_test(why_a_rank_left_comes_through),
        cmocka_unit_test(a_rank_that_ends_before_the_others_is_named),
        cmocka_unit_test(what_was_sent_before_the_end_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
