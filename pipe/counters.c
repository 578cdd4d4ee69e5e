/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/counters.c - what a handle tells about itself: counters, last error, names. */
#include "pipe/engine.h"
#include "pipe/text.h"

static uint64_t count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void tell_retries(const struct ps_counts *counts, struct penstock_counters *out)
{
    for (int cause = 0; cause < PS_CAUSES; cause++)
        out->retries += count(&counts->retries[cause]);
    out->retries_connect = count(&counts->retries[PS_CAUSE_CONNECT]);
    out->retries_reset = count(&counts->retries[PS_CAUSE_RESET]);
    out->retries_stalled = count(&counts->retries[PS_CAUSE_STALLED]);
    out->retries_throttled = count(&counts->retries[PS_CAUSE_THROTTLED]);
    out->retries_server = count(&counts->retries[PS_CAUSE_SERVER]);
    out->retries_other = count(&counts->retries[PS_CAUSE_OTHER]);
}

static void tell_latencies(const struct ps_counts *counts, struct penstock_counters *out)
{
    const struct ps_histogram *first = &counts->part_first_ns;
    const struct ps_histogram *part = &counts->part_ns;

    out->first_byte_p50_ns = ps_histogram_quantile(first, 500);
    out->first_byte_p90_ns = ps_histogram_quantile(first, 900);
    out->first_byte_p99_ns = ps_histogram_quantile(first, 990);
    out->first_byte_p999_ns = ps_histogram_quantile(first, 999);
    out->first_byte_max_ns = ps_histogram_quantile(first, 1000);
    out->part_p50_ns = ps_histogram_quantile(part, 500);
    out->part_p90_ns = ps_histogram_quantile(part, 900);
    out->part_p99_ns = ps_histogram_quantile(part, 990);
    out->part_p999_ns = ps_histogram_quantile(part, 999);
    out->part_max_ns = ps_histogram_quantile(part, 1000);
}

/* Lock held. */
static void tell_waits(const struct ps_channel *ch, struct penstock_counters *out)
{
    out->bytes_consumed = ch->released_pos;
    out->wait_room_ns = ps_wait_ns(&ch->waits[PS_WAIT_ROOM]);
    out->wait_bytes_ns = ps_wait_ns(&ch->waits[PS_WAIT_BYTES]);
    out->wait_decoders_ns = ps_wait_ns(&ch->waits[PS_WAIT_DECODERS]);
    out->wait_slot_ns = ps_wait_ns(&ch->waits[PS_WAIT_SLOT]);
    out->wait_chunks_ns = ps_wait_ns(&ch->waits[PS_WAIT_CHUNKS]);
    out->wait_inflate_in_ns = ps_wait_ns(&ch->waits[PS_WAIT_INFLATE_IN]);
    out->wait_inflate_out_ns = ps_wait_ns(&ch->waits[PS_WAIT_INFLATE_OUT]);
}

void penstock_get_latencies(const struct penstock *stream, size_t channel_no,
                            enum penstock_latency which, struct penstock_latencies *out)
{
    *out = (struct penstock_latencies){.count = 0};
    if (channel_no >= stream->channel_count)
        return;
    const struct ps_counts *counts = &stream->channels[channel_no]->counts;

    ps_histogram_tell(which == PENSTOCK_LATENCY_PART ? &counts->part_ns : &counts->part_first_ns,
                      out);
}

void penstock_get_counters(const struct penstock *stream, size_t channel_no,
                           struct penstock_counters *out)
{
    *out = (struct penstock_counters){.records = 0};
    if (channel_no >= stream->channel_count)
        return;
    struct ps_channel *ch = stream->channels[channel_no];
    const struct ps_counts *counts = &ch->counts;

