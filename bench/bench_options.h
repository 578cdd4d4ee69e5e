/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_options.h - the command line of penstock bench's commands that open streams.
 *
 * Owner: the caller; strings stay argv's. Threads: one.
 */
#ifndef BENCH_BENCH_OPTIONS_H
#define BENCH_BENCH_OPTIONS_H

#include "bench/bench_run.h"
#include "pipe/stream_options.h"

enum bench_command {
    BENCH_READ,
    BENCH_DECODE,
    BENCH_TRAIN,
    BENCH_START,
    BENCH_SWEEP,
    BENCH_RIVALS,
    BENCH_FIFO,
    BENCH_TRANSPORT
};

struct bench_options {
    enum bench_command command;
    struct ps_stream_options stream;
    const char *const *uris;
    size_t uri_count;
    const char *content_type; /* NULL: plain bytes */
    const char *compression;
    const char *data_type;
    uint32_t batch_rows;
    uint32_t epochs; /* 0: without end */
    double seconds;
    double warmup_s;
    uint64_t bytes;
    uint64_t consume_rate;
    struct bench_model model; /* that is trained, if any */
    const char *model_name;
    const char *hyper[BENCH_HYPER_MAX]; /* "NAME=VALUE" */
    size_t hyper_count;
    double step_s; /* of an emulated device */
    uint64_t step_bytes;
    double inject_s;
    uint32_t inject_every;
    uint32_t repeats;
    const char *vary; /* "io=uring,epoll"; NULL */
    bool has_seed;
    uint64_t seed;
    const char *grid;       /* of a sweep, "4,8,16x1MiB,8MiB"; NULL: the usual one */
    const char *modes;      /* of start: "pipe", "file" or "pipe,file" (NULL) */
    const char *dir;        /* for File mode's download */
    const char *rivals;     /* who takes part, "s5cmd,boto3"; NULL: all */
    const char *part_sizes; /* of transport, "8MiB,1MiB"; NULL: the usual ones */
    bool has_memory_limit;
    const char *python; /* that has the rivals written in it; NULL: python3 */
    const char *cache;
    const char *label;
    const char *json, *csv, *raw, *report, *metrics; /* files; NULL: not asked for */
    const char *require;
    bool quiet;
    bool help;
};

/* What --help shows below the options of the commands. */
extern const char bench_options_help[];

/* Returns 0, or 2 after saying why. */
int bench_options_parse(struct bench_options *options, enum bench_command command, int argc,
                        char **argv);

/* The variants of --vary: the number'th, from 0, in *out, named in `name` ("io=uring"); its string
 * lives in `text`. False behind the last. */
bool bench_options_vary(const struct bench_options *options, size_t number,
                        struct bench_options *out, char *name, size_t name_size, char *text,
                        size_t text_size);

/* Takes "64MiB", "2GB" or "1000". */
bool bench_parse_size(const char *text, size_t len, uint64_t *out);

/* One channel as the options say, of repeat `repeat`; the strings are the options'. */
void bench_options_channel(const struct bench_options *options, uint32_t repeat,
                           struct penstock_channel_config *channel);

#endif
