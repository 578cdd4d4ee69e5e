/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_options.c - see bench_options.h. */
#include "bench/bench_options.h"

#include "bench/bench_commands.h"
#include "bench/bench_require.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, REPEATS_MAX = 1000 };

const char bench_options_help[] =
    "How long:\n"
    "  --seconds S                    of measuring, in each repeat (5; sweep: 2)\n"
    "  --bytes SIZE                   or so many bytes\n"
    "  --epochs N                     or N passes over the data, from the first request on\n"
    "  --warmup-s S                   first, not measured (1; with --epochs 0)\n"
    "  --repeats N                    each with a new stream (5; sweep: 3)\n"
    "  --vary OPTION=VALUE,...        read, decode, train: each value in turn, and compared\n"
    "  --seed N                       shuffle the objects, repeat K (from 0) with seed N + K\n"
    "\n"
    "What:\n"
    "  --content-type TYPE            of what is decoded, as for penstock train\n"
    "  --batch-size N                 rows of a batch (1000)\n"
    "  --decompress gzip|lz4|zstd|auto|none\n"
    "  --data-type prefix|manifest    what the URIs name\n"
    "  --consume-rate SIZE            take no more bytes a second\n"
    "  --workload unet3d|resnet50|cosmoflow\n"
    "                                 train: length and bytes of a step, as MLPerf Storage has\n"
    "                                 them for an H100\n"
    "  --step-ms N                    train: or so long a step of the emulated device,\n"
    "  --step-bytes SIZE              that takes so many bytes (a batch, with --content-type)\n"
    "  --model NAME                   train, start: a real model, as --algorithm of penstock "
    "train\n"
    "  --hp NAME=VALUE                its hyperparameter; --batch-size is its mini_batch_size\n"
    "  --device auto|cpu|cuda         where it computes (auto)\n"
    "  --inject-ms N, --inject-every M\n"
    "                                 train: hold back every Mth batch for N ms\n"
    "  --modes pipe,file,fifo         start: which (all)\n"
    "  --dir DIR                      start, rivals: where the download goes ($TMPDIR, /tmp)\n"
    "  --grid N,...xSIZE,...          sweep: connections and part sizes\n"
    "                                 (4,8,16,32,64,128,256x1MiB,2MiB,4MiB,8MiB,16MiB)\n"
    "  --part-sizes SIZE,...          transport: sizes of a part (8MiB,1MiB,256KiB)\n"
    "  --rivals s5cmd,boto3,s3torchconnector,mount-s3,fio\n"
    "                                 rivals: with whom (all that are installed)\n"
    "  --python PROGRAM               rivals: Python that has boto3 and so on (python3)\n"
    "  --decode-threads N             decoding threads (CPUs, at most 8)\n" PS_ORDER_HELP "\n"
    "Stream:\n" PS_STREAM_HELP "\n"
    "Output:\n"
    "  --json FILE                    all that was measured (bench.schema.json); - is stdout\n"
    "  --csv FILE                     one line a repeat, appended\n"
    "  --raw FILE                     one line for each tenth of a second\n"
    "  --report FILE                  one page of HTML, with plots\n"
    "  --metrics FILE                 for Prometheus; or [ADDRESS]:PORT, to be asked while it\n"
    "                                 measures (127.0.0.1)\n"
    "  --require LIST                 exit with 1 unless e.g. 'first_batch<2s,gib_per_s>1'\n"
    "  --cache TEXT                   what is known of caches, e.g. cold or warm: reported\n"
    "  --label TEXT                   reported\n"
    "  --quiet                        no progress, no table\n";

