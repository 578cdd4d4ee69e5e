/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_agent.c - penstock agent: fills FIFOs in a directory that another container reads. */
#include "pipe/cmd_agent.h"

#include "pipe/run_command.h"

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

static int run(const struct ps_run_command *command, struct ps_run_options *options)
{
    struct ps_run_config config = {.program = command->program};
    struct penstock_error error;
    int rc = ps_run_options_resolve(options, &config, &error);

    if (rc != PENSTOCK_OK)
        return ps_run_fail(command, &error, rc == PENSTOCK_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE);
    rc = ps_run_options_make_tree(options, &config, &error);
    return rc == PENSTOCK_OK ? ps_run(&config) : ps_run_fail(command, &error, EXIT_FAILURE);
}

int penstock_cmd_agent(int argc, char **argv)
{
    static char program[] = "penstock agent";
    const struct ps_run_command command = {.program = program, .help = help, .run = run};

    return ps_run_main(&command, argc, argv);
}
