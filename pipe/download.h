/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/download.h - one channel's objects into files: File mode, by the same engine.
 *
 * Owner: the caller, for longer than the download runs. Threads: start and finish are the caller's;
 *   `told` is called on the download's thread.
 */
#ifndef PIPE_DOWNLOAD_H
#define PIPE_DOWNLOAD_H

#include "pipe/channel_manifest.h"

#include <pthread.h>
#include <stdatomic.h>

enum ps_download_state { PS_DOWNLOAD_RUNS, PS_DOWNLOAD_DONE, PS_DOWNLOAD_FAILED };

struct ps_download_config {
    struct penstock *stream;
    size_t channel_no; /* a channel of plain bytes, of one epoch */
    const char *channel;
    const char *bucket;         /* of the channel's URI, "" for files */
    const char *prefix;         /* of the channel's URI: what follows it in a key names the file */
    const char *dir;            /* made with its parents; files of the same name are replaced.
                           <dir>-manifest lists them */
    void (*told)(void *cookie); /* the state has changed */
    void *cookie;
};

struct ps_download {
    struct ps_download_config config;
    _Atomic int state;           /* enum ps_download_state */
    struct penstock_error error; /* set before the state is FAILED; STOPPED after penstock_stop */
    uint64_t objects;            /* complete; the thread's until it has ended */
    uint64_t bytes;
    bool started;

    pthread_t thread; /* the thread's own from here on */
    int fd;           /* of the object being written, or -1 */
    char path[4096];
    struct ps_channel_manifest manifest; /* <dir>-manifest */
};

int ps_download_start(struct ps_download *download, const struct ps_download_config *config,
                      struct penstock_error *error);

/* Waits for the thread's end: soon, after penstock_stop. */
void ps_download_finish(struct ps_download *download);

/* What names the file of `key` below the channel's directory: the key less the prefix, if that ends
 * a path's component; else less the directories of the prefix. NULL for a name that does not stay
 * below the directory or is none ("..", a trailing slash). */
const char *ps_download_name(const char *prefix, const char *key);

#endif