    out->bytes_received = count(&counts->bytes_received);
    out->bytes_copied = count(&counts->bytes_copied);
    out->bytes_carried = count(&counts->bytes_carried);
    out->records = count(&counts->records);
    out->batches = count(&counts->batches);
    out->objects_listed = ps_plan_count(ch->plan);
    out->objects_streamed = count(&counts->objects_streamed);
    out->list_requests = count(&counts->list_requests);
    out->get_requests = count(&counts->get_requests);
    out->head_requests = count(&counts->head_requests);
    out->lines_skipped = count(&counts->lines_skipped);
    out->records_bad = count(&counts->records_bad);
    out->bytes_bad = count(&counts->bytes_bad);
    out->objects_bad = count(&counts->objects_bad);
    out->records_unsampled = count(&counts->records_unsampled);
    out->objects_verified = count(&counts->objects_verified);
    out->objects_unverified = count(&counts->objects_unverified);
    out->bytes_verified = count(&counts->bytes_verified);
    tell_retries(counts, out);
    out->connections = count(&counts->connections);
    out->connections_reused = count(&counts->connections_reused);
    out->tls_handshakes = count(&counts->tls_handshakes);
    out->tls_resumed = count(&counts->tls_resumed);
    out->hedges = count(&counts->hedges);
    out->hedge_wins = count(&counts->hedge_wins);
    out->refetched_bytes = count(&counts->refetched_bytes);
    tell_latencies(counts, out);
    out->first_object_ns = count(&counts->first_object_ns);
    out->first_connection_ns = count(&counts->first_connection_ns);
    out->first_byte_ns = count(&counts->first_byte_ns);
    out->first_record_ns = count(&counts->first_record_ns);
    out->first_batch_ns = count(&counts->first_batch_ns);
    out->asked_all_ns = count(&counts->asked_all_ns);
    out->wait_ns = count(&counts->wait_ns);
    out->bytes_inflated = count(&counts->bytes_inflated);
    out->ring_bytes = ch->ring.size_bytes + (ch->inflater ? ch->inflater->ring.size_bytes : 0);
    out->decode_threads = ch->plain ? 0 : stream->config.decode_threads;
    pthread_mutex_lock(&ch->lock);
    tell_waits(ch, out);
    out->slot_count = ch->slot_count;
    /* The framer sets slot_bytes before it tells the count. */
    if (ch->slot_count > 0)
        out->slot_bytes = ch->slot_count * (uint64_t)ch->slot_bytes;
    pthread_mutex_unlock(&ch->lock);
    ps_text_copy(out->io_backend, sizeof out->io_backend, stream->reactor_ops->name);
    ps_text_copy(out->io_reason, sizeof out->io_reason, stream->io_reason);
}

const struct penstock_error *penstock_last_error(const struct penstock *stream, size_t channel_no)
{
    static const struct penstock_error no_channel = {.rc = PENSTOCK_E_ARGUMENT,
                                                     .message = "there is no such channel"};

    return channel_no < stream->channel_count ? &stream->channels[channel_no]->error : &no_channel;
}

const char *penstock_version(void)
{
    return PENSTOCK_VERSION;
}

const char *penstock_rc_name(int rc)
{
#define NAME(code)                                                                                 \
    case code:                                                                                     \
        return #code
    switch ((enum penstock_rc)rc) {
        NAME(PENSTOCK_OK);
        NAME(PENSTOCK_AGAIN);
        NAME(PENSTOCK_EPOCH_END);
        NAME(PENSTOCK_END);
        NAME(PENSTOCK_E_MEMORY);
        NAME(PENSTOCK_E_ARGUMENT);
        NAME(PENSTOCK_E_SYSTEM);
        NAME(PENSTOCK_E_STOPPED);
        NAME(PENSTOCK_E_NETWORK);
        NAME(PENSTOCK_E_HTTP);
        NAME(PENSTOCK_E_CREDENTIALS);
        NAME(PENSTOCK_E_DENIED);
        NAME(PENSTOCK_E_NOT_FOUND);
        NAME(PENSTOCK_E_CHANGED);
        NAME(PENSTOCK_E_EMPTY);
        NAME(PENSTOCK_E_CORRUPT);
        NAME(PENSTOCK_E_FORMAT);
    }
#undef NAME
    return "unknown";
}
