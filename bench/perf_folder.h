/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_folder.h - the folder that a measurement has its files in, which goes when it ends.
 *
 * For bench/perf_*.c alone. Threads: the caller's.
 */
#ifndef BENCH_PERF_FOLDER_H
#define BENCH_PERF_FOLDER_H

#include "bench/perf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char perf_folder[200];

static inline void perf_folder_remove(void)
{
    char command[220];

    snprintf(command, sizeof command, "rm -rf '%s'", perf_folder);
    if (system(command) != 0)
        perror(command);
}

/* Makes perf_folder in `parent`. What is registered with atexit after this runs before it goes. */
static inline void perf_folder_make(const char *parent)
{
    snprintf(perf_folder, sizeof perf_folder, "%s/penstock-perf-XXXXXX", parent);
    if (!mkdtemp(perf_folder))
        perf_die(perf_folder, strerror(errno));
    atexit(perf_folder_remove);
}

#endif
