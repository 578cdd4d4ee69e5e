/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_read.c - a job from a file: which form its JSON has. */
#include "pipe/job_parts.h"

#include "pipe/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* CreateTrainingJob's fields add up to less than 2 MiB. */
#define FILE_BYTES_MAX ((size_t)16 << 20)

static bool has_any(const json_t *object, const char *const *keys)
{
    while (*keys && !json_object_get(object, *keys))
        keys++;
    return *keys != NULL;
}

/* A key that looks like one of `keys`; NULL: none does. */
static const char *misspelt(const json_t *object, const char *const *keys)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        if (ps_job_meant(name, keys))
            return name;
    }
    return NULL;
}

static int take(const json_t *object, struct ps_job *job, struct penstock_error *error)
{
    const struct ps_place root = {.value = object, .error = error};
    bool api = has_any(object, ps_job_api_keys);
    bool native = has_any(object, ps_job_native_keys);

    if (job->form != PS_FORM_OPTION)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the job has a description already");
    if (!api && !native)
        api = misspelt(object, ps_job_api_keys) != NULL;
    if (!api && !native)
        native = misspelt(object, ps_job_native_keys) != NULL;
    if (api && native)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "fields of CreateTrainingJob and of the short form are mixed: write "
                       "InputDataConfig, HyperParameters, ... or channels, hyperparameters, ...");
    if (api)
        return ps_job_take_api(&root, job);
    if (native)
        return ps_job_take_native(&root, job);
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "this is no job: there is neither InputDataConfig, as in CreateTrainingJob, nor "
                   "channels, as in the short form");
}

int ps_job_parse(const char *text, size_t len_bytes, const char *origin, struct ps_job *job,
                 struct penstock_error *error)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* what some editors begin UTF-8 with */
    struct penstock_error unread;
    json_error_t where;
    json_t *object;
    int rc;

    if (!error)
        error = &unread;
    if (len_bytes >= 3 && memcmp(text, mark, 3) == 0) {
        text += 3;
        len_bytes -= 3;
    }
    object = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, &where);
    if (!object && json_error_code(&where) == json_error_out_of_memory)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %s", origin);
    if (!object)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s, line %d, column %d: %s", origin, where.line,
                       where.column, where.text);
    if (json_is_object(object))
        rc = take(object, job, error);
    else
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT, "this is no JSON object");
    json_decref(object);
    if (rc != PENSTOCK_OK)
        ps_fail(error, rc, "%s: %s", origin, error->message);
    return rc;
}

/* Reads all of it; *bytes is the caller's to free, also after a failure. */
static int read_whole(int fd, const char *path, char **bytes, size_t *len_bytes,
                      struct penstock_error *error)
{
    size_t size = 0;

    for (*len_bytes = 0; *len_bytes < FILE_BYTES_MAX;) {
        ssize_t got;

        if (*len_bytes == size) {
            char *longer = realloc(*bytes, size + (256 << 10));

            if (!longer)
                return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %s", path);
            *bytes = longer;
            size += 256 << 10;
        }
        got = read(fd, *bytes + *len_bytes, size - *len_bytes);
        if (got == 0)
            return PENSTOCK_OK;
        if (got < 0 && errno != EINTR)
            return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot read %s", path);
        if (got > 0)
            *len_bytes += (size_t)got;
    }
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s is too long for a job", path);
}

int ps_job_read(const char *path, struct ps_job *job, struct penstock_error *error)
{
    char *bytes = NULL;
    size_t len_bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot open %s", path);
    rc = read_whole(fd, path, &bytes, &len_bytes, error);
    close(fd);
    if (rc == PENSTOCK_OK)
        rc = ps_job_parse(bytes, len_bytes, path, job, error);
    free(bytes);
    return rc;
}
