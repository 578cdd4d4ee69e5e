/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pace.c - see pace.h.
 *
 * Figures: S3 answers within about 30 ms and gives one connection about 90 MB/s, and its clients
 * slow down when they hold many more connections than the link needs (KvikIO, pull request 978: 128
 * connections twice as fast as without a limit). Parts of 8 to 16 MiB are AWS's own advice.
 */
#include "pipe/pace.h"

#define START 16
#define LEAST 4
#define WINDOW_NS UINT64_C(250000000)
#define WINDOW_GROWING_NS UINT64_C(100000000)
#define WINDOW_NS_MAX UINT64_C(4000000000)
#define THROTTLE_NS UINT64_C(1000000000)
#define GAIN 1.05  /* a larger number has to bring this much more, */
#define KEEPS 0.98 /* and a smaller one keep this much */
#define STEADY_WINDOWS 16
#define PART_BYTES_LEAST (UINT64_C(1) << 20)
#define PART_BYTES_USUAL (UINT64_C(8) << 20)
#define PART_BYTES_MOST (UINT64_C(16) << 20)
#define PART_BYTES_STEP (UINT64_C(64) << 10)

void ps_pace_init(struct ps_pace *pace, uint32_t wish, uint32_t most)
{
    uint32_t start = START < most ? START : most;

    *pace = (struct ps_pace){
        .limit = wish ? wish : start,
        .most = most,
        .fixed = wish != 0,
        .settled = start,
        .settling = true /* listing and connecting are not what is judged */
    };
}

static double mean(double before, double now)
{
    return before > 0 ? before + (now - before) / 8 : now;
}

void ps_pace_part(struct ps_pace *pace, uint64_t asked_ns, uint64_t first_byte_ns, uint64_t now_ns,
                  uint64_t len_bytes)
{
    pace->ended++;
    pace->first_byte_s = mean(pace->first_byte_s, (double)(first_byte_ns - asked_ns) * 1e-9);
    if (now_ns > first_byte_ns)
        pace->part_rate =
            mean(pace->part_rate, (double)len_bytes / ((double)(now_ns - first_byte_ns) * 1e-9));
}

void ps_pace_starved(struct ps_pace *pace)
{
    pace->starved = true;
}

static void open_window(struct ps_pace *pace, uint64_t now_ns, uint64_t received_bytes)
{
    pace->since_ns = now_ns;
    pace->since_bytes = received_bytes;
    pace->ended = 0;
    pace->starved = false;
}

static void set_limit(struct ps_pace *pace, uint32_t limit)
{
    if (limit > pace->most)
        limit = pace->most;
    if (limit < LEAST)
        limit = LEAST < pace->most ? LEAST : pace->most;
    pace->settling = limit != pace->limit;
    pace->limit = limit;
}

static void go_back(struct ps_pace *pace)
{
    pace->phase = PS_PACE_STEADY;
    pace->steady_windows = 0;
    set_limit(pace, pace->settled);
}

/* The number that is being tried is the one to stay with. */
static void settle(struct ps_pace *pace, double rate)
{
    pace->phase = PS_PACE_STEADY;
    pace->steady_windows = 0;
    pace->settled = pace->limit;
    pace->settled_rate = rate;
}

static void try_something(struct ps_pace *pace)
{
    pace->phase = pace->more_next ? PS_PACE_TRYING_MORE : PS_PACE_TRYING_FEWER;
    set_limit(pace, pace->more_next ? pace->settled + pace->settled / 4 + 1
                                    : pace->settled - pace->settled / 8 - 1);
    pace->more_next = !pace->more_next;
    if (pace->limit == pace->settled)
        pace->phase = PS_PACE_STEADY;
}

static void judge(struct ps_pace *pace, double rate)
{
    switch (pace->phase) {
    case PS_PACE_GROWING:
        if (rate < GAIN * pace->settled_rate) {
            go_back(pace);
            break;
        }
        settle(pace, rate);
        pace->more_next = false;
        if (pace->limit < pace->most) {
            pace->phase = PS_PACE_GROWING;
            set_limit(pace, 2 * pace->limit);
        }
        break;
    case PS_PACE_STEADY:
        pace->settled_rate = pace->settled_rate > 0 ? (pace->settled_rate + rate) / 2 : rate;
        if (++pace->steady_windows >= STEADY_WINDOWS)
            try_something(pace);
        break;
    case PS_PACE_TRYING_MORE:
        if (rate < GAIN * pace->settled_rate) {
            go_back(pace);
            break;
        }
        settle(pace, rate);
        pace->more_next = true;
        try_something(pace);
        pace->more_next = true;
        break;
    case PS_PACE_TRYING_FEWER:
        if (rate < KEEPS * pace->settled_rate) {
            go_back(pace);
            break;
        }
        /* What many steps keep is measured by what was there before the first. */
        settle(pace, rate > pace->settled_rate ? rate : pace->settled_rate);
        pace->more_next = false;
        try_something(pace);
        break;
    }
}

void ps_pace_throttled(struct ps_pace *pace, uint64_t now_ns)
{
    if (pace->fixed || (pace->throttled_ns && now_ns - pace->throttled_ns < THROTTLE_NS))
        return;
    pace->throttled_ns = now_ns;
    set_limit(pace, pace->limit - pace->limit / 4);
    settle(pace, 0);
    pace->more_next = true;
}

void ps_pace_look(struct ps_pace *pace, uint64_t now_ns, uint64_t received_bytes)
{
    if (pace->fixed)
        return;
    if (pace->since_ns == 0) {
        open_window(pace, now_ns, received_bytes);
        return;
    }
    uint64_t window_ns = now_ns - pace->since_ns;

    if (window_ns < (pace->phase == PS_PACE_GROWING ? WINDOW_GROWING_NS : WINDOW_NS))
        return;
    if (pace->starved) {
        if (pace->phase == PS_PACE_TRYING_MORE || pace->phase == PS_PACE_TRYING_FEWER)
            go_back(pace);
        open_window(pace, now_ns, received_bytes);
        return;
    }
    /* Whole parts of every connection, unless they take for ever. */
    if (pace->ended < 2 * pace->limit && window_ns < WINDOW_NS_MAX)
        return;
    bool settling = pace->settling;
    double rate = (double)(received_bytes - pace->since_bytes) / ((double)window_ns * 1e-9);

    pace->settling = false;
    if (!settling)
        judge(pace, rate);
    open_window(pace, now_ns, received_bytes);
}

uint64_t ps_pace_part_bytes(const struct ps_pace *pace, uint64_t ring_bytes)
{
    uint64_t share_bytes = ring_bytes / (2 * (uint64_t)pace->limit);
    double pays_bytes = 4 * pace->first_byte_s * pace->part_rate;
    uint64_t part_bytes = PART_BYTES_USUAL;

    if (pays_bytes > (double)PART_BYTES_USUAL)
        part_bytes = pays_bytes < (double)PART_BYTES_MOST ? (uint64_t)pays_bytes : PART_BYTES_MOST;
    if (part_bytes > share_bytes)
        part_bytes = share_bytes;
    part_bytes -= part_bytes % PART_BYTES_STEP;
    return part_bytes < PART_BYTES_LEAST ? PART_BYTES_LEAST : part_bytes;
}
