/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/channel.c - a channel's life: memory, sources and locks; its threads are engine.c's. */
#include "pipe/channel.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/inflater.h"
#include "pipe/pipe_reader.h"
#include "pipe/references.h"
#include "pipe/slots.h"
#include "pipe/state.h"
#include "pipe/window.h"

#include <stdlib.h>
#include <string.h>

/* Of the ring's budget, a fifth is headroom: the longest record, and a fourth of the ring. */
#define HEADROOM_SHARE 5
/* Of a compressed channel's ring budget, a fourth is for what has not been inflated. */
#define STREAM_SHARE 4
/* At least this many parts fit in the ring, so that a part never waits for its own predecessor. */
#define PARTS_IN_RING 4
/* A chunk is at most this long unless one record is longer: small enough for several decoders to
 * work on one batch and for its rows to stay in cache, large enough to make queueing free. */
#define CHUNK_BYTES ((size_t)512 << 10)

void ps_channel_wake_all(struct ps_channel *ch)
{
    pthread_cond_broadcast(&ch->framer_wakes);
    pthread_cond_broadcast(&ch->decoder_wakes);
    pthread_cond_broadcast(&ch->consumer_wakes);
    pthread_cond_broadcast(&ch->place_wakes);
    if (ch->pipe)
        ps_pipe_reader_wake(ch->pipe);
    if (ch->inflater)
        pthread_cond_broadcast(&ch->inflater->wakes);
}

void ps_channel_plan_grew(struct ps_channel *ch)
{
    if (ch->counts.first_object_ns == 0 && ps_plan_count(ch->plan) > 0)
        atomic_store(&ch->counts.first_object_ns, ps_now_ns() - ch->stream->opened_ns);
    pthread_cond_signal(&ch->framer_wakes);
    if (ch->inflater)
        pthread_cond_signal(&ch->inflater->wakes);
}

bool ps_channel_is_empty(struct ps_channel *ch, struct penstock_error *error)
{
    if (ps_plan_count(ch->plan) > 0)
        return false;
    ps_fail(error, PENSTOCK_E_EMPTY, "channel %s is empty: no object with data %s %s%s%s%s",
            ch->name, ch->data_type == PS_DATA_PREFIX ? "under" : "named by", ch->sources[0].text,
            ch->source_count > 1 ? " and its other URIs" : "",
            ch->key_suffix ? " whose key ends in " : "", ch->key_suffix ? ch->key_suffix : "");
    return true;
}

int ps_channel_end(struct ps_channel *ch, int rc, const struct penstock_error *error)
{
    if (error)
        ch->error = *error;
    ch->ended = true;
    ch->ended_rc = rc;
    return rc;
}

int ps_channel_check_ended(struct ps_channel *ch)
{
    if (!atomic_load(&ch->stream->stopping))
        return ch->ended ? ch->ended_rc : PENSTOCK_OK;
    if (!ch->ended)
        ps_fail(&ch->error, PENSTOCK_E_STOPPED, "channel %s: the stream was stopped", ch->name);
    ch->ended = true;
    return PENSTOCK_E_STOPPED;
}

int ps_channel_misused(struct ps_channel *ch)
{
    struct penstock_error error;

    ps_fail(&error, PENSTOCK_E_ARGUMENT, "channel %s holds %s: read it with %s", ch->name,
            ch->plain ? "plain bytes" : "records",
            ch->plain ? "penstock_next_span" : "penstock_next");
    pthread_mutex_lock(&ch->lock);
    int rc = ps_channel_check_ended(ch);

    if (rc == PENSTOCK_OK)
        rc = ps_channel_end(ch, PENSTOCK_E_ARGUMENT, &error);
    pthread_mutex_unlock(&ch->lock);
    return rc;
}

static void init_locks(struct ps_channel *ch)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&ch->lock, NULL);
    pthread_cond_init(&ch->framer_wakes, &attributes);
    pthread_cond_init(&ch->decoder_wakes, &attributes);
    pthread_cond_init(&ch->consumer_wakes, &attributes);
    pthread_cond_init(&ch->place_wakes, &attributes);
    ch->head_wakes = &ch->framer_wakes;
    pthread_condattr_destroy(&attributes);
}

