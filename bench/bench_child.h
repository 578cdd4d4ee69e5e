/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_child.h - other programs that a measurement needs: run to their end, or beside it.
 *
 * Owner: the caller. Threads: one. A child has a process group of its own, so that a signal to this
 * program does not reach it: it is ended in order.
 */
#ifndef BENCH_BENCH_CHILD_H
#define BENCH_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct bench_child {
    char out[4096];  /* the beginning of its standard output, */
    char said[1024]; /* and the last line of its standard error */
    int code;        /* its exit code, or 128 + the signal that ended it; 127: cannot be started */
};

/* Runs argv[0], found in PATH, to its end; a signal to this program ends it. */
void bench_child_run(char *const *argv, struct bench_child *child);

/* Starts a program whose output goes to `log_path`. -1 on failure, with errno. */
pid_t bench_child_start(char *const *argv, const char *log_path);

/* Ends it with SIGTERM, and waits. */
void bench_child_end(pid_t pid);

#endif
