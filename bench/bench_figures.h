/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_figures.h - every number that penstock bench reports, in one list: name, unit,
 * whether more is better. Tables, JSON, CSV, cmp, --require and metrics all go by it.
 *
 * A name ends in its unit where it has one, so that it can be read without this file.
 *
 * Threads: constant data. Units: as named; NAN is what a run has no such figure of.
 */
#ifndef BENCH_BENCH_FIGURES_H
#define BENCH_BENCH_FIGURES_H

#include <stddef.h>

/* What a larger value means. */
enum bench_better { BENCH_MORE, BENCH_LESS, BENCH_NEITHER };

#define BENCH_FIGURE_LIST(X)                                                                       \
    X(GB_PER_S, "gb_per_s", MORE, "delivered, in GB (10^9 bytes) a second")                        \
    X(GIB_PER_S, "gib_per_s", MORE, "delivered, in GiB (2^30 bytes) a second")                     \
    X(WINDOW_MIN, "window_min_gib_per_s", MORE, "slowest window of 1 s")                           \
    X(WINDOW_MEDIAN, "window_median_gib_per_s", MORE, "middle one")                                \
    X(WINDOW_MAX, "window_max_gib_per_s", NEITHER, "fastest one")                                  \
    X(RECEIVED, "received_gib_per_s", NEITHER, "received, whether delivered or not")               \
    X(INFLATED, "inflated_gib_per_s", MORE, "what was inflated, in GiB a second")                  \
    X(RECORDS_PER_S, "records_per_s", MORE, "records decoded a second")                            \
    X(OBJECTS_PER_S, "objects_per_s", NEITHER, "objects a second")                                 \
    X(MEASURED, "measured_s", NEITHER, "how long was measured, after the warm-up")                 \
    X(BYTES, "bytes", NEITHER, "delivered meanwhile")                                              \
    X(RECORDS, "records", NEITHER, "decoded meanwhile")                                            \
    X(FIRST_OBJECT, "first_object_s", LESS, "from the start until an object was listed")           \
    X(FIRST_CONNECTION, "first_connection_s", LESS,                                                \
      "from the start until a connection was open, TLS included")                                  \
    X(FIRST_BYTE, "first_byte_s", LESS, "from the start until a byte had come")                    \
    X(FIRST_RECORD, "first_record_s", LESS, "from the start until a record was decoded")           \
    X(FIRST_BATCH, "first_batch_s", LESS, "from the start until a batch was delivered")            \
    X(ON_DEVICE, "first_on_device_s", LESS, "from the start until a batch was on the device")      \
    X(FIRST_STEP, "first_step_s", LESS, "from the start until a step of the model was done")       \
    X(DOWNLOAD, "download_s", LESS, "File mode: from the start until all was downloaded")          \
    X(FIRST_DONE, "first_done_s", LESS,                                                            \
      "from the start until a request slot had nothing left to ask for")                           \
    X(LAST_DONE, "last_done_s", LESS, "from the start until the last batch was delivered")         \
    X(STALL, "stall_percent", LESS, "share of the time that the consumer waited for data")         \
    X(STEPS_PER_S, "steps_per_s", MORE, "steps of the device a second")                            \
    X(DEVICE_STALL, "device_stall_percent", LESS, "share of the time that the device was idle")    \
    X(UTILISATION, "au_percent", MORE, "AU by MLPerf Storage's public formula, unofficial")        \
    X(HEADROOM, "headroom", MORE,                                                                  \
      "steps a second, by those with one batch over and over: 1, and data is free")                \
    X(REPLAY, "replay_steps_per_s", MORE, "steps a second with one batch over and over")           \
    X(CPU, "cpu_s_per_gib", LESS, "CPU-seconds for a GiB")                                         \
    X(CPU_USER, "cpu_user_s_per_gib", LESS, "in user code")                                        \
    X(CPU_SYSTEM, "cpu_system_s_per_gib", LESS, "in the kernel")                                   \
    X(CPU_IO, "cpu_io_s_per_gib", LESS, "of the I/O threads (TLS included)")                       \
    X(CPU_INFLATE, "cpu_inflate_s_per_gib", LESS, "of the inflater")                               \
    X(CPU_FRAME, "cpu_frame_s_per_gib", LESS, "of the framer")                                     \
    X(CPU_DECODE, "cpu_decode_s_per_gib", LESS, "of the decoders")                                 \
    X(CPU_CONSUMER, "cpu_consumer_s_per_gib", LESS, "of the consumer")                             \
    X(CPU_OTHER, "cpu_other_s_per_gib", LESS, "of all other threads")                              \
    X(CPU_PERCENT, "cpu_percent", NEITHER, "CPU used of what this process may use")                \
    X(SWITCHES, "voluntary_switches", LESS, "times that a thread gave up its CPU")                 \
    X(PREEMPTIONS, "involuntary_switches", LESS, "times that one was taken away")                  \
    X(RSS, "peak_rss_bytes", LESS, "most memory resident")                                         \
    X(RING, "ring_bytes", NEITHER, "of stream rings")                                              \
    X(SLOTS, "slot_bytes", NEITHER, "of batch slots")                                              \
    X(PINNED, "pinned_bytes", NEITHER, "of host memory registered with the device")                \
    X(PIN, "pin_s", LESS, "time that registering it took")                                         \
    X(DEVICE_MEMORY, "device_bytes", NEITHER, "allocated on the device")                           \
    X(COPIED, "copied_per_byte", LESS, "bytes copied on the way into the ring, by bytes received") \
    X(ALLOCATIONS, "allocations_per_part", LESS,                                                   \
      "calls of malloc while it was measured, by parts (make bench-transport alone)")              \
    X(CALLS, "calls_per_mib", LESS,                                                                \
      "system calls while it was measured, by MiB (make bench-transport alone)")                   \
    X(LISTS, "list_requests", NEITHER, "requests for listings")                                    \
    X(GETS, "get_requests", NEITHER, "GETs")                                                       \
    X(RETRIES, "retries", LESS, "requests sent again, in all:")                                    \
    X(RETRIES_CONNECT, "retries_connect", LESS, "no connection")                                   \
    X(RETRIES_RESET, "retries_reset", LESS, "connection ended early")                              \
    X(RETRIES_STALLED, "retries_stalled", LESS, "too little came for too long")                    \
    X(RETRIES_THROTTLED, "retries_throttled", LESS, "503 and others: fewer requests asked for")    \
    X(RETRIES_SERVER, "retries_server", LESS, "other 5xx")                                         \
    X(RETRIES_OTHER, "retries_other", LESS, "others")                                              \
    X(REFETCHED, "refetched_bytes", LESS, "received twice")                                        \
    X(HEDGES, "hedges", NEITHER, "second requests for slow parts")                                 \
    X(CONNECTIONS, "connections", NEITHER, "connections opened")                                   \
    X(REUSED, "connections_reused", NEITHER, "requests over a connection that had carried one")    \
    X(TTFB_P50, "request_first_byte_p50_s", LESS, "from a part's start to its first byte")         \
    X(TTFB_P90, "request_first_byte_p90_s", LESS, "90 of 100 parts")                               \
    X(TTFB_P99, "request_first_byte_p99_s", LESS, "99 of 100")                                     \
    X(TTFB_P999, "request_first_byte_p99_9_s", LESS, "999 of 1000")                                \
    X(TTFB_MAX, "request_first_byte_max_s", LESS, "longest")                                       \
    X(PART_P50, "request_p50_s", LESS, "from a part's start to its last byte")                     \
    X(PART_P90, "request_p90_s", LESS, "90 of 100 parts")                                          \
    X(PART_P99, "request_p99_s", LESS, "99 of 100")                                                \
    X(PART_P999, "request_p99_9_s", LESS, "999 of 1000")                                           \
    X(PART_MAX, "request_max_s", LESS, "longest")                                                  \
    X(WAIT_ROOM, "wait_room_percent", NEITHER, "I/O waited for room in the ring")                  \
    X(WAIT_BYTES, "wait_bytes_percent", NEITHER, "framer (or consumer of bytes) for bytes")        \
    X(WAIT_INFLATE_IN, "wait_inflate_in_percent", NEITHER, "inflater for bytes")                   \
    X(WAIT_INFLATE_OUT, "wait_inflate_out_percent", NEITHER, "inflater for room")                  \
    X(WAIT_DECODERS, "wait_decoders_percent", NEITHER, "framer for decoders")                      \
    X(WAIT_SLOT, "wait_slot_percent", NEITHER, "framer for a free batch")                          \
    X(WAIT_CHUNKS, "wait_chunks_percent", NEITHER, "decoders for something to decode")

enum bench_figure {
#define BENCH_ENUM(id, name, better, what) BENCH_##id,
    BENCH_FIGURE_LIST(BENCH_ENUM)
#undef BENCH_ENUM
        BENCH_FIGURES
};

struct bench_figure_info {
    const char *name;
    const char *what;
    enum bench_better better;
};

extern const struct bench_figure_info bench_figures[BENCH_FIGURES];

/* What comes one after the other until there is something to train on. */
struct bench_start_step {
    enum bench_figure figure;
    enum bench_figure before; /* what it waited for */
    const char *label;
};

enum { BENCH_START_STEPS = 8 };

extern const struct bench_start_step bench_start_steps[BENCH_START_STEPS];

/* The figure of a name, whose unit may be left out: "first_batch" is first_batch_s. -1: none. */
int bench_figure_find(const char *name, size_t len);

/* "s", "%", "bytes" or "" from a figure's name. */
const char *bench_figure_unit(enum bench_figure figure);

#endif
