/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job.h - a training job: its channels, hosts and hyperparameters, and what a training
 * container is told of them.
 *
 *     ps_job_init(&job);
 *     ps_job_read("job.json", &job, &error);                      any of these, in any order
 *     ps_job_add_channel(&job, "train=s3://bucket/train/;mode=pipe", &error);
 *     ps_job_set_hyperparameter(&job, "epochs", "5", &error);
 *     ps_job_check(&job, &error);                                 completes and checks, once, last
 *     ps_job_write_tree(&job, "/opt/ml", &error);
 *     ps_job_environment(&job, "/opt/ml", &envp, &error);
 *     ps_job_free(&job);
 *
 * Messages name the field as the job was written: InputDataConfig[0].DataSource.S3DataSource.S3Uri,
 * channels.train.uri, --channel train: uri. Functions that return int return PENSTOCK_OK,
 * PENSTOCK_E_ARGUMENT, _MEMORY or _SYSTEM; a NULL error is accepted. After a failure the job may
 * only be freed.
 *
 * Owner: the caller; strings live until ps_job_free. Threads: one. Source: SageMaker's API model
 * 2017-07-24 (CreateTrainingJob, DescribeTrainingJob), and for paths and files "How Amazon
 * SageMaker Provides Training Information".
 */
#ifndef PIPE_JOB_H
#define PIPE_JOB_H

#include "pipe/config.h"
#include "pipe/penstock.h"

enum { PS_JOB_HOSTS_MAX = 10000 };

enum ps_job_mode { PS_MODE_PIPE, PS_MODE_FILE };

enum ps_job_compression {
    PS_COMPRESSION_NONE,
    PS_COMPRESSION_GZIP,
    PS_COMPRESSION_AUTO /* by the key's extension: .gz .lz4 .zst; the short form only */
};

/* How a channel was written: which names messages give its fields. */
enum ps_job_form { PS_FORM_API, PS_FORM_NATIVE, PS_FORM_OPTION };

struct ps_job_channel {
    char *name;
    char *uri;          /* s3://bucket/..., also when written as https; short form: also a path */
    char *content_type; /* NULL: unset */
    enum ps_job_mode mode;
    bool fast_file; /* FastFile was asked for; mode is PS_MODE_FILE, which a note should tell */
    enum ps_data_type data_type;
    bool sharded; /* ShardedByS3Key */
    enum ps_job_compression compression;
    bool wrap_recordio;
    bool shuffle;
    uint64_t seed; /* a negative Seed is the same 64 bits */
    char **attribute_names;
    size_t attribute_count;
    char **group_names; /* InstanceGroupNames */
    size_t group_count;

    /* Set by ps_job_check. */
    bool here;            /* this host receives the channel */
    uint32_t shard_index; /* this host's share, 0 of 1 unless sharded: its place among the */
    uint32_t shard_count; /* receiving hosts in the order of job.hosts */

    enum ps_job_form form;
    size_t form_no; /* index in InputDataConfig */
};

struct ps_job_pair {
    char *name;
    char *value;
};

struct ps_job_group {
    char *name;
    char *instance_type; /* NULL: unknown */
    size_t host_count;
    size_t host_first; /* its hosts are job.hosts_given[host_first ..]; set by ps_job_check */
};

struct ps_job {
    enum ps_job_form form; /* of what was read; PS_FORM_OPTION: nothing was */
    char *name;            /* TrainingJobName; NULL until ps_job_check if not given */
    char *arn;             /* TrainingJobArn; NULL: unknown */
    char *region;          /* the ARN's, or the short form's; NULL: unknown */
    struct ps_job_channel *channels;
    size_t channel_count; /* 1 .. 20 after ps_job_check */
    struct ps_job_pair *hyperparameters;
    size_t hyperparameter_count;
    struct ps_job_pair *environment;
    size_t environment_count;

    /* Hosts as numbered or given, and sorted as resourceconfig.json has them (algo-10 < algo-2).
     * `hosts` points to the strings of hosts_given. */
    char **hosts_given;
    char **hosts;
    size_t host_count; /* before ps_job_check 0 if unknown, or counted and not yet named */
    char *current_host;
    bool current_host_set;   /* by ps_job_set_current_host */
    char *instance_type;     /* NULL: unknown */
    char *network_interface; /* e.g. "eth0" */
    struct ps_job_group *groups;
    size_t group_count;         /* 0: one group of all hosts, which has no name here */
    size_t current_group_index; /* set by ps_job_check when group_count > 0 */

