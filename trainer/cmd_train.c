/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cmd_train.c - penstock train: options in, exit code out. The work is trainer/train.c. */
#include "trainer/cmd_train.h"

#include "pipe/stop.h"
#include "pipe/stream_options.h"
#include "trainer/container.h"
#include "trainer/group_open.h"
#include "trainer/train.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const char help[] =
    "Usage: penstock train --algorithm NAME --train URI --hp NAME=VALUE... [OPTION]...\n"
    "       penstock train [--base DIR] [OPTION]...\n"
    "Train a model on a stream of records.\n"
    "In a training container of SageMaker, or under penstock run, no option is needed: channels "
    "and\n"
    "hyperparameters are those of DIR/input/config, and the model goes to DIR/model.\n"
    "\n"
    "Data (a URI is s3://BUCKET/PREFIX, a file, a directory, or pipe:///DIR/CHANNEL for the FIFOs\n"
    "CHANNEL_0, CHANNEL_1, ...; repeat an option for several):\n"
    "  --train URI                    training channel\n"
    "  --validation URI               held-out channel, evaluated after every epoch\n"
    "  --test URI                     held-out channel, evaluated once at the end\n"
    "  --content-type TYPE            application/x-recordio-protobuf (the default) or\n"
    "                                 text/csv;label_size=1\n"
    "  --validation-content-type TYPE, --test-content-type TYPE\n"
    "                                 where they differ from the training channel's\n"
    "  --data-type prefix|manifest    what the URIs name; a manifest is one object or file\n"
    "  --compression gzip|lz4|zstd|auto|none\n"
    "                                 of the objects; auto: by extension (none)\n" PS_ORDER_HELP
        PS_BATCH_HELP "  --validation-sample FROM-TO, --test-sample FROM-TO\n"
    "                                 of those channels; with the same URIs as --train and ranges\n"
    "                                 that do not overlap, of other records\n"
    "\n"
    "Model:\n"
    "  --algorithm NAME               required with --train, under SageMaker's name:\n"
    "                                 linear-learner\n"
    "                                 factorization-machines\n"
    "                                 kmeans, pca\n"
    "                                 mlp\n"
    "                                 image-classification\n"
    "                                 custom: a library of your own\n"
    "  --hp NAME=VALUE                hyperparameter under SageMaker's name: see\n"
    "                                 penstock-train(1) for those of each algorithm\n"
    "  --device auto|cpu|cuda[:N]|delayed\n"
    "                                 where to compute; auto (the default) takes a GPU if there is "
    "one\n"
    "  --base DIR                     the container's directory ($SAGEMAKER_BASE_DIR, /opt/ml)\n"
    "  --model-dir DIR                write model.safetensors, model.npz, model.onnx and\n"
    "                                 config.json there\n"
    "  --checkpoint-dir DIR           write checkpoints there, and go on from the newest (none; in "
    "a\n"
    "                                 container DIR/checkpoints of --base, if there is one)\n"
    "  --checkpoint-every N|Ss        one after N batches, or after S seconds (300s)\n"
    "  --keep N                       newest checkpoints that stay (5)\n"
    "  --changed-data                 go on even if the data are not those of the checkpoint\n"
    "  --metrics FILE                 counters for Prometheus; or [ADDRESS]:PORT, to be asked\n"
    "                                 (127.0.0.1)\n"
    "  --metrics-json FILE            write what was measured as one JSON object\n"
    "\n"
    "Stream:\n" PS_STREAM_HELP
    "  --decode-threads N             decoding threads per channel (CPUs, at most 8)\n"
    "\n"
    "Ranks (see RANKS in penstock-train(1); torchrun, mpirun, srun and SageMaker need no option):\n"
    "  --rank R, --ranks N            this process is rank R, from 0, of N that train together\n"
    "  --master HOST:PORT             where rank 0 is, and the others meet it\n"
    "  --share rows|objects|own       what a rank gets: its rows of every batch of all data "
    "(rows,\n"
    "                                 the default), its objects, or data that are its alone\n"
    "  --rank-timeout S               a rank that is silent for so long has failed (60)\n"
    "\n"
    "  --headroom                     measure, after the run, the streamed rate over that of one "
    "batch\n"
    "                                 trained on again and again\n"
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
    OPTION_VALIDATION_SAMPLE,
    OPTION_TEST_SAMPLE,
    OPTION_DATA_TYPE,
    OPTION_COMPRESSION,
    OPTION_ALGORITHM,
    OPTION_HP,
    OPTION_DEVICE,
    OPTION_BASE,
    OPTION_MODEL_DIR,
    OPTION_CHECKPOINT_DIR,
    OPTION_CHECKPOINT_EVERY,
    OPTION_KEEP,
    OPTION_CHANGED_DATA,
    OPTION_METRICS,
    OPTION_METRICS_JSON,
    OPTION_DECODE_THREADS,
    OPTION_RANK,
    OPTION_RANKS,
    OPTION_MASTER,
    OPTION_SHARE,
    OPTION_RANK_TIMEOUT,
    OPTION_HEADROOM,
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
    {"validation-sample", required_argument, NULL, OPTION_VALIDATION_SAMPLE},
    {"test-sample", required_argument, NULL, OPTION_TEST_SAMPLE},
    {"data-type", required_argument, NULL, OPTION_DATA_TYPE},
    {"compression", required_argument, NULL, OPTION_COMPRESSION},
    {"algorithm", required_argument, NULL, OPTION_ALGORITHM},
    {"hp", required_argument, NULL, OPTION_HP},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"base", required_argument, NULL, OPTION_BASE},
    {"model-dir", required_argument, NULL, OPTION_MODEL_DIR},
    {"checkpoint-dir", required_argument, NULL, OPTION_CHECKPOINT_DIR},
    {"checkpoint-every", required_argument, NULL, OPTION_CHECKPOINT_EVERY},
    {"keep", required_argument, NULL, OPTION_KEEP},
    {"changed-data", no_argument, NULL, OPTION_CHANGED_DATA},
    {"metrics", required_argument, NULL, OPTION_METRICS},
    {"metrics-json", required_argument, NULL, OPTION_METRICS_JSON},
    {"decode-threads", required_argument, NULL, OPTION_DECODE_THREADS},
    PS_STREAM_LONG_OPTIONS,
    PS_BATCH_LONG_OPTIONS,
    {"rank", required_argument, NULL, OPTION_RANK},
    {"ranks", required_argument, NULL, OPTION_RANKS},
    {"master", required_argument, NULL, OPTION_MASTER},
    {"share", required_argument, NULL, OPTION_SHARE},
    {"rank-timeout", required_argument, NULL, OPTION_RANK_TIMEOUT},
    {"headroom", no_argument, NULL, OPTION_HEADROOM},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