enum {
    OPTION_SECONDS = 1000,
    OPTION_BYTES,
    OPTION_EPOCHS,
    OPTION_WARMUP,
    OPTION_REPEATS,
    OPTION_VARY,
    OPTION_SEED,
    OPTION_CONTENT_TYPE,
    OPTION_BATCH_SIZE,
    OPTION_DECOMPRESS,
    OPTION_DATA_TYPE,
    OPTION_CONSUME_RATE,
    OPTION_WORKLOAD,
    OPTION_MODEL,
    OPTION_HP,
    OPTION_DEVICE,
    OPTION_STEP_MS,
    OPTION_STEP_BYTES,
    OPTION_INJECT_MS,
    OPTION_INJECT_EVERY,
    OPTION_DIR,
    OPTION_MODES,
    OPTION_GRID,
    OPTION_PART_SIZES,
    OPTION_RIVALS,
    OPTION_PYTHON,
    OPTION_DECODE_THREADS,
    OPTION_JSON,
    OPTION_CSV,
    OPTION_RAW,
    OPTION_REPORT,
    OPTION_METRICS,
    OPTION_REQUIRE,
    OPTION_CACHE,
    OPTION_LABEL,
    OPTION_QUIET,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"bytes", required_argument, NULL, OPTION_BYTES},
    {"epochs", required_argument, NULL, OPTION_EPOCHS},
    {"warmup-s", required_argument, NULL, OPTION_WARMUP},
    {"repeats", required_argument, NULL, OPTION_REPEATS},
    {"vary", required_argument, NULL, OPTION_VARY},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"content-type", required_argument, NULL, OPTION_CONTENT_TYPE},
    {"batch-size", required_argument, NULL, OPTION_BATCH_SIZE},
    {"decompress", required_argument, NULL, OPTION_DECOMPRESS},
    {"data-type", required_argument, NULL, OPTION_DATA_TYPE},
    {"consume-rate", required_argument, NULL, OPTION_CONSUME_RATE},
    {"workload", required_argument, NULL, OPTION_WORKLOAD},
    {"model", required_argument, NULL, OPTION_MODEL},
    {"hp", required_argument, NULL, OPTION_HP},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"step-ms", required_argument, NULL, OPTION_STEP_MS},
    {"step-bytes", required_argument, NULL, OPTION_STEP_BYTES},
    {"inject-ms", required_argument, NULL, OPTION_INJECT_MS},
    {"inject-every", required_argument, NULL, OPTION_INJECT_EVERY},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"modes", required_argument, NULL, OPTION_MODES},
    {"grid", required_argument, NULL, OPTION_GRID},
    {"part-sizes", required_argument, NULL, OPTION_PART_SIZES},
    {"rivals", required_argument, NULL, OPTION_RIVALS},
    {"python", required_argument, NULL, OPTION_PYTHON},
    {"decode-threads", required_argument, NULL, OPTION_DECODE_THREADS},
    {"json", required_argument, NULL, OPTION_JSON},
    {"csv", required_argument, NULL, OPTION_CSV},
    {"raw", required_argument, NULL, OPTION_RAW},
    {"report", required_argument, NULL, OPTION_REPORT},
    {"metrics", required_argument, NULL, OPTION_METRICS},
    {"require", required_argument, NULL, OPTION_REQUIRE},
    {"cache", required_argument, NULL, OPTION_CACHE},
    {"label", required_argument, NULL, OPTION_LABEL},
    PS_STREAM_LONG_OPTIONS,
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

static int refuse(struct penstock_error *error, const char *name, const char *value,
                  const char *what)
{
    error->rc = PENSTOCK_E_ARGUMENT;
    snprintf(error->message, sizeof error->message, "--%s: '%s' is not %s", name, value, what);
    return PENSTOCK_E_ARGUMENT;
}

static int take_seconds(const char *name, const char *value, double *out,
                        struct penstock_error *error)
{
    char *end;

    *out = strtod(value, &end);
    if (end != value && *end == '\0' && isfinite(*out) && *out >= 0 && *out <= 1e6)
        return PENSTOCK_OK;
    return refuse(error, name, value, "a number of seconds");
}

bool bench_parse_size(const char *text, size_t len, uint64_t *out)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},          {"B", 1},         {"KiB", 1 << 10},
                 {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1024.0 * (1 << 30)},
                 {"KB", 1e3},      {"kB", 1e3},      {"MB", 1e6},
                 {"GB", 1e9},      {"TB", 1e12}};
    char *end;
    double number = strtod(text, &end);

    for (size_t i = 0; end > text && end <= text + len && i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].unit) == (size_t)(text + len - end) &&
            strncmp(end, units[i].unit, strlen(units[i].unit)) == 0 &&
            number * units[i].bytes >= 1 && number * units[i].bytes < 1e18) {
            *out = (uint64_t)(number * units[i].bytes);
            return true;
        }
    return false;
}

static int take_size(const char *name, const char *value, uint64_t *out,
                     struct penstock_error *error)
{
    if (bench_parse_size(value, strlen(value), out))
        return PENSTOCK_OK;
    return refuse(error, name, value, "a size such as 64MiB or 2GB");
}

static int take_count(const char *name, const char *value, uint64_t most, uint32_t *out,
                      struct penstock_error *error)
{
    uint64_t number = 0;
    int rc = ps_option_number(name, value, 1, most, &number, error);