    char *checkpoint_s3_uri;     /* CheckpointConfig; NULL: none */
    char *checkpoint_local_path; /* as given, default /opt/ml/checkpoints */
    char **entrypoint;           /* ContainerEntrypoint; the short form's command. NULL: none */
    size_t entrypoint_count;
    char **arguments;
    size_t argument_count;
};

void ps_job_init(struct ps_job *job);

/* Leaves an empty job. */
void ps_job_free(struct ps_job *job);

/* Takes a job from a file: the JSON of CreateTrainingJob or of DescribeTrainingJob's answer, or the
 * short form (penstock-job(5)); their keys tell them apart. Once for a job; what the functions
 * below set counts for more, whether it was set before or is set later. */
int ps_job_read(const char *path, struct ps_job *job, struct penstock_error *error);

/* The same from memory; `origin` is what messages call it. */
int ps_job_parse(const char *text, size_t len_bytes, const char *origin, struct ps_job *job,
                 struct penstock_error *error);

/* Adds a channel from the command line:
 *
 *     name=uri[;content_type=TYPE][;mode=pipe|file][;type=prefix|manifest|augmented]
 *         [;attributes=a,b][;shuffle=SEED][;sharded][;compression=none|gzip|auto][;wrap=recordio]
 *         [;groups=g,h]
 *
 * A ';' ends a value, except before a parameter of a content type that is none of these options:
 * content_type=text/csv;label_size=1. Any value, the URI too, may be put in double quotes to hold
 * other ';' and, doubled, '"'. */
int ps_job_add_channel(struct ps_job *job, const char *text, struct penstock_error *error);

/* Sets a hyperparameter, in place of the configuration's value if it has one. */
int ps_job_set_hyperparameter(struct ps_job *job, const char *name, const char *value,
                              struct penstock_error *error);

/* Names the hosts, "algo-1,algo-2", in place of those that the configuration counts. */
int ps_job_set_hosts(struct ps_job *job, const char *list, struct penstock_error *error);

/* Says which of them this is. Without it: $PENSTOCK_CURRENT_HOST, the configuration's
 * current_host, algo-1, or the only host there is. */
int ps_job_set_current_host(struct ps_job *job, const char *name, struct penstock_error *error);

/* Completes the job with defaults (a name, the hosts, who this is, each channel's share) and checks
 * every limit of the API and everything that cannot be delivered, clashing names included: Pipe
 * channel "a" and File channel "a_1" both want the path a_1. */
int ps_job_check(struct ps_job *job, struct penstock_error *error);

/* Makes input/config with inputdataconfig.json, resourceconfig.json, hyperparameters.json and, if
 * the job has checkpoints, checkpointconfig.json, and input/data, model, output/data and the
 * checkpoints' directory, all below `base`. Files appear whole; a file that already says the same
 * is left alone, so a tree that is there may be read-only. */
int ps_job_write_tree(const struct ps_job *job, const char *base, struct penstock_error *error);

/* Composes the environment of the training program: this process's, the job's Environment,
 * TRAINING_JOB_NAME, TRAINING_JOB_ARN, AWS_REGION if known and not set, SAGEMAKER_BASE_DIR where
 * base is not /opt/ml, and SM_* as SageMaker's training toolkit names them. *envp ends in NULL;
 * free it with ps_job_environment_free, which accepts NULL. */
int ps_job_environment(const struct ps_job *job, const char *base, char ***envp,
                       struct penstock_error *error);
void ps_job_environment_free(char **envp);

/* Writes one line about a channel into `text`, without newline, cut if it does not fit:
 * "train: Pipe, S3Prefix s3://bucket/train/, shard 0 of 2, shuffled by seed 7". */
void ps_job_describe_channel(const struct ps_job_channel *channel, char *text, size_t size_bytes);

/* The API's words: "Pipe", "S3Prefix", ... */
const char *ps_job_mode_name(enum ps_job_mode mode);
const char *ps_data_type_name(enum ps_data_type data_type);

#endif
