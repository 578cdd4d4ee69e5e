/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_cat.h - penstock cat: the bytes of objects, to standard output. */
#ifndef PIPE_CMD_CAT_H
#define PIPE_CMD_CAT_H

int penstock_cmd_cat(int argc, char **argv);

#endif
