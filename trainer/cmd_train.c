/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cmd_train.c - penstock train: options in, exit code out. The work is trainer/train.c. */
#include "trainer/cmd_train.h"

#include "trainer/size.h"
#include "trainer/stop.h"
#include "trainer/train.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const char help[] =
    "Usage: penstock train --algorithm linear-learner --train URI --hp NAME=VALUE... [OPTION]...\n"
    "Train a linear, logistic or softmax regression on a stream of records.\n"
    "\n"
    "Data (a URI is s3://BUCKET/PREFIX, a file or a directory; repeat an option for several):\n"
    "  --train URI                    training channel (required)\n"
    "  --validation URI               held-out channel, evaluated after every epoch\n"
    "  --test URI                     held-out channel, evaluated once at the end\n"
    "  --content-type TYPE            application/x-recordio-protobuf (the default) or\n"
    "                                 text/csv;label_size=1\n"
    "  --validation-content-type TYPE, --test-content-type TYPE\n"
    "                                 where they differ from the training channel's\n"
    "  --shuffle-seed N               shuffle the order of objects in every epoch\n"
    "  --shard H/N                    train on shard H (from 0) of N\n"
    "\n"
    "Model:\n"
    "  --algorithm linear-learner     (required)\n"
    "  --hp NAME=VALUE                hyperparameter under SageMaker's name; predictor_type is\n"
    "                                 required: regressor, binary_classifier or\n"
    "                                 multiclass_classifier (with num_classes)\n"
    "  --device auto|cpu|cuda|delayed where to compute; auto (the default) takes a GPU if there is "
    "one\n"
    "  --model-dir DIR                write model.safetensors, model.npz and config.json there\n"
    "  --metrics-json FILE            write what was measured as one JSON object\n"
    "\n"
    "Stream:\n"
    "  --memory-limit SIZE            memory for streamed data (1GiB)\n"
    "  --decode-threads N             decoding threads per channel (CPUs, at most 8)\n"
    "  --connections N                ranged GETs in flight (16)\n"
    "  --part-size SIZE               bytes of one ranged GET (8MiB)\n"
    "  --io uring|epoll|auto          I/O backend (auto)\n"
    "  --endpoint-url URL, --region REGION\n"
    "                                 of the S3 service\n"
    "  --anonymous                    send unsigned requests\n"
    "\n"
    "  --quiet                        print metric lines only\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0 success, 1 failure, 2 usage error, 130 or 143 interrupted.\n";

enum option_id {
    OPTION_TRAIN = 1000, /* the first three in the order of enum tr_channel */
    OPTION_VALIDATION,
    OPTION_TEST,
    OPTION_CONTENT_TYPE, /* likewise */
    OPTION_VALIDATION_CONTENT_TYPE,
    OPTION_TEST_CONTENT_TYPE,
    OPTION_SHUFFLE_SEED,
    OPTION_SHARD,
    OPTION_ALGORITHM,
    OPTION_HP,
    OPTION_DEVICE,
    OPTION_MODEL_DIR,
    OPTION_METRICS_JSON,
    OPTION_MEMORY_LIMIT,
    OPTION_DECODE_THREADS,
    OPTION_CONNECTIONS,
    OPTION_PART_SIZE,
    OPTION_IO,
    OPTION_ENDPOINT_URL,
    OPTION_REGION,
    OPTION_ANONYMOUS,
    OPTION_QUIET,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"train", required_argument, NULL, OPTION_TRAIN},
    {"validation", required_argument, NULL, OPTION_VALIDATION},
    {"test", required_argument, NULL, OPTION_TEST},
    {"content-type", required_argument, NULL, OPTION_CONTENT_TYPE},
    {"validation-content-type", required_argument, NULL, OPTION_VALIDATION_CONTENT_TYPE},
    {"test-content-type", required_argument, NULL, OPTION_TEST_CONTENT_TYPE},
    {"shuffle-seed", required_argument, NULL, OPTION_SHUFFLE_SEED},
    {"shard", required_argument, NULL, OPTION_SHARD},
    {"algorithm", required_argument, NULL, OPTION_ALGORITHM},
    {"hp", required_argument, NULL, OPTION_HP},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"model-dir", required_argument, NULL, OPTION_MODEL_DIR},
    {"metrics-json", required_argument, NULL, OPTION_METRICS_JSON},
    {"memory-limit", required_argument, NULL, OPTION_MEMORY_LIMIT},
    {"decode-threads", required_argument, NULL, OPTION_DECODE_THREADS},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"part-size", required_argument, NULL, OPTION_PART_SIZE},
    {"io", required_argument, NULL, OPTION_IO},
    {"endpoint-url", required_argument, NULL, OPTION_ENDPOINT_URL},
    {"region", required_argument, NULL, OPTION_REGION},
    {"anonymous", no_argument, NULL, OPTION_ANONYMOUS},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

