/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_pack.h - the command `penstock pack`. */
#ifndef PIPE_CMD_PACK_H
#define PIPE_CMD_PACK_H

int penstock_cmd_pack(int argc, char **argv);

#endif
