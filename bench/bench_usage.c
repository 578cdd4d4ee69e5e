/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_usage.c - see bench_usage.h. */
#include "bench/bench_usage.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

/* A thread's name is cut off after 15 characters. */
static enum bench_stage stage_of(const char *name, int tid)
{
    static const struct {
        const char *prefix;
        enum bench_stage stage;
    } known[] = {{"ps-io-", BENCH_STAGE_IO},           {"iou-", BENCH_STAGE_IO},
                 {"ps-inflate-", BENCH_STAGE_INFLATE}, {"ps-lz4-", BENCH_STAGE_INFLATE},
                 {"ps-frame-", BENCH_STAGE_FRAME},     {"ps-dec-", BENCH_STAGE_DECODE}};

    if (tid == (int)getpid())
        return BENCH_STAGE_CONSUMER;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(name, known[i].prefix, strlen(known[i].prefix)) == 0)
            return known[i].stage;
    return BENCH_STAGE_OTHER;
}

/* The first line of a thread's file; "" when the thread has ended. */
static void read_line(int tid, const char *what, char *line, int size)
{
    char path[64];

    line[0] = '\0';
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, what);
    FILE *in = fopen(path, "re");

    if (in && !fgets(line, size, in))
        line[0] = '\0';
    if (in)
        fclose(in);
}

static void take_thread(struct bench_usage *usage, int tid)
{
    struct bench_thread *thread = &usage->threads[usage->thread_count];
    char line[256];
    char *end;

    read_line(tid, "schedstat", line, sizeof line);
    if (!line[0])
        return;
    thread->run_s = (double)strtoull(line, &end, 10) * 1e-9;
    thread->queued_s = (double)strtoull(end, NULL, 10) * 1e-9;
    read_line(tid, "comm", line, sizeof line);
    thread->tid = tid;
    thread->stage = stage_of(line, tid);
    usage->thread_count++;
}

void bench_usage_forget_peak(void)
{
    FILE *out = fopen("/proc/self/clear_refs", "we");

    if (!out)
        return;
    fputs("5", out);
    fclose(out);
}

static uint64_t peak_bytes(uint64_t otherwise)
{
    FILE *in = fopen("/proc/self/status", "re");
    char line[128];
    uint64_t kib = 0;

    while (in && kib == 0 && fgets(line, sizeof line, in))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    if (in)
        fclose(in);
    return kib ? kib << 10 : otherwise;
}

void bench_usage_take(struct bench_usage *usage)
{
    struct rusage all;
    DIR *tasks = opendir("/proc/self/task");

    *usage = (struct bench_usage){.thread_count = 0};
    getrusage(RUSAGE_SELF, &all);
    usage->user_s = seconds(all.ru_utime);
    usage->system_s = seconds(all.ru_stime);
    usage->voluntary = (uint64_t)all.ru_nvcsw;
    usage->involuntary = (uint64_t)all.ru_nivcsw;
    usage->peak_rss_bytes = peak_bytes((uint64_t)all.ru_maxrss << 10);
    for (struct dirent *entry; tasks && (entry = readdir(tasks)) != NULL;)
        if (entry->d_name[0] != '.' && usage->thread_count < BENCH_THREADS_MAX)
            take_thread(usage, (int)strtol(entry->d_name, NULL, 10));
    if (tasks)
        closedir(tasks);
}

static const struct bench_thread *same_thread(const struct bench_usage *usage, int tid)
{
    static const struct bench_thread none;

    for (int i = 0; i < usage->thread_count; i++)
        if (usage->threads[i].tid == tid)
            return &usage->threads[i];
    return &none;
}

double bench_usage_stage_s(const struct bench_usage *before, const struct bench_usage *after,
                           enum bench_stage stage)
{
    double run_s = 0;

    for (int i = 0; i < after->thread_count; i++)
        if (after->threads[i].stage == stage)
            run_s += after->threads[i].run_s - same_thread(before, after->threads[i].tid)->run_s;
    return run_s;
}

double bench_usage_busiest_s(const struct bench_usage *before, const struct bench_usage *after,
                             enum bench_stage stage)
{
    double most_s = 0;

    for (int i = 0; i < after->thread_count; i++) {
        const struct bench_thread *now = &after->threads[i];
        const struct bench_thread *then = same_thread(before, now->tid);
        double wanted_s = now->run_s - then->run_s + now->queued_s - then->queued_s;

        if (now->stage == stage && wanted_s > most_s)
            most_s = wanted_s;
    }
    return most_s;
}

int bench_usage_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
