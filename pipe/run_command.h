/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run_command.h - the way through `penstock run` and `penstock agent`, from the command line
 * to the exit code. In cmd_run.c: libraries print nothing.
 *
 * Threads: one.
 */
#ifndef PIPE_RUN_COMMAND_H
#define PIPE_RUN_COMMAND_H

#include "pipe/run_options.h"

/* What `penstock run` and `penstock agent` do differently. */
struct ps_run_command {
    char *program; /* "penstock run" */
    const char *help;
    bool takes_command;
    int (*run)(const struct ps_run_command *command, struct ps_run_options *options);
};

/* Reads the command line, and runs. Returns the exit code. */
int ps_run_main(const struct ps_run_command *command, int argc, char **argv);

/* Says what is wrong. Returns the code. */
int ps_run_fail(const struct ps_run_command *command, const struct penstock_error *error, int code);

#endif
