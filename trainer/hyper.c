/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/hyper.c - see trainer/hyper.h. */
#include "trainer/hyper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 64U

const struct tr_hyper_parameter *tr_hyper_at(const struct tr_hyper_table *table, size_t i)
{
    for (const struct tr_hyper_parameter *p = table->shared; p && p->name; p++) {
        if (i-- == 0)
            return p;
    }
    for (const struct tr_hyper_parameter *p = table->parameters; p->name; p++) {
        if (i-- == 0)
            return p;
    }
    return NULL;
}

/* Insertions, deletions and substitutions that make b of a. Both are shorter than NAME_MAX_BYTES.
 */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_len];
}

static int refuse_unknown(const struct tr_hyper_table *table, const char *name, const char *value,
                          struct tr_error *error)
{
    const struct tr_hyper_parameter *p;
    const char *nearest = "";
    size_t least = SIZE_MAX;
    for (const struct tr_hyper_fixed *fixed = table->fixed; fixed && fixed->name; fixed++) {
        if (strcmp(fixed->name, name) != 0)
            continue;
        if (strcasecmp(value, fixed->only) == 0 || strcmp(value, "auto") == 0)
            return 0;
        return tr_fail(error,
                       "hyperparameter %s: penstock has no other value than '%s': leave it out",
                       name, fixed->only);
    }
    for (size_t i = 0; (p = tr_hyper_at(table, i)); i++) {
        size_t distance = edit_distance(name, p->name);
        if (distance < least) {
            least = distance;
            nearest = p->name;
        }
    }
    return tr_fail(error, "hyperparameter '%s' is unknown: the nearest name is '%s'", name,
                   nearest);
}

static int set_word(const struct tr_hyper_parameter *p, const char *value, int *out,
                    struct tr_error *error)
{
    char choices[160] = "";
    for (const struct tr_hyper_word *w = p->words; w->text; w++) {
        if (strcmp(value, w->text) == 0) {
            *out = w->value;
            return 0;
        }
        strncat(choices, w == p->words ? "" : ", ", sizeof choices - strlen(choices) - 1);
        strncat(choices, w->text, sizeof choices - strlen(choices) - 1);
    }
    return tr_fail(error, "hyperparameter %s: '%s' is none of: %s", p->name, value, choices);
}

static int set_number(const struct tr_hyper_parameter *p, const char *value, double *out,
                      struct tr_error *error)
{
    bool whole = p->kind == TR_HYPER_COUNT;
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || value[strspn(value, "0123456789.eE+-")] || number < p->least ||
        number > p->most || (whole && number != trunc(number)))
        return tr_fail(error, "hyperparameter %s: '%s' is not a %s from %.10g to %.10g%s", p->name,
                       value, whole ? "whole number" : "number", p->least, p->most,
                       p->may_be_auto ? " or auto" : "");
    *out = number;
    return 0;
}

static int set_truth(const struct tr_hyper_parameter *p, const char *value, int *out,
                     struct tr_error *error)
{
    if (strcasecmp(value, "true") == 0)
        *out = TR_TRUE;
    else if (strcasecmp(value, "false") == 0)
        *out = TR_FALSE;
    else if (strcmp(value, "auto") == 0)
        *out = TR_AUTO;
    else
        return tr_fail(error, "hyperparameter %s: '%s' is not true, false or auto", p->name, value);
    return 0;
}

static int set_counts(const struct tr_hyper_parameter *p, const char *value,
                      struct tr_hyper_counts *out, struct tr_error *error)
{
    struct tr_hyper_counts counts = {0};
    const char *at = value;
    while (*at) {
        char *end;
        double number = strtod(at, &end);
        bool good = end > at && at + strspn(at, "0123456789") == end && (*end == ',' || !*end) &&
                    number >= p->least && number <= p->most && counts.count < TR_HYPER_COUNTS_MAX;
        if (!good || (*end == ',' && !end[1]))
            return tr_fail(error,
                           "hyperparameter %s: '%s' is not one to %u whole numbers from %.10g to "
                           "%.10g with commas between",
                           p->name, value, TR_HYPER_COUNTS_MAX, p->least, p->most);
        counts.at[counts.count++] = (uint32_t)number;
        at = *end == ',' ? end + 1 : end;
    }
    *out = counts;
    return 0;
}

