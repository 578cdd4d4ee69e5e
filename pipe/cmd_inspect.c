/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_inspect.c - penstock inspect: what objects hold, and what is wrong with them. */
#include "pipe/cmd_inspect.h"

#include "pipe/engine.h"
#include "pipe/inspect.h"
#include "pipe/size.h"
#include "pipe/stop.h"
#include "pipe/stream_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, EXIT_PROBLEMS = 3, ROWS = 5, ROWS_MAX = 1000 };

#define SAMPLE_BYTES ((size_t)64 << 20)
#define SAMPLE_MEMORY_BYTES ((size_t)64 << 20)

static const char help[] =
    "Usage: penstock inspect URI... [OPTION]...\n"
    "Say what the objects under the URIs (s3://BUCKET/PREFIX, a file or a directory) hold: sizes,\n"
    "format, compression, shape, statistics of labels, first rows, and problems found.\n"
    "\n"
    "  --content-type TYPE            what the objects are, with parameters, e.g.\n"
    "                                 'text/csv;label_size=2' (told from the first bytes)\n"
    "  --compression gzip|lz4|zstd|auto|none\n"
    "                                 of the objects; auto: by extension (told from the first\n"
    "                                 bytes)\n"
    "  --sample SIZE                  read the first SIZE bytes (64MiB)\n"
    "  --all                          read everything\n"
    "  --rows N                       show the first N rows (5)\n"
    "  --objects                      list every object\n"
    "  --json                         print one JSON object\n" PS_ORDER_HELP "\n" PS_STREAM_HELP
    "\n"
    "  --verbose                      say on standard error what is retried\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0 no problem found, 1 failure to read, 2 usage error, 3 problems found, 130 or "
    "143\n"
    "interrupted.\n";

enum {
    OPTION_CONTENT_TYPE = 1000,
    OPTION_COMPRESSION,
    OPTION_SAMPLE,
    OPTION_ALL,
    OPTION_ROWS,
    OPTION_OBJECTS,
    OPTION_JSON,
    OPTION_VERBOSE,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"content-type", required_argument, NULL, OPTION_CONTENT_TYPE},
    {"compression", required_argument, NULL, OPTION_COMPRESSION},
    {"sample", required_argument, NULL, OPTION_SAMPLE},
    {"all", no_argument, NULL, OPTION_ALL},
    {"rows", required_argument, NULL, OPTION_ROWS},
    {"objects", no_argument, NULL, OPTION_OBJECTS},
    {"json", no_argument, NULL, OPTION_JSON},
    PS_STREAM_LONG_OPTIONS,
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

struct command {
    struct ps_stream_options stream;
    struct ps_inspect inspect;
    size_t sample_bytes; /* SIZE_MAX: everything */
    bool memory_given;
    bool objects;
    bool json;
    bool verbose;
    bool help;
};

/* ---- options ---- */

static int refuse(struct penstock_error *error, const char *name, const char *value,
                  const char *wanted)
{
    error->rc = PENSTOCK_E_ARGUMENT;
    snprintf(error->message, sizeof error->message, "--%s: '%s' is not %s", name, value, wanted);
    return error->rc;
}

static int take_option(struct command *command, int id, const char *name, char *value,
                       struct penstock_error *error)
{
    uint64_t number = 0;
    int rc = PENSTOCK_OK;

