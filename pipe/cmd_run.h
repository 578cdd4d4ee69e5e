/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_run.h - penstock run: a training command beside the streams it reads. */
#ifndef PIPE_CMD_RUN_H
#define PIPE_CMD_RUN_H

int penstock_cmd_run(int argc, char **argv);

#endif
