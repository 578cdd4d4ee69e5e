/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/download.c - see download.h. */
#include "pipe/download.h"

#include "pipe/error.h"
#include "pipe/make_path.h"
#include "pipe/replace_file.h"
#include "pipe/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ---- */

static bool stays_below(const char *name)
{
    while (*name) {
        size_t len = strcspn(name, "/");

        if ((len == 2 && memcmp(name, "..", 2) == 0) || (len == 1 && *name == '.'))
            return false;
        name += len;
        if (*name == '/' && name[1] == '\0')
            return false;
        name += *name == '/';
    }
    return true;
}

const char *ps_download_name(const char *prefix, const char *key)
{
    size_t len = strlen(prefix);
    const char *name = key;

    if (strncmp(key, prefix, len) == 0 &&
        (key[len] == '/' || (len > 0 && prefix[len - 1] == '/'))) {
        name = key + len;
    } else if (strncmp(key, prefix, len) == 0) {
        while (len > 0 && prefix[len - 1] != '/')
            len--;
        name = key + len;
    }
    while (*name == '/')
        name++;
    return *name && stays_below(name) ? name : NULL;
}

/* ---- writing ---- */

static int fail_at(struct ps_download *d, int sys_errno)
{
    ps_fail_errno(&d->error, PENSTOCK_E_SYSTEM, sys_errno, "channel %s: cannot write %s",
                  d->config.channel, d->path);
    return PENSTOCK_E_SYSTEM;
}

static int list_file(struct ps_download *d, const char *key, const char *name)
{
    char prefix[5120];
    bool s3 = d->config.bucket[0] != '\0';

    snprintf(prefix, sizeof prefix, "%s%s%s%.*s", s3 ? "s3://" : "", d->config.bucket,
             s3 ? "/" : "", (int)(name - key), key);
    return ps_channel_manifest_add(&d->manifest, prefix, name, &d->error);
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static int begin_file(struct ps_download *d, const struct penstock_span *span)
{
    const char *name = ps_download_name(d->config.prefix, span->key);

    if (!name)
        return ps_fail(&d->error, PENSTOCK_E_ARGUMENT,
                       "channel %s: the key %s names no file below %s: stream the channel in Pipe "
                       "mode",
                       d->config.channel, span->key, d->config.dir);
    int len = snprintf(d->path, sizeof d->path, "%s/%s", d->config.dir, name);

    if (len < 0 || (size_t)len >= sizeof d->path)
        return fail_at(d, ENAMETOOLONG);
    d->fd = open_file(d->path);
    if (d->fd < 0 && errno == ENOENT) {
        char *slash = strrchr(d->path, '/');

        *slash = '\0';
        int rc = ps_make_path(d->path, &d->error);

        *slash = '/';
        if (rc != PENSTOCK_OK)
            return rc;
        d->fd = open_file(d->path);
    }
    return d->fd < 0 ? fail_at(d, errno) : list_file(d, span->key, name);
}

static int write_span(struct ps_download *d, const struct penstock_span *span)
{
    int rc = span->object_offset == 0 ? begin_file(d, span) : PENSTOCK_OK;
    int sys_errno = rc == PENSTOCK_OK ? ps_write_whole(d->fd, span->data, span->len_bytes) : 0;

    if (sys_errno != 0)
        return fail_at(d, sys_errno);
    if (rc != PENSTOCK_OK || !span->ends_object)
        return rc;
    int fd = d->fd;

    d->fd = -1;
    d->objects++;
    d->bytes += span->object_offset + span->len_bytes;
    return close(fd) == 0 ? PENSTOCK_OK : fail_at(d, errno);
}

static int download_all(struct ps_download *d)
{
    const struct penstock_span *span;
    int rc;

    while ((rc = penstock_next_span(d->config.stream, d->config.channel_no, -1, &span)) >= 0) {
        if (rc == PENSTOCK_END)
            return ps_channel_manifest_finish(&d->manifest, &d->error);
        if (rc != PENSTOCK_OK)
            continue;
        rc = write_span(d, span);
        penstock_release_span(d->config.stream, span);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    d->error = *penstock_last_error(d->config.stream, d->config.channel_no);
    return rc;
}

static void *run(void *cookie)
{
    struct ps_download *d = cookie;
    int rc = download_all(d);

    if (d->fd >= 0)
        close(d->fd);
    ps_channel_manifest_close(&d->manifest);
    atomic_store(&d->state, rc == PENSTOCK_OK ? PS_DOWNLOAD_DONE : PS_DOWNLOAD_FAILED);
    d->config.told(d->config.cookie);
    return NULL;
}

int ps_download_start(struct ps_download *d, const struct ps_download_config *config,
                      struct penstock_error *error)
{
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->fd = -1;
    atomic_store(&d->state, PS_DOWNLOAD_RUNS);
    int rc = ps_make_path(config->dir, error);

    if (rc != PENSTOCK_OK)
        return rc;
    snprintf(d->path, sizeof d->path, "%s-manifest", config->dir);
    rc = ps_channel_manifest_open(&d->manifest, d->path, error);

    if (rc != PENSTOCK_OK)
        return rc;
    rc = ps_thread_start(&d->thread, config->channel, run, d, error);

    d->started = rc == PENSTOCK_OK;
    return rc;
}

void ps_download_finish(struct ps_download *d)
{
    if (d->started)
        pthread_join(d->thread, NULL);
    d->started = false;
}
