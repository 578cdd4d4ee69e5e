/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_fifo.c - penstock bench fifo: what one FIFO carries, and what that costs, beside what
 * no program can do without: vmsplice, or write, of memory into a pipe that somebody reads.
 *
 * The reader is a process of its own that reads 1 MiB at a time and throws it away. Rates by its
 * clock, from the first byte to the end of file; CPU time of both sides. */
#include "bench/bench_commands.h"

#include "bench/bench_download.h"
#include "bench/bench_feed.h"
#include "pipe/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BYTES_USUAL (768 * MIB)
#define FILES 12 /* that the bytes come from */
#define BYTES_LEAST (FILES * MIB)

/* Where the bytes come from, and how they go into the FIFO. */
static const struct way {
    const char *name;
    size_t ring_bytes; /* 0: memory, no stream; 1: a ring that holds all of them already */
    uint32_t epochs;
    bool copies;
} ways[] = {
    {"memory, vmsplice", 0, 1, false},           {"memory, write", 0, 1, true},
    {"stream in memory, pages", 1, 1, false},    {"stream in memory, copied", 1, 1, true},
    {"64 MiB ring, pages", 64 * MIB, 4, false},  {"64 MiB ring, copied", 64 * MIB, 4, true},
    {"1 GiB ring, pages", 1024 * MIB, 4, false}, {"1 GiB ring, copied", 1024 * MIB, 4, true},
};

enum { WAYS = sizeof ways / sizeof *ways };

struct fifo {
    char dir[512], data[560], pipe[560];
    size_t bytes;
    double *reading_s; /* shared with the readers, who add to it */
};

static int fail(struct penstock_error *error, const char *what, const char *path)
{
    snprintf(error->message, sizeof error->message, "cannot %s %s: %s", what, path,
             strerror(errno));
    return error->rc = PENSTOCK_E_SYSTEM;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static double time_s(struct timeval value)
{
    return (double)value.tv_sec + (double)value.tv_usec * 1e-6;
}

/* Adds what this process and its readers have used so far, or takes it off. */
static void add_usage(struct bench_totals *totals, int sign)
{
    struct rusage own, readers;

    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &readers);
    totals->user_s += sign * (time_s(own.ru_utime) + time_s(readers.ru_utime));
    totals->system_s += sign * (time_s(own.ru_stime) + time_s(readers.ru_stime));
}

/* ---- the reader: exits with 0 when it has read all ---- */

static pid_t start_reader(const struct fifo *f, const char *path)
{
    pid_t child = fork();

    if (child != 0)
        return child;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *into = malloc(MIB);
    size_t done = 0;
    double began_s = 0;
    ssize_t got;

    while (fd >= 0 && into && (got = read(fd, into, MIB)) > 0) {
        if (done == 0)
            began_s = seconds();
        done += (size_t)got;
    }
    *f->reading_s += seconds() - began_s;
    _exit(done == f->bytes ? 0 : 1);
}

static int end_reader(pid_t child, struct penstock_error *error)
{
    int status = 1;

    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        if (ps_stop_signal())
            kill(child, SIGKILL);
    if (status == 0)
        return PENSTOCK_OK;
    snprintf(error->message, sizeof error->message,
             "the FIFO's reader got another number of bytes");
    return ps_stop_signal() ? PENSTOCK_E_STOPPED : (error->rc = PENSTOCK_E_SYSTEM);
}

/* ---- who fills the FIFO ---- */

