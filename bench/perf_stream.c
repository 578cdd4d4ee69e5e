/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_stream.c - what a stream costs: time to the first batch, throughput, CPU per GiB.
 *
 *     build/release/bench/perf_stream [ROUNDS]
 *
 * Serves generated recordio-protobuf (784 float32 a record) with `penstock serve` on loopback and
 * reads it with the library, variants interleaved, medians of ROUNDS (default 5). The client's CPU
 * time is this process's own; the server is another process. Loopback: the ratios mean something,
 * the rates little.
 */
#include "bench/perf_folder.h"
#include "pipe/penstock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIM = 784, RECORD_BYTES = 3184, ROUNDS_MAX = 51, EPOCHS = 3 };

static pid_t server;

static void end_server(void)
{
    if (server > 0)
        kill(server, SIGTERM);
}

/* ---- data and server ---- */

/* One record as the SageMaker SDK frames it: head, map entry, packed floats, label. */
static void make_record(unsigned char record[RECORD_BYTES], unsigned number)
{
    static const unsigned char head[28] = {
        0x0a, 0x23, 0xd7, 0xce, 0x68, 0x0c, 0,    0,    0x0a, 0xd1, 0x18, 0x0a, 6,    'v',
        'a',  'l',  'u',  'e',  's',  0x12, 0xc6, 0x18, 0x12, 0xc3, 0x18, 0x0a, 0xc0, 0x18};
    static const unsigned char label[16] = {0x12, 0x12, 0x0a, 6,    'v',  'a',  'l',  'u',
                                            'e',  's',  0x12, 0x08, 0x12, 0x06, 0x0a, 0x04};
    float value = (float)(number % 256);
    float class = (float)(number % 10);

    memcpy(record, head, sizeof head);
    for (size_t i = 0; i < DIM; i++)
        memcpy(record + sizeof head + i * sizeof value, &value, sizeof value);
    memcpy(record + RECORD_BYTES - 20, label, sizeof label);
    memcpy(record + RECORD_BYTES - 4, &class, sizeof class);
}

static void make_bucket(const char *name, unsigned shards, unsigned records_per_shard)
{
    unsigned char record[RECORD_BYTES];
    char path[256];

    snprintf(path, sizeof path, "%s/%s", perf_folder, name);
    if (mkdir(path, 0700) != 0)
        perf_die(path, strerror(errno));
    for (unsigned s = 0; s < shards; s++) {
        snprintf(path, sizeof path, "%s/%s/part_%04u.pbr", perf_folder, name, s);
        FILE *out = fopen(path, "wb");

        if (!out)
            perf_die(path, strerror(errno));
        for (unsigned r = 0; r < records_per_shard; r++) {
            make_record(record, r);
            if (fwrite(record, sizeof record, 1, out) != 1)
                perf_die(path, strerror(errno));
        }
        if (fclose(out) != 0)
            perf_die(path, strerror(errno));
    }
}

static void start_server(const char *latency_ms)
{
    char program[512];
    char port_file[256];
    char endpoint[64];
    char port[16] = "";
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 32);

    program[len < 0 ? 0 : len] = '\0';
    char *slash = strstr(program, "/bench/");

    if (!slash)
        perf_die("cannot find the program beside", program);
    memcpy(slash, "/penstock", sizeof "/penstock");
    snprintf(port_file, sizeof port_file, "%s/port-%s", perf_folder, latency_ms);
    fflush(stdout);
    server = fork();
    if (server == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(127);
        execl(program, "penstock", "serve", "--port-file", port_file, "--latency-ms", latency_ms,
              "--access-key", "AKIDEXAMPLE", "--secret-key", "wJalrXUtnFEMIEXAMPLEKEY", perf_folder,
              (char *)NULL);
        _exit(127);
    }
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
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%s", port);
    setenv("AWS_ENDPOINT_URL", endpoint, 1);
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIEXAMPLEKEY", 1);
}

static void stop_server(void)
{
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    server = 0;
}

/* ---- one run ---- */

struct result {
    double first_batch_s;
    double objects_per_s;
    double cpu_us_per_object;
    double gb_per_s;
    double cpu_s_per_gib;
};

static struct result run(const char *uri, const char *io, const char *verify, uint32_t batch_rows,
                         uint32_t epochs)
{
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock *stream;
    static struct penstock_error error;
    const struct penstock_batch *batch;
    struct penstock_counters counters;
    double start = perf_seconds(CLOCK_MONOTONIC);
    double cpu_start = perf_process_seconds();
    int rc;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    config.channels = &channel;
    config.channel_count = 1;
    config.io_backend = io;
    config.verify = verify;
    channel.uris = &uri;
    channel.uri_count = 1;
    channel.content_type = "application/x-recordio-protobuf";
    channel.batch_rows = batch_rows;
    channel.epochs = epochs;
    /* Small enough that new pages are soon no part of the cost. */
    config.memory_limit_bytes = (size_t)128 << 20;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        perf_die(uri, error.message);
    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        penstock_release(stream, batch);
        if (epochs == 0)
            break;
    }
    if (rc < 0)
        perf_die(uri, penstock_last_error(stream, 0)->message);
    double took = perf_seconds(CLOCK_MONOTONIC) - start;
    double cpu = perf_process_seconds() - cpu_start;

    penstock_get_counters(stream, 0, &counters);
    penstock_close(&stream);
    return (struct result){.first_batch_s = (double)counters.first_batch_ns * 1e-9,
                           .objects_per_s = (double)counters.objects_streamed / took,
                           .cpu_us_per_object = cpu * 1e6 / (double)counters.objects_streamed,
                           .gb_per_s = (double)counters.bytes_received / took / 1e9,
                           .cpu_s_per_gib =
                               cpu / ((double)counters.bytes_received / (double)(1 << 30))};
}

