/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_run.h - one measured run: a stream is opened, warmed up, read for a set time, number
 * of bytes or of epochs, and closed; and what it did is kept, ten looks a second.
 *
 * Owner: the caller; bench_run_free. Threads: one, which is the consumer. Units: ns from the
 * opening of the stream, bytes.
 */
#ifndef BENCH_BENCH_RUN_H
#define BENCH_BENCH_RUN_H

#include "bench/bench_device.h"
#include "bench/bench_figures.h"
#include "bench/bench_trainer.h"
#include "bench/bench_usage.h"
#include "pipe/metrics.h"
#include "pipe/penstock.h"

enum bench_limit {
    BENCH_LIMIT_UNKNOWN,
    BENCH_LIMIT_NETWORK,
    BENCH_LIMIT_SERVER,
    BENCH_LIMIT_STORAGE,
    BENCH_LIMIT_CPU,
    BENCH_LIMIT_DECODER,
    BENCH_LIMIT_CONSUMER,
    BENCH_LIMIT_DEVICE
};

/* What a run is to do. */
struct bench_plan {
    const struct penstock_config *config; /* one channel */
    double warmup_s;
    double seconds;                  /* 0: no limit */
    uint64_t bytes;                  /* 0: no limit */
    uint64_t consume_rate;           /* bytes a second that the consumer takes; 0: no limit */
    const struct bench_model *model; /* that is trained; NULL: none */
    uint64_t step_ns;                /* of an emulated device; 0: there is none */
    uint64_t step_bytes; /* plain bytes that a step takes; of records a step takes a batch */
    uint64_t inject_ns;  /* hold back every inject_every-th batch so long */
    uint32_t inject_every;
    const struct penstock *feed; /* that the stream hangs on: if it fails, the run ends; NULL */
    struct ps_metrics *metrics;  /* is told of the stream; NULL */
    bool first_batch_only;       /* ends with the first batch */
    bool quiet;                  /* no progress line */
    char what[64];               /* for the progress line, e.g. "repeat 2 of 5" */
};

/* A look at the stream. */
struct bench_tick {
    uint64_t at_ns;
    uint64_t bytes; /* delivered, */
    uint64_t received_bytes;
    uint64_t records;         /* and decoded, since the opening */
    float busy[BENCH_STAGES]; /* share of the time since the look before that the stage worked */
};

struct bench_run {
    double figures[BENCH_FIGURES];
    double *windows; /* GiB/s of each second that was measured */
    size_t window_count;
    struct bench_tick *ticks; /* all, the warm-up's too */
    size_t tick_count, tick_room;
    uint64_t begin_ns, end_ns; /* what was measured */
    struct penstock_counters before, after;
    struct bench_usage usage_before, usage_after;
    uint64_t allocations, calls; /* meanwhile; see bench/count_calls.h */
    struct bench_device device_before, device_after;
    char device_line[160];                        /* of a model that was trained; else "" */
    struct penstock_latencies first_bytes, parts; /* of the whole run */
    enum bench_limit limit;
    char why[200];
    bool complete; /* not interrupted, no error */
};

/* Runs. Returns PENSTOCK_OK; PENSTOCK_E_STOPPED after a signal, with what there is; or another
 * error, with *error. */
int bench_run(struct bench_run *run, const struct bench_plan *plan, struct penstock_error *error);

void bench_run_free(struct bench_run *run);

#endif
