/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_fifo.c - what one FIFO carries, and what that costs, beside its upper limit.
 *
 *     build/release/bench/perf_fifo [ROUNDS [MIB [DIRECTORY]]]
 *
 *   memory    a program that vmsplices MIB (768) of memory and does nothing else
 *   vmsplice  a delivery of MIB that are in the stream ring already
 *   write     the same, every byte copied
 *   small     4 x MIB delivered with a ring of 64 MiB, from files in memory received meanwhile
 *   small, w  the same, every byte copied
 *   large     with a ring of 1 GiB
 *   large, w
 *
 * The reader reads 1 MiB at a time and throws it away; a process of its own. Rates by its clock,
 * from the first byte to the end of file; CPU-seconds per GiB of both sides together; medians of
 * ROUNDS (default 5), interleaved.
 */
#include "pipe/delivery.h"

#include <fcntl.h>
#include <signal.h>
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
#define FILE_BYTES (64 * MIB)

enum variant { MEMORY, VMSPLICE, WRITE, SMALL, SMALL_WRITE, LARGE, LARGE_WRITE, VARIANTS };
enum { ROUNDS_MAX = 51 };

static const char *const names[] = {"memory",   "vmsplice", "write",   "small",
                                    "small, w", "large",    "large, w"};
static char root[4096];
static double *reading_s; /* shared with the readers, who add to it */

struct result {
    double bytes_s;
    double cpu_s_gib;
};

static void clean_up(void)
{
    char command[4200];

    snprintf(command, sizeof command, "rm -rf '%s'", root);
    if (system(command) != 0)
        perror(command);
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "perf_fifo: %s: %s\n", what, why);
    exit(1);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_of(int who)
{
    struct rusage use;

    getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* ---- the reader: exits with 0 when it has read `bytes` ---- */

static pid_t start_reader(const char *path, size_t bytes)
{
    pid_t child = fork();

    if (child != 0)
        return child;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *into = malloc(MIB);
    size_t done = 0;
    double start = 0;
    ssize_t got;

    while (fd >= 0 && into && (got = read(fd, into, MIB)) > 0) {
        if (done == 0)
            start = seconds();
        done += (size_t)got;
    }
    *reading_s += seconds() - start;
    _exit(done == bytes ? 0 : 1);
}

static void end_reader(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child || status != 0)
        die("reader", "it read another number of bytes");
}

/* ---- producers ---- */

static void produce_from_memory(int fd, char *pages, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        struct iovec vector = {.iov_base = pages + done, .iov_len = bytes - done};
        ssize_t sent = vmsplice(fd, &vector, 1, 0);

        if (sent <= 0)
            die("vmsplice", "it failed");
        done += (size_t)sent;
    }
}

static struct result measure_memory(size_t bytes)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/memory", root);
    if (mkfifo(path, 0600) != 0)
        die(path, "cannot make it");
    char *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        die("mmap", "no memory");
    madvise(pages, bytes, MADV_HUGEPAGE);
    memset(pages, 1, bytes);
    pause_ms(100);
    double cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
    pid_t reader = start_reader(path, bytes);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    fcntl(fd, F_SETPIPE_SZ, (int)MIB);
    produce_from_memory(fd, pages, bytes);
    close(fd);
    end_reader(reader);
    cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu;
    unlink(path);
    munmap(pages, bytes);
    return (struct result){.bytes_s = (double)bytes / *reading_s,
                           .cpu_s_gib = cpu / ((double)bytes / (1 << 30))};
}

static void say(void *cookie, int level, const char *line)
{
    (void)cookie;
    if (level > 0)
        fprintf(stderr, "perf_fifo: %s\n", line);
}

static void told(void *cookie)
{
    (void)cookie;
}

static struct penstock *open_data(const char *data, size_t memory_bytes, uint32_t epochs)
{
    struct penstock_channel_config channel;
    struct penstock_config config;
    struct penstock_error error;
    struct penstock *stream;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    channel.uris = &data;
    channel.uri_count = 1;
    channel.content_type = "application/octet-stream";
    channel.epochs = epochs;
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = memory_bytes;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        die("penstock_open", error.message);
    return stream;
}

static void wait_received(const struct penstock *stream, uint64_t bytes)
{
    struct penstock_counters counters;

    do {
        pause_ms(5);
        penstock_get_counters(stream, 0, &counters);
    } while (counters.bytes_received < bytes);
}

