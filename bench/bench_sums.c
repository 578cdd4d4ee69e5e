/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_sums.c - see bench_sums.h. */
#include "bench/bench_sums.h"

#include "bench/count_calls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GIB ((double)(1 << 30))
#define WINDOW_NS UINT64_C(1000000000)

/* ---- several values ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

struct bench_spread bench_spread_of(const double *values, size_t count)
{
    struct bench_spread spread = {NAN, NAN, NAN, 0};
    double *sorted = malloc((count + 1) * sizeof *sorted);

    for (size_t i = 0; sorted && i < count; i++)
        if (isfinite(values[i]))
            sorted[spread.count++] = values[i];
    if (sorted && spread.count > 0) {
        size_t middle = spread.count / 2;

        qsort(sorted, spread.count, sizeof *sorted, ascending);
        spread.min = sorted[0];
        spread.max = sorted[spread.count - 1];
        spread.median =
            spread.count % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
    free(sorted);
    return spread;
}

/* ---- one run ---- */

/* A time since the opening; NAN for what never happened. */
static double time_s(uint64_t ns)
{
    return ns ? (double)ns * 1e-9 : NAN;
}

static double diff(uint64_t after, uint64_t before)
{
    return after > before ? (double)(after - before) : 0;
}

/* GiB/s of the whole seconds from the measurement's begin on; of all of it when it is shorter. */
static void cut_windows(struct bench_run *run)
{
    const struct bench_tick *from = NULL;

    run->windows = calloc(run->tick_count + 1, sizeof *run->windows);
    for (size_t i = 0; run->windows && i < run->tick_count; i++) {
        const struct bench_tick *tick = &run->ticks[i];

        if (tick->at_ns < run->begin_ns || tick->at_ns > run->end_ns)
            continue;
        if (from && tick->at_ns - from->at_ns >= WINDOW_NS)
            run->windows[run->window_count++] = (double)(tick->bytes - from->bytes) / GIB /
                                                ((double)(tick->at_ns - from->at_ns) * 1e-9);
        if (!from || tick->at_ns - from->at_ns >= WINDOW_NS)
            from = tick;
    }
}

static void sum_rates(struct bench_run *run, double seconds, double gib)
{
    const struct penstock_counters *b = &run->before, *a = &run->after;
    double *f = run->figures;

    f[BENCH_MEASURED] = seconds;
    f[BENCH_BYTES] = gib * GIB;
    if (seconds <= 0)
        return;
    f[BENCH_GIB_PER_S] = gib / seconds;
    f[BENCH_GB_PER_S] = gib * GIB / 1e9 / seconds;
    f[BENCH_RECEIVED] = diff(a->bytes_received, b->bytes_received) / GIB / seconds;
    if (a->bytes_inflated > 0)
        f[BENCH_INFLATED] = diff(a->bytes_inflated, b->bytes_inflated) / GIB / seconds;
    f[BENCH_OBJECTS_PER_S] = diff(a->objects_streamed, b->objects_streamed) / seconds;
    if (a->decode_threads > 0) {
        f[BENCH_RECORDS] = diff(a->records, b->records);
        f[BENCH_RECORDS_PER_S] = f[BENCH_RECORDS] / seconds;
    }
    cut_windows(run);
    if (run->windows && run->window_count > 0) {
        struct bench_spread spread = bench_spread_of(run->windows, run->window_count);

        f[BENCH_WINDOW_MIN] = spread.min;
        f[BENCH_WINDOW_MEDIAN] = spread.median;
        f[BENCH_WINDOW_MAX] = spread.max;
    }
}

