/* SPDX-License-Identifier: Apache-2.0 */
/* formats/json.h - where the values of a JSON text are: a validating scanner that builds nothing.
 *
 *     struct fmt_json json;
 *     fmt_json_begin(&json, in, len);
 *     rc = fmt_json_enter(&json, '{', &error);
 *     while (rc == FMT_OK && (rc = fmt_json_next(&json, &name, &value, &error)) == FMT_OK &&
 *            value.kind != FMT_JSON_NONE)
 *         use(name, value);
 *     if (rc == FMT_OK)
 *         rc = fmt_json_end(&json, &error);
 *
 * Every byte is checked by the time fmt_json_end has returned FMT_OK: grammar, numbers, UTF-8 and
 * escapes. What lies inside a value is checked when the value is passed over. Source: RFC 8259;
 * stricter in that an escape for half of a surrogate pair is refused, for it has no UTF-8.
 *
 * Owner: the caller; nothing is copied. Threads: pure functions. Units: bytes from `in`.
 */
#ifndef FORMATS_JSON_H
#define FORMATS_JSON_H

#include "formats/fmt.h"

#define FMT_JSON_DEPTH_MAX 1000

enum fmt_json_kind {
    FMT_JSON_NONE, /* the array or object has ended */
    FMT_JSON_NULL,
    FMT_JSON_FALSE,
    FMT_JSON_TRUE,
    FMT_JSON_NUMBER,
    FMT_JSON_STRING,
    FMT_JSON_ARRAY,
    FMT_JSON_OBJECT,
};

/* A value's own bytes: a string without its quotes, anything else as it is written. */
struct fmt_json_value {
    enum fmt_json_kind kind;
    const uint8_t *bytes;
    size_t len_bytes;
    bool escaped; /* a string that holds escapes: see fmt_json_unescape */
};

struct fmt_json {
    const uint8_t *in;
    size_t len_bytes;
    size_t at_bytes;
    bool number_words; /* may be set: NaN, Infinity and -Infinity are numbers, which RFC 8259 does
                        * not know and Python's json writes */
    bool in_object;    /* of the array or object being walked */
    bool begun;
};

void fmt_json_begin(struct fmt_json *json, const uint8_t *in, size_t len_bytes);

/* Enters the array or object (`open` is '[' or '{') that comes next. */
enum fmt_rc fmt_json_enter(struct fmt_json *json, char open, struct fmt_error *error);

/* The next element, or member and its name (NULL for arrays); kind FMT_JSON_NONE behind the last.
 */
enum fmt_rc fmt_json_next(struct fmt_json *json, struct fmt_json_value *name,
                          struct fmt_json_value *value, struct fmt_error *error);

/* Passes over the one value that comes next. */
enum fmt_rc fmt_json_pass(struct fmt_json *json, struct fmt_json_value *value,
                          struct fmt_error *error);

/* Nothing but white space may follow. */
enum fmt_rc fmt_json_end(const struct fmt_json *json, struct fmt_error *error);

/* Writes a string's text in UTF-8 to `out`, which has room for value->len_bytes; returns its
 * length. It may hold NUL bytes. */
size_t fmt_json_unescape(const struct fmt_json_value *value, uint8_t *out);

/* Whether a string's text is `text`. */
bool fmt_json_is(const struct fmt_json_value *value, const char *text, size_t len_bytes);

/* "a string", "a number", ...: for messages. */
const char *fmt_json_kind_name(enum fmt_json_kind kind);

#endif
