/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/manifest.c - see manifest.h. */
#include "pipe/manifest.h"

#include "formats/json.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/references.h"

#include <stdlib.h>
#include <string.h>

#define STOP_LOOK_LINES 1024
#define SKIPS_LOGGED 10

struct reading {
    struct ps_channel *ch;
    uint32_t uri_no;
    const uint8_t *text; /* of the manifest */
    size_t len_bytes;
    uint32_t line_no;
    struct penstock_error *error;

    /* Texts of the entry or line at hand, each followed by a NUL. */
    char *scratch;
    size_t scratch_bytes, scratch_room;
};

int ps_manifest_fail(struct ps_channel *ch, uint32_t uri_no, uint32_t line_no,
                     const struct penstock_error *cause, struct penstock_error *error)
{
    const struct penstock_error copy = *cause; /* may be *error */
    const char *unit = ch->data_type == PS_DATA_AUGMENTED ? "line" : "element";

    ps_fail(error, copy.rc, "channel %s: manifest %s, %s %u: %s", ch->name,
            ch->sources[uri_no].text, unit, line_no, copy.message);
    ps_error_object(error, copy.bucket, copy.key, copy.offset_bytes);
    ps_error_answer(error, copy.http_status, copy.s3_code, copy.request_id, copy.remote_ip,
                    copy.attempts);
    return copy.rc;
}

void ps_manifest_skip(struct ps_channel *ch, uint32_t uri_no, uint32_t line_no, const char *why)
{
    uint64_t before = atomic_fetch_add(&ch->counts.lines_skipped, 1);

    if (before < SKIPS_LOGGED)
        ps_engine_log(ch->stream, 1, "channel %s: manifest %s, line %u is left out: %s%s", ch->name,
                      ch->sources[uri_no].text, line_no, why,
                      before + 1 == SKIPS_LOGGED ? " (further lines are counted only)" : "");
}

/* The manifest is malformed here. */
static int malformed(struct reading *r, size_t offset_bytes, const char *cause)
{
    const struct ps_source *source = &r->ch->sources[r->uri_no];

    ps_fail(r->error, PENSTOCK_E_FORMAT,
            "channel %s: manifest %s is malformed at byte %zu (element %u): %s", r->ch->name,
            source->text, offset_bytes, r->line_no, cause);
    ps_error_object(r->error, source->uri.bucket, source->uri.prefix, offset_bytes);
    return PENSTOCK_E_FORMAT;
}

/* What entry or line line_no says cannot be; `cause` is why. */
static int bad_unit(struct reading *r, struct penstock_error *cause)
{
    const struct ps_source *source = &r->ch->sources[r->uri_no];

    if (cause->rc == PENSTOCK_E_FORMAT && r->ch->skip_bad_lines) {
        ps_manifest_skip(r->ch, r->uri_no, r->line_no, cause->message);
        return PENSTOCK_OK;
    }
    ps_error_object(cause, source->uri.bucket, source->uri.prefix, 0);
    return ps_manifest_fail(r->ch, r->uri_no, r->line_no, cause, r->error);
}

static bool make_room(struct reading *r, size_t bytes)
{
    r->scratch_bytes = 0;
    if (bytes <= r->scratch_room)
        return true;
    char *scratch = realloc(r->scratch, 2 * bytes);

    if (!scratch)
        return false;
    r->scratch = scratch;
    r->scratch_room = 2 * bytes;
    return true;
}

/* A string's text in the scratch, for which there is room. *len_bytes may count NUL bytes. */
static char *keep(struct reading *r, const struct fmt_json_value *value, size_t *len_bytes)
{
    char *text = r->scratch + r->scratch_bytes;

    *len_bytes = fmt_json_unescape(value, (uint8_t *)text);
    text[*len_bytes] = '\0';
    r->scratch_bytes += *len_bytes + 1;
    return text;
}

static int read_reference(struct reading *r, const char *text, size_t len_bytes,
                          struct ps_object *item, struct penstock_error *cause)
{
    *item = (struct ps_object){.state = PS_OBJECT_UNSIZED, .line_no = r->line_no};
    if (strlen(text) != len_bytes)
        return ps_fail(cause, PENSTOCK_E_FORMAT, "the URI '%.200s' holds a NUL character", text);
    return ps_reference_read(r->ch, r->uri_no, text, item, cause);
}

static int add_unit(struct reading *r, const struct ps_object *items)
{
    if (ps_plan_add_unit(r->ch->plan, items) == PENSTOCK_OK)
        return PENSTOCK_OK;
    return ps_fail(r->error, PENSTOCK_E_MEMORY, "channel %s: out of memory for manifest %s",
                   r->ch->name, r->ch->sources[r->uri_no].text);
}

