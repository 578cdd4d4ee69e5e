/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_tree.c - the directories and files that a training container finds below /opt/ml. */
#include "pipe/job_parts.h"

#include "pipe/error.h"
#include "pipe/make_path.h"
#include "pipe/replace_file.h"
#include "pipe/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int join(char *path, const char *base, const char *name, struct penstock_error *error)
{
    struct ps_text out = ps_text_in(path, PATH_MAX);

    ps_text_addf(&out, "%s/%s", base, name);
    if (out.cut)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%.200s... is too long for a path", path);
    return PENSTOCK_OK;
}

/* Whether the file at `path` holds `text` and nothing else. */
static bool says_already(const char *path, const char *text)
{
    size_t len = strlen(text);
    size_t got = 0;
    struct stat status;
    char *bytes = NULL;
    bool same = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0 && (size_t)status.st_size == len)
        bytes = malloc(len + 1);
    while (bytes && got <= len) {
        ssize_t count = read(fd, bytes + got, len + 1 - got);

        if (count <= 0)
            break;
        got += (size_t)count;
    }
    same = bytes && got == len && memcmp(bytes, text, len) == 0;
    free(bytes);
    close(fd);
    return same;
}

/* Takes `text`. */
static int write_file(const char *base, const char *name, char *text, struct penstock_error *error)
{
    char path[PATH_MAX];
    int rc;

    if (!text)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %s/%s", base, name);
    rc = join(path, base, name, error);
    if (rc == PENSTOCK_OK && !says_already(path, text))
        rc = ps_replace_file(path, text, strlen(text), error);
    free(text);
    return rc;
}

static int make_directories(const struct ps_job *job, const char *base,
                            struct penstock_error *error)
{
    static const char *const names[] = {"input/config", "input/data", "model", "output/data"};
    int rc = PENSTOCK_OK;

    for (size_t i = 0; i < sizeof names / sizeof *names && rc == PENSTOCK_OK; i++) {
        char path[PATH_MAX];

        rc = join(path, base, names[i], error);
        if (rc == PENSTOCK_OK)
            rc = ps_make_path(path, error);
    }
    if (rc == PENSTOCK_OK && job->checkpoint_s3_uri) {
        char *path = ps_job_checkpoint_path(job, base);

        rc = path ? ps_make_path(path, error)
                  : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for a path");
        free(path);
    }
    return rc;
}

int ps_job_write_tree(const struct ps_job *job, const char *base, struct penstock_error *error)
{
    char *whole = ps_job_base(base);
    int rc;

    if (!whole)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for a path");
    rc = make_directories(job, whole, error);
    if (rc == PENSTOCK_OK)
        rc = write_file(whole, "input/config/inputdataconfig.json", ps_job_input_data_config(job),
                        error);
    if (rc == PENSTOCK_OK)
        rc = write_file(whole, "input/config/resourceconfig.json", ps_job_resource_config(job),
                        error);
    if (rc == PENSTOCK_OK)
        rc = write_file(whole, "input/config/hyperparameters.json",
                        ps_job_hyperparameters_json(job), error);
    if (rc == PENSTOCK_OK && job->checkpoint_s3_uri)
        rc = write_file(whole, "input/config/checkpointconfig.json",
                        ps_job_checkpoint_config(job, whole), error);
    free(whole);
    return rc;
}
