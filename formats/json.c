/* SPDX-License-Identifier: Apache-2.0 */
/* formats/json.c - see json.h. */
#include "formats/json.h"
#include "formats/json_string.h"

#include <string.h>

void fmt_json_begin(struct fmt_json *json, const uint8_t *in, size_t len_bytes)
{
    *json = (struct fmt_json){.in = in, .len_bytes = len_bytes};
}

static void skip_blanks(struct fmt_json *json)
{
    while (json->at_bytes < json->len_bytes) {
        uint8_t c = json->in[json->at_bytes];

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        json->at_bytes++;
    }
}

/* The byte at hand, or -1 at the end. */
static int peek(const struct fmt_json *json)
{
    return json->at_bytes < json->len_bytes ? json->in[json->at_bytes] : -1;
}

static enum fmt_rc unexpected(const struct fmt_json *json, const char *wanted,
                              struct fmt_error *error)
{
    int c = peek(json);

    if (c < 0)
        return fmt_fail(error, json->at_bytes, 0, "it ends where %s should be", wanted);
    if (c > ' ' && c < 0x7f)
        return fmt_fail(error, json->at_bytes, 0, "'%c' stands where %s should be", c, wanted);
    return fmt_fail(error, json->at_bytes, 0, "byte 0x%02x stands where %s should be", (unsigned)c,
                    wanted);
}

/* ---- strings ---- */

/* Passes over the string that begins here. */
static enum fmt_rc pass_string(struct fmt_json *json, struct fmt_json_value *value,
                               struct fmt_error *error)
{
    size_t begin = json->at_bytes + 1;
    bool escaped = false;

    if (peek(json) != '"')
        return unexpected(json, "a string", error);
    const uint8_t *in = json->in + begin;
    size_t left = json->len_bytes - begin;
    size_t bytes = fmt_json_string(in, left, &escaped);

    if (bytes == left)
        return fmt_fail(error, begin - 1, 0, "a string has no end");
    json->at_bytes = begin + bytes;
    if (in[bytes] < 0x20)
        return fmt_fail(error, json->at_bytes, 0,
                        "a string holds the control character 0x%02x, which JSON writes as an "
                        "escape",
                        in[bytes]);
    if (in[bytes] != '"')
        return fmt_fail(error, json->at_bytes, 0, "a string holds %s",
                        in[bytes] == '\\' ? "an escape that is none of JSON's, or half of a pair"
                                          : "bytes that are no UTF-8");
    *value = (struct fmt_json_value){
        .kind = FMT_JSON_STRING, .bytes = in, .len_bytes = bytes, .escaped = escaped};
    json->at_bytes++;
    return FMT_OK;
}

static size_t put_utf8(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = bytes - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (uint8_t)(0xf00u >> bytes | code);
    return bytes;
}

size_t fmt_json_unescape(const struct fmt_json_value *value, uint8_t *out)
{
    size_t out_bytes = 0;

    if (!value->escaped) {
        memcpy(out, value->bytes, value->len_bytes);
        return value->len_bytes;
    }
    for (size_t at = 0; at < value->len_bytes;) {
        const uint8_t *in = value->bytes + at;
        size_t left = value->len_bytes - at;
        const uint8_t *escape = memchr(in, '\\', left);
        size_t plain = escape ? (size_t)(escape - in) : left;
        uint32_t code = 0;

        memcpy(out + out_bytes, in, plain);
        out_bytes += plain;
        at += plain;
        if (!escape)
            break;
        at += fmt_json_escape(escape, left - plain, &code);
        out_bytes += put_utf8(code, out + out_bytes);
    }
    return out_bytes;
}

bool fmt_json_is(const struct fmt_json_value *value, const char *text, size_t len_bytes)
{
    size_t at = 0, text_at = 0;

    if (value->kind != FMT_JSON_STRING)
        return false;
    if (!value->escaped)
        return value->len_bytes == len_bytes && memcmp(value->bytes, text, len_bytes) == 0;
    while (at < value->len_bytes) {
        uint8_t character[4] = {value->bytes[at]};
        uint32_t code = 0;
        size_t bytes = 1;

        if (value->bytes[at] == '\\') {
            at += fmt_json_escape(value->bytes + at, value->len_bytes - at, &code);
            bytes = put_utf8(code, character);
        } else {
            at++;
        }
        if (bytes > len_bytes - text_at || memcmp(character, text + text_at, bytes) != 0)
            return false;
        text_at += bytes;
    }
    return text_at == len_bytes;
}