static void measure_start(int rounds)
{
    static double one[ROUNDS_MAX], many[ROUNDS_MAX];

    start_server("30");
    for (int i = 0; i < rounds; i++) {
        one[i] = run("s3://one/", NULL, NULL, 100, 0).first_batch_s;
        many[i] = run("s3://many/", NULL, NULL, 100, 0).first_batch_s;
    }
    stop_server();
    double a = perf_median(one, (size_t)rounds);
    double b = perf_median(many, (size_t)rounds);

    printf("time to the first batch (100 rows), 30 ms latency a request\n"
           "  1 shard      %7.1f ms\n  400 shards   %7.1f ms   %.2f x\n\n",
           a * 1e3, b * 1e3, b / a);
}

static void measure_rate(int rounds)
{
    static const struct {
        const char *name, *uri, *io, *transport;
    } variants[] = {
        {"s3, direct, io_uring", "s3://bulk/", "uring", "direct"},
        {"s3, direct, epoll", "s3://bulk/", "epoll", "direct"},
        {"s3, curl, io_uring", "s3://bulk/", "uring", "curl"},
        {"s3, curl, epoll", "s3://bulk/", "epoll", "curl"},
        {"file, io_uring", "bulk", "uring", "direct"},
        {"file, epoll", "bulk", "epoll", "direct"},
    };
    enum { VARIANTS = sizeof variants / sizeof *variants };
    static double rate[VARIANTS][ROUNDS_MAX], cost[VARIANTS][ROUNDS_MAX];
    char path[256];

    start_server("0");
    for (int i = 0; i < rounds; i++)
        for (int v = 0; v < VARIANTS; v++) {
            snprintf(path, sizeof path, "%s/bulk", perf_folder);
            setenv("PENSTOCK_TRANSPORT", variants[v].transport, 1);
            struct result result = run(variants[v].uri[0] == 's' ? variants[v].uri : path,
                                       variants[v].io, NULL, 1000, EPOCHS);

            rate[v][i] = result.gb_per_s;
            cost[v][i] = result.cpu_s_per_gib;
        }
    stop_server();
    printf("stream and decode, 3 x 1 GB in 16 shards       GB/s   CPU-s/GiB\n");
    for (int v = 0; v < VARIANTS; v++)
        printf("  %-40s %8.2f %11.2f\n", variants[v].name, perf_median(rate[v], (size_t)rounds),
               perf_median(cost[v], (size_t)rounds));
}

static void measure_small(int rounds)
{
    static const char *const transports[] = {"direct", "curl"};
    static double rate[2][ROUNDS_MAX], cost[2][ROUNDS_MAX];

    start_server("0");
    for (int i = 0; i < rounds; i++)
        for (int v = 0; v < 2; v++) {
            setenv("PENSTOCK_TRANSPORT", transports[v], 1);
            struct result result = run("s3://small/", NULL, NULL, 1000, 1);

            rate[v][i] = result.objects_per_s;
            cost[v][i] = result.cpu_us_per_object;
        }
    stop_server();
    printf("\n5,000 objects of 3 KB                     objects/s   CPU us/object\n");
    for (int v = 0; v < 2; v++)
        printf("  s3, %-34s %10.0f %15.1f\n", transports[v], perf_median(rate[v], (size_t)rounds),
               perf_median(cost[v], (size_t)rounds));
}

static void measure_verify(int rounds)
{
    static const char *const modes[] = {"off", "always"};
    static double rate[2][ROUNDS_MAX], cost[2][ROUNDS_MAX], object[2][ROUNDS_MAX];

    setenv("PENSTOCK_TRANSPORT", "direct", 1);
    start_server("0");
    run("s3://bulk/", NULL, "always", 1000, 1); /* the server computes its checksums once */
    run("s3://small/", NULL, "always", 1000, 1);
    for (int i = 0; i < rounds; i++)
        for (int v = 0; v < 2; v++) {
            struct result bulk = run("s3://bulk/", NULL, modes[v], 1000, EPOCHS);

            rate[v][i] = bulk.gb_per_s;
            cost[v][i] = bulk.cpu_s_per_gib;
            object[v][i] = run("s3://small/", NULL, modes[v], 1000, 1).cpu_us_per_object;
        }
    stop_server();
    printf(
        "\nobjects compared with their checksums          GB/s   CPU-s/GiB   us per 3 KB object\n");
    for (int v = 0; v < 2; v++)
        printf("  verify=%-33s %8.2f %11.3f %20.1f\n", modes[v],
               perf_median(rate[v], (size_t)rounds), perf_median(cost[v], (size_t)rounds),
               perf_median(object[v], (size_t)rounds));
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        perf_die("rounds", "must be 1 to 51");
    perf_folder_make("/tmp");
    atexit(end_server);
    make_bucket("one", 1, 80000);
    make_bucket("many", 400, 200);
    make_bucket("bulk", 16, 20000);
    make_bucket("small", 5000, 1);
    measure_start((int)rounds);
    measure_rate((int)rounds);
    measure_small((int)rounds);
    measure_verify((int)rounds);
    return 0;
}