    switch (id) {
    case OPTION_CONTENT_TYPE:
        command->inspect.content_type = value;
        return rc;
    case OPTION_COMPRESSION:
        command->inspect.codec_given = true;
        return fmt_codec_parse(value, &command->inspect.codec)
                   ? rc
                   : refuse(error, name, value, "gzip, lz4, zstd, auto or none");
    case OPTION_SAMPLE:
        return ps_parse_size(value, &command->sample_bytes) && command->sample_bytes > 0
                   ? rc
                   : refuse(error, name, value, "a size such as 64MiB or 1GiB");
    case OPTION_ALL:
        command->sample_bytes = SIZE_MAX;
        return rc;
    case OPTION_ROWS:
        rc = ps_option_number(name, value, 0, ROWS_MAX, &number, error);
        command->inspect.rows_wanted = (uint32_t)number;
        return rc;
    case OPTION_OBJECTS:
        command->objects = true;
        return rc;
    case OPTION_JSON:
        command->json = true;
        return rc;
    case OPTION_VERBOSE:
        command->verbose = true;
        return rc;
    case OPTION_HELP:
        command->help = true;
        return rc;
    default:
        command->memory_given |= id == PS_OPTION_MEMORY_LIMIT;
        rc = ps_stream_options_take(&command->stream, id, name, value, error);
        return rc < 0 ? rc : PENSTOCK_OK;
    }
}

/* Returns 0, or EXIT_USAGE after saying why. The URIs are argv from optind on. */
static int parse(struct command *command, int argc, char **argv)
{
    struct penstock_error error;
    int index = 0;
    int id;

    ps_stream_options_init(&command->stream);
    command->inspect.rows_wanted = ROWS;
    command->sample_bytes = SAMPLE_BYTES;
    optind = 0; /* GNU getopt: start afresh */
    while ((id = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (id == '?')
            return EXIT_USAGE;
        if (take_option(command, id, long_options[index].name, optarg, &error) != PENSTOCK_OK) {
            fprintf(stderr, "penstock inspect: %s\n", error.message);
            return EXIT_USAGE;
        }
        if (command->help)
            return 0;
    }
    if (optind == argc) {
        fputs("penstock inspect: no URI is given\n", stderr);
        return EXIT_USAGE;
    }
    if (ps_inspect_open(&command->inspect, &error) == PENSTOCK_OK)
        return 0;
    fprintf(stderr, "penstock inspect: %s\n", error.message);
    return EXIT_USAGE;
}

/* ---- the objects ---- */

static int fail_memory(struct penstock_error *error)
{
    error->rc = PENSTOCK_E_MEMORY;
    snprintf(error->message, sizeof error->message, "out of memory");
    return error->rc;
}

/* Takes keys and sizes over from the listing, whose stream has to stay open. */
static int take_listing(struct ps_inspect *inspect, struct ps_plan *plan,
                        struct penstock_error *error)
{
    struct ps_sizes *sizes = &inspect->sizes;
    struct ps_cursor cursor = {.epoch = 0};
    size_t room = (size_t)ps_plan_count(plan) + 1;
    const struct ps_object *object;
    enum ps_plan_answer answer = PS_PLAN_EPOCH_END;

    sizes->bytes = calloc(room, sizeof *sizes->bytes);
    sizes->keys = calloc(room, sizeof *sizes->keys);
    if (!sizes->bytes || !sizes->keys)
        return fail_memory(error);
    while (sizes->count < room && (answer = ps_plan_at(plan, &cursor, &object)) == PS_PLAN_OBJECT) {
        cursor.index++;
        sizes->bytes[sizes->count] = object->size_bytes;
        sizes->keys[sizes->count++] = object->key;
    }
    if (answer == PS_PLAN_FAILED) {
        *error = *ps_plan_error(plan);
        return error->rc;
    }
    sizes->empty_count = ps_plan_empty_count(plan);
    return ps_inspect_sizes(inspect) == PENSTOCK_OK ? PENSTOCK_OK : fail_memory(error);
}

/* Reads up to the sample's end. */
static int read_sample(struct command *command, struct penstock *stream,
                       struct penstock_error *error)
{
    struct ps_inspect *inspect = &command->inspect;
    const struct penstock_span *span;
    int rc = PENSTOCK_OK;

    while (rc == PENSTOCK_OK && inspect->bytes_read < command->sample_bytes) {
        int next_rc = penstock_next_span(stream, 0, -1, &span);

        if (next_rc == PENSTOCK_EPOCH_END)
            continue;
        if (next_rc == PENSTOCK_END)
            break;
        if (next_rc != PENSTOCK_OK) {
            *error = *penstock_last_error(stream, 0);
            return next_rc;
        }
        rc = ps_inspect_take(inspect, span);
        penstock_release_span(stream, span);
    }
    if (rc == PENSTOCK_OK)
        rc = ps_inspect_finish(inspect);
    return rc == PENSTOCK_OK ? rc : fail_memory(error);
}

/* *stream is left open, for keys are its own. */
static int read_objects(struct command *command, const struct penstock_config *config,
                        struct penstock **stream, struct penstock_error *error)
{
    if (command->inspect.sizes.count == 0)
        return PENSTOCK_OK;
    int rc = penstock_open(config, stream, error);

    if (rc != PENSTOCK_OK)
        return rc;
    ps_stop_watch(*stream);
    rc = read_sample(command, *stream, error);
    ps_stop_watch(NULL);
    return rc;
}

static void log_line(void *cookie, int level, const char *line)
{
    (void)cookie;
    (void)level;
    fprintf(stderr, "penstock inspect: %s\n", line);
}

static int report(const struct command *command)
{
    const struct ps_inspect *inspect = &command->inspect;

    if (!command->json)
        ps_inspect_print(inspect, command->objects, stdout);
    else if (ps_inspect_print_json(inspect, command->objects, stdout) != PENSTOCK_OK)
        return EXIT_FAILURE;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("penstock inspect: cannot write to standard output\n", stderr);
        return EXIT_FAILURE;
    }
    for (int i = 0; i < PS_PROBLEMS; i++)
        if (inspect->problems[i].count > 0)
            return EXIT_PROBLEMS;
    return EXIT_SUCCESS;
}

