/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_cat.c - penstock cat: the bytes of objects, one after another, to standard output, or
 * the rows that a decoder makes of them.
 */
#include "pipe/cmd_cat.h"

#include "pipe/cat_rows.h"
#include "pipe/outlet.h"
#include "pipe/replace_file.h"
#include "pipe/stop.h"
#include "pipe/stream_options.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rows of a batch to decode: one, so that all in front of a bad record come. */
enum { EXIT_USAGE = 2, ATTRIBUTES_MAX = 16, ROWS_AT_ONCE = 1 };

static const char help[] =
    "Usage: penstock cat URI... [OPTION]...\n"
    "Write the bytes of every object under the URIs (s3://BUCKET/PREFIX, a file or a directory) "
    "to\n"
    "standard output, in listing order, fetched by many requests at once; or, with --decode, the\n"
    "rows that they hold.\n"
    "\n"
    "  --data-type prefix|manifest|augmented-manifest\n"
    "                                 what the URIs name (prefix); each manifest is one object\n"
    "                                 or file\n"
    "  --attributes NAME,...          of an augmented manifest, in the order of output\n"
    "  --bad-lines error|skip         of an augmented manifest (error)\n"
    "  --epochs N                     pass over the objects N times (1)\n"
    "  --decompress gzip|lz4|zstd|auto|none\n"
    "                                 write what compressed objects hold; auto: by extension\n"
    "                                 (none)\n"
    "  --decode                       write the rows that the decoder of --content-type makes of\n"
    "                                 the records, a line each: as CSV, sparse ones as libsvm\n"
    "  --content-type TYPE            what to decode, e.g. 'text/csv;label_size=1'\n"
    "  --rows N                       decode no more than N rows (all)\n"
    "  --bad-records error|warn|skip  what becomes of records that cannot be decoded (error)\n"
    "  --state FILE                   with --decode: go on where FILE says, if there is one, and\n"
    "                                 write there how far this came\n"
    "  --changed-data                 go on even if the data are not those of FILE\n" PS_ORDER_HELP
    "\n" PS_STREAM_HELP "\n"
    "  --verbose                      say on standard error what is retried, and what was read\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0 success, 1 failure, 2 usage error, 130 or 143 interrupted, 141 when the reader\n"
    "of a pipe went away.\n";

enum {
    OPTION_EPOCHS = 1000,
    OPTION_DATA_TYPE,
    OPTION_ATTRIBUTES,
    OPTION_BAD_LINES,
    OPTION_DECOMPRESS,
    OPTION_DECODE,
    OPTION_CONTENT_TYPE,
    OPTION_ROWS,
    OPTION_BAD_RECORDS,
    OPTION_STATE,
    OPTION_CHANGED_DATA,
    OPTION_VERBOSE,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"epochs", required_argument, NULL, OPTION_EPOCHS},
    {"data-type", required_argument, NULL, OPTION_DATA_TYPE},
    {"attributes", required_argument, NULL, OPTION_ATTRIBUTES},
    {"bad-lines", required_argument, NULL, OPTION_BAD_LINES},
    {"decompress", required_argument, NULL, OPTION_DECOMPRESS},
    {"decode", no_argument, NULL, OPTION_DECODE},
    {"content-type", required_argument, NULL, OPTION_CONTENT_TYPE},
    {"rows", required_argument, NULL, OPTION_ROWS},
    {"bad-records", required_argument, NULL, OPTION_BAD_RECORDS},
    {"state", required_argument, NULL, OPTION_STATE},
    {"changed-data", no_argument, NULL, OPTION_CHANGED_DATA},
    PS_STREAM_LONG_OPTIONS,
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0}};

struct command {
    struct ps_stream_options stream;
    uint32_t epochs;
    const char *decompress; /* NULL: not at all */
    const char *data_type;
    const char *bad_lines;
    const char *attributes[ATTRIBUTES_MAX];
    size_t attribute_count;
    bool decode;
    const char *content_type; /* with decode, and only then */
    uint64_t rows;
    const char *bad_records;
    const char *state_file; /* or NULL */
    bool changed_data;
    bool verbose;
    bool help;
};

/* ---- options ---- */

/* Cuts "a,b,c" in place. */
static int take_attributes(struct command *command, const char *name, char *value,
                           struct penstock_error *error)
{
    char *left = value;

    command->attribute_count = 0;
    for (char *next; (next = strsep(&left, ",")) != NULL;) {
        if (command->attribute_count == ATTRIBUTES_MAX || !*next) {
            error->rc = PENSTOCK_E_ARGUMENT;
            snprintf(error->message, sizeof error->message,
                     "--%s: write the names of 1 to %d attributes, with commas between", name,
                     ATTRIBUTES_MAX);
            return PENSTOCK_E_ARGUMENT;
        }
        command->attributes[command->attribute_count++] = next;
    }
    return PENSTOCK_OK;
}

static int take_option(struct command *command, int id, const char *name, char *value,
                       struct penstock_error *error)
{
    uint64_t number = 0;
    int rc;

