/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_variables.c - see job_variables.h. */
#include "pipe/job_variables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Linux takes no longer string in an environment (MAX_ARG_STRLEN). */
#define VARIABLE_BYTES_MAX ((size_t)128 << 10)

void ps_growing_bytes(struct ps_growing *text, const char *more, size_t len)
{
    if (text->len + len + 1 > text->size) {
        size_t size = (text->len + len + 1) * 2;
        char *longer = text->failed ? NULL : realloc(text->bytes, size);

        if (!longer) {
            text->failed = true;
            return;
        }
        text->bytes = longer;
        text->size = size;
    }
    memcpy(text->bytes + text->len, more, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

void ps_growing_add(struct ps_growing *text, const char *more)
{
    ps_growing_bytes(text, more, strlen(more));
}

static int add_part(const char *part, size_t len, void *cookie)
{
    struct ps_growing *text = cookie;

    ps_growing_bytes(text, part, len);
    return text->failed ? -1 : 0;
}

char *ps_json_text(const json_t *value, size_t flags)
{
    struct ps_growing text = {.bytes = NULL};

    if (json_dump_callback(value, add_part, &text, flags) != 0 || text.failed) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}

char *ps_json_quoted(const char *text)
{
    json_t *string = json_string(text);
    char *json = ps_json_text(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    json_decref(string);
    return json;
}

void ps_growing_quoted(struct ps_growing *text, const char *more)
{
    char *json = ps_json_quoted(more);

    if (json)
        ps_growing_add(text, json);
    else
        text->failed = true;
    free(json);
}

void ps_growing_next(struct ps_growing *text, char open, const char *name)
{
    ps_growing_bytes(text, text->len == 0 ? &open : ",", 1);
    if (name) {
        ps_growing_quoted(text, name);
        ps_growing_add(text, ":");
    }
}

char *ps_growing_finish(struct ps_growing *text, const char *open, const char *close)
{
    if (text->len == 0)
        ps_growing_add(text, open);
    ps_growing_add(text, close);
    if (text->failed) {
        free(text->bytes);
        text->bytes = NULL;
    }
    return text->bytes;
}

/* The place of variable `name`, or env->count. */
static size_t find(const struct ps_variables *env, const char *name)
{
    size_t len = strlen(name);
    size_t i = 0;

    while (i < env->count && (strncmp(env->items[i], name, len) != 0 || env->items[i][len] != '='))
        i++;
    return i;
}

const char *ps_variables_get(const struct ps_variables *env, const char *name)
{
    size_t i = find(env, name);

    return i < env->count ? env->items[i] + strlen(name) + 1 : NULL;
}

void ps_variables_append(struct ps_variables *env, char *item)
{
    char **longer = realloc(env->items, (env->count + 2) * sizeof *longer);

    if (!longer) {
        free(item);
        env->failed = true;
        return;
    }
    env->items = longer;
    longer[env->count++] = item;
    longer[env->count] = NULL;
}

void ps_variables_put(struct ps_variables *env, const char *name, const char *value)
{
    size_t i = find(env, name);
    char *item = NULL;

    if (strlen(name) + strlen(value) + 2 > VARIABLE_BYTES_MAX)
        return;
    if (asprintf(&item, "%s=%s", name, value) < 0) {
        env->failed = true;
    } else if (i < env->count) {
        free(env->items[i]);
        env->items[i] = item;
    } else {
        ps_variables_append(env, item);
    }
}

void ps_variables_drop(struct ps_variables *env, const char *name)
{
    size_t i = find(env, name);

    if (i == env->count)
        return;
    free(env->items[i]);
    env->items[i] = env->items[--env->count];
    env->items[env->count] = NULL;
}

void ps_variables_put_sm(struct ps_variables *env, const char *prefix, const char *name,
                         const char *value)
{
    char *variable = NULL;

    if (asprintf(&variable, "SM_%s%s", prefix, name) < 0) {
        env->failed = true;
        return;
    }
    for (char *c = variable; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    if (!strchr(variable, '='))
        ps_variables_put(env, variable, value);
    free(variable);
}

void ps_variables_tell_only(struct ps_variables *env, const char *name, const char *json)
{
    ps_growing_next(&env->all, '{', name);
    ps_growing_add(&env->all, json);
}

void ps_variables_tell_json(struct ps_variables *env, const char *name, const char *json)
{
    ps_variables_put_sm(env, "", name, json);
    ps_variables_tell_only(env, name, json);
}

void ps_variables_tell(struct ps_variables *env, const char *name, const char *text)
{
    char *json = ps_json_quoted(text);

    ps_variables_put_sm(env, "", name, text);
    if (json)
        ps_variables_tell_only(env, name, json);
    else
        env->failed = true;
    free(json);
}

void ps_variables_tell_taken(struct ps_variables *env, const char *name, char *json)
{
    if (json)
        ps_variables_tell_json(env, name, json);
    else
        env->failed = true;
    free(json);
}