    *out = (uint32_t)number;
    return rc;
}

/* Options whose value is a string, as it is. */
static const char **text_of(struct bench_options *o, int id)
{
    switch (id) {
    case OPTION_CONTENT_TYPE:
        return &o->content_type;
    case OPTION_DECOMPRESS:
        return &o->compression;
    case OPTION_DATA_TYPE:
        return &o->data_type;
    case OPTION_VARY:
        return &o->vary;
    case OPTION_DIR:
        return &o->dir;
    case OPTION_MODES:
        return &o->modes;
    case OPTION_GRID:
        return &o->grid;
    case OPTION_MODEL:
        return &o->model_name;
    case OPTION_DEVICE:
        return &o->model.device;
    case OPTION_PART_SIZES:
        return &o->part_sizes;
    case OPTION_RIVALS:
        return &o->rivals;
    case OPTION_PYTHON:
        return &o->python;
    case OPTION_JSON:
        return &o->json;
    case OPTION_CSV:
        return &o->csv;
    case OPTION_RAW:
        return &o->raw;
    case OPTION_REPORT:
        return &o->report;
    case OPTION_METRICS:
        return &o->metrics;
    case OPTION_CACHE:
        return &o->cache;
    case OPTION_LABEL:
        return &o->label;
    default:
        return NULL;
    }
}

static int take_milliseconds(const char *name, const char *value, double *out,
                             struct penstock_error *error)
{
    int rc = take_seconds(name, value, out, error);

    *out *= 1e-3;
    return rc;
}

static int take_workload(struct bench_options *o, const char *name, const char *value,
                         struct penstock_error *error)
{
    const struct bench_workload *workload = bench_workload_find(value);

    if (!workload)
        return refuse(error, name, value, "unet3d, resnet50 or cosmoflow");
    o->step_s = workload->step_s;
    o->step_bytes = workload->step_bytes;
    return PENSTOCK_OK;
}

/* What the emulated device is like. PENSTOCK_AGAIN: the option is none of these. */
static int take_device(struct bench_options *o, int id, const char *name, const char *value,
                       struct penstock_error *error)
{
    switch (id) {
    case OPTION_WORKLOAD:
        return take_workload(o, name, value, error);
    case OPTION_STEP_MS:
        return take_milliseconds(name, value, &o->step_s, error);
    case OPTION_STEP_BYTES:
        return take_size(name, value, &o->step_bytes, error);
    case OPTION_INJECT_MS:
        return take_milliseconds(name, value, &o->inject_s, error);
    case OPTION_INJECT_EVERY:
        return take_count(name, value, UINT32_MAX, &o->inject_every, error);
    default:
        return PENSTOCK_AGAIN;
    }
}

static int take_option(struct bench_options *o, int id, const char *name, const char *value,
                       struct penstock_error *error)
{
    const char **text = text_of(o, id);
    int rc;

    if (text) {
        *text = value;
        return PENSTOCK_OK;
    }
    switch (id) {
    case OPTION_SECONDS:
        return take_seconds(name, value, &o->seconds, error);
    case OPTION_WARMUP:
        return take_seconds(name, value, &o->warmup_s, error);
    case OPTION_BYTES:
        return take_size(name, value, &o->bytes, error);
    case OPTION_CONSUME_RATE:
        return take_size(name, value, &o->consume_rate, error);
    case OPTION_EPOCHS:
        return take_count(name, value, UINT32_MAX, &o->epochs, error);
    case OPTION_REPEATS:
        return take_count(name, value, REPEATS_MAX, &o->repeats, error);
    case OPTION_BATCH_SIZE:
        return take_count(name, value, 1 << 24, &o->batch_rows, error);
    case OPTION_DECODE_THREADS:
        return take_count(name, value, 1024, &o->stream.config.decode_threads, error);
    case OPTION_SEED:
        o->has_seed = true;
        return ps_option_number(name, value, 0, UINT64_MAX, &o->seed, error);
    case OPTION_HP:
        if (o->hyper_count == BENCH_HYPER_MAX)
            return refuse(error, name, value, "among the first 64 hyperparameters");
        o->hyper[o->hyper_count++] = value;
        return PENSTOCK_OK;
    case OPTION_REQUIRE:
        o->require = value;
        return bench_require_check(value, error->message, sizeof error->message)
                   ? PENSTOCK_OK
                   : PENSTOCK_E_ARGUMENT;
    case OPTION_QUIET:
        o->quiet = true;
        return PENSTOCK_OK;
    case OPTION_HELP:
        o->help = true;
        return PENSTOCK_OK;
    default:
        rc = take_device(o, id, name, value, error);
        if (rc == PENSTOCK_AGAIN)
            rc = ps_stream_options_take(&o->stream, id, name, value, error);
        o->has_memory_limit |= id == PS_OPTION_MEMORY_LIMIT;
        return rc < 0 ? rc : PENSTOCK_OK;
    }
}

