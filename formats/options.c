/* SPDX-License-Identifier: Apache-2.0 */
/* formats/options.c - content types ("text/csv;label_size=1") and the error helper that every
 * format uses.
 *
 * Threads: any.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "formats/fmt.h"

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The names a content type may go by, and the parameters' defaults that come with it. */
static const struct format {
    const char *name;
    const struct fmt_ops *ops;
    uint32_t label_size;
    bool takes_label_size;
} FORMATS[] = {
    {"application/x-recordio-protobuf", &fmt_recordio_protobuf, 0, false},
    {"text/csv", &fmt_csv, 1, true},
    {"csv", &fmt_csv, 1, true},
    {"application/octet-stream", NULL, 0, false},
};

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
    for (; *from != '\0' && (quoted || *from != ';'); from++)
        if (*from == '"')
            quoted = !quoted;
    return from;
}

static enum fmt_rc refuse(struct fmt_error *error, const char *what, struct token token)
{
    int len = token.len_bytes < 80 ? (int)token.len_bytes : 80;
    (void)fmt_fail(error, 0, 0, "%s '%.*s'", what, len, token.text);
    return FMT_E_ARGUMENT;
}

static bool parse_u32(struct token token, uint32_t *value)
{
    uint64_t sum = 0;
    if (token.len_bytes == 0)
        return false;
    for (size_t i = 0; i < token.len_bytes; i++) {
        if (token.text[i] < '0' || token.text[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(token.text[i] - '0');
        if (sum > UINT32_MAX)
            return false;
    }
    *value = (uint32_t)sum;
    return true;
}

/* One "name=value". */
static enum fmt_rc parse_parameter(const struct format *format, struct token parameter,
                                   struct fmt_options *options, struct fmt_error *error)
{
    const char *equals = memchr(parameter.text, '=', parameter.len_bytes);
    if (equals == NULL)
        return refuse(error, "content type: parameter without '=':", parameter);
    struct token name = trim(parameter.text, equals);
    struct token value = trim(equals + 1, parameter.text + parameter.len_bytes);
    if (value.len_bytes >= 2 && value.text[0] == '"' && value.text[value.len_bytes - 1] == '"') {
        value.text++;
        value.len_bytes -= 2;
    }
    if (token_is(name, "charset")) {
        if (token_is(value, "utf-8") || token_is(value, "utf8"))
            return FMT_OK;
        return refuse(error, "content type: only charset=utf-8 is supported, not", value);
    }
    if (!token_is(name, "label_size"))
        return refuse(error, "content type: unknown parameter", name);
    if (!format->takes_label_size) {
        (void)fmt_fail(error, 0, 0,
                       "content type: %s has no parameter label_size: it is for text/csv",
                       format->name);
        return FMT_E_ARGUMENT;
    }
    if (!parse_u32(value, &options->label_size))
        return refuse(error, "content type: label_size must be a number of columns, not", value);
    return FMT_OK;
}

enum fmt_rc fmt_options_parse(const char *content_type, struct fmt_options *options,
                              struct fmt_error *error)
{
    const char *end = find_end(content_type);
    struct token type = trim(content_type, end);
    const struct format *format = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(FORMATS) && format == NULL; i++)
        if (token_is(type, FORMATS[i].name))
            format = &FORMATS[i];
    if (format == NULL)
        return refuse(error,
                      "content type must be application/x-recordio-protobuf, "
                      "text/csv[;label_size=N] or application/octet-stream, not",
                      type);
    *options = (struct fmt_options){.ops = format->ops, .label_size = format->label_size};
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
    return FMT_OK;
}