/* Sources of one bucket, of other channels too, share a budget of retries. */
static int share_budgets(struct ps_channel *ch, struct penstock_error *error)
{
    for (size_t i = 0; i < ch->source_count; i++) {
        struct ps_s3_site *site = &ch->sources[i].site;

        if (ch->sources[i].uri.kind != PS_URI_S3)
            continue;
        site->budget =
            ps_budget_find(&ch->stream->budgets, ps_s3_site_place(site)->authority, site->bucket);
        if (!site->budget)
            return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
        int rc = ps_session_attach(&ch->stream->sessions, site, error);

        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

static int open_sources(struct ps_channel *ch, const struct penstock_channel_config *config,
                        struct penstock_error *error)
{
    ch->sources = calloc(ps_references_room(ch), sizeof *ch->sources);
    if (!ch->sources)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    for (; ch->source_count < config->uri_count; ch->source_count++) {
        const char *text = config->uris[ch->source_count];
        struct ps_uri uri;
        int rc = ps_uri_parse(text, &uri, error);

        if (rc == PENSTOCK_OK)
            rc = ps_source_open(&ch->sources[ch->source_count], text, &uri, &ch->stream->account,
                                error);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return share_budgets(ch, error);
}

static int open_memory(struct ps_channel *ch, enum fmt_codec codec, size_t share_bytes,
                       struct penstock_error *error)
{
    size_t inflate_bytes = fmt_inflate_memory_bytes(codec, share_bytes);

    share_bytes -= inflate_bytes;
    size_t ring_bytes = ch->plain ? share_bytes : share_bytes / 2;
    size_t stream_bytes = codec == FMT_CODEC_NONE ? ring_bytes : ring_bytes / STREAM_SHARE;
    size_t framed_bytes = codec == FMT_CODEC_NONE ? ring_bytes : ring_bytes - stream_bytes;
    size_t headroom_bytes = ch->plain ? 0 : framed_bytes / HEADROOM_SHARE;
    int rc;

    if (codec == FMT_CODEC_NONE) {
        rc = ps_ring_open(&ch->ring, ring_bytes - headroom_bytes, headroom_bytes, error);
    } else {
        rc = ps_ring_open(&ch->ring, stream_bytes, 0, error);
        if (rc == PENSTOCK_OK)
            rc = ps_inflater_open(ch, codec, inflate_bytes, framed_bytes - headroom_bytes,
                                  headroom_bytes, error);
    }
    if (rc != PENSTOCK_OK)
        return rc;
    ch->slot_budget_bytes = share_bytes - ring_bytes;
    ch->part_bytes = ch->stream->config.part_bytes;
    ch->part_bytes_most = ch->ring.size_bytes / PARTS_IN_RING;
    return PENSTOCK_OK;
}

/* A format with a codec of its own takes no other. */
static int choose_codec(const struct ps_channel *ch, const struct penstock_channel_config *config,
                        enum fmt_codec *codec, struct penstock_error *error)
{
    int rc = ps_config_compression(config, codec, error);

    if (rc != PENSTOCK_OK || ch->plain || !ch->options.ops->codec)
        return rc;
    if (*codec != FMT_CODEC_NONE && *codec != FMT_CODEC_AUTO)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: %s is compressed inside, where it is at all: leave out "
                       "compression",
                       ch->name, ch->options.ops->content_type);
    *codec = FMT_CODEC_OWN;
    return PENSTOCK_OK;
}

/* Records of an augmented manifest: each line an object, and maybe a value that says more of it. */
static int expect_values(struct ps_channel *ch, const struct penstock_channel_config *config,
                         struct penstock_error *error)
{
    static const char ref[] = "-ref";
    const struct fmt_ops *ops = ch->options.ops;

    if (!ops->expect_values)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: what an augmented manifest names is read as it is, item by "
                       "item, or as pictures: content_type has to be application/octet-stream or "
                       "application/x-image, not %s",
                       ch->name, config->content_type);
    for (size_t i = 0; i < config->attribute_count; i++) {
        const char *name = config->attribute_names[i];
        size_t len = strlen(name);
        bool is_ref = len >= strlen(ref) && strcmp(name + len - strlen(ref), ref) == 0;

        if (is_ref != (i == 0) || i > 1)
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "channel %s: attribute_names of pictures are the picture, whose name "
                           "ends in \"-ref\", and maybe one more, its label",
                           ch->name);
    }
    if (config->attribute_count > 1)
        ops->expect_values(ch->options.own);
    return PENSTOCK_OK;
}

static int open_data_type(struct ps_channel *ch, const struct penstock_channel_config *config,
                          struct penstock_error *error)
{
    int rc = ps_config_data_type(config, ch->name, &ch->data_type, error);

