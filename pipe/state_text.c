/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/state_text.c - see state.h: the state's text, written and read. */
#include "pipe/state.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/fnv.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A longer one is told by its hash: the state is small whatever the settings are. */
#define TEXT_BYTES_MAX 160
#define VERSION_FIELD "penstock_state"

/* ---- hashes ---- */

uint64_t ps_state_hash_object(const void *channel, uint64_t hash, const struct ps_object *object)
{
    const struct ps_channel *ch = channel;
    bool in_s3 = ch->sources[object->source_no].uri.kind == PS_URI_S3;
    uint64_t size_bytes = object->size_bytes;

    hash = ps_fnv(hash, object->key, strlen(object->key) + 1);
    if (object->state == PS_OBJECT_VALUE)
        return ps_fnv(hash, object->value, size_bytes);
    /* Of what a manifest names these come later. */
    if (ch->data_type != PS_DATA_PREFIX)
        return hash;
    /* The identity of a file that is downloaded once more is another one. */
    if (in_s3)
        hash = ps_fnv(hash, object->etag, strlen(object->etag) + 1);
    return ps_fnv(hash, &size_bytes, sizeof size_bytes);
}

uint64_t ps_state_hash_shape(const struct fmt_shape *shape)
{
    static const struct fmt_framing none = {.stride_bytes = 0};
    const struct fmt_framing *framing = shape->framing.lenient ? &none : &shape->framing;
    const uint64_t parts[] = {shape->feature_dim,
                              shape->label_dim,
                              shape->text_dim,
                              shape->type,
                              shape->sparse,
                              shape->weighted,
                              shape->grouped,
                              framing->stride_bytes,
                              framing->features_offset,
                              framing->labels_offset,
                              framing->stride_bytes > 0 ? framing->label_type : 0};

    return ps_fnv(PS_FNV_BASIS, parts, sizeof parts);
}

static void put_hash(json_t *object, const char *name, uint64_t hash)
{
    char text[24];

    snprintf(text, sizeof text, "%016" PRIx64, hash);
    json_object_set_new(object, name, json_string(text));
}

/* ---- settings ---- */

