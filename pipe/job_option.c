/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_option.c - a channel from the command line, and words that the short form shares. */
#include "pipe/job_parts.h"

#include "formats/fmt.h"
#include "pipe/error.h"
#include "pipe/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The index of `value` in `words`, which ends in NULL; or an error. */
static int word_no(const char *value, const char *const *words, const char *field,
                   struct penstock_error *error)
{
    char known[128];
    struct ps_text list = ps_text_in(known, sizeof known);

    for (int i = 0; words[i]; i++) {
        if (strcasecmp(value, words[i]) == 0)
            return i;
        ps_text_addf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: '%.100s' is none of %s", field, value, known);
}

int ps_job_set_word(struct ps_job_channel *channel, const char *name, const char *value,
                    const char *field, struct penstock_error *error)
{
    static const char *const modes[] = {"pipe", "file", NULL};
    static const char *const types[] = {"prefix", "manifest", "augmented", NULL};
    static const char *const compressions[] = {"none", "gzip", "auto", NULL};
    static const char *const wrappers[] = {"none", "recordio", NULL};
    int number = 0;

    if (strcmp(name, "mode") == 0 && (number = word_no(value, modes, field, error)) >= 0)
        channel->mode = (enum ps_job_mode)number;
    else if (strcmp(name, "type") == 0 && (number = word_no(value, types, field, error)) >= 0)
        channel->data_type = (enum ps_data_type)number;
    else if (strcmp(name, "compression") == 0 &&
             (number = word_no(value, compressions, field, error)) >= 0)
        channel->compression = (enum ps_job_compression)number;
    else if (strcmp(name, "wrap") == 0 && (number = word_no(value, wrappers, field, error)) >= 0)
        channel->wrap_recordio = number == 1;
    else
        return number < 0 ? number : 0;
    return 1;
}

/* --channel's text, being read. */
struct reading {
    const char *at;
    const char *channel; /* its name, for messages */
    char *word;          /* room for any part of the text */
    struct penstock_error *error;
};

static const char *const option_names[] = {
    "mode",         "type",       "compression", "wrap",    "shuffle",
    "content_type", "attributes", "groups",      "sharded", NULL};

/* Whether what begins at `text` is a parameter of a content type, not an option of the channel: a
 * name that is both is the channel's, and wants quotes to be the other. */
static bool is_parameter(const char *text)
{
    size_t len = strcspn(text, "=;");

    for (size_t i = 0; option_names[i]; i++)
        if (strlen(option_names[i]) == len && memcmp(text, option_names[i], len) == 0)
            return false;
    return text[len] == '=' && fmt_is_parameter(text, len);
}

/* Takes a value in quotes, in which two stand for one, into reading->word. */
static int take_quoted(struct reading *reading)
{
    char *out = reading->word;

    for (reading->at++; *reading->at; reading->at++) {
        if (*reading->at == '"' && *++reading->at != '"') {
            *out = '\0';
            if (*reading->at && *reading->at != ';')
                break;
            return PENSTOCK_OK;
        }
        *out++ = *reading->at;
    }
    return ps_fail(reading->error, PENSTOCK_E_ARGUMENT,
                   "--channel %s: a value that begins with '\"' does not end with one",
                   reading->channel);
}

/* Takes a value up to its ';' into reading->word. */
static int take_value(struct reading *reading, bool content_type)
{
    size_t len = strcspn(reading->at, ";");

    if (*reading->at == '"')
        return take_quoted(reading);
    while (content_type && reading->at[len] && is_parameter(reading->at + len + 1))
        len += 1 + strcspn(reading->at + len + 1, ";");
    memcpy(reading->word, reading->at, len);
    reading->word[len] = '\0';
    reading->at += len;
    return PENSTOCK_OK;
}

static int take_seed(const char *text, const char *field, struct ps_job_channel *channel,
                     struct penstock_error *error)
{
    const char *digits = text + (*text == '-');
    char *end;

    errno = 0;
    if (*text == '-')
        channel->seed = (uint64_t)strtoll(text, &end, 10);
    else
        channel->seed = strtoull(text, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || errno)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: '%.100s' is no whole number of 64 bits",
                       field, text);
    channel->shuffle = true;
    return PENSTOCK_OK;
}