    if (rc != PENSTOCK_OK || ch->data_type == PS_DATA_PREFIX)
        return rc;
    if (ch->data_type == PS_DATA_AUGMENTED && !ch->plain)
        rc = expect_values(ch, config, error);
    if (rc != PENSTOCK_OK)
        return rc;
    ch->skip_bad_lines = config->bad_lines && strcmp(config->bad_lines, "skip") == 0;
    ch->attribute_names = calloc(PS_ATTRIBUTES_MAX, sizeof *ch->attribute_names);
    for (size_t i = 0; ch->attribute_names && i < config->attribute_count; i++) {
        ch->attribute_names[i] = strdup(config->attribute_names[i]);
        if (!ch->attribute_names[i])
            break;
        ch->attribute_count++;
    }
    return ch->attribute_names && ch->attribute_count == config->attribute_count
               ? PENSTOCK_OK
               : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
}

/* A manifest is one object, or one file. */
static int check_manifests(const struct ps_channel *ch, struct penstock_error *error)
{
    for (size_t i = 0; i < ch->source_count && ch->data_type != PS_DATA_PREFIX; i++) {
        const struct ps_source *source = &ch->sources[i];

        if (source->uri.kind == PS_URI_PIPE || !*source->uri.prefix)
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "channel %s: %s names no manifest, which is one object or one file",
                           ch->name, source->text);
    }
    return PENSTOCK_OK;
}

static bool has_fifos(const struct ps_channel *ch)
{
    return ch->sources[0].uri.kind == PS_URI_PIPE;
}

/* What FIFOs bring is one stream, whose order is the writer's. */
static int check_fifos(const struct ps_channel *ch, enum fmt_codec codec,
                       struct penstock_error *error)
{
    for (size_t i = 1; i < ch->source_count; i++)
        if (has_fifos(ch) || ch->sources[i].uri.kind == PS_URI_PIPE)
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "channel %s: it has more URIs than one, %s among them: FIFOs are a "
                           "channel of their own",
                           ch->name, ch->sources[has_fifos(ch) ? 0 : i].text);
    if (has_fifos(ch) && (ch->config.shuffle || ch->config.shard_count > 1))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: it comes through FIFOs, so order and share of the objects are "
                       "chosen where these are written: leave out shuffle and shard",
                       ch->name);
    if (has_fifos(ch) && ch->options.ops && ch->options.ops->file_wanted &&
        ch->options.ops->file_wanted(ch->options.own))
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "channel %s: it comes through FIFOs, which do not tell the names that a list "
            "of labels is searched for: leave out lst",
            ch->name);
    if (has_fifos(ch) && codec != FMT_CODEC_NONE && codec != FMT_CODEC_OWN)
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "channel %s: it comes through FIFOs, which hold what objects are inflated to: "
            "leave out compression",
            ch->name);
    return PENSTOCK_OK;
}

/* Slices of objects, where records can be found in the middle of one. */
static int open_split(struct ps_channel *ch, const struct penstock_channel_config *config,
                      enum fmt_codec codec, struct penstock_error *error)
{
    int rc = ps_config_split(config, ch->name, &ch->split, error);

    ch->config.split_objects = NULL;
    if (rc != PENSTOCK_OK || ch->split == PS_SPLIT_OFF)
        return rc;
    if (ch->split == PS_SPLIT_INDEX && ch->data_type != PS_DATA_PREFIX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: split_objects=index is for what is listed below a prefix, not "
                       "for manifests; use bytes",
                       ch->name);
    if (ch->plain || !ch->options.ops->resync)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: split_objects is for RecordIO and TFRecord: of %s no "
                       "record can be told from the middle of an object; leave it out",
                       ch->name, ch->plain ? "plain bytes" : ch->options.ops->content_type);
    if (codec != FMT_CODEC_NONE)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: split_objects is not for compressed objects, which are "
                       "read from their beginning; leave out one of the two",
                       ch->name);
    if (config->sample_from > 0 || (config->sample_to > 0 && config->sample_to < 1))
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "channel %s: a sample goes by the number of a record in its object, which is "
            "not known with split_objects: leave out one of the two",
            ch->name);
    if (ch->stream->verify == PS_VERIFY_ALWAYS)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: split_objects reads pieces of objects, and checksums are "
                       "of whole ones: leave out verify=always",
                       ch->name);
    return PENSTOCK_OK;
}

static int open_plan(struct ps_channel *ch, struct penstock_error *error)
{
    const struct penstock_channel_config *config = &ch->config;
    const struct ps_plan_config plan = {
        .shuffle = config->shuffle,
        .seed = config->seed,
        .shard_index = ch->split ? 0 : config->shard_index,
        .shard_count = ch->split ? 1 : config->shard_count,
        .split_index = ch->split == PS_SPLIT_BYTES ? config->shard_index : 0,
        .split_count = ch->split == PS_SPLIT_BYTES ? config->shard_count : 0,
        .epochs = config->epochs,
        .fifos = has_fifos(ch),
        .unit_items = ch->data_type == PS_DATA_AUGMENTED ? (uint32_t)ch->attribute_count
                                                         : ch->data_type == PS_DATA_MANIFEST,
        .empty_items = ch->plain && (ch->data_type == PS_DATA_AUGMENTED || config->empty_objects)};

    ch->plan = ps_plan_new(&plan);
    return ch->plan ? PENSTOCK_OK : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
}