static void set(json_t *settings, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set(json_t *settings, const char *name, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int len = vasprintf(&text, format, args);

    va_end(args);
    if (len < 0)
        return; /* json_object_size tells */
    json_t *value = len > TEXT_BYTES_MAX
                        ? json_sprintf("#%016" PRIx64, ps_fnv(PS_FNV_BASIS, text, (size_t)len))
                        : json_string(text);

    if (!value) /* bytes that are no UTF-8 */
        value = json_sprintf("#%016" PRIx64, ps_fnv(PS_FNV_BASIS, text, (size_t)len));
    json_object_set_new(settings, name, value);
    free(text);
}

static void set_names(json_t *settings, const struct penstock_channel_config *config)
{
    uint64_t hash = PS_FNV_BASIS;

    for (size_t i = 0; i < config->attribute_count; i++)
        hash = ps_fnv(hash, config->attribute_names[i], strlen(config->attribute_names[i]) + 1);
    set(settings, "attribute_names", "%zu #%016" PRIx64, config->attribute_count, hash);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

json_t *ps_state_settings(const struct ps_channel *ch, const struct penstock_channel_config *config)
{
    enum { SETTINGS = 21 };
    json_t *s = json_object();

    if (!s)
        return NULL;
    set(s, "content_type", "%s", or_else(config->content_type, ""));
    set(s, "compression", "%s", or_else(config->compression, "none"));
    set(s, "data_type", "%s", or_else(config->data_type, "prefix"));
    set_names(s, config);
    set(s, "key_suffix", "%s", or_else(config->key_suffix, ""));
    set(s, "bad_lines", "%s", or_else(config->bad_lines, "error"));
    set(s, "batch_rows", "%" PRIu32, config->batch_rows);
    set(s, "feature_dim", "%" PRIu32, config->feature_dim);
    set(s, "shuffle", "%s", config->shuffle ? "true" : "false");
    set(s, "seed", "%" PRIu64, config->seed);
    set(s, "shard_index", "%" PRIu32, config->shard_index);
    set(s, "shard_count", "%" PRIu32, config->shard_count);
    set(s, "split_objects", "%s", or_else(config->split_objects, "off"));
    /* "warn" leaves out the same. */
    set(s, "bad_records", "%s", ch->shaping.bad == PS_BAD_ERROR ? "error" : "skip");
    set(s, "last_batch", "%s", or_else(config->last_batch, "keep"));
    set(s, "pad_label", "%.9g", (double)config->pad_label);
    set(s, "shuffle_rows", "%" PRIu64, ch->shaping.window_rows);
    set(s, "sample_from", "%.17g", config->sample_from);
    set(s, "sample_to", "%.17g", config->sample_to);
    set(s, "sample_seed", "%" PRIu64, config->sample_seed);
    set(s, "empty_objects", "%s", config->empty_objects ? "true" : "false");
    if (json_object_size(s) == SETTINGS)
        return s;
    json_decref(s);
    return NULL;
}

/* ---- writing ---- */

static void put(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* Where it is, as of a batch on loan or of what was delivered last, and what is known of records.
 * Lock held. */
static const char *put_place(struct ps_channel *ch, const struct ps_anchor *at, json_t *to)
{
    uint32_t words[FMT_LEARNT_MAX];
    size_t count = 0;

    put(to, "epoch", at->epoch);
    put(to, "position", at->position);
    put(to, "object", at->index);
    put(to, "record", at->object_row);
    put(to, "drop_batches", at->drop);
    put(to, "window", at->window_no);
    put(to, "bad_records", at->bad_records);
    uint64_t object = at->object_row == 0 ? 0 : ch->state->object;

    if (at->object_row > 0 && at->object)
        object = ps_state_hash_object(ch, PS_FNV_BASIS, at->object);
    put_hash(to, "object_hash", object);
    if (ch->slot_count == 0 && !ch->state->has_shape)
        return NULL;
    bool known = ch->slot_count > 0;

    if (known && ch->options.ops->learnt)
        count = ch->options.ops->learnt(&ch->options, &ch->shape, words);
    if (count > FMT_LEARNT_MAX)
        return "its content type names too many things for a state";
    put_hash(to, "shape", known ? ps_state_hash_shape(&ch->shape) : ch->state->shape);
    json_t *learnt = json_array();

    for (size_t i = 0; i < (known ? count : ch->state->word_count); i++)
        json_array_append_new(learnt, json_integer(known ? words[i] : ch->state->words[i]));
    json_object_set_new(to, "learnt", learnt);
    return NULL;
}

/* Which bytes of the object need not be read again: as chunks were cut. */
static void put_offset(const struct ps_channel *ch, const struct ps_anchor *at, json_t *to)
{
    bool told = !ch->inflater && at->object;

    put(to, "offset", told ? at->offset : 0);
    put(to, "offset_record", told ? at->offset_row : 0);
}

/* What is listed so far. */
static void put_data(struct ps_channel *ch, json_t *to)
{
    uint64_t count = UINT64_MAX;
    bool complete;
    uint64_t hash = ps_plan_hash(ch->plan, ps_state_hash_object, ch, &count, &complete);

    put(to, "objects", count);
    json_object_set_new(to, "all_listed", json_boolean(complete));
    put_hash(to, "data", hash);
}

static const struct ps_slot *slot_of(const struct penstock_batch *batch)
{
    return (const struct ps_slot *)((const char *)batch - offsetof(struct ps_slot, batch));
}

int penstock_get_state(struct penstock *stream, size_t channel_no,
                       const struct penstock_batch *batch, char *state, size_t state_bytes,
                       struct penstock_error *error)
{
    if (channel_no >= stream->channel_count)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "there is no channel %zu", channel_no);
    struct ps_channel *ch = stream->channels[channel_no];
    json_t *root = json_object();

    if (ch->plain || ch->pipe) {
        json_decref(root);
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s has no state: it holds plain bytes, or comes through FIFOs",
                       ch->name);
    }
    put(root, VERSION_FIELD, PS_STATE_VERSION);
    pthread_mutex_lock(&ch->lock);
    const struct ps_anchor at = batch ? slot_of(batch)->after : ch->delivered;
    const char *why_not = put_place(ch, &at, root);

    pthread_mutex_unlock(&ch->lock);
    put_offset(ch, &at, root);
    put_data(ch, root);
    json_object_set(root, "settings", ch->state->settings);
    char *text = json_dumps(root, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    int rc = PENSTOCK_OK;

    json_decref(root);
    if (why_not)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT, "channel %s has no state: %s", ch->name, why_not);
    else if (!text)
        rc = ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    else if (len >= state_bytes)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "the state takes %zu bytes, more than %zu: PENSTOCK_STATE_BYTES always do",
                     len + 1, state_bytes);
    else
        memcpy(state, text, len + 1);
    free(text);
    return rc;
}

/* ---- reading ---- */

struct reader {
    const struct ps_channel *ch;
    const json_t *root;
    struct penstock_error *error;
    int rc;
};

static void fail_field(struct reader *r, const char *name, const char *what)
{
    if (r->rc == PENSTOCK_OK)
        r->rc =
            ps_fail(r->error, PENSTOCK_E_ARGUMENT,
                    "channel %s: the state is damaged: field %s is %s", r->ch->name, name, what);
}

