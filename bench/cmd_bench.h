/* SPDX-License-Identifier: Apache-2.0 */
/* bench/cmd_bench.h - penstock bench. */
#ifndef BENCH_CMD_BENCH_H
#define BENCH_CMD_BENCH_H

int penstock_cmd_bench(int argc, char **argv);

#endif
