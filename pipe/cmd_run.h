/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_run.h - penstock run: a training command beside the streams it reads. */
#ifndef PIPE_CMD_RUN_H
#define PIPE_CMD_RUN_H

#include <stdbool.h>

struct ps_run_options;
struct penstock_error;

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

int penstock_cmd_run(int argc, char **argv);

#endif