static size_t field_bytes(enum tr_hyper_kind kind)
{
    if (kind == TR_HYPER_COUNTS)
        return sizeof(struct tr_hyper_counts);
    return kind == TR_HYPER_REAL ? sizeof(double) : sizeof(uint32_t);
}

static int set_text(const struct tr_hyper_parameter *p, const char *value, char *out,
                    struct tr_error *error)
{
    size_t len = strlen(value);
    if (len == 0 || (double)len >= p->most)
        return tr_fail(error, "hyperparameter %s: a text of 1 to %.10g bytes is wanted", p->name,
                       p->most - 1.0);
    memcpy(out, value, len + 1);
    return 0;
}

/* "auto" puts the default back. */
static void set_auto(const struct tr_hyper_table *table, const struct tr_hyper_parameter *p,
                     void *field)
{
    _Alignas(double) char defaults[TR_HYPER_BYTES_MAX];
    table->init(defaults);
    memcpy(field, defaults + p->offset, field_bytes(p->kind));
}

static int set_value(const struct tr_hyper_table *table, void *values,
                     const struct tr_hyper_parameter *p, const char *value, struct tr_error *error)
{
    void *field = (char *)values + p->offset;
    double number = 0.0;
    if (p->may_be_auto && p->kind != TR_HYPER_TRUTH && strcmp(value, "auto") == 0) {
        set_auto(table, p, field);
        return 0;
    }
    switch (p->kind) {
    case TR_HYPER_WORD:
        return set_word(p, value, field, error);
    case TR_HYPER_TRUTH:
        return set_truth(p, value, field, error);
    case TR_HYPER_COUNT:
        if (set_number(p, value, &number, error) < 0)
            return -1;
        *(uint32_t *)field = (uint32_t)number;
        return 0;
    case TR_HYPER_REAL:
        for (const struct tr_hyper_word *w = p->words; w && w->text; w++) {
            if (strcmp(value, w->text) == 0) {
                *(double *)field = (double)w->value;
                return 0;
            }
        }
        return set_number(p, value, field, error);
    case TR_HYPER_COUNTS:
        return set_counts(p, value, field, error);
    case TR_HYPER_TEXT:
        return set_text(p, value, field, error);
    }
    return -1;
}

int tr_hyper_set(const struct tr_hyper_table *table, void *values, const char *assignment,
                 struct tr_error *error)
{
    const struct tr_hyper_parameter *p;
    const char *equals = strchr(assignment, '=');
    char name[NAME_MAX_BYTES] = "";
    size_t name_len = equals ? (size_t)(equals - assignment) : 0;
    if (!equals || name_len == 0)
        return tr_fail(error, "hyperparameter '%s' is not of the form name=value", assignment);
    if (name_len >= sizeof name)
        return tr_fail(error, "hyperparameter '%.*s' is unknown", (int)name_len, assignment);
    memcpy(name, assignment, name_len);
    for (size_t i = 0; (p = tr_hyper_at(table, i)); i++) {
        if (strcmp(p->name, name) == 0)
            return set_value(table, values, p, equals + 1, error);
    }
    return table->other ? table->other(values, name, equals + 1, error)
                        : refuse_unknown(table, name, equals + 1, error);
}

const char *tr_hyper_word(const struct tr_hyper_word *words, int value)
{
    while (words->text && words->value != value)
        words++;
    return words->text ? words->text : "unset";
}

double tr_hyper_or_auto(double value, double automatic)
{
    return isnan(value) ? automatic : value;
}
