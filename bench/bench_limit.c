/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_limit.c - see bench_limit.h. */
#include "bench/bench_limit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROOM_PERCENT 30      /* the ring was full for so long: who empties it is slow */
#define IDLE_PERCENT 50      /* who works less of the time holds nobody up */
#define CONSUMER_SHARE 0.9   /* of the busiest stage's time: then it is the consumer */
#define FILLING 0.15         /* so much of what came was not taken: it fills up */
#define BUSY_PERCENT 85      /* of one CPU: a thread without time to spare */
#define TURNED_AWAY 0.02     /* of the requests */
#define FIRST_BYTE_SHARE 0.5 /* of a request's time */
/* Of the usual wait for a first byte, the wait when nobody else was there: much less says that
 * requests wait for each other; somewhat less as well, if all others wait for about as long. */
#define QUEUED 0.2
#define QUEUED_EVENLY 0.8
#define EVEN 1.25 /* 90 of 100 wait no longer, by this factor, than 50 of 100 */

const char *bench_limit_name(enum bench_limit limit)
{
    static const char *const names[] = {"unknown", "network", "server",   "storage",
                                        "CPU",     "decoder", "consumer", "device"};

    return names[limit];
}

static double known(double figure)
{
    return isfinite(figure) ? figure : 0;
}

/* Shares of the time, in percent, that the stages behind the ring worked. */
struct busy {
    double inflate, frame, decode, consumer;
};

static struct busy busy_of(const struct bench_run *run)
{
    const double *f = run->figures;
    struct busy busy = {.consumer = 100 - known(f[BENCH_STALL])};

    if (run->after.bytes_inflated > 0)
        busy.inflate = 100 - known(f[BENCH_WAIT_INFLATE_IN]) - known(f[BENCH_WAIT_INFLATE_OUT]);
    if (run->after.decode_threads > 0) {
        busy.decode = 100 - known(f[BENCH_WAIT_CHUNKS]);
        busy.frame = 100 - known(f[BENCH_WAIT_BYTES]) - known(f[BENCH_WAIT_DECODERS]) -
                     known(f[BENCH_WAIT_SLOT]);
    }
    return busy;
}

static void find_behind(struct bench_run *run, const struct busy *busy)
{
    double most = fmax(busy->inflate, fmax(busy->frame, busy->decode));
    const char *who = most == busy->decode    ? "the decoders"
                      : most == busy->inflate ? "the inflater"
                                              : "the framer";

    /* Decoders that wait for a batch to come back seem to work. */
    if (busy->consumer >= CONSUMER_SHARE * most) {
        if (known(run->figures[BENCH_UTILISATION]) >= IDLE_PERCENT) {
            run->limit = BENCH_LIMIT_DEVICE;
            snprintf(run->why, sizeof run->why,
                     "its steps took %.0f %% of the time; the ring was full for %.0f %%",
                     run->figures[BENCH_UTILISATION], known(run->figures[BENCH_WAIT_ROOM]));
            return;
        }
        run->limit = BENCH_LIMIT_CONSUMER;
        snprintf(run->why, sizeof run->why,
                 "it was busy %.0f %% of the time; the ring was full for %.0f %%", busy->consumer,
                 known(run->figures[BENCH_WAIT_ROOM]));
        return;
    }
    run->limit = BENCH_LIMIT_DECODER;
    snprintf(run->why, sizeof run->why,
             "%s worked %.0f %% of the time; the consumer waited for %.0f %% of it", who, most,
             known(run->figures[BENCH_STALL]));
}

static bool find_cpu(struct bench_run *run, double seconds)
{
    double io = 100 / seconds *
                bench_usage_busiest_s(&run->usage_before, &run->usage_after, BENCH_STAGE_IO);
    double all = known(run->figures[BENCH_CPU_PERCENT]);

    if (io < BUSY_PERCENT && all < BUSY_PERCENT)
        return false;
    run->limit = BENCH_LIMIT_CPU;
    if (io >= BUSY_PERCENT)
        snprintf(run->why, sizeof run->why,
                 "an I/O thread ran, or waited for a CPU, %.0f %% of the time", fmin(io, 100));
    else
        snprintf(run->why, sizeof run->why, "%.0f %% of the CPUs of this process were in use", all);
    return true;
}

static bool is_queue(const double *f, double least_s)
{
    bool even = f[BENCH_TTFB_P90] < EVEN * f[BENCH_TTFB_P50];

    return least_s < (even ? QUEUED_EVENLY : QUEUED) * f[BENCH_TTFB_P50];
}

static void find_before(struct bench_run *run, double seconds, bool has_server, double least_s)
{
    const double *f = run->figures;
    double turned_away = (f[BENCH_RETRIES_THROTTLED] + f[BENCH_RETRIES_SERVER]) /
                         fmax(1, f[BENCH_GETS] + f[BENCH_RETRIES]);
    double share = known(f[BENCH_TTFB_P50] / f[BENCH_PART_P50]);

    if (find_cpu(run, seconds))
        return;
    if (!has_server) {
        run->limit = BENCH_LIMIT_STORAGE;
        if (isfinite(f[BENCH_PART_P50]))
            snprintf(run->why, sizeof run->why, "a read took %.1f ms; the ring was never full",
                     1e3 * f[BENCH_PART_P50]);
        else
            snprintf(run->why, sizeof run->why, "the FIFO's writer was slower than its reader");
    } else if (turned_away > TURNED_AWAY) {
        run->limit = BENCH_LIMIT_SERVER;
        snprintf(run->why, sizeof run->why, "it turned away %.0f %% of the requests",
                 100 * turned_away);
    } else if (share >= FIRST_BYTE_SHARE && is_queue(f, least_s)) {
        run->limit = BENCH_LIMIT_NETWORK;
        snprintf(run->why, sizeof run->why,
                 "requests wait for each other: %.1f ms for a first byte, and %.1f ms when there "
                 "are few",
                 1e3 * f[BENCH_TTFB_P50], 1e3 * least_s);
    } else if (share >= FIRST_BYTE_SHARE) {
        run->limit = BENCH_LIMIT_SERVER;
        snprintf(run->why, sizeof run->why,
                 "%.0f %% of a request passes before its first byte (%.1f ms): more connections or "
                 "larger parts may help",
                 100 * share, 1e3 * f[BENCH_TTFB_P50]);
    } else {
        run->limit = BENCH_LIMIT_NETWORK;
        snprintf(run->why, sizeof run->why,
                 "bytes came for %.0f %% of a request; the ring was full for %.0f %% of the time",
                 100 * (1 - share), known(f[BENCH_WAIT_ROOM]));
    }
}

void bench_limit_find(struct bench_run *run, const char *uri, double least_s)
{
    const double *f = run->figures;
    double seconds = f[BENCH_MEASURED];
    double received = known(f[BENCH_RECEIVED]);
    bool fills = received - known(f[BENCH_GIB_PER_S]) > FILLING * received;
    struct busy busy = busy_of(run);

    run->limit = BENCH_LIMIT_UNKNOWN;
    snprintf(run->why, sizeof run->why, "nothing was measured");
    if (!(seconds > 0))
        return;
    double most = fmax(fmax(busy.inflate, busy.frame), fmax(busy.decode, busy.consumer));

    /* All idle behind a full ring: it is full behind one request that is late. */
    if ((known(f[BENCH_WAIT_ROOM]) >= ROOM_PERCENT || fills) && most >= IDLE_PERCENT)
        find_behind(run, &busy);
    else
        find_before(run, seconds, strncmp(uri, "s3://", 5) == 0, least_s);
}
