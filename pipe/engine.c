/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/engine.c - penstock_open and penstock_close: every thread begins and ends here. */
#include "pipe/engine.h"

#include "pipe/chunks.h"
#include "pipe/clock.h"
#include "pipe/config.h"
#include "pipe/curl_common.h"
#include "pipe/error.h"
#include "pipe/framer.h"
#include "pipe/inflater.h"
#include "pipe/io.h"
#include "pipe/lister.h"
#include "pipe/pipe_reader.h"
#include "pipe/proxy.h"
#include "pipe/resolver.h"
#include "pipe/thread.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ps_engine_wake_io(struct penstock *stream)
{
    for (size_t i = 0; i < stream->io_count; i++)
        if (atomic_exchange(&stream->ios[i]->hungry, false))
            ps_io_wake(stream->ios[i]);
    for (size_t i = 0; i < stream->channel_count; i++)
        if (stream->channels[i]->pipe)
            ps_pipe_reader_room(stream->channels[i]->pipe);
}

void ps_engine_log(struct penstock *stream, int level, const char *format, ...)
{
    char line[2304];
    va_list args;

    if (!stream->config.log)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&stream->log_lock);
    stream->config.log(stream->config.log_cookie, level, line);
    pthread_mutex_unlock(&stream->log_lock);
}

/* ---- open ---- */

static int find_keys(void *cookie, struct ps_credentials *out, struct penstock_error *error)
{
    const struct penstock *stream = cookie;

    return ps_s3_account_find_keys(&stream->account, &stream->stopping, out, error);
}

static void log_keys(void *cookie, int level, const char *line)
{
    ps_engine_log(cookie, level, "%s", line);
}

static int find_s3(struct penstock *stream, struct penstock_error *error)
{
    const struct penstock_config *config = &stream->config;

    for (size_t c = 0; c < config->channel_count; c++)
        for (size_t u = 0; u < config->channels[c].uri_count; u++) {
            struct ps_uri uri;
            int rc = ps_uri_parse(config->channels[c].uris[u], &uri, error);

            if (rc != PENSTOCK_OK)
                return rc;
            stream->has_s3 |= uri.kind == PS_URI_S3;
        }
    if (!stream->has_s3)
        return PENSTOCK_OK;
    int rc = ps_curl_start(error);

    if (rc == PENSTOCK_OK)
        rc = ps_s3_account_load(config, &stream->account, error);
    if (rc != PENSTOCK_OK || stream->account.credentials.fixed)
        return rc;
    return ps_keyring_open(&stream->account.credentials, stream->account.keys_later, find_keys,
                           log_keys, stream, &stream->account.keyring, error);
}

static int open_channels(struct penstock *stream, struct penstock_error *error)
{
    const struct penstock_config *config = &stream->config;
    size_t share_bytes = config->memory_limit_bytes / config->channel_count;

    stream->channels = calloc(config->channel_count, sizeof(struct ps_channel *));
    if (!stream->channels)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    for (size_t i = 0; i < config->channel_count; i++) {
        int rc =
            ps_channel_open(stream, &config->channels[i], share_bytes, &stream->channels[i], error);

        stream->channel_count = i + 1;
        if (rc != PENSTOCK_OK)
            return rc;
    }
    return PENSTOCK_OK;
}

static int start_decoders(struct ps_channel *ch, struct penstock_error *error)
{
    uint32_t count = ch->stream->config.decode_threads;
    char name[80];
    int rc = PENSTOCK_OK;

    ch->decoder_threads = calloc(count, sizeof *ch->decoder_threads);
    if (!ch->decoder_threads)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    snprintf(name, sizeof name, "ps-dec-%s", ch->name);
    while (rc == PENSTOCK_OK && ch->decoder_count < count) {
        rc = ps_thread_start(&ch->decoder_threads[ch->decoder_count], name, ps_decoder_main, ch,
                             error);
        ch->decoder_count += rc == PENSTOCK_OK;
    }
    return rc;
}