/* ---- values ---- */

static void pass_digits(struct fmt_json *json)
{
    while (peek(json) >= '0' && peek(json) <= '9')
        json->at_bytes++;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool pass_number(struct fmt_json *json)
{
    size_t before;

    if (peek(json) == '-')
        json->at_bytes++;
    before = json->at_bytes;
    if (peek(json) == '0')
        json->at_bytes++;
    else
        pass_digits(json);
    if (json->at_bytes == before)
        return false;
    if (peek(json) == '.') {
        before = ++json->at_bytes;
        pass_digits(json);
        if (json->at_bytes == before)
            return false;
    }
    if (peek(json) != 'e' && peek(json) != 'E')
        return true;
    json->at_bytes++;
    if (peek(json) == '+' || peek(json) == '-')
        json->at_bytes++;
    before = json->at_bytes;
    pass_digits(json);
    return json->at_bytes > before;
}

static bool is_word(const struct fmt_json *json, const char *word)
{
    size_t bytes = strlen(word);

    return json->len_bytes - json->at_bytes >= bytes &&
           memcmp(json->in + json->at_bytes, word, bytes) == 0;
}

/* Passes over a value that holds no others. */
static enum fmt_rc pass_scalar(struct fmt_json *json, struct fmt_json_value *value,
                               struct fmt_error *error)
{
    static const struct {
        const char *text;
        enum fmt_json_kind kind;
    } words[] = {{"null", FMT_JSON_NULL},       {"false", FMT_JSON_FALSE},
                 {"true", FMT_JSON_TRUE},       {"NaN", FMT_JSON_NUMBER},
                 {"Infinity", FMT_JSON_NUMBER}, {"-Infinity", FMT_JSON_NUMBER}};
    size_t word_count = json->number_words ? sizeof words / sizeof *words : 3;
    size_t begin = json->at_bytes;
    int c = peek(json);

    if (c == '"')
        return pass_string(json, value, error);
    *value = (struct fmt_json_value){.kind = FMT_JSON_NUMBER, .bytes = json->in + begin};
    if ((c >= '0' && c <= '9') ||
        (c == '-' && !(json->number_words && is_word(json, "-Infinity")))) {
        if (!pass_number(json))
            return unexpected(json, "a digit", error);
        value->len_bytes = json->at_bytes - begin;
        return FMT_OK;
    }
    for (size_t i = 0; i < word_count; i++) {
        if (!is_word(json, words[i].text))
            continue;
        value->kind = words[i].kind;
        value->len_bytes = strlen(words[i].text);
        json->at_bytes += value->len_bytes;
        return FMT_OK;
    }
    return unexpected(json, "a value", error);
}

/* Passes over a member's name and the colon. */
static enum fmt_rc pass_name(struct fmt_json *json, struct fmt_json_value *name,
                             struct fmt_error *error)
{
    skip_blanks(json);
    if (peek(json) != '"')
        return unexpected(json, "a member's name", error);
    enum fmt_rc rc = pass_string(json, name, error);

    skip_blanks(json);
    if (rc != FMT_OK || peek(json) != ':')
        return rc == FMT_OK ? unexpected(json, "':'", error) : rc;
    json->at_bytes++;
    return FMT_OK;
}

/* Which of the open arrays and objects are objects: a bit each. */
struct nest {
    uint8_t objects[(FMT_JSON_DEPTH_MAX + 7) / 8];
    unsigned depth;
};

static bool in_object(const struct nest *nest)
{
    return nest->objects[(nest->depth - 1) / 8] >> ((nest->depth - 1) % 8) & 1;
}

/* Goes into the array or object that begins here. *empty: it was left at once. */
static enum fmt_rc go_in(struct fmt_json *json, struct nest *nest, bool *empty,
                         struct fmt_error *error)
{
    bool object = peek(json) == '{';
    struct fmt_json_value name;

    if (nest->depth == FMT_JSON_DEPTH_MAX)
        return fmt_fail(error, json->at_bytes, 0, "values are nested more than %d deep",
                        FMT_JSON_DEPTH_MAX);
    uint8_t bit = (uint8_t)(1u << (nest->depth % 8));
    uint8_t *byte = &nest->objects[nest->depth / 8];

    *byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
    nest->depth++;
    json->at_bytes++;
    skip_blanks(json);
    *empty = peek(json) == (object ? '}' : ']');
    if (*empty) {
        json->at_bytes++;
        nest->depth--;
        return FMT_OK;
    }
    return object ? pass_name(json, &name, error) : FMT_OK;
}

/* After a value: out of everything that ends here, and up to the next value. */
static enum fmt_rc go_on(struct fmt_json *json, struct nest *nest, struct fmt_error *error)
{
    struct fmt_json_value name;

    while (nest->depth > 0) {
        bool object = in_object(nest);

        skip_blanks(json);
        if (peek(json) == ',') {
            json->at_bytes++;
            return object ? pass_name(json, &name, error) : FMT_OK;
        }
        if (peek(json) != (object ? '}' : ']'))
            return unexpected(json, object ? "',' or '}'" : "',' or ']'", error);
        json->at_bytes++;
        nest->depth--;
    }
    return FMT_OK;
}

enum fmt_rc fmt_json_pass(struct fmt_json *json, struct fmt_json_value *value,
                          struct fmt_error *error)
{
    struct fmt_json_value inner;
    struct nest nest = {.depth = 0};
    enum fmt_rc rc;

    skip_blanks(json);
    size_t begin = json->at_bytes;
    int first = peek(json);

    if (first != '{' && first != '[')
        return pass_scalar(json, value, error);
    do {
        bool empty = false;

        skip_blanks(json);
        int c = peek(json);
        bool nested = c == '{' || c == '[';

        rc = nested ? go_in(json, &nest, &empty, error) : pass_scalar(json, &inner, error);
        if (rc == FMT_OK && (!nested || empty))
            rc = go_on(json, &nest, error);
    } while (rc == FMT_OK && nest.depth > 0);
    *value = (struct fmt_json_value){.kind = first == '{' ? FMT_JSON_OBJECT : FMT_JSON_ARRAY,
                                     .bytes = json->in + begin,
                                     .len_bytes = json->at_bytes - begin};
    return rc;
}

/* ---- walking ---- */

enum fmt_rc fmt_json_enter(struct fmt_json *json, char open, struct fmt_error *error)
{
    skip_blanks(json);
    if (peek(json) != open)
        return unexpected(json, open == '{' ? "'{'" : "'['", error);
    json->at_bytes++;
    json->in_object = open == '{';
    json->begun = false;
    return FMT_OK;
}

enum fmt_rc fmt_json_next(struct fmt_json *json, struct fmt_json_value *name,
                          struct fmt_json_value *value, struct fmt_error *error)
{
    int close = json->in_object ? '}' : ']';

    skip_blanks(json);
    if (peek(json) == close) {
        json->at_bytes++;
        *value = (struct fmt_json_value){.kind = FMT_JSON_NONE};
        return FMT_OK;
    }
    if (json->begun) {
        if (peek(json) != ',')
            return unexpected(json, json->in_object ? "',' or '}'" : "',' or ']'", error);
        json->at_bytes++;
        skip_blanks(json);
    }
    json->begun = true;
    enum fmt_rc rc = json->in_object ? pass_name(json, name, error) : FMT_OK;

    return rc == FMT_OK ? fmt_json_pass(json, value, error) : rc;
}

enum fmt_rc fmt_json_end(const struct fmt_json *json, struct fmt_error *error)
{
    struct fmt_json rest = *json;

    skip_blanks(&rest);
    if (peek(&rest) < 0)
        return FMT_OK;
    return unexpected(&rest, "the end", error);
}

const char *fmt_json_kind_name(enum fmt_json_kind kind)
{
    static const char *const names[] = {
        [FMT_JSON_NONE] = "nothing",    [FMT_JSON_NULL] = "null",
        [FMT_JSON_FALSE] = "false",     [FMT_JSON_TRUE] = "true",
        [FMT_JSON_NUMBER] = "a number", [FMT_JSON_STRING] = "a string",
        [FMT_JSON_ARRAY] = "an array",  [FMT_JSON_OBJECT] = "an object",
    };

    return names[kind];
}
