/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_json.c - values of a job's JSON, each with the path that a message names. */
#include "pipe/job_parts.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct ps_place ps_place_member(const struct ps_place *object, const char *name)
{
    struct ps_place place = {.value = json_object_get(object->value, name), .error = object->error};
    struct ps_text path = ps_text_in(place.path, sizeof place.path);

    ps_text_addf(&path, "%s%s%s", object->path, *object->path ? "." : "", name);
    if (json_is_null(place.value))
        place.value = NULL;
    return place;
}

struct ps_place ps_place_item(const struct ps_place *array, size_t index)
{
    struct ps_place place = {.value = json_array_get(array->value, index), .error = array->error};
    struct ps_text path = ps_text_in(place.path, sizeof place.path);

    ps_text_addf(&path, "%s[%zu]", array->path, index);
    return place;
}

int ps_place_fail(const struct ps_place *place, const char *format, ...)
{
    char why[1024];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return ps_fail(place->error, PENSTOCK_E_ARGUMENT, "%s: %s",
                   *place->path ? place->path : "the job", len < 0 ? "unusable" : why);
}

/* What a message calls the kind of a value. */
static const char *kind(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};

    return names[json_typeof(value)];
}

int ps_place_text(const struct ps_place *place, char **slot)
{
    if (!place->value)
        return PENSTOCK_OK;
    if (!json_is_string(place->value))
        return ps_place_fail(place, "must be a string, not %s", kind(place->value));
    return ps_job_copy(slot, json_string_value(place->value), place->error);
}

int ps_place_list(const struct ps_place *place, char ***list, size_t *count)
{
    if (!place->value)
        return PENSTOCK_OK;
    if (!json_is_array(place->value))
        return ps_place_fail(place, "must be an array of strings, not %s", kind(place->value));
    for (size_t i = 0; i < json_array_size(place->value); i++) {
        struct ps_place item = ps_place_item(place, i);
        const char *text = json_string_value(item.value);
        int rc;

        if (!text)
            return ps_place_fail(&item, "must be a string, not %s", kind(item.value));
        rc = ps_job_append(list, count, text, strlen(text), place->error);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

int ps_place_integer(const struct ps_place *place, int64_t least, int64_t most, int64_t *out)
{
    int64_t value;

    if (!place->value)
        return PENSTOCK_OK;
    if (!json_is_integer(place->value))
        return ps_place_fail(place, "must be a whole number, not %s",
                             json_is_real(place->value) ? "a fraction" : kind(place->value));
    value = json_integer_value(place->value);
    if (value < least || value > most)
        return ps_place_fail(place, "is %" PRId64 ", which is not from %" PRId64 " to %" PRId64,
                             value, least, most);
    *out = value;
    return PENSTOCK_OK;
}

int ps_place_flag(const struct ps_place *place, bool *out)
{
    if (!place->value)
        return PENSTOCK_OK;
    if (!json_is_boolean(place->value))
        return ps_place_fail(place, "must be true or false, not %s", kind(place->value));
    *out = json_is_true(place->value);
    return PENSTOCK_OK;
}

int ps_place_choice(const struct ps_place *place, const char *const *words, int *choice)
{
    char known[256];
    struct ps_text list = ps_text_in(known, sizeof known);
    const char *text = json_string_value(place->value);

    if (!place->value)
        return PENSTOCK_OK;
    if (!text)
        return ps_place_fail(place, "must be a string, not %s", kind(place->value));
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *choice = i;
            return PENSTOCK_OK;
        }
        ps_text_addf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return ps_place_fail(place, "is '%.100s', which is none of %s", text, known);
}

int ps_place_object(const struct ps_place *place, const char *const *names)
{
    const char *name;
    json_t *value;

    if (!json_is_object(place->value))
        return ps_place_fail(place, "must be an object, not %s", kind(place->value));
    json_object_foreach((json_t *)place->value, name, value)
    {
        struct ps_place member = ps_place_member(place, name);
        const char *meant = ps_job_meant(name, names);
        size_t i = 0;

        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (!names[i])
            return ps_place_fail(&member, "there is no such field%s%s%s",
                                 meant ? " (is it to be " : "", meant ? meant : "",
                                 meant ? "?)" : "");
    }
    return PENSTOCK_OK;
}

/* How many letters have to be inserted, deleted or replaced to make `a` of `b`, case apart; at most
 * `most` + 1. */
static unsigned edits(const char *a, const char *b, unsigned most)
{
    unsigned row[64];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    if (a_len >= 64 || b_len >= 64)
        return most + 1;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned best = diagonal + !same;

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len] <= most ? row[b_len] : most + 1;
}

const char *ps_job_meant(const char *text, const char *const *words)
{
    const char *meant = NULL;
    unsigned least = 3;

    for (; *words; words++) {
        unsigned distance = edits(text, *words, 2);

        if (strcmp(text, *words) == 0)
            return NULL;
        if (distance < least && distance < strlen(*words)) {
            least = distance;
            meant = *words;
        }
    }
    return meant;
}
