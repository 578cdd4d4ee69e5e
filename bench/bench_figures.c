/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_figures.c - see bench_figures.h. */
#include "bench/bench_figures.h"

#include <string.h>

const struct bench_figure_info bench_figures[BENCH_FIGURES] = {
#define BENCH_ROW(id, name, better, what) {name, what, BENCH_##better},
    BENCH_FIGURE_LIST(BENCH_ROW)
#undef BENCH_ROW
};

const struct bench_start_step bench_start_steps[BENCH_START_STEPS] = {
    {BENCH_FIRST_OBJECT, BENCH_FIRST_OBJECT, "listing names an object"},
    {BENCH_FIRST_CONNECTION, BENCH_FIRST_OBJECT, "connection, TLS"},
    {BENCH_DOWNLOAD, BENCH_FIRST_CONNECTION, "all is downloaded"},
    {BENCH_FIRST_BYTE, BENCH_FIRST_CONNECTION, "first byte"},
    {BENCH_FIRST_RECORD, BENCH_FIRST_BYTE, "first record is decoded"},
    {BENCH_FIRST_BATCH, BENCH_FIRST_BYTE, "first batch"},
    {BENCH_ON_DEVICE, BENCH_FIRST_BATCH, "first batch on device"},
    {BENCH_FIRST_STEP, BENCH_ON_DEVICE, "first step"},
};

static const char *const suffixes[] = {"_s", "_percent", "_bytes"};

static size_t bare_length(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t suffix = strlen(suffixes[i]);

        /* "per_s" is a rate, whose name would say nothing without it. */
        if (len > suffix && strcmp(name + len - suffix, suffixes[i]) == 0 &&
            !(len > 6 && strcmp(name + len - 6, "_per_s") == 0))
            return len - suffix;
    }
    return len;
}

int bench_figure_find(const char *name, size_t len)
{
    for (int i = 0; i < BENCH_FIGURES; i++) {
        const char *known = bench_figures[i].name;

        if ((strlen(known) == len || bare_length(known) == len) && strncmp(known, name, len) == 0)
            return i;
    }
    return -1;
}

const char *bench_figure_unit(enum bench_figure figure)
{
    const char *name = bench_figures[figure].name;
    const char *suffix = name + bare_length(name);

    if (strcmp(suffix, "_percent") == 0)
        return "%";
    if (strcmp(suffix, "_s") == 0)
        return "s";
    return strcmp(suffix, "_bytes") == 0 || figure == BENCH_BYTES ? "bytes" : "";
}
