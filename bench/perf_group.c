/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_group.c - sums over ranks by TCP on this machine, beside the bare exchange of as many
 * bytes.
 *
 *     build/release/bench/perf_group [ROUNDS]
 *
 * Ranks are processes on 127.0.0.1. Medians of ROUNDS (default 9) for each number of ranks and
 * size: the time of a sum, the size of its values a second, and the processor time of all ranks for
 * a sum against that of pairs of processes that send and receive as many bytes over plain sockets,
 * in both directions at once, and do nothing with them.
 */
#include "bench/perf.h"
#include "trainer/group_tcp.h"
#include "trainer/mesh_address.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS_MAX = 51, RANKS_MAX = 4 };

struct shared {
    double seconds[ROUNDS_MAX];  /* of one sum or exchange, by the clock */
    double processor[RANKS_MAX]; /* of all rounds */
};

struct work {
    uint32_t ranks;
    size_t len_bytes;
    size_t rounds;
    size_t repeats; /* in a round */
    struct shared *shared;
};

static void need(int rc, const struct tr_error *error)
{
    if (rc < 0)
        perf_die("ranks", error->text);
}

/* ---- sums ---- */

static void run_rank(const struct work *work, int listener, uint16_t port, uint32_t rank)
{
    struct tr_mesh_options options = {.rank = rank,
                                      .count = work->ranks,
                                      .host = "127.0.0.1",
                                      .port = port,
                                      .listen_fd = rank == 0 ? listener : 0,
                                      .job = "perf_group"};
    struct tr_group *group;
    struct tr_error error;
    size_t n = work->len_bytes / sizeof(float);
    float *values = perf_need(calloc(n, sizeof *values));
    float none = 0.0F;
    need(tr_group_tcp_open(&options, &group, &error), &error);
    need(tr_group_sum(group, values, n, TR_NUMBER_FLOAT, &error), &error);
    double processor = perf_process_seconds();
    for (size_t round = 0; round < work->rounds; round++) {
        need(tr_group_sum(group, &none, 1, TR_NUMBER_FLOAT, &error), &error);
        double begin = perf_seconds(CLOCK_MONOTONIC);
        for (size_t i = 0; i < work->repeats; i++)
            need(tr_group_sum(group, values, n, TR_NUMBER_FLOAT, &error), &error);
        if (rank == 0)
            work->shared->seconds[round] =
                (perf_seconds(CLOCK_MONOTONIC) - begin) / (double)work->repeats;
    }
    work->shared->processor[rank] = perf_process_seconds() - processor;
    tr_group_free(&group);
    free(values);
}

/* Processor time of all ranks for one sum. */
static double run_sums(const struct work *work)
{
    struct tr_address at;
    pid_t pids[RANKS_MAX];
    double processor = 0.0;
    if (tr_address_local("127.0.0.1", &at, NULL) < 0)
        perf_die("127.0.0.1", "there is none");
    int listener = tr_address_listen(&at);
    at = tr_address_of_own(listener);
    for (uint32_t r = 0; r < work->ranks; r++) {
        pids[r] = fork();
        if (pids[r] == 0) {
            run_rank(work, listener, tr_address_port(&at), r);
            _exit(0);
        }
    }
    close(listener);
    for (uint32_t r = 0; r < work->ranks; r++) {
        int status;
        if (waitpid(pids[r], &status, 0) < 0 || status != 0)
            perf_die("a rank", "it failed");
        processor += work->shared->processor[r];
    }
    return processor / (double)(work->rounds * work->repeats);
}

/* ---- the bare exchange of two processes ---- */

static void exchange(int fd, uint8_t *out, uint8_t *in, size_t len_bytes)
{
    size_t sent = 0;
    size_t received = 0;
    while (sent < len_bytes || received < len_bytes) {
        struct pollfd polled = {.fd = fd};
        polled.events =
            (short)((sent < len_bytes ? POLLOUT : 0) | (received < len_bytes ? POLLIN : 0));
        poll(&polled, 1, -1);
        ssize_t some = sent < len_bytes ? send(fd, out + sent, len_bytes - sent, MSG_NOSIGNAL) : 0;
        sent += some > 0 ? (size_t)some : 0;
        some = received < len_bytes ? recv(fd, in + received, len_bytes - received, 0) : 0;
        received += some > 0 ? (size_t)some : 0;
    }
}

/* Processor time of as many pairs as a sum has, for the bytes that go between two of its ranks. */
static double run_bare(const struct work *work)
{
    struct tr_address at;
    size_t len_bytes = 2 * work->len_bytes / work->ranks;
    uint8_t *memory = perf_need(calloc(2, len_bytes));
    if (tr_address_local("127.0.0.1", &at, NULL) < 0)
        perf_die("127.0.0.1", "there is none");
    int listener = tr_address_listen(&at);
    at = tr_address_of_own(listener);
    int fd = tr_address_connect(&at, NULL, perf_seconds(CLOCK_MONOTONIC) + 10.0);
    struct pollfd polled = {.fd = listener, .events = POLLIN};
    poll(&polled, 1, 10000);
    int other = tr_address_accept(listener);
    if (fd < 0 || other < 0)
        perf_die("127.0.0.1", strerror(errno));
    pid_t pid = fork();
    double processor = perf_process_seconds();
    for (size_t i = 0; i < work->rounds * work->repeats + 1; i++) {
        exchange(pid == 0 ? other : fd, memory, memory + len_bytes, len_bytes);
        if (i == 0)
            processor = perf_process_seconds();
    }
    work->shared->processor[pid == 0] = perf_process_seconds() - processor;
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    close(fd);
    close(other);
    close(listener);
    free(memory);
    return (work->shared->processor[0] + work->shared->processor[1]) * work->ranks *
           (work->ranks - 1) / 2.0 / (double)(work->rounds * work->repeats);
}

int main(int argc, char **argv)
{
    static const struct {
        size_t len_bytes;
        size_t repeats;
    } sizes[] = {{8, 2000}, {4096, 2000}, {65536, 500}, {1000000, 100}, {100000000, 2}};
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 9;
    struct work work = {.rounds = rounds > 0 && rounds <= ROUNDS_MAX ? (size_t)rounds : 9};
    work.shared =
        mmap(NULL, sizeof *work.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (work.shared == MAP_FAILED)
        perf_die("memory", strerror(errno));
    printf("ranks      bytes     us/sum    GB/s   CPU us/sum   of the bare exchange\n");
    for (work.ranks = 2; work.ranks <= RANKS_MAX; work.ranks *= 2) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            work.len_bytes = sizes[s].len_bytes;
            work.repeats = sizes[s].repeats;
            double processor = run_sums(&work);
            double seconds = perf_median(work.shared->seconds, work.rounds);
            printf("%5u %10zu %10.1f %7.3f %12.1f", work.ranks, work.len_bytes, seconds * 1e6,
                   (double)work.len_bytes / seconds * 1e-9, processor * 1e6);
            printf(" %8.2f\n", processor / run_bare(&work));
            fflush(stdout);
        }
    }
    munmap(work.shared, sizeof *work.shared);
    return 0;
}