    switch (id) {
    case OPTION_EPOCHS:
        rc = ps_option_number(name, value, 1, UINT32_MAX, &number, error);
        command->epochs = (uint32_t)number;
        return rc;
    case OPTION_DECOMPRESS:
        command->decompress = value;
        return PENSTOCK_OK;
    case OPTION_DATA_TYPE:
        command->data_type = value;
        return PENSTOCK_OK;
    case OPTION_ATTRIBUTES:
        return take_attributes(command, name, value, error);
    case OPTION_BAD_LINES:
        command->bad_lines = value;
        return PENSTOCK_OK;
    case OPTION_DECODE:
        command->decode = true;
        return PENSTOCK_OK;
    case OPTION_CONTENT_TYPE:
        command->content_type = value;
        return PENSTOCK_OK;
    case OPTION_ROWS:
        return ps_option_number(name, value, 1, UINT64_MAX, &command->rows, error);
    case OPTION_BAD_RECORDS:
        command->bad_records = value;
        return PENSTOCK_OK;
    case OPTION_STATE:
        command->state_file = value;
        return PENSTOCK_OK;
    case OPTION_CHANGED_DATA:
        command->changed_data = true;
        return PENSTOCK_OK;
    case OPTION_VERBOSE:
        command->verbose = true;
        return PENSTOCK_OK;
    case OPTION_HELP:
        command->help = true;
        return PENSTOCK_OK;
    default:
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
    command->epochs = 1;
    command->rows = UINT64_MAX;
    optind = 0; /* GNU getopt: start afresh */
    while ((id = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (id == '?')
            return EXIT_USAGE;
        if (take_option(command, id, long_options[index].name, optarg, &error) != PENSTOCK_OK) {
            fprintf(stderr, "penstock cat: %s\n", error.message);
            return EXIT_USAGE;
        }
        if (command->help)
            return 0;
    }
    if (optind == argc) {
        fputs("penstock cat: no URI is given\n", stderr);
        return EXIT_USAGE;
    }
    if (command->decode == (command->content_type != NULL) &&
        (command->decode ||
         (command->rows == UINT64_MAX && !command->bad_records && !command->state_file)))
        return 0;
    fputs(command->decode
              ? "penstock cat: --decode needs a --content-type, e.g. text/csv;label_size=1\n"
              : "penstock cat: --content-type, --rows, --bad-records and --state go with "
                "--decode\n",
          stderr);
    return EXIT_USAGE;
}

/* ---- the copy ---- */

/* Returns 0 or an errno. A pipe that is full is waited for here, where a signal is seen, and not in
 * a write that began just after one. */
static int send_all(struct ps_outlet *outlet)
{
    int sys_errno = EAGAIN;

    while (sys_errno == EAGAIN || sys_errno == EINTR) {
        struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
        int found = poll(&wait, 1, 1000);

        if (ps_stop_signal())
            return EINTR;
        if (found > 0)
            sys_errno = ps_outlet_send(outlet, 0);
    }
    return sys_errno;
}

static int fail(const char *message)
{
    if (ps_stop_signal())
        return 128 + ps_stop_signal();
    fprintf(stderr, "penstock cat: %s\n", message);
    return EXIT_FAILURE;
}

/* As a program that SIGPIPE ends, without a word: `penstock cat ... | head` is no failure. */
static int fail_to_write(int sys_errno)
{
    char message[160];

    if (sys_errno == EPIPE)
        return 128 + SIGPIPE;
    snprintf(message, sizeof message, "cannot write to standard output: %s", strerror(sys_errno));
    return fail(message);
}

/* Sends what there is before it waits for more. */
static int copy(struct penstock *stream, struct ps_outlet *outlet)
{
    const struct penstock_span *span;

    for (;;) {
        bool pending = ps_outlet_pending_bytes(outlet) > 0;
        int rc = ps_outlet_is_full(outlet) ? PENSTOCK_AGAIN
                                           : penstock_next_span(stream, 0, pending ? 0 : -1, &span);

        if (rc == PENSTOCK_OK) {
            ps_outlet_put(outlet, span);
            continue;
        }
        if (rc == PENSTOCK_EPOCH_END)
            continue;
        int sys_errno = send_all(outlet);

        if (sys_errno != 0)
            return fail_to_write(sys_errno);
        if (rc != PENSTOCK_AGAIN)
            return rc == PENSTOCK_END ? EXIT_SUCCESS
                                      : fail(penstock_last_error(stream, 0)->message);
    }
}

/* Bytes go into a pipe by their pages, into anything else by write. */
static int copy_to_output(struct penstock *stream)
{
    struct ps_outlet *outlet = calloc(1, sizeof *outlet);

    if (!outlet)
        return fail("out of memory");
    ps_outlet_open(outlet, stream, true);
    ps_outlet_into(outlet, STDOUT_FILENO);
    int code = copy(stream, outlet);

    ps_outlet_settle(outlet);
    free(outlet);
    return code;
}

/* How far the output came. Returns the exit code. */
static int write_state(struct penstock *stream, const char *path)
{
    char text[PENSTOCK_STATE_BYTES];
    struct penstock_error error;
    int rc = penstock_get_state(stream, 0, NULL, text, sizeof text - 1, &error);

    if (rc == PENSTOCK_OK) {
        size_t len = strlen(text);

        text[len] = '\n';
        text[len + 1] = '\0';
        rc = ps_replace_file(path, text, strlen(text), &error);
    }
    return rc == PENSTOCK_OK ? EXIT_SUCCESS : fail(error.message);
}

/* The state to go on from, "" if there is no file yet. Returns the exit code. */
static int read_state(const char *path, char text[PENSTOCK_STATE_BYTES])
{
    FILE *file = fopen(path, "re");
    char message[600];

    text[0] = '\0';
    if (!file && errno == ENOENT)
        return EXIT_SUCCESS;
    if (file) {
        size_t len = fread(text, 1, PENSTOCK_STATE_BYTES - 1, file);
        bool failed = ferror(file) != 0;

        text[len] = '\0';
        fclose(file);
        if (!failed)
            return EXIT_SUCCESS;
    }
    snprintf(message, sizeof message, "cannot read %.400s: %s", path, strerror(errno));
    return fail(message);
}

/* Decoded rows, as text. */
static int decode_to_output(struct penstock *stream, const struct command *command)
{
    int rc = ps_cat_rows(stream, command->rows, stdout);

    if (rc == PENSTOCK_OK)
        return fail_to_write(errno);
    int code = command->state_file ? write_state(stream, command->state_file) : EXIT_SUCCESS;

    if (code != EXIT_SUCCESS)
        return code;
    return rc == PENSTOCK_END ? EXIT_SUCCESS : fail(penstock_last_error(stream, 0)->message);
}

static void log_line(void *cookie, int level, const char *line)
{
    (void)cookie;
    (void)level;
    fprintf(stderr, "penstock cat: %s\n", line);
}

static void report(const struct penstock *stream)
{
    struct penstock_counters c;

    penstock_get_counters(stream, 0, &c);
    fprintf(stderr,
            "penstock cat: %llu objects, %llu bytes, %llu requests, %llu retries, %llu "
            "connections, %llu objects verified, first byte after %.1f ms, %s\n",
            (unsigned long long)c.objects_streamed, (unsigned long long)c.bytes_received,
            (unsigned long long)c.get_requests, (unsigned long long)c.retries,
            (unsigned long long)c.connections, (unsigned long long)c.objects_verified,
            (double)c.first_byte_ns / 1e6, c.io_backend);
    if (c.lines_skipped > 0)
        fprintf(stderr, "penstock cat: %llu lines left out\n", (unsigned long long)c.lines_skipped);
}

/* What --verify=always could not do is said without being asked for. */
static void report_unverified(const struct command *command, const struct penstock *stream)
{
    const char *verify = command->stream.config.verify;
    struct penstock_counters c;

    penstock_get_counters(stream, 0, &c);
    if (verify && strcmp(verify, "always") == 0 && c.objects_unverified > 0)
        fprintf(stderr,
                "penstock cat: %llu objects are not verified: their checksums are of their "
                "uploads' parts, or hashes\n",
                (unsigned long long)c.objects_unverified);
}

static int run(struct command *command, const char *const *uris, size_t uri_count)
{
    struct penstock_channel_config channel;
    struct penstock_config config = command->stream.config;
    struct penstock_error error;
    struct penstock *stream;
    char state[PENSTOCK_STATE_BYTES] = "";

    if (command->state_file && read_state(command->state_file, state) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    penstock_channel_config_init(&channel);
    channel.name = "cat";
    channel.uris = uris;
    channel.uri_count = uri_count;
    channel.content_type = command->decode ? command->content_type : "application/octet-stream";
    channel.compression = command->decompress;
    channel.epochs = command->epochs;
    channel.bad_records = command->bad_records;
    if (command->decode)
        channel.batch_rows = ROWS_AT_ONCE;
    channel.data_type = command->data_type;
    channel.bad_lines = command->bad_lines;
    channel.attribute_names = command->attributes;
    channel.attribute_count = command->attribute_count;
    channel.resume = *state ? state : NULL;
    channel.resume_changed_data = command->changed_data;
    ps_stream_options_order(&command->stream, &channel);
    config.channels = &channel;
    config.channel_count = 1;
    config.log = command->verbose || command->bad_records ? log_line : NULL;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_OK)
        return fail(error.message);
    ps_stop_watch(stream);
    int code = command->decode ? decode_to_output(stream, command) : copy_to_output(stream);

    report_unverified(command, stream);
    if (command->verbose)
        report(stream);
    ps_stop_watch(NULL);
    penstock_close(&stream);
    return code;
}

int penstock_cmd_cat(int argc, char **argv)
{
    static char program[] = "penstock cat"; /* for getopt's messages */
    struct command command = {.help = false};

    argv[0] = program;
    int code = parse(&command, argc, argv);

    if (code == 0 && command.help) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    if (code != 0) {
        fputs("Try 'penstock cat --help'.\n", stderr);
        return code;
    }
    ps_stop_install();
    signal(SIGPIPE, SIG_IGN);
    return run(&command, (const char *const *)(argv + optind), (size_t)(argc - optind));
}