static uint64_t get(struct reader *r, const char *name, uint64_t most)
{
    const json_t *value = json_object_get(r->root, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most) {
        fail_field(r, name, value ? "no number that it can be" : "missing");
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static uint64_t get_hash(struct reader *r, const char *name)
{
    const char *text = json_string_value(json_object_get(r->root, name));
    char *end = NULL;
    uint64_t hash = text ? strtoull(text, &end, 16) : 0;

    if (!text || end != text + 16 || *end)
        fail_field(r, name, text ? "no hash" : "missing");
    return hash;
}

static void get_place(struct reader *r, struct ps_anchor *to)
{
    const uint64_t most = UINT64_C(1) << 62;

    to->epoch = (uint32_t)get(r, "epoch", UINT32_MAX);
    to->position = get(r, "position", most);
    to->index = get(r, "object", most);
    to->object_row = get(r, "record", to->position);
    to->drop = get(r, "drop_batches", most);
    to->window_no = get(r, "window", most);
    to->bad_records = get(r, "bad_records", most);
    to->offset = get(r, "offset", most);
    to->offset_row = get(r, "offset_record", to->object_row);
}

static void get_shape(struct reader *r, struct ps_state *to)
{
    const json_t *learnt = json_object_get(r->root, "learnt");

    to->has_shape = json_object_get(r->root, "shape") != NULL;
    if (!to->has_shape)
        return;
    to->shape = get_hash(r, "shape");
    if (!json_is_array(learnt) || json_array_size(learnt) > FMT_LEARNT_MAX) {
        fail_field(r, "learnt", "no list that it can be");
        return;
    }
    to->word_count = json_array_size(learnt);
    for (size_t i = 0; i < to->word_count; i++) {
        json_int_t word = json_integer_value(json_array_get(learnt, i));

        if (!json_is_integer(json_array_get(learnt, i)) || word < 0 || word > UINT32_MAX)
            fail_field(r, "learnt", "no list of numbers");
        to->words[i] = (uint32_t)word;
    }
}

static void compare_settings(struct reader *r, const json_t *ours)
{
    const json_t *theirs = json_object_get(r->root, "settings");
    const char *name;
    json_t *value;

    if (!json_is_object(theirs)) {
        fail_field(r, "settings", "missing");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)ours, name, value)
    {
        const char *their_text = json_string_value(json_object_get(theirs, name));

        if (r->rc == PENSTOCK_OK && (!their_text || strcmp(their_text, json_string_value(value))))
            r->rc =
                ps_fail(r->error, PENSTOCK_E_ARGUMENT,
                        "channel %s: the state is of a stream with %s \"%.200s\", and this one "
                        "has \"%s\": set it as it was, or begin anew",
                        r->ch->name, name, their_text ? their_text : "", json_string_value(value));
    }
}

static void check_version(struct reader *r)
{
    const json_t *version = json_object_get(r->root, VERSION_FIELD);

    if (!json_is_integer(version))
        r->rc = ps_fail(r->error, PENSTOCK_E_ARGUMENT,
                        "channel %s: this is no state of a penstock stream: field " VERSION_FIELD
                        " is missing",
                        r->ch->name);
    else if (json_integer_value(version) != PS_STATE_VERSION)
        r->rc =
            ps_fail(r->error, PENSTOCK_E_ARGUMENT,
                    "channel %s: field " VERSION_FIELD " is %lld: this release knows version %d "
                    "alone",
                    r->ch->name, (long long)json_integer_value(version), PS_STATE_VERSION);
}

int ps_state_read(const struct ps_channel *ch, const char *text, struct ps_state *state,
                  struct penstock_error *error)
{
    json_error_t where;
    json_t *root = strlen(text) < PENSTOCK_STATE_BYTES
                       ? json_loads(text, JSON_REJECT_DUPLICATES, &where)
                       : NULL;
    struct reader r = {.ch = ch, .root = root, .error = error};

    if (!json_is_object(root))
        r.rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: this is no state of a penstock stream, which is a JSON object "
                       "of less than %d bytes",
                       ch->name, PENSTOCK_STATE_BYTES);
    else
        check_version(&r);
    if (r.rc == PENSTOCK_OK)
        compare_settings(&r, state->settings);
    if (r.rc == PENSTOCK_OK) {
        get_place(&r, &state->begin);
        get_shape(&r, state);
        state->objects = get(&r, "objects", UINT64_C(1) << 62);
        state->whole = json_is_true(json_object_get(root, "all_listed"));
        state->data = get_hash(&r, "data");
        state->object = get_hash(&r, "object_hash");
    }
    json_decref(root);
    return r.rc;
}
