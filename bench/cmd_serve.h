/* SPDX-License-Identifier: Apache-2.0 */
/* bench/cmd_serve.h - the command `penstock serve`. */
#ifndef BENCH_CMD_SERVE_H
#define BENCH_CMD_SERVE_H

int penstock_cmd_serve(int argc, char **argv);

#endif
