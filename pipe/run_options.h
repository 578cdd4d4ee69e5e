/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run_options.h - the command line of `penstock run` and `penstock agent`, and the job it asks
 * for.
 *
 * Owner: the caller; strings stay argv's and the job's. Threads: one.
 */
#ifndef PIPE_RUN_OPTIONS_H
#define PIPE_RUN_OPTIONS_H

#include "pipe/job.h"
#include "pipe/run.h"
#include "pipe/stream_options.h"

struct ps_run_options {
    struct ps_stream_options stream;
    struct ps_job job;
    const char *base;
    const char *metrics;
    uint32_t grace_s;
    bool dry_run;
    bool write_status;
    bool no_splice;
    bool verbose;
    bool help;
    char **command; /* argv's rest, or the job's entry point; NULL: none */

    struct ps_run_channel channels[PS_RUN_CHANNELS_MAX];
    const char *uris[PS_RUN_CHANNELS_MAX];
    char *buckets[PS_RUN_CHANNELS_MAX];
    char *prefixes[PS_RUN_CHANNELS_MAX];
    char *data_dir;
    char *failure_path;
    char **environment;
};

#define PS_RUN_HELP                                                                                \
    "  --channel NAME=URI[;FIELD=VALUE]...\n"                                                      \
    "                                 a channel; fields: content_type, mode, type, attributes,\n"  \
    "                                 shuffle, sharded, compression, wrap, groups: "               \
    "penstock-job(5)\n"                                                                            \
    "  --config FILE                  the job as JSON: CreateTrainingJob's, or the short form\n"   \
    "  --base DIR                     the tree to make ($SAGEMAKER_BASE_DIR, or /opt/ml)\n"        \
    "  --hyperparameter NAME=VALUE    for hyperparameters.json\n"                                  \
    "  --hosts A,B,C                  the job's hosts, which share channels that are sharded\n"    \
    "  --current-host A               which of them this is\n"                                     \
    "  --grace SECONDS                time to end after SIGTERM (120)\n"                           \
    "  --metrics FILE                 counters for Prometheus; or [ADDRESS]:PORT, to be asked\n"   \
    "                                 (127.0.0.1)\n"                                               \
    "  --status                       write CHANNEL_N.status after each epoch\n"                   \
    "  --no-vmsplice                  copy every byte into the FIFOs\n"

/* Takes the command line up to the first word that is no option. Returns 0; 2 when getopt has said
 * what is wrong; PENSTOCK_E_ARGUMENT and others with *error. */
int ps_run_options_parse(struct ps_run_options *options, int argc, char **argv,
                         struct penstock_error *error);

/* Checks the job and fills `config`, all but argv; makes nothing yet. */
int ps_run_options_resolve(struct ps_run_options *options, struct ps_run_config *config,
                           struct penstock_error *error);

/* Makes the tree below the base, and the command's environment. */
int ps_run_options_make_tree(struct ps_run_options *options, struct ps_run_config *config,
                             struct penstock_error *error);

void ps_run_options_free(struct ps_run_options *options);

#endif
