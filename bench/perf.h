/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf.h - what the stand-alone measurements share: clocks, medians, and lines that say
 * whether what is required holds. bench/formats.py collects those lines.
 *
 * For bench/perf_*.c alone. Threads: the caller's. Units: seconds.
 */
#ifndef BENCH_PERF_H
#define BENCH_PERF_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Those that penstock bench formats runs; each takes its name and, where it has a choice, how often
 * it measures. */
int perf_formats(int argc, char **argv);
int perf_frames(int argc, char **argv);
int perf_csv(int argc, char **argv);
int perf_libsvm(int argc, char **argv);
int perf_jsonl(int argc, char **argv);
int perf_image(int argc, char **argv);
int perf_inflate(int argc, char **argv);
int perf_crc(int argc, char **argv);

static inline _Noreturn void perf_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
    exit(1);
}

/* What is not NULL. */
static inline void *perf_need(void *memory)
{
    if (memory == NULL)
        perf_die("memory", "there is none left");
    return memory;
}

static inline double perf_seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* CPU time of all threads. */
static inline double perf_process_seconds(void)
{
    return perf_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* CPU time of the calling thread: what the machine does besides does not count. */
static inline double perf_thread_seconds(void)
{
    return perf_seconds(CLOCK_THREAD_CPUTIME_ID);
}

static inline int perf_ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the values. */
static inline double perf_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, perf_ascending);
    return values[count / 2];
}

/* "holds   WHAT: 2.41 >= 2.20", or MISSED. */
static inline void perf_require(const char *what, double value, double least)
{
    printf("  %s %s: %.2f >= %.2f\n", value >= least ? "holds " : "MISSED", what, value, least);
}

#endif
