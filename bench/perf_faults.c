/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_faults.c - what is left of a stream's rate when the server fails, and what hedging is
 * worth.
 *
 *     build/release/bench/perf_faults [ROUNDS [PARTS [PART_KIB [MBPS]]]]
 *
 * Reads an object of PARTS (500) parts of PART_KIB (8192) twice with `penstock serve` on loopback:
 * as it is, and with a reset on every 9th request, 503 SlowDown on every 19th and a pause of 5 s on
 * every 97th, with hedging and without; variants interleaved, medians of ROUNDS (default 3). The
 * faults are the same in every round, and a little more than 10 %, 5 % and 1 %. MBPS limits each
 * connection to so many megabits a second: S3 gives about 700. Without a limit it is this machine's
 * CPUs that are measured.
 */
#include "bench/perf_folder.h"
#include "pipe/penstock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MAX = 51, EPOCHS = 2 };

static pid_t servers[2]; /* clean, faulty */
static char endpoints[2][64];

static void end_servers(void)
{
    for (int i = 0; i < 2; i++)
        if (servers[i] > 0)
            kill(servers[i], SIGTERM);
}

/* ---- data and servers ---- */

static void make_object(off_t len_bytes)
{
    char path[256];

    snprintf(path, sizeof path, "%s/data", perf_folder);
    if (mkdir(path, 0700) != 0)
        perf_die(path, strerror(errno));
    snprintf(path, sizeof path, "%s/data/object", perf_folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, len_bytes) != 0)
        perf_die(path, strerror(errno));
    close(fd);
}

static void run_server(const char *program, const char *port_file, bool faulty, const char *mbps)
{
    const char *words[20] = {"penstock", "serve",       "--anonymous", "--port",
                             "0",        "--port-file", port_file};
    static const char *const faults[] = {"stall=5000,after=300000,every=97",
                                         "status=503,code=SlowDown,every=19",
                                         "reset=500000,every=9"};
    size_t count = 7;

    if (mbps) {
        words[count++] = "--rate-mbps";
        words[count++] = mbps;
    }
    for (size_t i = 0; faulty && i < sizeof faults / sizeof *faults; i++) {
        words[count++] = "--fault";
        words[count++] = faults[i];
    }
    words[count] = perf_folder;
    if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
        execv(program, (char *const *)(uintptr_t)words);
    _exit(127);
}

static void start_server(bool faulty, const char *mbps)
{
    char program[512];
    char port_file[256];
    char port[16] = "";
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 32);

    program[len < 0 ? 0 : len] = '\0';
    char *slash = strstr(program, "/bench/");

    if (!slash)
        perf_die("cannot find the program beside", program);
    memcpy(slash, "/penstock", sizeof "/penstock");
    snprintf(port_file, sizeof port_file, "%s/port-%d", perf_folder, faulty);
    fflush(stdout);
    servers[faulty] = fork();
    if (servers[faulty] == 0)
        run_server(program, port_file, faulty, mbps);
    for (int tries = 0; tries < 200 && port[0] == '\0'; tries++) {
        FILE *in = fopen(port_file, "r");

        if (in && !fgets(port, sizeof port, in))
            port[0] = '\0';
        if (in)
            fclose(in);
        nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
    }
    if (port[0] == '\0')
        perf_die(program, "the server did not start");
    port[strcspn(port, "\n")] = '\0';
    snprintf(endpoints[faulty], sizeof endpoints[faulty], "http://127.0.0.1:%s", port);
}

/* ---- one run ---- */

struct variant {
    const char *name, *io;
    bool faulty, no_hedging;
};

enum figure { RATE, P50, P99, RETRIES, HEDGES, TWICE, FIGURES };

