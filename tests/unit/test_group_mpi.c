/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_group_mpi.c - groups of Open MPI's: this program lets mpirun start itself in
 * several ranks, which check what every group has to do, or lose one of them.
 */
#include "tests/unit/group_checks.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "trainer/group_open.h"

#define OUTPUT_BYTES 65536U
#define SHORT_S 4.0 /* until a silent rank is named; else nobody is to be, on a busy machine */
#define LONG_S 120.0
#define LOST_RANK 2U
#define LARGE 300000U

extern char **environ;

/* --- a rank --------------------------------------------------------------------------------------
 */

/* Sums of every type, small and large; values are whole, so that any order gives the same bits. */
static void sum_host_memory(struct tr_group *group)
{
    const size_t counts[] = {0, 1, 3, 1000, LARGE};
    uint32_t ranks = group->count;
    struct tr_error error;
    float *floats = calloc(LARGE, sizeof *floats);
    double *doubles = calloc(LARGE, sizeof *doubles);
    uint64_t *words = calloc(LARGE, sizeof *words);
    group_check(floats && doubles && words);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (size_t i = 0; i < counts[c]; i++) {
            floats[i] = (float)(i % 1000 + group->rank);
            doubles[i] = (double)(i * (group->rank + 1));
            words[i] = (UINT64_C(1) << 63) + i + group->rank;
        }
        group_check(tr_group_sum(group, floats, counts[c], TR_NUMBER_FLOAT, &error) == 0);
        group_check(tr_group_sum(group, doubles, counts[c], TR_NUMBER_DOUBLE, &error) == 0);
        group_check(tr_group_sum(group, words, counts[c], TR_NUMBER_WORD, &error) == 0);
        for (size_t i = 0; i < counts[c]; i++) {
            uint64_t triangle = (uint64_t)ranks * (ranks - 1) / 2;
            group_check(floats[i] == (float)(ranks * (i % 1000) + triangle));
            group_check(doubles[i] == (double)(i * (triangle + ranks)));
            group_check(words[i] == ranks * ((UINT64_C(1) << 63) + i) + triangle);
        }
    }
    free(floats);
    free(doubles);
    free(words);
}

/* What does not add up to whole numbers is the same on every rank, to the last bit. */
static void sums_are_the_same_on_every_rank(struct tr_group *group)
{
    float values[GROUP_CHECKS_VALUES];
    struct tr_gathered all;
    fixture_fill(values, GROUP_CHECKS_VALUES, 7 + group->rank, 1.0F);
    group_check(tr_group_sum(group, values, GROUP_CHECKS_VALUES, TR_NUMBER_FLOAT, NULL) == 0);
    group_check(tr_group_gather(group, values, sizeof values, &all, NULL) == 0);
    for (uint32_t r = 0; r < group->count; r++)
        group_check(memcmp(all.bytes + all.begins[r], values, sizeof values) == 0);
    tr_gathered_free(&all);
}

static void check_all(struct tr_group *group)
{
    struct tr_device *device;
    char line[600];
    sum_host_memory(group);
    sums_are_the_same_on_every_rank(group);
    group_checks_talk(group, NULL, NULL);
    group_check(tr_device_open("delayed", &device, line, sizeof line) == 0);
    group_checks_sum_on(group, device, NULL);
    if (group->count == 3)
        group_checks_tally(group, device, NULL);
    tr_group_forget(group);
    tr_device_close(&device);
}

/* Sums until the others are missed; mpirun's wish to end comes while they look. */
static int lose_a_rank(struct tr_group *group, int signal_no)
{
    struct tr_error error = {"nobody is missed"};
    float values[16] = {0.0F};
    signal(SIGTERM, SIG_IGN);
    for (int step = 0; step < 100; step++) {
        if (group->rank == LOST_RANK && step == 5)
            raise(signal_no);
        if (tr_group_sum(group, values, 16, TR_NUMBER_FLOAT, &error) < 0)
            break;
    }
    printf("rank %u: %s\n", group->rank, error.text);
    fflush(stdout);
    tr_group_leave(group, error.text);
    tr_group_free(&group);
    return 3;
}

static int run_rank(const char *task)
{
    const struct tr_ranks_options given = {.resources = NULL};
    struct tr_ranks ranks;
    struct tr_group *group;
    struct tr_error error = {""};
    char line[256];
    if (tr_ranks_find(&given, &ranks, &error) < 0 ||
        tr_group_open(&ranks, strcmp(task, "stop") == 0 ? SHORT_S : LONG_S, &group, line,
                      sizeof line, &error) < 0) {
        printf("rank: %s\n", error.text);
        return 1;
    }
    printf("rank %u of %u: %s\n", tr_group_rank(group), tr_group_count(group), line);
    fflush(stdout);
    if (strcmp(task, "stop") == 0)
        return lose_a_rank(group, SIGSTOP);
    if (strcmp(task, "kill") == 0)
        return lose_a_rank(group, SIGKILL);
    check_all(group);
    tr_group_free(&group);
    return 0;
}

