/* SPDX-License-Identifier: Apache-2.0 */
/* formats/options.c - content types ("text/csv;label_size=1") and the error helper that every
 * format uses.
 *
 * Threads: any.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/fmt.h"

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The names a content type may go by. */
static const struct format {
    const char *name;
    const struct fmt_ops *ops;
} FORMATS[] = {
    {"application/x-recordio-protobuf", &fmt_recordio_protobuf},
    {"text/csv", &fmt_csv},
    {"csv", &fmt_csv},
    {"text/libsvm", &fmt_libsvm},
    {"text/x-libsvm", &fmt_libsvm},
    {"libsvm", &fmt_libsvm},
    {"application/jsonlines", &fmt_jsonl},
    {"application/x-ndjson", &fmt_jsonl},
    {"jsonlines", &fmt_jsonl},
    {"application/x-image", &fmt_image},
    {"image/jpeg", &fmt_image},
    {"image/png", &fmt_image},
    {"application/x-recordio", &fmt_image_record},
    {"application/x-tfrecord", &fmt_tfrecord},
    {"tfrecord", &fmt_tfrecord},
    {"application/x-parquet", &fmt_parquet},
    {"application/octet-stream", NULL},
};

/* Longest value of a parameter. */
#define VALUE_BYTES_MAX 4096

/* A piece of the content type; not terminated. */
struct token {
    const char *text;
    size_t len_bytes;
};

enum fmt_rc fmt_fail(struct fmt_error *error, size_t offset_bytes, uint32_t row, const char *format,
                     ...)
{
    if (error == NULL)
        return FMT_E_FORMAT;
    error->offset_bytes = offset_bytes;
    error->row = row;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return FMT_E_FORMAT;
}

enum fmt_rc fmt_refuse(struct fmt_error *error, const char *format, ...)
{
    if (error == NULL)
        return FMT_E_ARGUMENT;
    error->offset_bytes = 0;
    error->row = 0;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return FMT_E_ARGUMENT;
}

static bool token_is(struct token token, const char *word)
{
    return strlen(word) == token.len_bytes && strncasecmp(token.text, word, token.len_bytes) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* What lies in [from, to), without the blanks around it. */
static struct token trim(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    return (struct token){from, (size_t)(to - from)};
}

/* Where the parameter (or the type) that starts at `from` ends: at a ';' outside quotes. */
static const char *find_end(const char *from)
{
    bool quoted = false;
    for (; *from != '\0' && (quoted || *from != ';'); from++) {
        if (quoted && *from == '\\' && from[1] != '\0')
            from++;
        else if (*from == '"')
            quoted = !quoted;
    }
    return from;
}

static enum fmt_rc refuse(struct fmt_error *error, const char *what, struct token token)
{
    int len = token.len_bytes < 80 ? (int)token.len_bytes : 80;
    return fmt_refuse(error, "%s '%.*s'", what, len, token.text);
}

enum fmt_rc fmt_option_u32(const char *name, const char *value, uint32_t least, uint32_t most,
                           uint32_t *out, struct fmt_error *error)
{
    uint64_t sum = 0;
    const char *c = value;
    while (*c >= '0' && *c <= '9' && sum <= UINT32_MAX)
        sum = sum * 10 + (uint64_t)(*c++ - '0');
    if (c == value || *c != '\0' || sum < least || sum > most)
        return fmt_refuse(
            error, "content type: %s must be a number from %" PRIu32 " to %" PRIu32 ", not '%.80s'",
            name, least, most, value);
    *out = (uint32_t)sum;
    return FMT_OK;
}

enum fmt_rc fmt_option_word(const char *name, const char *value, const char *const words[],
                            uint32_t *out, struct fmt_error *error)
{
    char list[120] = "";
    size_t used = 0;
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcasecmp(words[i], value) == 0) {
            *out = i;
            return FMT_OK;
        }
        if (used < sizeof(list))
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
                                     i == 0                 ? ""
                                     : words[i + 1] == NULL ? " or "
                                                            : ", ",
                                     words[i]);
    }
    return fmt_refuse(error, "content type: %s must be %s, not '%.80s'", name, list, value);
}

/* Copies a token out, of a quoted one what is quoted. False if it does not fit. */
static bool copy_value(struct token token, char *out, size_t room)
{
    bool quoted =
        token.len_bytes >= 2 && token.text[0] == '"' && token.text[token.len_bytes - 1] == '"';
    size_t from = quoted ? 1 : 0;
    size_t to = token.len_bytes - from;
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        if (quoted && token.text[i] == '\\' && i + 1 < to)
            i++;
        if (n + 1 >= room)
            return false;
        out[n++] = token.text[i];
    }
    out[n] = '\0';
    return true;
}