/* Now and then: a manifest may have millions of lines. */
static bool is_stopped(const struct reading *r)
{
    return r->line_no % STOP_LOOK_LINES == 0 && atomic_load(&r->ch->stream->stopping);
}

/* ---- ManifestFile ---- */

/* Entry 0: {"prefix": "..."}, whose other members mean nothing here. */
static int read_prefix(struct reading *r, const struct fmt_json_value *entry,
                       struct fmt_json_value *prefix)
{
    size_t at = (size_t)(entry->bytes - r->text);
    struct fmt_error cause = {.text = ""};
    struct fmt_json_value name, value;
    struct fmt_json json;

    *prefix = (struct fmt_json_value){.kind = FMT_JSON_NONE};
    if (entry->kind != FMT_JSON_OBJECT)
        return malformed(r, at, "it does not begin with [{\"prefix\": \"s3://BUCKET/...\"}");
    fmt_json_begin(&json, entry->bytes, entry->len_bytes);
    fmt_json_enter(&json, '{', &cause);
    while (fmt_json_next(&json, &name, &value, &cause) == FMT_OK && value.kind != FMT_JSON_NONE)
        if (fmt_json_is(&name, "prefix", strlen("prefix")))
            *prefix = value;
    if (prefix->kind != FMT_JSON_STRING || prefix->len_bytes == 0)
        return malformed(r, at, "the first element has no \"prefix\" that is a string with text");
    return PENSTOCK_OK;
}

static int read_entry(struct reading *r, const struct fmt_json_value *prefix,
                      const struct fmt_json_value *entry)
{
    struct penstock_error cause;
    struct ps_object item;
    size_t prefix_bytes, len_bytes;

    if (entry->kind != FMT_JSON_STRING)
        return malformed(r, (size_t)(entry->bytes - r->text),
                         "an element after the first is not a string");
    if (!make_room(r, prefix->len_bytes + entry->len_bytes + 2))
        return ps_fail(r->error, PENSTOCK_E_MEMORY, "out of memory for a manifest");
    char *text = keep(r, prefix, &prefix_bytes);

    r->scratch_bytes--; /* the suffix goes over the prefix's NUL */
    keep(r, entry, &len_bytes);
    int rc = read_reference(r, text, prefix_bytes + len_bytes, &item, &cause);

    return rc == PENSTOCK_OK ? add_unit(r, &item) : bad_unit(r, &cause);
}

static int read_manifest(struct reading *r)
{
    struct fmt_json_value entry, prefix = {.kind = FMT_JSON_NONE};
    struct fmt_error cause = {.text = ""};
    struct fmt_json json;
    int rc = PENSTOCK_OK;

    fmt_json_begin(&json, r->text, r->len_bytes);
    enum fmt_rc read = fmt_json_enter(&json, '[', &cause);

    while (rc == PENSTOCK_OK && read == FMT_OK) {
        read = fmt_json_next(&json, NULL, &entry, &cause);
        if (read != FMT_OK || entry.kind == FMT_JSON_NONE)
            break;
        rc = prefix.kind == FMT_JSON_NONE ? read_prefix(r, &entry, &prefix)
                                          : read_entry(r, &prefix, &entry);
        r->line_no++;
        if (rc == PENSTOCK_OK && is_stopped(r))
            rc = PENSTOCK_E_STOPPED;
    }
    if (rc != PENSTOCK_OK)
        return rc;
    if (read == FMT_OK)
        read = fmt_json_end(&json, &cause);
    if (read != FMT_OK)
        return malformed(r, cause.offset_bytes, cause.text);
    if (prefix.kind == FMT_JSON_NONE)
        return malformed(r, 0, "it is empty: it has to begin with {\"prefix\": ...}");
    return PENSTOCK_OK;
}

/* ---- AugmentedManifestFile ---- */

static bool is_reference(const char *name)
{
    size_t len = strlen(name);

    return len >= 4 && strcmp(name + len - 4, "-ref") == 0;
}

/* Finds the values of the channel's attributes; of a name that comes twice the last, as elsewhere.
 */
static int find_values(struct reading *r, const uint8_t *line, size_t len_bytes,
                       struct fmt_json_value *values, struct penstock_error *why)
{
    const struct ps_channel *ch = r->ch;
    struct fmt_json_value name, value;
    struct fmt_error cause = {.text = ""};
    struct fmt_json json;