static int start_channel(struct ps_channel *ch, struct penstock_error *error)
{
    char name[80];
    int rc = ch->plain ? PENSTOCK_OK : start_decoders(ch, error);

    if (rc == PENSTOCK_OK && !ch->plain) {
        snprintf(name, sizeof name, "ps-frame-%s", ch->name);
        rc = ps_thread_start(&ch->framer_thread, name, ps_framer_main, ch, error);
        ch->framer_started = rc == PENSTOCK_OK;
    }
    if (rc == PENSTOCK_OK && ch->inflater) {
        snprintf(name, sizeof name, "ps-inflate-%s", ch->name);
        rc = ps_thread_start(&ch->inflater->thread, name, ps_inflater_main, ch, error);
        ch->inflater->started = rc == PENSTOCK_OK;
    }
    if (rc == PENSTOCK_OK) {
        snprintf(name, sizeof name, "%s-%s", ch->pipe ? "ps-fifo" : "ps-list", ch->name);
        rc = ps_thread_start(&ch->lister_thread, name,
                             ch->pipe ? ps_pipe_reader_main : ps_lister_main, ch, error);
        ch->lister_started = rc == PENSTOCK_OK;
    }
    return rc;
}

static int start_ios(struct penstock *stream, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    stream->ios = calloc(stream->config.io_threads, sizeof(struct ps_io *));
    if (!stream->ios)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    for (unsigned i = 0; rc == PENSTOCK_OK && i < stream->config.io_threads; i++) {
        rc = ps_io_start(stream, i, &stream->ios[i], error);
        stream->io_count += stream->ios[i] != NULL;
    }
    return rc;
}

static void addresses_changed(void *cookie)
{
    struct penstock *stream = cookie;

    for (size_t i = 0; i < stream->io_count; i++)
        ps_io_wake(stream->ios[i]);
}

/* A proxy is libcurl's business, for all sources if for one. */
static bool has_proxy(const struct penstock *stream)
{
    for (size_t i = 0; i < stream->channel_count; i++)
        for (size_t u = 0; u < stream->channels[i]->source_count; u++) {
            const struct ps_source *source = &stream->channels[i]->sources[u];
            const struct ps_s3_place *place = ps_s3_site_place(&source->site);

            if (source->uri.kind == PS_URI_S3 && ps_proxy_is_set(place->tls, place->host))
                return true;
        }
    return false;
}

static int choose_transport(struct penstock *stream, struct penstock_error *error)
{
    const char *wish = getenv("PENSTOCK_TRANSPORT");

    if (!wish || !*wish || strcmp(wish, "auto") == 0)
        wish = has_proxy(stream) ? "curl" : "direct";
    if (strcmp(wish, "curl") == 0)
        stream->s3_transport = &ps_transport_curl;
    else if (strcmp(wish, "direct") == 0)
        stream->s3_transport = &ps_transport_direct;
    else
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "PENSTOCK_TRANSPORT is \"%s\": use direct, curl or auto", wish);
    if (!stream->has_s3 || stream->s3_transport == &ps_transport_curl)
        return PENSTOCK_OK;
    return ps_resolver_open(&stream->resolver, addresses_changed, stream, error);
}

/* Pointers into the caller's memory end with penstock_open. */
static void forget_callers_strings(struct penstock_config *config)
{
    config->channels = NULL;
    config->io_backend = config->endpoint_url = config->region = config->profile = NULL;
    config->verify = config->expected_bucket_owner = NULL;
    config->addressing_style = config->sse_customer_key_file = NULL;
}

