/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/channel_manifest.h - <channel>-manifest, the list of a File mode channel's objects that a
 * training container finds beside them, in the shape of S3's ManifestFile: a JSON array of a prefix
 * and of what follows it in each key.
 *
 * Owner: the caller. Threads: one at a time.
 */
#ifndef PIPE_CHANNEL_MANIFEST_H
#define PIPE_CHANNEL_MANIFEST_H

#include "pipe/penstock.h"

#include <limits.h>

struct ps_channel_manifest {
    int fd; /* -1: not open */
    char path[PATH_MAX];
    char fresh[PATH_MAX + 8];
    char bytes[16384]; /* waiting to be written */
    size_t len_bytes;
    bool begun; /* the prefix is in it */
};

/* `path` appears with ps_channel_manifest_finish. */
int ps_channel_manifest_open(struct ps_channel_manifest *manifest, const char *path,
                             struct penstock_error *error);

/* The next object: `name` follows `prefix`, which is the same for all. */
int ps_channel_manifest_add(struct ps_channel_manifest *manifest, const char *prefix,
                            const char *name, struct penstock_error *error);

int ps_channel_manifest_finish(struct ps_channel_manifest *manifest, struct penstock_error *error);

/* Removes what was not finished. */
void ps_channel_manifest_close(struct ps_channel_manifest *manifest);

#endif