/* --- mpirun --------------------------------------------------------------------------------------
 */

static char program[4096];

/* Appends all that the pipe brings. */
static void read_all(int fd, char *output)
{
    size_t len = 0;
    ssize_t got;
    while (len < OUTPUT_BYTES - 1 && (got = read(fd, output + len, OUTPUT_BYTES - 1 - len)) > 0)
        len += (size_t)got;
    output[len] = '\0';
    close(fd);
}

/* Runs the task in so many ranks; returns mpirun's exit code. Nothing is asked of a network. */
static int run_ranks(const char *count, const char *task, char *output)
{
    const char *const arguments[] = {
        "mpirun",     "--oversubscribe", "-n",
        count,        "--mca",           "plm",
        "isolated",   "--mca",           "btl",
        "self,vader", "--mca",           "btl_vader_single_copy_mechanism",
        "none",       program,           task,
        NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int ends[2];
    int status;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    int rc = posix_spawnp(&pid, "mpirun", &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (rc != 0)
        fail_msg("mpirun (openmpi-bin): %s", strerror(rc));
    read_all(ends[0], output);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void check_run(const char *count, const char *line)
{
    char output[OUTPUT_BYTES];
    int rc = run_ranks(count, "check", output);
    if (rc != 0 || !strstr(output, line))
        fail_msg("exit code %d: %s", rc, output);
}

static void mpi_does_what_groups_do(void **state)
{
    (void)state;
    check_run("3", "rank 2 of 3: group: mpi (Open MPI v");
    check_run("4", "rank 3 of 4: group: mpi (Open MPI v");
}

static void mpi_can_tell_where_tcp_meets(void **state)
{
    (void)state;
    setenv("PENSTOCK_GROUP", "tcp", 1);
    check_run("3", "rank 2 of 3: group: tcp\n");
    unsetenv("PENSTOCK_GROUP");
}

/* Rank 0 may hear it from rank 1. */
static void check_loss(const char *task, const char *expected)
{
    char output[OUTPUT_BYTES];
    assert_int_not_equal(run_ranks("3", task, output), 0);
    const char *said = strstr(output, "\nrank 0: rank ");
    const char *named = said ? strstr(said, "rank 2 of 3 (") : NULL;
    if (!named || !strstr(named, expected))
        fail_msg("'%s' is not in: %s", expected, output);
}

static void a_silent_rank_is_named(void **state)
{
    (void)state;
    check_loss("stop", ") has been silent for 4 s");
}

static void a_killed_rank_is_named(void **state)
{
    (void)state;
    check_loss("kill", ") has gone, in step 0");
}

/* --- without MPI ---------------------------------------------------------------------------------
 */

static void refuses(const char *wish, const struct tr_ranks *ranks, const char *expected)
{
    struct tr_group *group;
    struct tr_error error = {""};
    char line[256];
    setenv("PENSTOCK_GROUP", wish, 1);
    assert_int_equal(tr_group_open(ranks, LONG_S, &group, line, sizeof line, &error), -1);
    unsetenv("PENSTOCK_GROUP");
    if (!strstr(error.text, expected))
        fail_msg("'%s' is not in '%s'", expected, error.text);
}

static void wrong_wishes_are_refused(void **state)
{
    const struct tr_ranks ranks = {.engine = TR_ENGINE_TORCHRUN, .count = 2};
    (void)state;
    refuses("gossip", &ranks, "PENSTOCK_GROUP: 'gossip' is none of auto, tcp, mpi");
    refuses("mpi", &ranks, "PENSTOCK_GROUP=mpi, but Open MPI's mpirun has not launched");
}

static void one_rank_has_no_group(void **state)
{
    const struct tr_ranks ranks = {.count = 1};
    struct tr_group *group;
    char line[256];
    (void)state;
    assert_int_equal(tr_group_open(&ranks, 0.0, &group, line, sizeof line, NULL), 0);
    assert_null(group);
    assert_string_equal(line, "");
}

/* Open MPI was not compiled for the sanitizers: nothing is to be said of its own memory. */
static void leave_libraries_alone(const char *variable, const char *option)
{
    char all[512];
    const char *before = getenv(variable);
    snprintf(all, sizeof all, "%s%s%s", before ? before : "", before ? ":" : "", option);
    setenv(variable, all, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mpi_does_what_groups_do),  cmocka_unit_test(mpi_can_tell_where_tcp_meets),
        cmocka_unit_test(a_silent_rank_is_named),   cmocka_unit_test(a_killed_rank_is_named),
        cmocka_unit_test(wrong_wishes_are_refused), cmocka_unit_test(one_rank_has_no_group),
    };
    if (argc > 1)
        return run_rank(argv[1]);
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = '\0';
    (void)argv;
    leave_libraries_alone("ASAN_OPTIONS", "detect_leaks=0");
    leave_libraries_alone("TSAN_OPTIONS", "ignore_noninstrumented_modules=1");
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
