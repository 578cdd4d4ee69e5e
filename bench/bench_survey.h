/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_survey.h - which objects there are: one pass over them, which also leaves
 * connections, name servers and caches warm for all that is measured after it.
 *
 * Owner: the caller; bench_survey_free. Threads: one.
 */
#ifndef BENCH_BENCH_SURVEY_H
#define BENCH_BENCH_SURVEY_H

#include "pipe/penstock.h"

struct bench_object {
    char *key;
    uint64_t len_bytes;
};

struct bench_survey {
    struct bench_object *objects;
    size_t count, room;
    uint64_t bytes;
};

/* `config` has one channel. Returns as penstock_open; PENSTOCK_E_EMPTY: there is no object;
 * PENSTOCK_E_STOPPED after a signal. */
int bench_survey(struct bench_survey *survey, const struct penstock_config *config,
                 struct penstock_error *error);

void bench_survey_free(struct bench_survey *survey);

#endif
