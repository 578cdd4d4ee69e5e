/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stream_options.h - the command-line options of every command that opens a stream.
 *
 * A command puts PS_STREAM_LONG_OPTIONS into its getopt_long table and PS_STREAM_HELP and
 * PS_ORDER_HELP into its help, and hands what it does not know to ps_stream_options_take.
 *
 * Owner: the caller; strings stay argv's. Threads: one.
 */
#ifndef PIPE_STREAM_OPTIONS_H
#define PIPE_STREAM_OPTIONS_H

#include "pipe/penstock.h"

#include <getopt.h>

enum ps_stream_option {
    PS_OPTION_SHUFFLE_SEED = 2000,
    PS_OPTION_SHARD,
    PS_OPTION_MEMORY_LIMIT,
    PS_OPTION_CONNECTIONS,
    PS_OPTION_PART_SIZE,
    PS_OPTION_IO,
    PS_OPTION_VERIFY,
    PS_OPTION_ENDPOINT_URL,
    PS_OPTION_REGION,
    PS_OPTION_REQUESTER_PAYS,
    PS_OPTION_BUCKET_OWNER,
    PS_OPTION_ADDRESSING_STYLE,
    PS_OPTION_SSE_C_KEY_FILE,
    PS_OPTION_ANONYMOUS,
    PS_OPTION_BAD_RECORDS = 2100, /* those of commands that make batches */
    PS_OPTION_KEY_SUFFIX,
    PS_OPTION_SPLIT_OBJECTS,
    PS_OPTION_MAX_BAD,
    PS_OPTION_MAX_BAD_FRACTION,
    PS_OPTION_LAST_BATCH,
    PS_OPTION_SHUFFLE_ROWS,
    PS_OPTION_SAMPLE,
    PS_OPTION_SAMPLE_SEED
};

#define PS_STREAM_LONG_OPTIONS                                                                     \
    {"shuffle-seed", required_argument, NULL, PS_OPTION_SHUFFLE_SEED},                             \
        {"shard", required_argument, NULL, PS_OPTION_SHARD},                                       \
        {"memory-limit", required_argument, NULL, PS_OPTION_MEMORY_LIMIT},                         \
        {"connections", required_argument, NULL, PS_OPTION_CONNECTIONS},                           \
        {"part-size", required_argument, NULL, PS_OPTION_PART_SIZE},                               \
        {"io", required_argument, NULL, PS_OPTION_IO},                                             \
        {"verify", required_argument, NULL, PS_OPTION_VERIFY},                                     \
        {"endpoint-url", required_argument, NULL, PS_OPTION_ENDPOINT_URL},                         \
        {"region", required_argument, NULL, PS_OPTION_REGION},                                     \
        {"requester-pays", no_argument, NULL, PS_OPTION_REQUESTER_PAYS},                           \
        {"expected-bucket-owner", required_argument, NULL, PS_OPTION_BUCKET_OWNER},                \
        {"addressing-style", required_argument, NULL, PS_OPTION_ADDRESSING_STYLE},                 \
        {"sse-c-key-file", required_argument, NULL, PS_OPTION_SSE_C_KEY_FILE},                     \
    {                                                                                              \
        "anonymous", no_argument, NULL, PS_OPTION_ANONYMOUS                                        \
    }

#define PS_ORDER_HELP                                                                              \
    "  --shuffle-seed N               shuffle the order of objects in every epoch\n"               \
    "  --shard H/N                    take shard H (from 0) of N of the objects\n"

#define PS_STREAM_HELP                                                                             \
    "  --memory-limit SIZE            memory for streamed data (1GiB)\n"                           \
    "  --connections N                ranged GETs in flight (as many as pay)\n"                    \
    "  --part-size SIZE               bytes of one ranged GET (1MiB to 16MiB)\n"                   \
    "  --io uring|epoll|auto          I/O backend (auto)\n"                                        \
    "  --verify auto|always|off       compare objects with their checksums (auto)\n"               \
    "  --endpoint-url URL, --region REGION\n"                                                      \
    "                                 of the S3 service\n"                                         \
    "  --requester-pays               pay for requests and bytes, as the bucket demands\n"         \
    "  --expected-bucket-owner ID     read only buckets of this account (12 digits)\n"             \
    "  --addressing-style auto|path|virtual\n"                                                     \
    "                                 where the bucket's name goes: path or host name\n"           \
    "  --sse-c-key-file FILE          key that the objects were encrypted with (SSE-C)\n"          \
    "  --anonymous                    send unsigned requests\n"

