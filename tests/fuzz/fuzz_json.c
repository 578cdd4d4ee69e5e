/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_json.c - any bytes as a line of an augmented manifest: jansson agrees on what is
 * a JSON object, and on every member's value. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

/* What jansson refuses and RFC 8259 does not: numbers out of a double's range, and names with a
 * NUL.
 */
static bool is_jansson_s_own(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

static json_t *load(const uint8_t *data, size_t size, size_t flags, json_error_t *error)
{
    return json_loadb((const char *)data, size, flags | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
                      error);
}

static enum fmt_json_kind kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return FMT_JSON_OBJECT;
    case JSON_ARRAY:
        return FMT_JSON_ARRAY;
    case JSON_STRING:
        return FMT_JSON_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return FMT_JSON_NUMBER;
    case JSON_TRUE:
        return FMT_JSON_TRUE;
    case JSON_FALSE:
        return FMT_JSON_FALSE;
    case JSON_NULL:
        break;
    }
    return FMT_JSON_NULL;
}

/* The value as we found it is the one that jansson built. */
static void check_value(const struct fmt_json_value *ours, const json_t *theirs)
{
    require(ours->kind == kind_of(theirs));
    if (ours->kind == FMT_JSON_STRING) {
        size_t len = json_string_length(theirs);
        uint8_t *text = malloc(ours->len_bytes ? ours->len_bytes : 1);

        require(fmt_json_unescape(ours, text) == len);
        require(memcmp(text, json_string_value(theirs), len) == 0);
        require(fmt_json_is(ours, json_string_value(theirs), len));
        free(text);
        return;
    }
    json_t *again = load(ours->bytes, ours->len_bytes, JSON_DECODE_ANY, NULL);

    require(again && json_equal(again, theirs));
    json_decref(again);
}

/* Reads the object; with `theirs`, the last member of every name is compared with it. */
static enum fmt_rc read_object(const uint8_t *line, size_t size, const json_t *theirs,
                               struct fmt_error *error)
{
    struct fmt_json_value name, value;
    struct fmt_json json;
    const char *key;
    json_t *member;

    fmt_json_begin(&json, line, size);
    enum fmt_rc rc = fmt_json_enter(&json, '{', error);
    size_t members = json_object_size(theirs);
    struct fmt_json_value *last = calloc(members + 1, sizeof *last);

    while (rc == FMT_OK) {
        size_t i = 0;

        rc = fmt_json_next(&json, &name, &value, error);
        if (rc != FMT_OK || value.kind == FMT_JSON_NONE)
            break;
        require(value.bytes >= line && value.bytes + value.len_bytes <= line + size);
        json_object_foreach((json_t *)(uintptr_t)theirs, key, member)
        {
            if (fmt_json_is(&name, key, strlen(key)))
                last[i] = value;
            i++;
        }
    }
    if (rc == FMT_OK)
        rc = fmt_json_end(&json, error);
    if (rc == FMT_OK) {
        size_t i = 0;

        json_object_foreach((json_t *)(uintptr_t)theirs, key, member)
            check_value(&last[i++], member);
    }
    free(last);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fmt_error error = {.text = ""};
    json_error_t their_error = {.line = 0};
    uint8_t *line = calloc(1, size ? size : 1);

    if (!line)
        return 0;
    if (size > 0)
        memcpy(line, data, size);
    json_t *theirs = load(line, size, 0, &their_error);

    /* JSON has no NUL byte anywhere; jansson passes over one behind a number. */
    if ((theirs && !json_is_object(theirs)) || memchr(line, '\0', size)) {
        require(read_object(line, size, NULL, &error) == FMT_E_FORMAT);
    } else {
        enum fmt_rc rc = read_object(line, size, theirs, &error);

        require(error.offset_bytes <= size);
        if (rc == FMT_OK)
            require(theirs || is_jansson_s_own(&their_error));
        else
            require(*error.text && (!theirs || strstr(error.text, "nested more than")));
    }
    json_decref(theirs);
    free(line);
    return 0;
}
