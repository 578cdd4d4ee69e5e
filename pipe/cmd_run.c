/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_run.c - penstock run: options, the tree, the plan or the run. */
#include "pipe/cmd_run.h"

#include "pipe/run_command.h"
#include "pipe/run_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2 };

static const char help[] =
    "Usage: penstock run [OPTION]... -- COMMAND [ARGUMENT]...\n"
    "Start a training command that reads its data from S3 as SageMaker's Pipe mode delivers it: "
    "from\n"
    "FIFOs DIR/input/data/CHANNEL_0, CHANNEL_1 and so on, one for each pass over the data.\n"
    "\n" PS_RUN_HELP "  --dry-run                      print what each channel would stream, to "
    "which host, and exit\n" PS_ORDER_HELP "\n" PS_STREAM_HELP "\n"
    "  --verbose                      say on standard error what is retried, and what was read\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: the command's, or 128 + the signal that ended it; 1 when a channel failed (see\n"
    "DIR/output/failure), 2 usage error, 126 or 127 when the command cannot be started.\n";

int ps_run_fail(const struct ps_run_command *command, const struct penstock_error *error, int code)
{
    fprintf(stderr, "%s: %s\n", command->program, error->message);
    if (code == EXIT_USAGE)
        fprintf(stderr, "Try '%s --help'.\n", command->program);
    return code;
}

/* ---- the plan ---- */

static void print_shares(const struct ps_share *shares, uint32_t count)
{
    struct ps_share sum = {.objects = 0};
    uint64_t most_bytes = 0;

    for (uint32_t h = 0; h < count; h++) {
        sum.objects += shares[h].objects;
        sum.bytes += shares[h].bytes;
        if (shares[h].bytes > most_bytes)
            most_bytes = shares[h].bytes;
    }
    printf("  %" PRIu64 " objects, %" PRIu64 " bytes\n", sum.objects, sum.bytes);
    if (count == 1)
        return;
    for (uint32_t h = 0; h < count; h++)
        printf("  share %" PRIu32 ": %" PRIu64 " objects, %" PRIu64 " bytes\n", h,
               shares[h].objects, shares[h].bytes);
    if (sum.bytes > 0)
        printf("  the largest share is %.2f times the mean\n",
               (double)most_bytes * count / (double)sum.bytes);
}

static int print_plan(const struct ps_run_command *command, const struct ps_run_options *options,
                      const struct ps_run_config *config)
{
    struct penstock_error error;
    int rc = PENSTOCK_OK;

    for (size_t c = 0, at = 0; c < options->job.channel_count && rc == PENSTOCK_OK; c++) {
        const struct ps_job_channel *channel = &options->job.channels[c];
        char line[2048];

        ps_job_describe_channel(channel, line, sizeof line);
        printf("%s%s\n", line, channel->here ? "" : " (not for this host)");
        if (!channel->here)
            continue;
        const struct penstock_channel_config *stream = &config->channels[at++].config;
        struct ps_share *shares = calloc(stream->shard_count, sizeof *shares);

        if (!shares)
            return EXIT_FAILURE;
        rc = ps_plan_shares(&config->stream, stream, shares, stream->shard_count, &error);
        if (rc == PENSTOCK_OK)
            print_shares(shares, stream->shard_count);
        free(shares);
    }
    return rc == PENSTOCK_OK ? EXIT_SUCCESS : ps_run_fail(command, &error, EXIT_FAILURE);
}

/* ---- the run ---- */

/* The job's own entry point, when no command is given. */
static char **entry_point(const struct ps_job *job)
{
    size_t count = job->entrypoint_count + job->argument_count;
    char **argv = job->entrypoint_count > 0 ? calloc(count + 1, sizeof *argv) : NULL;

    for (size_t i = 0; argv && i < job->entrypoint_count; i++)
        argv[i] = job->entrypoint[i];
    for (size_t i = 0; argv && i < job->argument_count; i++)
        argv[job->entrypoint_count + i] = job->arguments[i];
    return argv;
}

static int run(const struct ps_run_command *command, struct ps_run_options *options)
{
    struct ps_run_config config = {.program = command->program};
    struct penstock_error error;
    int rc = ps_run_options_resolve(options, &config, &error);

    if (rc != PENSTOCK_OK)
        return ps_run_fail(command, &error, rc == PENSTOCK_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE);
    if (options->dry_run)
        return print_plan(command, options, &config);
    char **own = options->command ? NULL : entry_point(&options->job);

    config.argv = options->command ? options->command : own;
    if (!config.argv) {
        fputs("penstock run: no command is given: put it after the options, behind --\n"
              "Try 'penstock run --help'.\n",
              stderr);
        return EXIT_USAGE;
    }
    rc = ps_run_options_make_tree(options, &config, &error);
    int code = rc == PENSTOCK_OK ? ps_run(&config) : ps_run_fail(command, &error, EXIT_FAILURE);

    free(own);
    return code;
}

int ps_run_main(const struct ps_run_command *command, int argc, char **argv)
{
    struct ps_run_options *options = calloc(1, sizeof *options);
    struct penstock_error error;
    int code = EXIT_FAILURE;

    if (!options)
        return code;
    argv[0] = command->program; /* for getopt's messages */
    int rc = ps_run_options_parse(options, argc, argv, &error);

    if (rc == PENSTOCK_OK && !options->help && !command->takes_command &&
        (options->command || options->dry_run)) {
        fprintf(stderr, "%s: it takes no command and no --dry-run: see penstock run\n",
                command->program);
        rc = EXIT_USAGE;
    }
    if (rc == EXIT_USAGE) {
        fprintf(stderr, "Try '%s --help'.\n", command->program);
        code = EXIT_USAGE;
    } else if (rc != PENSTOCK_OK) {
        code = ps_run_fail(command, &error, EXIT_USAGE);
    } else if (options->help) {
        fputs(command->help, stdout);
        code = EXIT_SUCCESS;
    } else {
        code = command->run(command, options);
    }
    ps_run_options_free(options);
    free(options);
    return code;
}

int penstock_cmd_run(int argc, char **argv)
{
    static char program[] = "penstock run";
    const struct ps_run_command command = {
        .program = program, .help = help, .takes_command = true, .run = run};

    return ps_run_main(&command, argc, argv);
}
