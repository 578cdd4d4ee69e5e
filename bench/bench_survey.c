/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_survey.c - see bench_survey.h. */
#include "bench/bench_survey.h"

#include "bench/bench_spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(struct penstock_error *error, int rc, const char *what)
{
    snprintf(error->message, sizeof error->message, "%s", what);
    return error->rc = rc;
}

static bool add(struct bench_survey *survey, const struct penstock_span *span)
{
    if (survey->count == survey->room) {
        size_t room = survey->room ? 2 * survey->room : 64;
        struct bench_object *more = realloc(survey->objects, room * sizeof *more);

        if (!more)
            return false;
        survey->objects = more;
        survey->room = room;
    }
    struct bench_object object = {strdup(span->key), span->object_offset + span->len_bytes};

    survey->objects[survey->count] = object;
    survey->count += object.key != NULL;
    survey->bytes += object.len_bytes;
    return object.key != NULL;
}

static int take(void *cookie, const struct penstock_span *span, struct penstock_error *error)
{
    return !span->ends_object || add(cookie, span)
               ? PENSTOCK_OK
               : fail(error, PENSTOCK_E_MEMORY, "out of memory");
}

int bench_survey(struct bench_survey *survey, const struct penstock_config *measured,
                 struct penstock_error *error)
{
    *survey = (struct bench_survey){.count = 0};
    int rc = bench_spans(measured, &measured->channels[0], take, survey, NULL, error);

    if (rc == PENSTOCK_OK && survey->count == 0)
        return fail(error, PENSTOCK_E_EMPTY, "there is no object to read");
    return rc;
}

void bench_survey_free(struct bench_survey *survey)
{
    for (size_t i = 0; i < survey->count; i++)
        free(survey->objects[i].key);
    free(survey->objects);
    *survey = (struct bench_survey){.count = 0};
}
