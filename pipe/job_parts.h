/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_parts.h - what the files that read and check a job share: its strings, and a view of
 * JSON that knows where it is.
 *
 * Owner: the caller. Threads: one. Functions that return int return as those of job.h.
 */
#ifndef PIPE_JOB_PARTS_H
#define PIPE_JOB_PARTS_H

#include "pipe/job.h"

#include <jansson.h>

enum { PS_FIELD_BYTES_MAX = 512 };

/* --- strings that a job owns (job.c) --- */

/* Puts a copy of `text` in place of *slot; NULL empties it. */
int ps_job_copy(char **slot, const char *text, struct penstock_error *error);

/* Appends a copy to a list, which ends in a NULL that is not counted. */
int ps_job_append(char ***list, size_t *count, const char *text, size_t len_bytes,
                  struct penstock_error *error);
void ps_job_free_list(char ***list, size_t *count);

/* Appends a pair, or gives the one of that name a new value. */
int ps_job_set_pair(struct ps_job_pair **pairs, size_t *count, const char *name, const char *value,
                    struct penstock_error *error);

/* Appends a pair, unless there is one of that name: an option's, which counts for more than what a
 * file says. */
int ps_job_add_pair(struct ps_job_pair **pairs, size_t *count, const char *name, const char *value,
                    struct penstock_error *error);

/* Appends a channel with defaults. */
int ps_job_new_channel(struct ps_job *job, enum ps_job_form form, struct ps_job_channel **out,
                       struct penstock_error *error);

/* Splits "a,b" and appends the words. */
int ps_job_split(const char *text, const char *field, char ***list, size_t *count,
                 struct penstock_error *error);

/* --- words of the short form and of --channel (job_option.c) --- */

/* Gives a channel's option its value: mode, type, compression or wrap. `field` is what a message
 * calls it. Returns 1, or 0 when `name` is none of these, or an error. */
int ps_job_set_word(struct ps_job_channel *channel, const char *name, const char *value,
                    const char *field, struct penstock_error *error);

/* --- JSON, and where in it (job_json.c) --- */

/* A value and the path that leads to it, for messages. */
struct ps_place {
    const json_t *value; /* NULL: not there, or null */
    struct penstock_error *error;
    char path[PS_FIELD_BYTES_MAX];
};

struct ps_place ps_place_member(const struct ps_place *object, const char *name);
struct ps_place ps_place_item(const struct ps_place *array, size_t index);

/* Says that the value is not usable: "path: ...". */
int ps_place_fail(const struct ps_place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Each of these accepts a value that is not there, and then changes nothing. */
int ps_place_text(const struct ps_place *place, char **slot);
int ps_place_list(const struct ps_place *place, char ***list, size_t *count);
int ps_place_integer(const struct ps_place *place, int64_t least, int64_t most, int64_t *out);
int ps_place_flag(const struct ps_place *place, bool *out);
/* *choice becomes the index of the value in `words`, which ends in NULL. */
int ps_place_choice(const struct ps_place *place, const char *const *words, int *choice);
/* It is an object all of whose members are in `names`, which ends in NULL. */
int ps_place_object(const struct ps_place *place, const char *const *names);

/* That one of `words` (ending in NULL) that `text` is a misspelling of, or NULL: at most two
 * letters differ, and case does not count. A word is no misspelling of itself. */
const char *ps_job_meant(const char *text, const char *const *words);

/* --- the two forms (job_api.c, job_native.c) --- */

/* Keys that tell the form: NULL-terminated. */
extern const char *const ps_job_api_keys[];
extern const char *const ps_job_native_keys[];

int ps_job_take_api(const struct ps_place *root, struct ps_job *job);
int ps_job_take_native(const struct ps_place *root, struct ps_job *job);

/* --- checks (job_check.c, job_hosts.c, job_uri.c) --- */

enum ps_job_field {
    PS_FIELD_NAME,
    PS_FIELD_URI,
    PS_FIELD_TYPE,
    PS_FIELD_ATTRIBUTES,
    PS_FIELD_GROUPS,
    PS_FIELD_CONTENT_TYPE,
    PS_FIELD_COMPRESSION,
    PS_FIELD_WRAP,
    PS_FIELD_MODE
};

/* Writes what messages call a channel's field into `text` (PS_FIELD_BYTES_MAX), and returns it. */
const char *ps_job_field_name(const struct ps_job_channel *channel, enum ps_job_field field,
                              char *text);

/* Puts s3:// in place of S3's https form, and checks that the URI can be opened. */
int ps_job_check_uri(struct ps_job_channel *channel, struct penstock_error *error);

/* Names the hosts, this one among them, and sets each channel's share. */
int ps_job_settle_hosts(struct ps_job *job, struct penstock_error *error);

/* Characters, not bytes, of UTF-8. */
size_t ps_job_characters(const char *text);

/* --- what the tree and the environment both say (job_files.c) --- */

/* The texts of the files; the caller frees them; NULL when memory is out. */
char *ps_job_input_data_config(const struct ps_job *job);
char *ps_job_resource_config(const struct ps_job *job);
char *ps_job_hyperparameters_json(const struct ps_job *job);
char *ps_job_checkpoint_config(const struct ps_job *job, const char *base);

/* Where the job's checkpoints are on this machine: below `base` when they are below /opt/ml. The
 * caller frees it. */
char *ps_job_checkpoint_path(const struct ps_job *job, const char *base);

/* The name of the current host's group. */
const char *ps_job_group_name(const struct ps_job *job);

struct ps_variables;

/* SM_HP_*, SM_HPS, SM_USER_ARGS, SM_FRAMEWORK_PARAMS; and the user's program (job_toolkit.c). */
void ps_job_tell_hyperparameters(const struct ps_job *job, struct ps_variables *env);
void ps_job_tell_module(const struct ps_job *job, const char *base, struct ps_variables *env);

/* `base` without slashes at its end, made absolute. The caller frees it; NULL: memory is out. */
char *ps_job_base(const char *base);

#endif