static int run(struct command *command, const char *const *uris, size_t uri_count)
{
    struct penstock_channel_config channel;
    struct penstock_config config = command->stream.config;
    struct penstock_error error = {.rc = PENSTOCK_OK};
    struct penstock *listing = NULL;
    struct penstock *stream = NULL;
    int code = EXIT_FAILURE;

    penstock_channel_config_init(&channel);
    channel.name = "inspect";
    channel.uris = uris;
    channel.uri_count = uri_count;
    channel.content_type = "application/octet-stream";
    ps_stream_options_order(&command->stream, &channel);
    config.channels = &channel;
    config.channel_count = 1;
    config.log = command->verbose ? log_line : NULL;
    if (command->sample_bytes <= SAMPLE_BYTES && !command->memory_given)
        config.memory_limit_bytes = SAMPLE_MEMORY_BYTES; /* less is fetched in vain */
    int rc = ps_engine_list(&config, &listing, &error);

    if (rc == PENSTOCK_OK)
        rc = take_listing(&command->inspect, listing->channels[0]->plan, &error);
    if (rc == PENSTOCK_OK)
        rc = read_objects(command, &config, &stream, &error);
    if (ps_stop_signal())
        code = 128 + ps_stop_signal();
    else if (rc != PENSTOCK_OK)
        fprintf(stderr, "penstock inspect: %s\n", error.message);
    else
        code = report(command);
    penstock_close(&stream);
    penstock_close(&listing);
    return code;
}

int penstock_cmd_inspect(int argc, char **argv)
{
    static char program[] = "penstock inspect"; /* for getopt's messages */
    struct command *command = calloc(1, sizeof *command);
    int code = EXIT_FAILURE;

    if (!command) {
        fputs("penstock inspect: out of memory\n", stderr);
        return code;
    }
    argv[0] = program;
    code = parse(command, argc, argv);
    if (code == 0 && command->help) {
        fputs(help, stdout);
    } else if (code != 0) {
        fputs("Try 'penstock inspect --help'.\n", stderr);
    } else {
        ps_stop_install();
        code = run(command, (const char *const *)(argv + optind), (size_t)(argc - optind));
    }
    ps_inspect_close(&command->inspect);
    free(command);
    return code;
}