struct command {
    struct tr_train_options options;
    const char *algorithm;
    bool help;
};

/* --- values --------------------------------------------------------------------------------------
 */

static bool parse_number(const char *text, uint64_t most, const char **end, uint64_t *out)
{
    char *stop;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0 && *out <= most;
}

static int set_number(const char *name, const char *text, uint64_t least, uint64_t most,
                      uint64_t *out, struct tr_error *error)
{
    const char *end = text;
    if (parse_number(text, most, &end, out) && *end == '\0' && *out >= least)
        return 0;
    return tr_fail(error, "--%s: '%s' is not a whole number from %llu to %llu", name, text,
                   (unsigned long long)least, (unsigned long long)most);
}

static int set_count(const char *name, const char *text, uint32_t *out, struct tr_error *error)
{
    uint64_t number;
    if (set_number(name, text, 1, 65535, &number, error) < 0)
        return -1;
    *out = (uint32_t)number;
    return 0;
}

static int set_size(const char *name, const char *text, size_t *out, struct tr_error *error)
{
    if (tr_parse_size(text, out) && *out > 0)
        return 0;
    return tr_fail(error, "--%s: '%s' is not a size such as 64MiB or 1GiB", name, text);
}

static int set_shard(struct tr_train_options *options, const char *text, struct tr_error *error)
{
    uint64_t index;
    uint64_t count;
    const char *end;
    if (!parse_number(text, UINT32_MAX, &end, &index) || *end != '/' ||
        !parse_number(end + 1, UINT32_MAX, &end, &count) || *end != '\0' || index >= count)
        return tr_fail(error, "--shard: '%s' is not H/N with H from 0 to N - 1", text);
    options->shard_index = (uint32_t)index;
    options->shard_count = (uint32_t)count;
    return 0;
}

static int add_uri(struct tr_channel_options *channel, const char *name, const char *uri,
                   struct tr_error *error)
{
    if (channel->uri_count == TR_URIS_MAX)
        return tr_fail(error, "--%s: more than %u URIs", name, TR_URIS_MAX);
    channel->uris[channel->uri_count++] = uri;
    return 0;
}

/* --- options -------------------------------------------------------------------------------------
 */

static int take_stream_option(struct tr_train_options *options, const char *name, enum option_id id,
                              const char *value, struct tr_error *error)
{
    struct penstock_config *stream = &options->stream;
    switch ((int)id) {
    case OPTION_MEMORY_LIMIT:
        return set_size(name, value, &stream->memory_limit_bytes, error);
    case OPTION_DECODE_THREADS:
        return set_count(name, value, &stream->decode_threads, error);
    case OPTION_CONNECTIONS:
        return set_count(name, value, &stream->max_connections, error);
    case OPTION_PART_SIZE:
        return set_size(name, value, &stream->part_bytes, error);
    case OPTION_IO:
        stream->io_backend = value;
        return 0;
    case OPTION_ENDPOINT_URL:
        stream->endpoint_url = value;
        return 0;
    case OPTION_REGION:
        stream->region = value;
        return 0;
    default: /* OPTION_ANONYMOUS */
        stream->anonymous = true;
        return 0;
    }
}