static int open_stream(struct penstock *stream, const struct penstock_config *config,
                       bool list_only, struct penstock_error *error)
{
    int rc = ps_config_resolve(config, &stream->config, error);

    if (rc == PENSTOCK_OK)
        rc = ps_config_verify(&stream->config, &stream->verify, error);
    if (rc == PENSTOCK_OK)
        rc = ps_reactor_choose(stream->config.io_backend, &stream->reactor_ops, stream->io_reason,
                               sizeof stream->io_reason, error);
    if (rc == PENSTOCK_OK)
        rc = find_s3(stream, error);
    if (rc == PENSTOCK_OK)
        rc = open_channels(stream, error);
    forget_callers_strings(&stream->config);
    if (rc == PENSTOCK_OK)
        rc = choose_transport(stream, error);
    /* I/O threads first: everyone else may wake them. */
    if (rc == PENSTOCK_OK && !list_only)
        rc = start_ios(stream, error);
    for (size_t i = 0; rc == PENSTOCK_OK && i < stream->channel_count; i++)
        rc = start_channel(stream->channels[i], error);
    return rc;
}

static int open_handle(const struct penstock_config *config, bool list_only, struct penstock **out,
                       struct penstock_error *error)
{
    struct penstock_error ignored;

    if (!error)
        error = &ignored;
    *error = (struct penstock_error){.rc = PENSTOCK_OK};
    *out = calloc(1, sizeof **out);
    if (!*out)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    (*out)->opened_ns = ps_now_ns();
    (*out)->sessions =
        (struct ps_sessions){.stop = &(*out)->stopping, .log = log_keys, .cookie = *out};
    pthread_mutex_init(&(*out)->log_lock, NULL);
    int rc = open_stream(*out, config, list_only, error);

    if (rc != PENSTOCK_OK)
        penstock_close(out);
    return rc;
}

int penstock_open(const struct penstock_config *config, struct penstock **out,
                  struct penstock_error *error)
{
    return open_handle(config, false, out, error);
}

int ps_engine_list(const struct penstock_config *config, struct penstock **out,
                   struct penstock_error *error)
{
    int rc = open_handle(config, true, out, error);

    for (size_t i = 0; rc == PENSTOCK_OK && i < (*out)->channel_count; i++) {
        pthread_join((*out)->channels[i]->lister_thread, NULL);
        (*out)->channels[i]->lister_started = false;
    }
    return rc;
}

/* ---- close ---- */

void penstock_stop(struct penstock *stream)
{
    atomic_store(&stream->stopping, true);
    for (size_t i = 0; i < stream->io_count; i++)
        ps_io_wake(stream->ios[i]);
}

static void join_channel(struct ps_channel *ch)
{
    if (!ch)
        return;
    pthread_mutex_lock(&ch->lock);
    ps_channel_wake_all(ch);
    pthread_mutex_unlock(&ch->lock);
    if (ch->lister_started)
        pthread_join(ch->lister_thread, NULL);
    if (ch->framer_started)
        pthread_join(ch->framer_thread, NULL);
    if (ch->inflater && ch->inflater->started)
        pthread_join(ch->inflater->thread, NULL);
    for (uint32_t i = 0; i < ch->decoder_count; i++)
        pthread_join(ch->decoder_threads[i], NULL);
}

void penstock_close(struct penstock **out)
{
    struct penstock *stream = *out;

    *out = NULL;
    if (!stream)
        return;
    penstock_stop(stream);
    for (size_t i = 0; i < stream->channel_count; i++)
        join_channel(stream->channels[i]);
    /* Before the I/O threads are freed: it wakes them. */
    ps_resolver_stop(stream->resolver);
    for (size_t i = 0; i < stream->io_count; i++)
        ps_io_join(stream->ios[i]);
    /* After them: until they see that the stream stops they ask it. */
    ps_resolver_close(stream->resolver);
    ps_sessions_close(&stream->sessions);
    for (size_t i = 0; i < stream->channel_count; i++)
        ps_channel_close(stream->channels[i]);
    ps_budget_free(&stream->budgets);
    ps_keyring_close(stream->account.keyring);
    ps_s3_account_wipe(&stream->account);
    pthread_mutex_destroy(&stream->log_lock);
    free(stream->channels);
    free(stream->ios);
    free(stream);
}