/* Of `epochs` passes over the data. The clock starts with a full ring. */
static struct result measure_delivery(const char *data, size_t bytes, uint32_t epochs,
                                      size_t memory_bytes, bool no_splice)
{
    struct penstock *stream = open_data(data, memory_bytes, epochs);
    struct ps_delivery *delivery = calloc(1, sizeof *delivery);
    const struct ps_delivery_config config = {.stream = stream,
                                              .channel = "train",
                                              .dir = root,
                                              .no_splice = no_splice,
                                              .log = say,
                                              .told = told};
    struct penstock_error error;
    char path[4200];

    if (!delivery || ps_delivery_start(delivery, &config, &error) != PENSTOCK_OK)
        die("delivery", delivery ? error.message : "no memory");
    wait_received(stream, bytes < memory_bytes ? bytes : memory_bytes - memory_bytes / 8);
    pause_ms(100);
    double cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);

    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        snprintf(path, sizeof path, "%s/train_%u", root, epoch);
        end_reader(start_reader(path, bytes));
    }
    cpu = cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN) - cpu;
    penstock_stop(stream);
    ps_delivery_stop(delivery);
    penstock_close(&stream);
    free(delivery);
    return (struct result){.bytes_s = (double)bytes * epochs / *reading_s,
                           .cpu_s_gib = cpu / ((double)bytes * epochs / (1 << 30))};
}

static struct result measure(enum variant variant, const char *data, size_t bytes)
{
    *reading_s = 0;
    switch (variant) {
    case MEMORY:
        return measure_memory(bytes);
    case VMSPLICE:
    case WRITE:
        return measure_delivery(data, bytes, 1, bytes + bytes / 8, variant == WRITE);
    case SMALL:
    case SMALL_WRITE:
        return measure_delivery(data, bytes, 4, 64 * MIB, variant == SMALL_WRITE);
    case LARGE:
    case LARGE_WRITE:
    case VARIANTS:
        break;
    }
    return measure_delivery(data, bytes, 4, 1024 * MIB, variant == LARGE_WRITE);
}

/* ---- */

static void make_data(const char *data, size_t bytes)
{
    char *block = malloc(MIB);

    if (!block || mkdir(data, 0700) != 0)
        die(data, "cannot make it");
    memset(block, 7, MIB);
    for (size_t done = 0; done < bytes; done += FILE_BYTES) {
        char path[4300];

        snprintf(path, sizeof path, "%s/%06zu", data, done / FILE_BYTES);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        for (size_t b = 0; b < FILE_BYTES; b += MIB)
            if (write(fd, block, MIB) != (ssize_t)MIB)
                die(path, "cannot write it");
        close(fd);
    }
    free(block);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print(enum variant variant, const struct result *results, unsigned rounds,
                  double *memory_rate)
{
    double rates[ROUNDS_MAX];
    double cpus[ROUNDS_MAX];

    for (unsigned r = 0; r < rounds; r++) {
        rates[r] = results[r].bytes_s;
        cpus[r] = results[r].cpu_s_gib;
    }
    qsort(rates, rounds, sizeof *rates, compare);
    qsort(cpus, rounds, sizeof *cpus, compare);
    if (variant == MEMORY)
        *memory_rate = rates[rounds / 2];
    printf("%-9s %6.2f GB/s (%5.2f .. %5.2f)  %5.2f x memory  %6.3f CPU-s/GiB\n", names[variant],
           rates[rounds / 2] / 1e9, rates[0] / 1e9, rates[rounds - 1] / 1e9,
           rates[rounds / 2] / *memory_rate, cpus[rounds / 2]);
}

int main(int argc, char **argv)
{
    static struct result results[VARIANTS][ROUNDS_MAX];
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
    size_t bytes = (argc > 2 ? strtoul(argv[2], NULL, 10) : 768) * MIB;
    char data[4200];
    double memory_rate = 0;

    if (rounds < 1 || rounds > ROUNDS_MAX || bytes < FILE_BYTES)
        die("usage", "perf_fifo [ROUNDS [MIB [DIRECTORY]]]");
    snprintf(root, sizeof root, "%s/penstock-perf-XXXXXX", argc > 3 ? argv[3] : "/dev/shm");
    if (!mkdtemp(root))
        die(root, "cannot make it");
    atexit(clean_up);
    signal(SIGPIPE, SIG_IGN);
    bytes -= bytes % FILE_BYTES;
    reading_s =
        mmap(NULL, sizeof *reading_s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reading_s == MAP_FAILED)
        die("mmap", "no memory");
    snprintf(data, sizeof data, "%s/data", root);
    make_data(data, bytes);
    for (unsigned r = 0; r < rounds; r++)
        for (int v = 0; v < VARIANTS; v++)
            results[v][r] = measure((enum variant)v, data, bytes);
    for (int v = 0; v < VARIANTS; v++)
        print((enum variant)v, results[v], rounds, &memory_rate);
    return 0;
}
