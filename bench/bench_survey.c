/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_survey.c - see bench_survey.h. */
#include "bench/bench_survey.h"

#include "pipe/stop.h"

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

static int take_all(struct bench_survey *survey, struct penstock *stream,
                    struct penstock_error *error)
{
    const struct penstock_span *span;
    int rc;

    while ((rc = penstock_next_span(stream, 0, -1, &span)) >= 0 && rc != PENSTOCK_END) {
        if (rc != PENSTOCK_OK)
            continue;
        bool kept = !span->ends_object || add(survey, span);

        penstock_release_span(stream, span);
        if (!kept)
            return fail(error, PENSTOCK_E_MEMORY, "out of memory");
    }
    if (rc < 0)
        *error = *penstock_last_error(stream, 0);
    return rc < 0 ? rc : PENSTOCK_OK;
}

int bench_survey(struct bench_survey *survey, const struct penstock_config *measured,
                 struct penstock_error *error)
{
    struct penstock_channel_config channel = measured->channels[0];
    struct penstock_config config = *measured;
    struct penstock *stream;

    *survey = (struct bench_survey){.count = 0};
    channel.epochs = 1;
    config.channels = &channel;
    int rc = penstock_open(&config, &stream, error);

    if (rc != PENSTOCK_OK)
        return rc;
    ps_stop_watch(stream);
    rc = take_all(survey, stream, error);
    ps_stop_watch(NULL);
    penstock_close(&stream);
    if (ps_stop_signal())
        return PENSTOCK_E_STOPPED;
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