/* For commands that make batches. */
#define PS_BATCH_LONG_OPTIONS                                                                      \
    {"bad-records", required_argument, NULL, PS_OPTION_BAD_RECORDS},                               \
        {"key-suffix", required_argument, NULL, PS_OPTION_KEY_SUFFIX},                             \
        {"split-objects", required_argument, NULL, PS_OPTION_SPLIT_OBJECTS},                       \
        {"max-bad", required_argument, NULL, PS_OPTION_MAX_BAD},                                   \
        {"max-bad-fraction", required_argument, NULL, PS_OPTION_MAX_BAD_FRACTION},                 \
        {"last-batch", required_argument, NULL, PS_OPTION_LAST_BATCH},                             \
        {"shuffle-rows", required_argument, NULL, PS_OPTION_SHUFFLE_ROWS},                         \
        {"sample", required_argument, NULL, PS_OPTION_SAMPLE},                                     \
    {                                                                                              \
        "sample-seed", required_argument, NULL, PS_OPTION_SAMPLE_SEED                              \
    }

#define PS_BATCH_HELP                                                                              \
    "  --key-suffix .REC[,.REC...]    take the keys alone that end in one of these\n"              \
    "  --split-objects bytes|index    let --shard take a range of every object\n"                  \
    "  --shuffle-rows N               shuffle rows in windows of N, too\n"                         \
    "  --sample FROM-TO               take the records whose hash, 0 to 1, is in this range\n"     \
    "  --sample-seed N                of the hash (0)\n"                                           \
    "  --last-batch keep|drop         what becomes of an epoch's last batch if it is not full\n"   \
    "                                 (keep)\n"                                                    \
    "  --bad-records error|warn|skip  what becomes of malformed records (error)\n"                 \
    "  --max-bad N                    of an epoch, before it is an error (no limit)\n"             \
    "  --max-bad-fraction X           likewise, as a fraction of all records (no limit)\n"

struct ps_stream_options {
    struct penstock_config config; /* all but channels, log and pin */
    bool shuffle;
    uint64_t seed;
    uint32_t shard_index;
    uint32_t shard_count;
    const char *key_suffix;
    const char *split_objects;
    const char *bad_records; /* this and what follows as in struct penstock_channel_config */
    uint64_t bad_records_max;
    double bad_fraction_max;
    const char *last_batch;
    uint64_t shuffle_rows;
    double sample_from;
    double sample_to;
    uint64_t sample_seed;
};

/* Puts defaults in place. */
void ps_stream_options_init(struct ps_stream_options *options);

/* Takes option `id` (`name` is its long name). Returns 1, or 0 when it is none of these, or
 * PENSTOCK_E_ARGUMENT with *error. */
int ps_stream_options_take(struct ps_stream_options *options, int id, const char *name,
                           const char *value, struct penstock_error *error);

/* Sets a channel's order and share. */
void ps_stream_options_order(const struct ps_stream_options *options,
                             struct penstock_channel_config *channel);

/* Sets which keys of a channel count, and what becomes of its bad records. */
void ps_stream_options_bad(const struct ps_stream_options *options,
                           struct penstock_channel_config *channel);

/* Sets a channel's sample, window of rows and last batch, and what a shard is made of. */
void ps_stream_options_batches(const struct ps_stream_options *options,
                               struct penstock_channel_config *channel);

/* Takes a range such as 0-0.9. Returns as penstock_open. */
int ps_option_range(const char *name, const char *text, double *from, double *to,
                    struct penstock_error *error);

/* Takes a whole number from `least` to `most`, for other options. Returns as penstock_open. */
int ps_option_number(const char *name, const char *text, uint64_t least, uint64_t most,
                     uint64_t *out, struct penstock_error *error);

#endif