/* What is left out follows from what is given. */
static void resolve(struct bench_options *o)
{
    bool sweep = o->command == BENCH_SWEEP || o->command == BENCH_TRANSPORT;

    if (o->seconds < 0)
        o->seconds = o->bytes > 0 || o->epochs > 0 ? 0 : sweep ? 2 : 5;
    if (o->warmup_s < 0)
        o->warmup_s = o->epochs > 0 ? 0 : sweep ? 0.5 : 1;
    if (o->repeats == 0)
        o->repeats = sweep ? 3 : 5;
    if (o->has_seed)
        o->stream.shuffle = true;
}

static const struct option *option_named(const char *name, size_t len)
{
    for (const struct option *option = long_options; option->name; option++)
        if (strlen(option->name) == len && strncmp(option->name, name, len) == 0)
            return option;
    return NULL;
}

bool bench_options_vary(const struct bench_options *o, size_t number, struct bench_options *out,
                        char *name, size_t name_size, char *text, size_t text_size)
{
    size_t name_len = strcspn(o->vary, "=");
    const char *value = o->vary + name_len;
    const struct option *option = option_named(o->vary, name_len);
    struct penstock_error error;

    for (size_t i = 0; *value && i < number; i++)
        value += 1 + strcspn(value + 1, ",");
    size_t len = *value ? strcspn(value + 1, ",") : 0;

    *out = *o;
    if (len == 0 || !option || option->has_arg != required_argument)
        return false;
    snprintf(text, text_size, "%.*s", (int)len, value + 1);
    snprintf(name, name_size, "%s=%s", option->name, text);
    return take_option(out, option->val, option->name, text, &error) == PENSTOCK_OK;
}

/* At least two values, all of which the option takes. */
static bool can_vary(const struct bench_options *o)
{
    struct bench_options varied;
    char name[64], text[64];
    size_t commas = 0;
    size_t count = 0;

    for (const char *c = o->vary; *c; c++)
        commas += *c == ',';
    while (bench_options_vary(o, count, &varied, name, sizeof name, text, sizeof text))
        count++;
    return count == commas + 1 && count > 1 && o->command <= BENCH_TRAIN;
}

static int check(const struct bench_options *o, const char **why)
{
    bool records = o->content_type && strcmp(o->content_type, "application/octet-stream") != 0;

    uint64_t sizes[16];

    *why = NULL;
    if (o->command == BENCH_FIFO && o->uri_count > 0)
        *why = "fifo makes its own data: leave out the URI";
    else if (o->command < BENCH_FIFO && o->uri_count == 0)
        *why = "no URI is given";
    else if (o->command == BENCH_DECODE && !records)
        *why = "decode needs --content-type, e.g. application/x-recordio-protobuf";
    else if (o->command == BENCH_TRAIN && o->step_s <= 0 && !o->model_name)
        *why = "train needs --workload, --step-ms or --model";
    else if (o->command == BENCH_TRAIN && !records && o->step_bytes == 0 && !o->model_name)
        *why = "train needs --step-bytes or --content-type";
    else if (o->command != BENCH_TRAIN && (o->step_s > 0 || o->inject_every > 0))
        *why = "--workload, --step-ms and --inject-every are train's";
    else if (!o->model_name && (o->hyper_count > 0 || o->model.device))
        *why = "--hp and --device are of --model";
    else if (o->model_name && o->command != BENCH_TRAIN && o->command != BENCH_START)
        *why = "--model is train's and start's";
    else if (o->model_name && (!records || o->step_s > 0 || o->consume_rate > 0))
        *why = "--model needs --content-type, and neither --workload, --step-ms nor --consume-rate";
    else if (o->command == BENCH_READ && o->content_type)
        *why = "read takes the bytes as they are: use decode with --content-type";
    else if (o->command == BENCH_SWEEP &&
             (o->stream.config.max_connections || o->stream.config.part_bytes))
        *why = "sweep finds --connections and --part-size itself: leave them out";
    else if (o->vary && !can_vary(o))
        *why = "--vary is OPTION=VALUE,VALUE,... of read, decode and train, e.g. io=uring,epoll";
    else if (o->modes && !bench_start_has(o->modes, NULL))
        *why = "--modes is some of pipe, file and fifo, e.g. pipe,file";
    else if (o->part_sizes && (o->command != BENCH_TRANSPORT ||
                               bench_transport_sizes(o->part_sizes, sizes, 16) == 0))
        *why = "--part-sizes is up to 16 sizes from 64KiB to 1GiB, of transport: 8MiB,256KiB";
    else if (o->command == BENCH_TRANSPORT && (o->content_type || o->stream.config.io_backend ||
                                               o->stream.config.part_bytes || o->seconds == 0))
        *why = "transport measures --seconds of bytes in --part-sizes, by both --io: leave out "
               "--content-type, --io, --part-size, --bytes and --epochs";
    else if (o->rivals && (o->command != BENCH_RIVALS || !bench_rivals_are(o->rivals)))
        *why = "--rivals is a list of s5cmd, boto3, s3torchconnector, mount-s3 and fio, of rivals";
    else if (o->command == BENCH_RIVALS && (o->content_type || o->compression || o->bytes))
        *why = "rivals reads whole objects as they are: leave out --content-type, --decompress and "
               "--bytes";
    else if (o->seconds == 0 && o->bytes == 0 && o->epochs == 0)
        *why = "--seconds 0 needs --bytes or --epochs";
    else if (o->has_seed && o->stream.shuffle && o->stream.seed)
        *why = "give --seed or --shuffle-seed, not both";
    return *why ? EXIT_USAGE : 0;
}

