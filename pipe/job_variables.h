/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_variables.h - an environment being composed, and JSON text that grows.
 *
 * Running out of memory is remembered in `failed`, so that callers ask once, at the end.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef PIPE_JOB_VARIABLES_H
#define PIPE_JOB_VARIABLES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A text that grows. */
struct ps_growing {
    char *bytes;
    size_t len;
    size_t size;
    bool failed;
};

void ps_growing_bytes(struct ps_growing *text, const char *more, size_t len);
void ps_growing_add(struct ps_growing *text, const char *more);

/* Appends `more` as a JSON string. */
void ps_growing_quoted(struct ps_growing *text, const char *more);

/* Begins the next member of an object ('{'), or item of an array ('[', name NULL). */
void ps_growing_next(struct ps_growing *text, char open, const char *name);

/* Closes it, and gives it to the caller; one that was never begun is empty. NULL: memory is out. */
char *ps_growing_finish(struct ps_growing *text, const char *open, const char *close);

/* `value` as text, by jansson's flags; the caller frees it; NULL: memory is out, or `value` is
 * NULL. json_dumps loses the name of a member when memory runs out just there. */
char *ps_json_text(const json_t *value, size_t flags);

/* `text` as a JSON string, in ASCII; the caller frees it; NULL: memory is out. */
char *ps_json_quoted(const char *text);

struct ps_variables {
    char **items; /* "NAME=value", and a NULL at the end */
    size_t count;
    struct ps_growing all; /* SM_TRAINING_ENV: one JSON object of what is told below */
    bool failed;
};

/* The value of a variable, or NULL. */
const char *ps_variables_get(const struct ps_variables *env, const char *name);

/* Appends `item`, which it takes, whether or not there is one of its name. */
void ps_variables_append(struct ps_variables *env, char *item);

/* Sets a variable. One that is too long for Linux is left as it is. */
void ps_variables_put(struct ps_variables *env, const char *name, const char *value);
void ps_variables_drop(struct ps_variables *env, const char *name);

/* Sets SM_<PREFIX><NAME>, in capitals (of ASCII: other letters stay). */
void ps_variables_put_sm(struct ps_variables *env, const char *prefix, const char *name,
                         const char *value);

/* Add a member to SM_TRAINING_ENV, and all but the first set SM_<NAME> to the same. */
void ps_variables_tell_only(struct ps_variables *env, const char *name, const char *json);
void ps_variables_tell_json(struct ps_variables *env, const char *name, const char *json);
void ps_variables_tell(struct ps_variables *env, const char *name, const char *text);
/* Takes `json`: NULL when memory ran out. */
void ps_variables_tell_taken(struct ps_variables *env, const char *name, char *json);

#endif
