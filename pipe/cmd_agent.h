/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_agent.h - penstock agent: the streams of `penstock run`, for a reader elsewhere. */
#ifndef PIPE_CMD_AGENT_H
#define PIPE_CMD_AGENT_H

int penstock_cmd_agent(int argc, char **argv);

#endif