static enum fmt_rc set_option(const struct format *format, struct fmt_options *options,
                              const char *name, const char *value, struct fmt_error *error)
{
    const struct fmt_ops *ops = format->ops;
    struct fmt_error cause = {.text = ""};
    if (strcasecmp(name, "charset") == 0) {
        if (strcasecmp(value, "utf-8") == 0 || strcasecmp(value, "utf8") == 0)
            return FMT_OK;
        return fmt_refuse(error, "content type: only charset=utf-8 is supported, not '%.80s'",
                          value);
    }
    if (ops == NULL || ops->parameters == NULL)
        return fmt_refuse(error, "content type: %s has no parameter %.80s, nor any other",
                          format->name, name);
    enum fmt_rc rc = ops->set_option(options->own, name, value, &cause);
    if (rc == FMT_OK)
        return FMT_OK;
    if (cause.text[0] == '\0')
        return fmt_refuse(error, "content type: %s has no parameter %.80s: it has %s", format->name,
                          name, ops->parameters);
    if (error != NULL)
        *error = cause;
    return rc;
}

/* One "name=value". */
static enum fmt_rc parse_parameter(const struct format *format, struct token parameter,
                                   struct fmt_options *options, struct fmt_error *error)
{
    const char *equals = memchr(parameter.text, '=', parameter.len_bytes);
    if (equals == NULL)
        return refuse(error, "content type: parameter without '=':", parameter);
    struct token name_token = trim(parameter.text, equals);
    struct token value_token = trim(equals + 1, parameter.text + parameter.len_bytes);
    char name[128];
    char value[VALUE_BYTES_MAX];
    if (!copy_value(name_token, name, sizeof(name)))
        return refuse(error, "content type: no parameter has a name as long as", name_token);
    if (!copy_value(value_token, value, sizeof(value)))
        return fmt_refuse(error, "content type: %s is longer than %d bytes", name,
                          VALUE_BYTES_MAX - 1);
    return set_option(format, options, name, value, error);
}

static enum fmt_rc parse_parameters(const struct format *format, const char *end,
                                    struct fmt_options *options, struct fmt_error *error)
{
    while (*end == ';') {
        const char *from = end + 1;
        end = find_end(from);
        struct token parameter = trim(from, end);
        if (parameter.len_bytes == 0)
            continue; /* RFC 9110, 5.6.6: empty parameters are allowed */
        enum fmt_rc rc = parse_parameter(format, parameter, options, error);
        if (rc != FMT_OK)
            return rc;
    }
    if (options->own != NULL && options->ops->check_options != NULL)
        return options->ops->check_options(options->own, error);
    return FMT_OK;
}

/* Whether `name` is one of `list`: "a, b, c.COLUMN", of which the last stands for any column. */
static bool list_has(const char *list, struct token name)
{
    for (const char *at = list; *at != '\0'; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ",");
        const char *dot = memchr(at, '.', len);
        size_t fixed = dot != NULL ? (size_t)(dot - at) + 1 : len;
        if ((dot != NULL ? name.len_bytes > fixed : name.len_bytes == fixed) &&
            strncasecmp(at, name.text, fixed) == 0)
            return true;
        at += len;
    }
    return false;
}

bool fmt_is_parameter(const char *name, size_t len_bytes)
{
    struct token token = {name, len_bytes};
    bool found = token_is(token, "charset");
    for (size_t i = 0; i < ARRAY_COUNT(FORMATS) && !found; i++)
        found = FORMATS[i].ops != NULL && FORMATS[i].ops->parameters != NULL &&
                list_has(FORMATS[i].ops->parameters, token);
    return found;
}

enum fmt_rc fmt_options_parse(const char *content_type, struct fmt_options *options,
                              struct fmt_error *error)
{
    const char *end = find_end(content_type);
    struct token type = trim(content_type, end);
    const struct format *format = NULL;
    *options = (struct fmt_options){.ops = NULL};
    for (size_t i = 0; i < ARRAY_COUNT(FORMATS) && format == NULL; i++)
        if (token_is(type, FORMATS[i].name))
            format = &FORMATS[i];
    if (format == NULL)
        return refuse(error,
                      "content type must be application/x-recordio-protobuf, text/csv, "
                      "text/libsvm, application/jsonlines, application/x-parquet, "
                      "application/x-image, application/x-recordio (pictures), "
                      "application/x-tfrecord or application/octet-stream, not",
                      type);
    options->ops = format->ops;
    if (format->ops != NULL && format->ops->options_bytes > 0) {
        options->own = calloc(1, format->ops->options_bytes);
        if (options->own == NULL) {
            (void)fmt_refuse(error, "out of memory");
            return FMT_E_MEMORY;
        }
        if (format->ops->options_init != NULL)
            format->ops->options_init(options->own);
    }
    enum fmt_rc rc = parse_parameters(format, end, options, error);
    if (rc != FMT_OK)
        fmt_options_free(options);
    return rc;
}

void fmt_options_free(struct fmt_options *options)
{
    if (options->own != NULL && options->ops->options_clear != NULL)
        options->ops->options_clear(options->own);
    free(options->own);
    *options = (struct fmt_options){.ops = NULL};
}
