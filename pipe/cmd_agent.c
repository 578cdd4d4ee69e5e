/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_agent.c - penstock agent: fills FIFOs in a directory that another container reads. */
#include "pipe/cmd_agent.h"

#include "pipe/run_options.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2 };

static const char help[] =
    "Usage: penstock agent [OPTION]...\n"
    "Deliver channels as 'penstock run' does, without a command: a sidecar for a container that "
    "shares\n"
    "the directory, and needs neither network nor credentials. Runs until SIGTERM or SIGINT, then\n"
    "finishes the epochs that are being read.\n"
    "\n" PS_RUN_HELP PS_ORDER_HELP "\n" PS_STREAM_HELP "\n"
    "  --verbose                      say on standard error what is retried, and what was read\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0 after a signal, 1 when a channel failed (see DIR/output/failure; its reader is\n"
    "kept waiting until then: it must not take the end for the end of the data), 2 usage error.\n";

static int fail(const struct penstock_error *error, int code)
{
    fprintf(stderr, "penstock agent: %s\n", error->message);
    if (code == EXIT_USAGE)
        fputs("Try 'penstock agent --help'.\n", stderr);
    return code;
}

static int run(struct ps_run_options *options)
{
    struct ps_run_config config = {.program = "penstock agent"};
    struct penstock_error error;
    int rc = ps_run_options_resolve(options, &config, &error);

    if (rc != PENSTOCK_OK)
        return fail(&error, rc == PENSTOCK_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE);
    rc = ps_run_options_make_tree(options, &config, &error);
    return rc == PENSTOCK_OK ? ps_run(&config) : fail(&error, EXIT_FAILURE);
}

int penstock_cmd_agent(int argc, char **argv)
{
    static char program[] = "penstock agent"; /* for getopt's messages */
    struct ps_run_options *options = calloc(1, sizeof *options);
    struct penstock_error error;
    int code = EXIT_FAILURE;

    if (!options)
        return code;
    argv[0] = program;
    int rc = ps_run_options_parse(options, argc, argv, &error);

    if (rc == PENSTOCK_OK && !options->help && (options->command || options->dry_run)) {
        fputs("penstock agent: it takes no command and no --dry-run: see penstock run\n", stderr);
        rc = EXIT_USAGE;
    }
    if (rc == EXIT_USAGE) {
        fputs("Try 'penstock agent --help'.\n", stderr);
        code = EXIT_USAGE;
    } else if (rc != PENSTOCK_OK) {
        code = fail(&error, EXIT_USAGE);
    } else if (options->help) {
        fputs(help, stdout);
        code = EXIT_SUCCESS;
    } else {
        code = run(options);
    }
    ps_run_options_free(options);
    free(options);
    return code;
}