static void run(const struct variant *variant, size_t part_bytes, double figures[FIGURES])
{
    const char *uri = "s3://data/";
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock *stream;
    static struct penstock_error error;
    const struct penstock_span *span;
    struct penstock_counters counters;
    double start = perf_seconds(CLOCK_MONOTONIC);
    int rc;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    config.channels = &channel;
    config.channel_count = 1;
    config.io_backend = variant->io;
    config.endpoint_url = endpoints[variant->faulty];
    config.anonymous = true;
    config.part_bytes = part_bytes;
    config.no_hedging = variant->no_hedging;
    channel.uris = &uri;
    channel.uri_count = 1;
    channel.epochs = EPOCHS;
    channel.content_type = "application/octet-stream";
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        perf_die(uri, error.message);
    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK ||
           rc == PENSTOCK_EPOCH_END)
        penstock_release_span(stream, span);
    if (rc < 0)
        perf_die(uri, penstock_last_error(stream, 0)->message);
    double took = perf_seconds(CLOCK_MONOTONIC) - start;

    penstock_get_counters(stream, 0, &counters);
    penstock_close(&stream);
    figures[RATE] = (double)counters.bytes_received / took / 1e9;
    figures[P50] = (double)counters.part_p50_ns * 1e-6;
    figures[P99] = (double)counters.part_p99_ns * 1e-6;
    figures[RETRIES] = (double)counters.retries;
    figures[HEDGES] = (double)counters.hedges;
    figures[TWICE] = 100 * (double)counters.refetched_bytes / (double)counters.bytes_received;
}

static void measure(int rounds, size_t part_bytes)
{
    static const struct variant variants[] = {
        {"clean, io_uring", "uring", false, false},
        {"faults, io_uring", "uring", true, false},
        {"faults, io_uring, no hedging", "uring", true, true},
        {"clean, epoll", "epoll", false, false},
        {"faults, epoll", "epoll", true, false},
        {"faults, epoll, no hedging", "epoll", true, true},
    };
    enum { VARIANTS = sizeof variants / sizeof *variants };
    static double values[VARIANTS][FIGURES][ROUNDS_MAX];
    double clean = 0;

    for (int i = 0; i < rounds; i++)
        for (int v = 0; v < VARIANTS; v++) {
            double figures[FIGURES];

            run(&variants[v], part_bytes, figures);
            for (int f = 0; f < FIGURES; f++)
                values[v][f][i] = figures[f];
        }
    printf("%-32s %7s %9s %9s %9s %8s %7s %8s\n", "", "GB/s", "of clean", "p50 ms", "p99 ms",
           "retries", "hedges", "twice %");
    for (int v = 0; v < VARIANTS; v++) {
        double middle[FIGURES];

        for (int f = 0; f < FIGURES; f++)
            middle[f] = perf_median(values[v][f], (size_t)rounds);
        clean = variants[v].faulty ? clean : middle[RATE];
        printf("%-32s %7.2f %8.0f%% %9.1f %9.1f %8.0f %7.0f %8.2f\n", variants[v].name,
               middle[RATE], 100 * middle[RATE] / clean, middle[P50], middle[P99], middle[RETRIES],
               middle[HEDGES], middle[TWICE]);
    }
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 3;
    long parts = argc > 2 ? strtol(argv[2], NULL, 10) : 500;
    long part_kib = argc > 3 ? strtol(argv[3], NULL, 10) : 8192;

    if (rounds < 1 || rounds > ROUNDS_MAX || parts < 1 || part_kib < 64)
        perf_die("usage", "perf_faults [ROUNDS (1 to 51) [PARTS [PART_KIB [MBPS]]]]");
    perf_folder_make("/tmp");
    atexit(end_servers);
    make_object((off_t)parts * part_kib << 10);
    start_server(false, argc > 4 ? argv[4] : NULL);
    start_server(true, argc > 4 ? argv[4] : NULL);
    measure((int)rounds, (size_t)part_kib << 10);
    for (int i = 0; i < 2; i++) {
        kill(servers[i], SIGTERM);
        waitpid(servers[i], NULL, 0);
        servers[i] = 0;
    }
    return 0;
}