static void sum_waits(struct bench_run *run, double seconds)
{
    const struct penstock_counters *b = &run->before, *a = &run->after;
    double *f = run->figures;
    double percent = 100 / (seconds * 1e9);

    if (seconds <= 0)
        return;
    f[BENCH_STALL] = fmin(100, diff(a->wait_ns, b->wait_ns) * percent);
    f[BENCH_WAIT_ROOM] = diff(a->wait_room_ns, b->wait_room_ns) * percent;
    f[BENCH_WAIT_BYTES] = diff(a->wait_bytes_ns, b->wait_bytes_ns) * percent;
    f[BENCH_WAIT_INFLATE_IN] = diff(a->wait_inflate_in_ns, b->wait_inflate_in_ns) * percent;
    f[BENCH_WAIT_INFLATE_OUT] = diff(a->wait_inflate_out_ns, b->wait_inflate_out_ns) * percent;
    if (a->decode_threads == 0)
        return;
    f[BENCH_WAIT_DECODERS] = diff(a->wait_decoders_ns, b->wait_decoders_ns) * percent;
    f[BENCH_WAIT_SLOT] = diff(a->wait_slot_ns, b->wait_slot_ns) * percent;
    f[BENCH_WAIT_CHUNKS] =
        diff(a->wait_chunks_ns, b->wait_chunks_ns) * percent / (double)a->decode_threads;
}

/* Accelerator utilisation: 100 times the steps' own time, by the time that they took. */
static void sum_device(struct bench_run *run, double seconds)
{
    const struct bench_device *b = &run->device_before, *a = &run->device_after;
    double steps = diff(a->steps, b->steps);
    double idle_s = diff(a->idle_ns, b->idle_ns) * 1e-9;
    double work_s = diff(a->work_ns, b->work_ns) * 1e-9;

    if (seconds <= 0 || steps <= 0)
        return;
    run->figures[BENCH_STEPS_PER_S] = steps / seconds;
    if (a->step_ns > 0) /* a batch that is there already takes this device no more than its step */
        run->figures[BENCH_HEADROOM] = run->figures[BENCH_STEPS_PER_S] * (double)a->step_ns * 1e-9;
    if (work_s <= 0)
        return;
    run->figures[BENCH_DEVICE_STALL] = 100 * idle_s / (work_s + idle_s);
    run->figures[BENCH_UTILISATION] = 100 * work_s / (work_s + idle_s);
}

static void sum_usage(struct bench_run *run, double seconds, double gib)
{
    const struct bench_usage *b = &run->usage_before, *a = &run->usage_after;
    double user_s = a->user_s - b->user_s;
    double system_s = a->system_s - b->system_s;
    double *f = run->figures;

    f[BENCH_SWITCHES] = diff(a->voluntary, b->voluntary);
    f[BENCH_PREEMPTIONS] = diff(a->involuntary, b->involuntary);
    f[BENCH_RSS] = (double)a->peak_rss_bytes;
    if (seconds > 0)
        f[BENCH_CPU_PERCENT] = 100 * (user_s + system_s) / (seconds * bench_usage_cpus());
    if (gib <= 0)
        return;
    f[BENCH_CPU] = (user_s + system_s) / gib;
    f[BENCH_CPU_USER] = user_s / gib;
    f[BENCH_CPU_SYSTEM] = system_s / gib;
    for (int stage = 0; stage < BENCH_STAGES; stage++)
        f[BENCH_CPU_IO + stage] = bench_usage_stage_s(b, a, (enum bench_stage)stage) / gib;
}

static void sum_start(struct bench_run *run)
{
    const struct penstock_counters *a = &run->after;
    double *f = run->figures;
    bool ended = a->asked_all_ns != 0 && run->complete && a->bytes_consumed == a->bytes_received;

    f[BENCH_FIRST_OBJECT] = time_s(a->first_object_ns);
    f[BENCH_FIRST_CONNECTION] = time_s(a->first_connection_ns);
    f[BENCH_FIRST_BYTE] = time_s(a->first_byte_ns);
    f[BENCH_FIRST_RECORD] = time_s(a->first_record_ns);
    f[BENCH_FIRST_BATCH] = time_s(a->first_batch_ns);
    f[BENCH_FIRST_DONE] = ended ? time_s(a->asked_all_ns) : NAN;
    f[BENCH_LAST_DONE] = ended ? time_s(run->end_ns) : NAN;
}

