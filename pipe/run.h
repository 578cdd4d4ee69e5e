/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run.h - a training job from its first byte to its exit code: File mode channels are
 * downloaded, Pipe mode channels delivered into FIFOs, the command started beside them and looked
 * after.
 *
 * Owner: process-wide (signals, the child). Threads: the main thread.
 */
#ifndef PIPE_RUN_H
#define PIPE_RUN_H

#include "pipe/penstock.h"

enum { PS_RUN_CHANNELS_MAX = 20 };

struct ps_run_channel {
    struct penstock_channel_config config; /* name, uris and order; epochs are the run's choice */
    bool file_mode;
    bool fast_file;     /* was asked for: File mode is what there is */
    const char *bucket; /* File mode: of the URI, see ps_download_config */
    const char *prefix;
    bool wrap_recordio;
    bool count_recordio;
};

struct ps_run_config {
    const char *program;           /* for messages: "penstock run" */
    struct penstock_config stream; /* all but channels and log */
    const struct ps_run_channel *channels;
    size_t channel_count;
    const char *data_dir;     /* <base>/input/data */
    const char *failure_path; /* <base>/output/failure */
    char *const *argv;        /* the command; NULL: none, until a signal comes */
    char *const *environment;
    uint32_t grace_s;
    const char *metrics; /* file, or address and port, for Prometheus; NULL */
    bool write_status;
    bool no_splice;
    bool verbose;
};

/* Returns the exit code: the command's own, or 128 + the signal that ended it; 1 when a channel
 * failed, 126 or 127 when the command cannot be started. Says on standard error what went wrong. */
int ps_run(const struct ps_run_config *config);

#endif
