/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/job_fixture.h - jobs read from text, and what is said of bad ones.
 *
 * Owner: the test. Threads: one.
 */
#ifndef TESTS_UNIT_JOB_FIXTURE_H
#define TESTS_UNIT_JOB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipe/job.h"

/* Reads `json` and checks it. Returns the error's message, or "" when all is well; the text is
 * static. The job is the caller's to free either way. */
static inline const char *job_take(struct ps_job *job, const char *json)
{
    static struct penstock_error error;
    int rc;

    error = (struct penstock_error){.rc = PENSTOCK_OK};
    ps_job_init(job);
    rc = ps_job_parse(json, strlen(json), "job.json", job, &error);
    if (rc == PENSTOCK_OK)
        rc = ps_job_check(job, &error);
    assert_int_equal(rc, error.rc);
    return error.message;
}

/* Reads `json`, which must be good. */
static inline void job_take_good(struct ps_job *job, const char *json)
{
    const char *message = job_take(job, json);

    if (*message)
        fail_msg("%s\n%s", json, message);
}

/* `json` is refused with a message that holds `says`. */
static inline void job_refuses(const char *json, const char *says)
{
    struct ps_job job;
    const char *message = job_take(&job, json);

    if (!strstr(message, says))
        fail_msg("%.1000s\nsaid '%s', not '%s'", json, message, says);
    ps_job_free(&job);
}

/* Composes text in place of "%s" in a pattern; the caller frees it. */
__attribute__((format(printf, 1, 2))) static inline char *job_text(const char *pattern, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, pattern);
    assert_true(vasprintf(&text, pattern, args) >= 0);
    va_end(args);
    return text;
}

/* A text of `count` letters; the caller frees it. */
static inline char *job_letters(size_t count, const char *letter)
{
    size_t len = strlen(letter);
    char *text = malloc(count * len + 1);

    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * len, letter, len);
    text[count * len] = '\0';
    return text;
}

#endif