/* What --model and --hp ask for. */
static int make_model(struct bench_options *o, struct tr_error *error)
{
    struct bench_model *model = &o->model;
    char size[64];

    if (!o->model_name)
        return 0;
    model->ops = tr_model_find(o->model_name);
    if (!model->ops)
        return tr_fail(error, "--model: there is no model '%s': see penstock train --help",
                       o->model_name);
    const struct tr_hyper_table *table = model->ops->hyper;

    table->init(model->hyper);
    snprintf(size, sizeof size, "mini_batch_size=%u", o->batch_rows ? o->batch_rows : 1000);
    if (tr_hyper_set(table, model->hyper, size, error) < 0)
        return -1;
    for (size_t i = 0; i < o->hyper_count; i++)
        if (tr_hyper_set(table, model->hyper, o->hyper[i], error) < 0)
            return -1;
    o->batch_rows = ((const struct tr_hyper_common *)(const void *)model->hyper)->mini_batch_size;
    return table->check(model->hyper, error);
}

int bench_options_parse(struct bench_options *o, enum bench_command command, int argc, char **argv)
{
    struct penstock_error error = {.message = ""};
    const char *why;
    int index = 0;
    int id;

    *o = (struct bench_options){.command = command, .seconds = -1, .warmup_s = -1};
    ps_stream_options_init(&o->stream);
    optind = 0; /* GNU getopt: start afresh */
    while ((id = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (id == '?')
            return EXIT_USAGE;
        if (take_option(o, id, long_options[index].name, optarg, &error) != PENSTOCK_OK) {
            fprintf(stderr, "%s: %s\n", argv[0], error.message);
            return EXIT_USAGE;
        }
        if (o->help)
            return 0;
    }
    o->uris = (const char *const *)(argv + optind);
    o->uri_count = (size_t)(argc - optind);
    resolve(o);
    struct tr_error refused;

    if (check(o, &why) == 0 && make_model(o, &refused) == 0)
        return 0;
    fprintf(stderr, "%s: %s\n", argv[0], why ? why : refused.text);
    return EXIT_USAGE;
}

void bench_options_channel(const struct bench_options *o, uint32_t repeat,
                           struct penstock_channel_config *channel)
{
    penstock_channel_config_init(channel);
    channel->name = "bench";
    channel->uris = o->uris;
    channel->uri_count = o->uri_count;
    channel->content_type = o->content_type ? o->content_type : "application/octet-stream";
    channel->compression = o->compression;
    channel->data_type = o->data_type;
    channel->epochs = o->epochs;
    if (o->batch_rows)
        channel->batch_rows = o->batch_rows;
    ps_stream_options_order(&o->stream, channel);
    if (o->has_seed)
        channel->seed = o->seed + repeat;
}
