/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_inspect.h - penstock inspect: what objects hold, and what is wrong with them. */
#ifndef PIPE_CMD_INSPECT_H
#define PIPE_CMD_INSPECT_H

int penstock_cmd_inspect(int argc, char **argv);

#endif
