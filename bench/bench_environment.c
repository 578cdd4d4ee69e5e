/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_environment.c - see bench_environment.h. */
#include "bench/bench_environment.h"

#include "bench/bench_usage.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef PENSTOCK_COMMIT
#define PENSTOCK_COMMIT ""
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER ", address sanitizer"
#elif defined(__SANITIZE_THREAD__)
#define SANITIZER ", thread sanitizer"
#else
#define SANITIZER ""
#endif

#if defined(__clang__)
#define COMPILER "clang "
#else
#define COMPILER "gcc "
#endif

#if defined(__OPTIMIZE__)
#define OPTIMIZED "optimized"
#else
#define OPTIMIZED "not optimized"
#endif

/* What follows "model name : " in the first such line. */
static void take_cpu_model(char *out, size_t size)
{
    FILE *in = fopen("/proc/cpuinfo", "re");
    char line[256];

    out[0] = '\0';
    while (in && !out[0] && fgets(line, sizeof line, in)) {
        const char *colon = strchr(line, ':');

        if (colon && (strncmp(line, "model name", 10) == 0 || strncmp(line, "Model", 5) == 0))
            snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (in)
        fclose(in);
}

void bench_environment_take(struct bench_environment *e)
{
    struct utsname names;
    struct tm utc;
    time_t now = time(NULL);

    *e = (struct bench_environment){.cpus = bench_usage_cpus()};
    gmtime_r(&now, &utc);
    strftime(e->started, sizeof e->started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (uname(&names) == 0) {
        snprintf(e->host, sizeof e->host, "%.71s", names.nodename);
        snprintf(e->kernel, sizeof e->kernel, "%.65s %.65s %.65s", names.sysname, names.release,
                 names.version);
        snprintf(e->machine, sizeof e->machine, "%.71s", names.machine);
    }
    take_cpu_model(e->cpu_model, sizeof e->cpu_model);
    e->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    snprintf(e->commit, sizeof e->commit, "%s", PENSTOCK_COMMIT);
    snprintf(e->compiler, sizeof e->compiler, "%s", COMPILER __VERSION__);
    snprintf(e->build, sizeof e->build, "%s", OPTIMIZED SANITIZER);
}