static bool put_memory(int fd, char *pages, size_t bytes, bool copies)
{
    for (size_t done = 0; done < bytes;) {
        struct iovec rest = {.iov_base = pages + done, .iov_len = bytes - done};
        ssize_t sent = copies ? write(fd, rest.iov_base, rest.iov_len < MIB ? rest.iov_len : MIB)
                              : vmsplice(fd, &rest, 1, 0);

        if (sent <= 0 && !(sent < 0 && errno == EINTR && !ps_stop_signal()))
            return false;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static int run_memory(const struct fifo *f, const struct way *way, struct bench_totals *totals,
                      struct penstock_error *error)
{
    char *pages = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return fail(error, "have memory for", f->data);
    madvise(pages, f->bytes, MADV_HUGEPAGE);
    memset(pages, 1, f->bytes);
    if (mkfifo(f->pipe, 0600) != 0) {
        munmap(pages, f->bytes);
        return fail(error, "make", f->pipe);
    }
    pause_ms(100);
    add_usage(totals, -1);
    pid_t reader = start_reader(f, f->pipe);
    int fd = open(f->pipe, O_WRONLY | O_CLOEXEC);

    fcntl(fd, F_SETPIPE_SZ, (int)MIB);
    bool put = put_memory(fd, pages, f->bytes, way->copies);

    close(fd);
    int rc = end_reader(reader, error);

    add_usage(totals, 1);
    unlink(f->pipe);
    munmap(pages, f->bytes);
    return rc == PENSTOCK_OK && !put ? fail(error, "write to", f->pipe) : rc;
}

static void wait_received(const struct penstock *stream, uint64_t bytes)
{
    struct penstock_counters counters;

    do {
        pause_ms(5);
        penstock_get_counters(stream, 0, &counters);
    } while (counters.bytes_received < bytes && !ps_stop_signal() &&
             penstock_last_error(stream, 0)->rc == PENSTOCK_OK);
}

/* The clock starts with a full ring. */
static int read_epochs(const struct fifo *f, const struct way *way, const struct bench_feed *feed,
                       struct bench_totals *totals, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    wait_received(feed->stream, way->ring_bytes > 1 && f->bytes > way->ring_bytes
                                    ? way->ring_bytes - way->ring_bytes / 8
                                    : f->bytes);
    pause_ms(100);
    add_usage(totals, -1);
    for (uint32_t epoch = 0; rc == PENSTOCK_OK && epoch < way->epochs; epoch++) {
        char path[600];

        snprintf(path, sizeof path, "%s/bench_%u", feed->dir, epoch);
        rc = end_reader(start_reader(f, path), error);
    }
    add_usage(totals, 1);
    return rc;
}

static int run_stream(const struct fifo *f, const struct way *way, struct bench_totals *totals,
                      struct penstock_error *error)
{
    const char *uri = f->data;
    struct penstock_channel_config channel;
    struct penstock_config config;
    struct bench_feed feed;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    channel.name = "bench";
    channel.uris = &uri;
    channel.uri_count = 1;
    channel.content_type = "application/octet-stream";
    channel.epochs = way->epochs;
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = way->ring_bytes > 1 ? way->ring_bytes : f->bytes + f->bytes / 8;
    int rc = bench_feed_open(&feed, f->dir, &config, way->copies, error);

    if (rc == PENSTOCK_OK)
        rc = read_epochs(f, way, &feed, totals, error);
    bench_feed_close(&feed);
    return rc;
}

/* ---- rounds ---- */

static int make_file(const char *path, const char *block, size_t bytes,
                     struct penstock_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool good = fd >= 0;

    for (size_t done = 0; good && done < bytes; done += MIB)
        good = write(fd, block, MIB) == (ssize_t)MIB;
    int rc = good ? PENSTOCK_OK : fail(error, "write", path);

    if (fd >= 0)
        close(fd);
    return rc;
}

static int make_data(const struct fifo *f, struct penstock_error *error)
{
    char *block = malloc(MIB);
    int rc = PENSTOCK_OK;

    if (!block || mkdir(f->data, 0700) != 0)
        rc = fail(error, "make", f->data);
    else
        memset(block, 7, MIB);
    for (int i = 0; rc == PENSTOCK_OK && i < FILES; i++) {
        char path[600];

        snprintf(path, sizeof path, "%s/%06d", f->data, i);
        rc = make_file(path, block, f->bytes / FILES, error);
    }
    free(block);
    return rc;
}

static int run_way(struct bench_result *result, const struct fifo *f, size_t number,
                   struct penstock_error *error)
{
    const struct way *way = &ways[number];
    struct bench_totals totals = {.bytes = (uint64_t)f->bytes * way->epochs};

    *f->reading_s = 0;
    int rc =
        way->ring_bytes ? run_stream(f, way, &totals, error) : run_memory(f, way, &totals, error);

    if (ps_stop_signal())
        return PENSTOCK_E_STOPPED;
    if (rc != PENSTOCK_OK)
        return rc;
    totals.wall_s = *f->reading_s;
    return bench_add_totals(&result->variants[number], &totals, error);
}

static int run_rounds(struct bench_result *result, const struct fifo *f,
                      struct penstock_error *error)
{
    int rc = make_data(f, error);

    for (size_t w = 0; rc == PENSTOCK_OK && w < WAYS; w++)
        if (!bench_result_add(result, ways[w].name)) {
            snprintf(error->message, sizeof error->message, "out of memory");
            rc = error->rc = PENSTOCK_E_MEMORY;
        }
    for (uint32_t repeat = 0; rc == PENSTOCK_OK && repeat < result->options->repeats; repeat++)
        for (size_t w = 0; rc == PENSTOCK_OK && w < WAYS; w++)
            rc = run_way(result, f, w, error);
    return rc;
}

int bench_fifo(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    size_t asked = o->bytes ? o->bytes : BYTES_USUAL;
    struct fifo f = {.bytes =
                         (asked < BYTES_LEAST ? BYTES_LEAST : asked) / FILES / MIB * FILES * MIB};
    const char *where = o->dir ? o->dir : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL;
    int rc = bench_directory_make(where, f.dir, sizeof f.dir, error);

    if (rc != PENSTOCK_OK)
        return rc;
    snprintf(f.data, sizeof f.data, "%s/data", f.dir);
    snprintf(f.pipe, sizeof f.pipe, "%s/pipe", f.dir);
    f.reading_s =
        mmap(NULL, sizeof *f.reading_s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f.reading_s == MAP_FAILED)
        rc = fail(error, "share memory with", "the reader");
    else
        rc = run_rounds(result, &f, error);
    if (f.reading_s != MAP_FAILED)
        munmap(f.reading_s, sizeof *f.reading_s);
    bench_directory_remove(f.dir);
    return rc;
}