static int take_option(struct command *command, const char *name, enum option_id id,
                       const char *value, struct tr_error *error)
{
    struct tr_train_options *options = &command->options;
    switch ((int)id) {
    case OPTION_TRAIN:
    case OPTION_VALIDATION:
    case OPTION_TEST:
        return add_uri(&options->channels[id - OPTION_TRAIN], name, value, error);
    case OPTION_CONTENT_TYPE:
    case OPTION_VALIDATION_CONTENT_TYPE:
    case OPTION_TEST_CONTENT_TYPE:
        options->channels[id - OPTION_CONTENT_TYPE].content_type = value;
        return 0;
    case OPTION_SHUFFLE_SEED:
        options->shuffle = true;
        return set_number(name, value, 0, UINT64_MAX, &options->seed, error);
    case OPTION_SHARD:
        return set_shard(options, value, error);
    case OPTION_ALGORITHM:
        command->algorithm = value;
        return 0;
    case OPTION_HP:
        return tr_hyper_set(&options->hyper, value, error);
    case OPTION_DEVICE:
        options->device = value;
        return 0;
    case OPTION_MODEL_DIR:
        options->model_dir = value;
        return 0;
    case OPTION_METRICS_JSON:
        options->metrics_json = value;
        return 0;
    case OPTION_QUIET:
        options->quiet = true;
        return 0;
    case OPTION_HELP:
        command->help = true;
        return 0;
    default:
        return take_stream_option(options, name, id, value, error);
    }
}

static int check_command(const struct command *command, struct tr_error *error)
{
    if (!command->algorithm)
        return tr_fail(error, "--algorithm linear-learner is required");
    if (strcmp(command->algorithm, "linear-learner") != 0)
        return tr_fail(error, "--algorithm: there is no '%s', only linear-learner",
                       command->algorithm);
    if (command->options.channels[TR_CHANNEL_TRAIN].uri_count == 0)
        return tr_fail(error, "--train URI is required");
    return tr_hyper_check(&command->options.hyper, error);
}

/* Returns 0, or -1 with *error, which is empty when getopt has spoken already. */
static int parse(struct command *command, int argc, char **argv, struct tr_error *error)
{
    struct tr_train_options *options = &command->options;
    int index = 0;
    int id;
    tr_hyper_init(&options->hyper);
    penstock_config_init(&options->stream);
    options->channels[TR_CHANNEL_TRAIN].content_type = "application/x-recordio-protobuf";
    options->device = "auto";
    options->shard_count = 1;
    error->text[0] = '\0';
    optind = 0; /* GNU getopt: start afresh */
    while ((id = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (id == '?' ||
            take_option(command, long_options[index].name, (enum option_id)id, optarg, error) < 0)
            return -1;
        if (command->help)
            return 0;
    }
    if (optind < argc)
        return tr_fail(error, "'%s' is not an option", argv[optind]);
    return check_command(command, error);
}

int penstock_cmd_train(int argc, char **argv)
{
    static char program[] = "penstock train"; /* for getopt's messages */
    struct command command = {.algorithm = NULL};
    struct tr_error error;
    argv[0] = program;
    if (parse(&command, argc, argv, &error) < 0) {
        if (error.text[0])
            fprintf(stderr, "penstock train: %s\n", error.text);
        fprintf(stderr, "Try 'penstock train --help'.\n");
        return EXIT_USAGE;
    }
    if (command.help) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    tr_stop_install();
    if (tr_train(&command.options, &error) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "penstock train: %s\n", error.text);
    return tr_stop_signal() ? 128 + tr_stop_signal() : EXIT_FAILURE;
}
