/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_type.c - the content type that reads objects of a kind. See inspect.h. */
#include "pipe/inspect.h"

#include "formats/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- JSON Lines ---- */

/* Lists of names on their way into parameters. */
struct lists {
    char features[PS_TYPE_BYTES];
    char labels[PS_TYPE_BYTES];
    char texts[PS_TYPE_BYTES];
    bool by_default; /* it has the names that are looked for without parameters */
};

static bool is_any(const struct fmt_json_value *name, const char *const *names)
{
    for (; *names; names++)
        if (fmt_json_is(name, *names, strlen(*names)))
            return true;
    return false;
}

/* Appends "NAME,". Names that a content type cannot hold as they are, and those for which there is
 * no room, are left out. */
static void add_name(char list[PS_TYPE_BYTES], const struct fmt_json_value *name)
{
    size_t len = strlen(list);

    if (name->escaped || name->len_bytes == 0 || name->len_bytes + len + 2 > PS_TYPE_BYTES)
        return;
    for (size_t i = 0; i < name->len_bytes; i++)
        if (strchr(",;./\" ", name->bytes[i]) || name->bytes[i] < ' ')
            return;
    memcpy(list + len, name->bytes, name->len_bytes);
    memcpy(list + len + name->len_bytes, ",", 2);
}

/* A name may come twice in an object, but not in a content type. */
static bool has_name(const char *list, const struct fmt_json_value *name)
{
    for (const char *end; *list; list = end + 1) {
        end = strchr(list, ',');
        if ((size_t)(end - list) == name->len_bytes &&
            memcmp(list, name->bytes, name->len_bytes) == 0)
            return true;
    }
    return false;
}

/* Whether an array holds numbers, or such arrays. */
static bool is_numbers(const struct fmt_json_value *value)
{
    struct fmt_json_value item = {.kind = FMT_JSON_NONE};
    struct fmt_json json;

    if (value->kind != FMT_JSON_ARRAY)
        return value->kind == FMT_JSON_NUMBER || value->kind == FMT_JSON_TRUE ||
               value->kind == FMT_JSON_FALSE;
    for (size_t at = 0; at < value->len_bytes && value->bytes[at] == '['; at++) {
        fmt_json_begin(&json, value->bytes + at, value->len_bytes - at);
        json.number_words = true;
        if (fmt_json_enter(&json, '[', NULL) != FMT_OK ||
            fmt_json_next(&json, NULL, &item, NULL) != FMT_OK)
            return false;
        if (item.kind != FMT_JSON_ARRAY)
            return item.kind == FMT_JSON_NUMBER;
    }
    return false;
}

static void take_member(struct lists *lists, const struct fmt_json_value *name,
                        const struct fmt_json_value *value)
{
    static const char *const features[] = {"features", NULL};
    static const char *const data[] = {"data", NULL};
    static const char *const labels[] = {"label", "labels", "target", "class", "y", NULL};

    if (is_any(name, features) || (is_any(name, data) && value->kind == FMT_JSON_OBJECT))
        lists->by_default = true;
    else if (has_name(lists->features, name) || has_name(lists->labels, name) ||
             has_name(lists->texts, name))
        return;
    else if (value->kind == FMT_JSON_STRING)
        add_name(lists->texts, name);
    else if (is_numbers(value))
        add_name(is_any(name, labels) ? lists->labels : lists->features, name);
}

/* Numbers of the first line become features, or labels if they are named like one; strings texts.
 * Names that are longer than a content type may be are left out, all of them. */
static void type_json_lines(const uint8_t *in, size_t len, char *out, size_t room)
{
    struct lists lists = {.features = ""};
    struct fmt_json_value name;
    struct fmt_json_value value = {.kind = FMT_JSON_NULL};
    struct fmt_json json;

    if (len >= 3 && memcmp(in, "\xef\xbb\xbf", 3) == 0) {
        in += 3;
        len -= 3;
    }
    fmt_json_begin(&json, in, len);
    json.number_words = true;
    enum fmt_rc rc = fmt_json_enter(&json, '{', NULL);

    while (rc == FMT_OK && value.kind != FMT_JSON_NONE) {
        rc = fmt_json_next(&json, &name, &value, NULL);
        if (rc == FMT_OK && value.kind != FMT_JSON_NONE)
            take_member(&lists, &name, &value);
    }
    snprintf(out, room, "application/jsonlines");
    if (lists.by_default)
        return;
    const char *const parameters[] = {"features", "label", "text"};
    const char *const values[] = {lists.features, lists.labels, lists.texts};

    for (size_t i = 0; i < 3; i++) {
        size_t used = strlen(out);
        size_t value_len = strlen(values[i]);

        if (value_len == 0)
            continue;
        if (used + strlen(parameters[i]) + value_len + 2 > room) { /* no half of a parameter */
            snprintf(out, room, "application/jsonlines");
            return;
        }
        snprintf(out + used, room - used, ";%s=%.*s", parameters[i], (int)value_len - 1, values[i]);
    }
}

/* ---- all of them ---- */

static const char *delimiter_name(char delimiter)
{
    switch (delimiter) {
    case ';':
        return "semicolon";
    case '\t':
        return "tab";
    case '|':
        return "pipe";
    case ' ':
        return "space";
    default:
        return "comma";
    }
}

static const char *fixed_type(enum ps_kind kind)
{
    switch (kind) {
    case PS_KIND_RECORD_PROTOBUF:
        return "application/x-recordio-protobuf";
    case PS_KIND_IMAGE_RECORDIO:
        return "application/x-recordio;image_shape=3,224,224";
    case PS_KIND_CSV:
        return "text/csv;label_size=1";
    case PS_KIND_LIBSVM:
        return "text/libsvm";
    case PS_KIND_TFRECORD:
        return "application/x-tfrecord";
    case PS_KIND_PARQUET:
        return "application/x-parquet";
    case PS_KIND_JPEG:
    case PS_KIND_PNG:
        return "application/x-image;image_shape=3,224,224";
    case PS_KIND_UNKNOWN:
    case PS_KIND_RECORDIO:
    case PS_KIND_CSV_OTHER:
    case PS_KIND_JSON_LINES:
    case PS_KIND_JSON:
    case PS_KIND_LST:
    case PS_KIND_RECORDIO_INDEX:
    case PS_KIND_TEXT:
    case PS_KIND_NPY:
    case PS_KIND_ZIP:
    case PS_KIND_IDX:
    case PS_KIND_AVRO:
    case PS_KIND_BINARY:
        break;
    }
    return "application/octet-stream";
}

void ps_inspect_type(enum ps_kind kind, const uint8_t *in, size_t len, char *out, size_t room)
{
    if (kind == PS_KIND_JSON_LINES)
        type_json_lines(in, len, out, room);
    else if (kind == PS_KIND_CSV_OTHER)
        snprintf(out, room, "text/csv;label_size=1;delimiter=%s",
                 delimiter_name(ps_inspect_delimiter(in, len)));
    else
        snprintf(out, room, "%s", fixed_type(kind));
}

bool ps_inspect_type_is_whole(enum ps_kind kind)
{
    return kind == PS_KIND_RECORD_PROTOBUF || kind == PS_KIND_CSV || kind == PS_KIND_CSV_OTHER ||
           kind == PS_KIND_LIBSVM || kind == PS_KIND_JSON_LINES || kind == PS_KIND_TFRECORD;
}