/* Gives option `name` the value in reading->word. */
static int set_option(struct reading *reading, struct ps_job_channel *channel, const char *name)
{
    char field[PS_FIELD_BYTES_MAX];
    struct ps_text text = ps_text_in(field, sizeof field);
    int rc;

    ps_text_addf(&text, "--channel %s: %s", reading->channel, name);
    if (strcmp(name, "content_type") == 0)
        return ps_job_copy(&channel->content_type, reading->word, reading->error);
    if (strcmp(name, "attributes") == 0)
        return ps_job_split(reading->word, field, &channel->attribute_names,
                            &channel->attribute_count, reading->error);
    if (strcmp(name, "groups") == 0)
        return ps_job_split(reading->word, field, &channel->group_names, &channel->group_count,
                            reading->error);
    if (strcmp(name, "shuffle") == 0)
        return take_seed(reading->word, field, channel, reading->error);
    rc = ps_job_set_word(channel, name, reading->word, field, reading->error);
    return rc < 0 ? rc : PENSTOCK_OK;
}

static int find_option(const struct reading *reading, const char *name, size_t len, bool has_value,
                       size_t *option_no)
{
    char text[64];
    const char *meant;

    for (size_t i = 0; option_names[i]; i++)
        if (strlen(option_names[i]) == len && memcmp(name, option_names[i], len) == 0) {
            *option_no = i;
            if (has_value != (strcmp(option_names[i], "sharded") != 0))
                return ps_fail(reading->error, PENSTOCK_E_ARGUMENT, "--channel %s: %s %s",
                               reading->channel, option_names[i],
                               has_value ? "has no value" : "needs a value");
            return PENSTOCK_OK;
        }
    if (len >= sizeof text)
        len = sizeof text - 1;
    memcpy(text, name, len);
    text[len] = '\0';
    meant = ps_job_meant(text, option_names);
    return ps_fail(reading->error, PENSTOCK_E_ARGUMENT,
                   "--channel %s: there is no option '%s'%s%s%s (a URI or content type that holds "
                   "';' is put in double quotes)",
                   reading->channel, text, meant ? ": is it to be " : "", meant ? meant : "",
                   meant ? "?" : "");
}

static int take_option(struct reading *reading, struct ps_job_channel *channel, bool *seen)
{
    const char *name = reading->at;
    size_t len = strcspn(name, "=;");
    size_t option_no = 0;
    int rc = find_option(reading, name, len, name[len] == '=', &option_no);

    if (rc != PENSTOCK_OK)
        return rc;
    if (seen[option_no])
        return ps_fail(reading->error, PENSTOCK_E_ARGUMENT, "--channel %s: %s is given twice",
                       reading->channel, option_names[option_no]);
    seen[option_no] = true;
    reading->at += len;
    if (*reading->at != '=') {
        channel->sharded = true;
        return PENSTOCK_OK;
    }
    reading->at++;
    rc = take_value(reading, strcmp(option_names[option_no], "content_type") == 0);
    return rc == PENSTOCK_OK ? set_option(reading, channel, option_names[option_no]) : rc;
}

static int take_channel(struct reading *reading, struct ps_job_channel *channel)
{
    bool seen[sizeof option_names / sizeof *option_names] = {false};
    int rc = take_value(reading, false);

    if (rc == PENSTOCK_OK)
        rc = ps_job_copy(&channel->uri, reading->word, reading->error);
    while (rc == PENSTOCK_OK && *reading->at == ';') {
        reading->at++;
        rc = take_option(reading, channel, seen);
    }
    return rc;
}

int ps_job_add_channel(struct ps_job *job, const char *text, struct penstock_error *error)
{
    const char *equals = strchr(text, '=');
    struct reading reading = {.at = equals ? equals + 1 : "", .error = error};
    struct ps_job_channel *channel;
    int rc;

    if (!equals || equals == text)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "--channel %.200s: write NAME=URI, e.g. train=s3://bucket/prefix/", text);
    rc = ps_job_new_channel(job, PS_FORM_OPTION, &channel, error);
    if (rc != PENSTOCK_OK)
        return rc;
    channel->name = strndup(text, (size_t)(equals - text));
    reading.word = malloc(strlen(text) + 1);
    reading.channel = channel->name;
    if (channel->name && reading.word)
        rc = take_channel(&reading, channel);
    else
        rc = ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for a channel");
    free(reading.word);
    return rc;
}