    for (size_t i = 0; i < ch->attribute_count; i++)
        values[i].kind = FMT_JSON_NONE;
    fmt_json_begin(&json, line, len_bytes);
    enum fmt_rc rc = fmt_json_enter(&json, '{', &cause);

    while (rc == FMT_OK) {
        rc = fmt_json_next(&json, &name, &value, &cause);
        if (rc != FMT_OK || value.kind == FMT_JSON_NONE)
            break;
        for (size_t i = 0; i < ch->attribute_count; i++)
            if (fmt_json_is(&name, ch->attribute_names[i], strlen(ch->attribute_names[i])))
                values[i] = value;
    }
    if (rc == FMT_OK)
        rc = fmt_json_end(&json, &cause);
    if (rc != FMT_OK)
        return ps_fail(why, PENSTOCK_E_FORMAT, "it is no JSON object, at column %zu: %s",
                       cause.offset_bytes + 1, cause.text);
    for (size_t i = 0; i < ch->attribute_count; i++)
        if (values[i].kind == FMT_JSON_NONE)
            return ps_fail(why, PENSTOCK_E_FORMAT, "attribute \"%s\" is missing",
                           ch->attribute_names[i]);
    return PENSTOCK_OK;
}

static int make_item(struct reading *r, const char *name, const struct fmt_json_value *value,
                     struct ps_object *item, struct penstock_error *why)
{
    size_t len_bytes = value->len_bytes;
    bool is_text = value->kind == FMT_JSON_STRING;

    if (is_reference(name)) {
        if (!is_text)
            return ps_fail(why, PENSTOCK_E_FORMAT,
                           "attribute \"%s\" is %s, not the URI of an object", name,
                           fmt_json_kind_name(value->kind));
        const char *text = keep(r, value, &len_bytes);

        if (read_reference(r, text, len_bytes, item, why) == PENSTOCK_OK)
            return PENSTOCK_OK;
        struct penstock_error cause = *why;

        return ps_fail(why, cause.rc, "attribute \"%s\": %s", name, cause.message);
    }
    const void *bytes = value->bytes;

    if (value->escaped)
        bytes = keep(r, value, &len_bytes);
    *item = (struct ps_object){.key = name,
                               .value = bytes,
                               .size_bytes = len_bytes,
                               .source_no = r->uri_no,
                               .uri_no = r->uri_no,
                               .line_no = r->line_no,
                               .state = PS_OBJECT_VALUE};
    return PENSTOCK_OK;
}

static int read_line(struct reading *r, const uint8_t *line, size_t len_bytes)
{
    const struct ps_channel *ch = r->ch;
    struct fmt_json_value values[PS_ATTRIBUTES_MAX];
    struct ps_object items[PS_ATTRIBUTES_MAX];
    struct penstock_error why;

    if (!make_room(r, len_bytes + PS_ATTRIBUTES_MAX))
        return ps_fail(r->error, PENSTOCK_E_MEMORY, "out of memory for a manifest");
    int rc = find_values(r, line, len_bytes, values, &why);

    for (size_t i = 0; rc == PENSTOCK_OK && i < ch->attribute_count; i++)
        rc = make_item(r, ch->attribute_names[i], &values[i], &items[i], &why);
    return rc == PENSTOCK_OK ? add_unit(r, items) : bad_unit(r, &why);
}

static bool is_blank(const uint8_t *line, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++)
        if (!strchr(" \t\r", line[i]) || line[i] == '\0')
            return false;
    return true;
}

static int read_lines(struct reading *r)
{
    int rc = PENSTOCK_OK;

    for (size_t at = 0; rc == PENSTOCK_OK && at < r->len_bytes;) {
        const uint8_t *line = r->text + at;
        const uint8_t *end = memchr(line, '\n', r->len_bytes - at);
        size_t len_bytes = end ? (size_t)(end - line) : r->len_bytes - at;

        r->line_no++;
        if (!is_blank(line, len_bytes))
            rc = read_line(r, line, len_bytes);
        if (rc == PENSTOCK_OK && is_stopped(r))
            rc = PENSTOCK_E_STOPPED;
        at += len_bytes + 1;
    }
    return rc;
}

int ps_manifest_read(struct ps_channel *ch, uint32_t uri_no, const uint8_t *text, size_t len_bytes,
                     struct penstock_error *error)
{
    struct reading r = {
        .ch = ch, .uri_no = uri_no, .text = text, .len_bytes = len_bytes, .error = error};

    if (len_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* some editors write it */
        r.text += 3;
        r.len_bytes -= 3;
    }
    int rc = ch->data_type == PS_DATA_AUGMENTED ? read_lines(&r) : read_manifest(&r);

    free(r.scratch);
    return rc;
}