struct command {
    struct tr_train_options options;
    const char *algorithm;
    const char **assignments; /* of --hp, in argv's order */
    size_t assignment_count;
    const char *base;
    struct tr_container container;
    struct tr_ranks_options ranks_given;
    struct tr_ranks ranks;
    uint32_t rank_timeout_s;
    bool in_container;
    bool help;
};

/* --- values --------------------------------------------------------------------------------------
 */

static int take_count(const char *name, const char *value, uint32_t most, uint32_t *out,
                      struct tr_error *error)
{
    struct penstock_error why;
    uint64_t number;
    if (ps_option_number(name, value, 1, most, &number, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    *out = (uint32_t)number;
    return 0;
}

/* "500": batches; "60s": seconds. */
static int set_checkpoint_every(struct tr_train_options *options, const char *name,
                                const char *value, struct tr_error *error)
{
    struct penstock_error why;
    char digits[24];
    size_t len = strlen(value);
    bool seconds = len > 0 && value[len - 1] == 's';
    uint64_t number;
    snprintf(digits, sizeof digits, "%.*s", (int)(len - seconds), value);
    if (ps_option_number(name, digits, 1, UINT32_MAX, &number, &why) != PENSTOCK_OK)
        return tr_fail(error, "%s (batches; seconds with an s behind them)", why.message);
    options->checkpoint_batches = seconds ? 0 : number;
    options->checkpoint_s = seconds ? (double)number : 0.0;
    return 0;
}

/* Of every channel; in a container each channel says it. */
static int set_share(struct tr_train_options *options, const char *value, struct tr_error *error)
{
    static const char *const names[] = {
        [TR_SHARE_ROWS] = "rows", [TR_SHARE_OBJECTS] = "objects", [TR_SHARE_OWN] = "own"};
    for (int share = TR_SHARE_ROWS; share <= TR_SHARE_OWN; share++) {
        if (strcmp(value, names[share]) != 0)
            continue;
        for (int i = 0; i < TR_CHANNEL_COUNT; i++)
            options->channels[i].share = (enum tr_share)share;
        return 0;
    }
    return tr_fail(error, "--share: '%s' is none of rows, objects, own", value);
}

static int add_uri(struct tr_channel_options *channel, const char *name, const char *uri,
                   struct tr_error *error)
{
    if (channel->uri_count == TR_URIS_MAX)
        return tr_fail(error, "--%s: more than %u URIs", name, TR_URIS_MAX);
    channel->uris[channel->uri_count++] = uri;
    return 0;
}

static int set_sample(struct tr_channel_options *channel, const char *name, const char *range,
                      struct tr_error *error)
{
    struct penstock_error why;
    if (ps_option_range(name, range, &channel->sample_from, &channel->sample_to, &why) !=
        PENSTOCK_OK)
        return tr_fail(error, "%s", why.message);
    return 0;
}

/* --- options -------------------------------------------------------------------------------------
 */

static int take_stream_option(struct tr_train_options *options, const char *name, enum option_id id,
                              const char *value, struct tr_error *error)
{
    struct penstock_error why;
    if (ps_stream_options_take(&options->stream, (int)id, name, value, &why) < 0)
        return tr_fail(error, "%s", why.message);
    return 0;
}

static int take_rank_option(struct command *command, const char *name, enum option_id id,
                            const char *value, struct tr_error *error)
{
    switch ((int)id) {
    case OPTION_RANK:
        command->ranks_given.rank = value;
        return 0;
    case OPTION_RANKS:
        command->ranks_given.ranks = value;
        return 0;
    case OPTION_MASTER:
        command->ranks_given.master = value;
        return 0;
    case OPTION_SHARE:
        return set_share(&command->options, value, error);
    case OPTION_RANK_TIMEOUT:
        return take_count(name, value, 86400, &command->rank_timeout_s, error);
    default:
        return take_stream_option(&command->options, name, id, value, error);
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
    case OPTION_VALIDATION_SAMPLE:
        return set_sample(&options->channels[TR_CHANNEL_VALIDATION], name, value, error);
    case OPTION_TEST_SAMPLE:
        return set_sample(&options->channels[TR_CHANNEL_TEST], name, value, error);
    case OPTION_DATA_TYPE:
        options->data_type = value;
        return 0;
    case OPTION_COMPRESSION:
        options->compression = value;
        return 0;
    case OPTION_ALGORITHM:
        command->algorithm = value;
        return 0;
    case OPTION_HP:
        command->assignments[command->assignment_count++] = value;
        return 0;
    case OPTION_DEVICE:
        options->device = value;
        return 0;
    case OPTION_BASE:
        command->base = value;
        return 0;
    case OPTION_MODEL_DIR:
        options->model_dir = value;
        return 0;
    case OPTION_CHECKPOINT_DIR:
        options->checkpoint_dir = value;
        return 0;
    case OPTION_CHECKPOINT_EVERY:
        return set_checkpoint_every(options, name, value, error);
    case OPTION_KEEP:
        return take_count(name, value, UINT32_MAX, &options->checkpoint_keep, error);
    case OPTION_CHANGED_DATA:
        options->changed_data = true;
        return 0;
    case OPTION_METRICS:
        options->metrics = value;
        return 0;
    case OPTION_METRICS_JSON:
        options->metrics_json = value;
        return 0;
    case OPTION_DECODE_THREADS:
        return take_count(name, value, 256, &options->stream.config.decode_threads, error);
    case OPTION_HEADROOM:
        options->headroom = true;
        return 0;
    case OPTION_QUIET:
        options->quiet = true;
        return 0;
    case OPTION_HELP:
        command->help = true;
        return 0;
    default:
        return take_rank_option(command, name, id, value, error);
    }
}

static void log_line(void *cookie, int level, const char *line)
{
    (void)cookie;
    if (level > 0)
        fprintf(stderr, "penstock train: %s\n", line);
}

/* --algorithm, or in a container $PENSTOCK_ALGORITHM, or there linear-learner. */
static int find_model(struct command *command, struct tr_error *error)
{
    const char *environment = command->in_container ? getenv("PENSTOCK_ALGORITHM") : NULL;
    const char *name = command->algorithm            ? command->algorithm
                       : environment && *environment ? environment
                       : command->in_container       ? tr_model_linear.name
                                                     : NULL;
    char names[256] = "";
    for (const struct tr_model_ops *const *model = tr_models; *model; model++) {
        strncat(names, model == tr_models ? "" : ", ", sizeof names - strlen(names) - 1);
        strncat(names, (*model)->name, sizeof names - strlen(names) - 1);
    }
    if (!name)
        return tr_fail(error, "--algorithm is required: one of %s", names);
    command->options.model = tr_model_find(name);
    if (!command->options.model)
        return tr_fail(error, "--algorithm: '%s' is none of: %s", name, names);
    command->options.model->hyper->init(command->options.hyper);
    return 0;
}

/* Whether the channels come from a training container's files. */
static int check_command(struct command *command, struct tr_error *error)
{
    bool has_train = command->options.channels[TR_CHANNEL_TRAIN].uri_count > 0;
    if (has_train && command->base)
        return tr_fail(error,
                       "--base: the channels are those of --train: leave out one of the two");
    int found = has_train ? 0 : tr_container_find(&command->container, command->base, error);
    if (found < 0)
        return -1;
    command->in_container = found > 0;
    if (find_model(command, error) < 0)
        return -1;
    if (!has_train && !command->in_container)
        return tr_fail(error, "--train URI is required");
    return 0;
}

/* Options are complete with what the container says, and then what the command line says. */
static int complete(struct command *command, struct tr_error *error)
{
    struct tr_train_options *options = &command->options;
    if (command->in_container) {
        if (tr_container_read(&command->container, options, error) < 0)
            return -1;
        options->stream.config.log = log_line;
    }
    if (options->stream.bad_records && strcmp(options->stream.bad_records, "warn") == 0)
        options->stream.config.log = log_line;
    if (!options->channels[TR_CHANNEL_TRAIN].content_type)
        options->channels[TR_CHANNEL_TRAIN].content_type = "application/x-recordio-protobuf";
    for (size_t i = 0; i < command->assignment_count; i++) {
        if (tr_hyper_set(options->model->hyper, options->hyper, command->assignments[i], error) < 0)
            return -1;
    }
    return options->model->hyper->check(options->hyper, error);
}

/* Returns 0, or -1 with *error, which is empty when getopt has spoken already. */
static int parse(struct command *command, int argc, char **argv, struct tr_error *error)
{
    struct tr_train_options *options = &command->options;
    int index = 0;
    int id;
    ps_stream_options_init(&options->stream);
    options->device = "auto";
    options->checkpoint_s = 300.0;
    options->checkpoint_keep = 5;
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

static int fail_usage(const struct tr_error *error)
{
    if (error->text[0])
        fprintf(stderr, "penstock train: %s\n", error->text);
    fprintf(stderr, "Try 'penstock train --help'.\n");
    return EXIT_USAGE;
}

/* --- ranks ---------------------------------------------------------------------------------------
 */

/* In a container SageMaker's file names the hosts. */
static int find_ranks(struct command *command, struct tr_error *error)
{
    char resources[PATH_MAX];
    if (command->in_container) {
        tr_container_resources(&command->container, resources);
        command->ranks_given.resources = resources;
    }
    int rc = tr_ranks_find(&command->ranks_given, &command->ranks, error);
    command->ranks_given.resources = NULL;
    if (rc == 0 && command->ranks.count > 1 && command->options.headroom)
        return tr_fail(error, "--headroom is measured in a run of one rank");
    return rc;
}

static int join_ranks(struct command *command, struct tr_error *error)
{
    char line[300];
    command->options.local_rank = command->ranks.local_rank;
    if (command->ranks.count == 1)
        return 0;
    if (!command->options.quiet) /* before what may wait for minutes until all are there */
        fprintf(stderr, "penstock train: %s\n", command->ranks.text);
    if (tr_group_open(&command->ranks, command->rank_timeout_s, &command->options.group, line,
                      sizeof line, error) < 0)
        return -1;
    if (!command->options.quiet)
        fprintf(stderr, "penstock train: %s\n", line);
    return 0;
}

/* --- the run -------------------------------------------------------------------------------------
 */

/* The other ranks learn why. */
static int train(struct command *command, struct tr_error *error)
{
    struct tr_group **group = &command->options.group;
    if (join_ranks(command, error) < 0)
        return -1;
    int rc = tr_train(&command->options, error);
    if (rc < 0)
        tr_group_leave(*group, error->text);
    tr_group_free(group);
    return rc;
}

static void print_error(const struct command *command, const struct tr_error *error)
{
    if (command->ranks.count > 1)
        fprintf(stderr, "penstock train: rank %u: %s\n", command->ranks.rank, error->text);
    else
        fprintf(stderr, "penstock train: %s\n", error->text);
}

static int run(struct command *command, int argc, char **argv)
{
    struct tr_error error;
    if (parse(command, argc, argv, &error) < 0)
        return fail_usage(&error);
    if (command->help) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    int rc = complete(command, &error);
    if (rc == 0)
        rc = find_ranks(command, &error);
    if (rc < 0 && !command->in_container)
        return fail_usage(&error);
    ps_stop_install();
    if (rc == 0)
        rc = train(command, &error);
    if (rc == 0)
        return EXIT_SUCCESS;
    print_error(command, &error);
    if (ps_stop_signal())
        return 128 + ps_stop_signal();
    if (command->in_container)
        tr_container_failure(&command->container, error.text);
    return EXIT_FAILURE;
}

int penstock_cmd_train(int argc, char **argv)
{
    static char program[] = "penstock train"; /* for getopt's messages */
    struct command command = {.assignments = calloc((size_t)argc, sizeof(const char *))};
    if (!command.assignments) {
        fprintf(stderr, "penstock train: no memory\n");
        return EXIT_FAILURE;
    }
    argv[0] = program;
    int rc = run(&command, argc, argv);
    free(command.assignments);
    return rc;
}