/* Of the whole run: what went wrong in the warm-up counts, too. */
static void sum_requests(struct bench_run *run)
{
    const struct penstock_counters *a = &run->after;
    double *f = run->figures;

    f[BENCH_RING] = (double)a->ring_bytes;
    f[BENCH_SLOTS] = (double)a->slot_bytes;
    f[BENCH_LISTS] = (double)a->list_requests;
    f[BENCH_GETS] = (double)a->get_requests;
    f[BENCH_RETRIES] = (double)a->retries;
    f[BENCH_RETRIES_CONNECT] = (double)a->retries_connect;
    f[BENCH_RETRIES_RESET] = (double)a->retries_reset;
    f[BENCH_RETRIES_STALLED] = (double)a->retries_stalled;
    f[BENCH_RETRIES_THROTTLED] = (double)a->retries_throttled;
    f[BENCH_RETRIES_SERVER] = (double)a->retries_server;
    f[BENCH_RETRIES_OTHER] = (double)a->retries_other;
    f[BENCH_REFETCHED] = (double)a->refetched_bytes;
    f[BENCH_HEDGES] = (double)a->hedges;
    f[BENCH_CONNECTIONS] = (double)a->connections;
    f[BENCH_REUSED] = (double)a->connections_reused;
}

/* What moving the bytes took besides. */
static void sum_calls(struct bench_run *run, double gib)
{
    const struct penstock_counters *b = &run->before, *a = &run->after;
    double received = diff(a->bytes_received, b->bytes_received);
    double parts = diff(a->get_requests, b->get_requests);

    if (received > 0)
        run->figures[BENCH_COPIED] =
            (diff(a->bytes_copied, b->bytes_copied) + diff(a->bytes_carried, b->bytes_carried)) /
            received;
    if (bench_count_allocations && parts > 0)
        run->figures[BENCH_ALLOCATIONS] = (double)run->allocations / parts;
    if (run->calls > 0 && gib > 0)
        run->figures[BENCH_CALLS] = (double)run->calls / (gib * 1024);
}

static void sum_latencies(const struct penstock_latencies *latencies, double *five)
{
    static const unsigned asked[] = {500, 900, 990, 999, 1000};

    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        five[i] = latencies->count
                      ? (double)penstock_latencies_quantile_ns(latencies, asked[i]) * 1e-9
                      : NAN;
}

static void forget_figures(struct bench_run *run)
{
    for (int i = 0; i < BENCH_FIGURES; i++)
        run->figures[i] = NAN;
}

void bench_sum_totals(struct bench_run *run, const struct bench_totals *totals)
{
    double gib = (double)totals->bytes / GIB;
    double *f = run->figures;

    forget_figures(run);
    run->end_ns = (uint64_t)(totals->wall_s * 1e9);
    run->complete = true;
    f[BENCH_MEASURED] = totals->wall_s;
    f[BENCH_BYTES] = (double)totals->bytes;
    f[BENCH_GIB_PER_S] = gib / totals->wall_s;
    f[BENCH_GB_PER_S] = (double)totals->bytes / 1e9 / totals->wall_s;
    f[BENCH_LAST_DONE] = totals->wall_s;
    f[BENCH_CPU] = (totals->user_s + totals->system_s) / gib;
    f[BENCH_CPU_USER] = totals->user_s / gib;
    f[BENCH_CPU_SYSTEM] = totals->system_s / gib;
    if (totals->peak_rss_bytes > 0)
        f[BENCH_RSS] = totals->peak_rss_bytes;
}

void bench_sum_up(struct bench_run *run)
{
    double seconds = (double)(run->end_ns - run->begin_ns) * 1e-9;
    double gib = diff(run->after.bytes_consumed, run->before.bytes_consumed) / GIB;

    forget_figures(run);
    sum_rates(run, seconds, gib);
    sum_waits(run, seconds);
    sum_device(run, seconds);
    sum_usage(run, seconds, gib);
    sum_start(run);
    sum_requests(run);
    sum_calls(run, gib);
    sum_latencies(&run->first_bytes, &run->figures[BENCH_TTFB_P50]);
    sum_latencies(&run->parts, &run->figures[BENCH_PART_P50]);
}