int ps_channel_open(struct penstock *stream, const struct penstock_channel_config *config,
                    size_t share_bytes, struct ps_channel **out, struct penstock_error *error)
{
    struct ps_channel *ch = calloc(1, sizeof *ch);
    struct fmt_error cause = {.text = ""};
    enum fmt_codec codec;

    *out = ch;
    if (!ch)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    init_locks(ch);
    ch->stream = stream;
    ch->sum_guess = FMT_CRC64NVME; /* what S3 computes unless the uploader says otherwise */
    ch->config = *config;
    /* The caller's strings are copied or not kept. */
    ch->config.name = ch->config.content_type = ch->config.compression = NULL;
    ch->config.data_type = ch->config.bad_lines = NULL;
    ch->config.bad_records = ch->config.last_batch = ch->config.key_suffix = NULL;
    ch->config.attribute_names = NULL;
    ch->config.uris = NULL;
    ch->config.resume = NULL;
    ch->name = strdup(config->name ? config->name : "train");
    if (config->key_suffix)
        ch->key_suffix = strdup(config->key_suffix);
    if (!ch->name || (config->key_suffix && !ch->key_suffix))
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    enum fmt_rc parsed = fmt_options_parse(config->content_type, &ch->options, &cause);

    if (parsed != FMT_OK)
        return ps_fail(error, parsed == FMT_E_MEMORY ? PENSTOCK_E_MEMORY : PENSTOCK_E_ARGUMENT,
                       "channel %s: content type \"%s\": %s", ch->name, config->content_type,
                       cause.text);
    ch->options.feature_dim = config->feature_dim;
    ch->options.seed = config->seed;
    ch->options.leave_records = config->lend_records;
    ch->plain = !ch->options.ops;
    ch->chunk_bytes = CHUNK_BYTES;
    int rc = choose_codec(ch, config, &codec, error);

    if (rc == PENSTOCK_OK)
        rc = ps_shaping_resolve(config, ch->name, ch->plain, &ch->shaping, error);
    /* For other rows that follows from their shape. */
    ch->staged = ps_shaping_is_staged(&ch->shaping);
    if (rc == PENSTOCK_OK)
        rc = open_data_type(ch, config, error);

    if (rc == PENSTOCK_OK)
        rc = open_sources(ch, config, error);
    if (rc == PENSTOCK_OK)
        rc = check_manifests(ch, error);
    if (rc == PENSTOCK_OK)
        rc = check_fifos(ch, codec, error);
    if (rc == PENSTOCK_OK)
        rc = open_split(ch, config, codec, error);
    if (rc == PENSTOCK_OK)
        rc = open_plan(ch, error);
    if (rc == PENSTOCK_OK)
        rc = open_memory(ch, codec, share_bytes, error);
    if (rc == PENSTOCK_OK && has_fifos(ch))
        rc = ps_pipe_reader_open(ch, &ch->pipe, error);
    if (rc == PENSTOCK_OK)
        rc = ps_state_open(ch, config, error);
    return rc;
}

void ps_channel_close(struct ps_channel *ch)
{
    if (!ch)
        return;
    ps_slots_close(ch);
    ps_state_close(ch);
    ps_inflater_close(ch);
    ps_pipe_reader_close(ch->pipe);
    ps_ring_close(&ch->ring);
    ps_plan_free(ch->plan);
    fmt_options_free(&ch->options);
    for (size_t i = 0; i < ch->source_count + ch->reference_count; i++)
        ps_source_close(&ch->sources[i]);
    for (size_t i = 0; i < ch->attribute_count; i++)
        free(ch->attribute_names[i]);
    free(ch->attribute_names);
    free(ch->sources);
    free(ch->decoder_threads);
    ps_window_close(ch);
    free(ch->name);
    free(ch->key_suffix);
    pthread_cond_destroy(&ch->framer_wakes);
    pthread_cond_destroy(&ch->decoder_wakes);
    pthread_cond_destroy(&ch->consumer_wakes);
    pthread_cond_destroy(&ch->place_wakes);
    pthread_mutex_destroy(&ch->lock);
    free(ch);
}
