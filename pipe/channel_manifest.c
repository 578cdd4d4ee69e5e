/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/channel_manifest.c - see channel_manifest.h. */
#include "pipe/channel_manifest.h"

#include "pipe/error.h"
#include "pipe/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const struct ps_channel_manifest *manifest, int sys_errno,
                struct penstock_error *error)
{
    return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno, "cannot write %s", manifest->path);
}

static int write_out(const struct ps_channel_manifest *manifest, const char *bytes,
                     size_t len_bytes, struct penstock_error *error)
{
    int sys_errno = ps_write_whole(manifest->fd, bytes, len_bytes);

    return sys_errno == 0 ? PENSTOCK_OK : fail(manifest, sys_errno, error);
}

static int flush(struct ps_channel_manifest *manifest, struct penstock_error *error)
{
    int rc = write_out(manifest, manifest->bytes, manifest->len_bytes, error);

    manifest->len_bytes = 0;
    return rc;
}

static int put(struct ps_channel_manifest *manifest, const char *text, struct penstock_error *error)
{
    size_t len = strlen(text);
    int rc = PENSTOCK_OK;

    if (manifest->len_bytes + len > sizeof manifest->bytes)
        rc = flush(manifest, error);
    if (rc != PENSTOCK_OK)
        return rc;
    if (len > sizeof manifest->bytes) /* a path of control bytes, six for each */
        return write_out(manifest, text, len, error);
    memcpy(manifest->bytes + manifest->len_bytes, text, len);
    manifest->len_bytes += len;
    return PENSTOCK_OK;
}

/* As a JSON string. Keys are UTF-8; what is not goes in as the string "". */
static int put_string(struct ps_channel_manifest *manifest, const char *text,
                      struct penstock_error *error)
{
    json_t *string = json_string(text);
    char *written = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    int rc = string && !written
                 ? ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %s", manifest->path)
                 : put(manifest, written ? written : "\"\"", error);

    free(written);
    json_decref(string);
    return rc;
}

int ps_channel_manifest_open(struct ps_channel_manifest *manifest, const char *path,
                             struct penstock_error *error)
{
    int len = snprintf(manifest->path, sizeof manifest->path, "%s", path);

    manifest->fd = -1;
    manifest->len_bytes = 0;
    manifest->begun = false;
    if (len < 0 || (size_t)len >= sizeof manifest->path)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, ENAMETOOLONG, "cannot write %s", path);
    snprintf(manifest->fresh, sizeof manifest->fresh, "%s.new", manifest->path);
    manifest->fd =
        open(manifest->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    return manifest->fd < 0 ? fail(manifest, errno, error) : PENSTOCK_OK;
}

int ps_channel_manifest_add(struct ps_channel_manifest *manifest, const char *prefix,
                            const char *name, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    if (!manifest->begun) {
        rc = put(manifest, "[\n{\"prefix\": ", error);
        if (rc == PENSTOCK_OK)
            rc = put_string(manifest, prefix, error);
        if (rc == PENSTOCK_OK)
            rc = put(manifest, "}", error);
        manifest->begun = true;
    }
    if (rc == PENSTOCK_OK)
        rc = put(manifest, ",\n", error);
    return rc == PENSTOCK_OK ? put_string(manifest, name, error) : rc;
}

int ps_channel_manifest_finish(struct ps_channel_manifest *manifest, struct penstock_error *error)
{
    int rc = put(manifest, manifest->begun ? "\n]\n" : "[]\n", error);

    if (rc == PENSTOCK_OK)
        rc = flush(manifest, error);
    if (rc == PENSTOCK_OK && rename(manifest->fresh, manifest->path) != 0)
        rc = fail(manifest, errno, error);
    if (rc != PENSTOCK_OK)
        return rc;
    close(manifest->fd);
    manifest->fd = -1;
    return PENSTOCK_OK;
}

void ps_channel_manifest_close(struct ps_channel_manifest *manifest)
{
    if (manifest->fd < 0)
        return;
    close(manifest->fd);
    unlink(manifest->fresh);
    manifest->fd = -1;
}
