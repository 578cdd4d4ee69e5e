/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/chunks.c - see chunks.h. */
#include "pipe/chunks.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/framed.h"
#include "pipe/place.h"
#include "pipe/slots.h"
#include "pipe/tap.h"

static struct ps_chunk *chunk_at(struct ps_channel *ch, uint64_t index)
{
    return &ch->chunks[index % PS_CHUNKS_MAX];
}

static bool broken_off(struct ps_channel *ch)
{
    return ch->decode_failed || atomic_load(&ch->stream->stopping);
}

bool ps_chunks_release_done(struct ps_channel *ch)
{
    uint64_t before = ch->chunk_first;

    while (ch->chunk_first < ch->chunk_next && chunk_at(ch, ch->chunk_first)->done) {
        ch->framed_end_pos = chunk_at(ch, ch->chunk_first)->end_pos;
        if (!ps_is_framed(ch))
            ps_tap_release(ch, ch->framed_end_pos);
        ch->chunk_first++;
    }
    if (ch->chunk_first == before)
        return false;
    pthread_cond_signal(&ch->framer_wakes);
    return !ps_is_framed(ch) || ps_framed_release(ch); /* what is lent, with its batch */
}

bool ps_chunks_push(struct ps_channel *ch, const struct ps_chunk *chunk)
{
    bool freed = false;

    pthread_mutex_lock(&ch->lock);
    while (ch->chunk_next - ch->chunk_first == PS_CHUNKS_MAX && !broken_off(ch))
        ps_wait_on(&ch->waits[PS_WAIT_DECODERS], &ch->framer_wakes, &ch->lock, NULL);
    bool go_on = !broken_off(ch);

    if (go_on) {
        struct ps_chunk *place = chunk_at(ch, ch->chunk_next++);

        *place = *chunk;
        place->done = chunk->rows == 0 && chunk->kind == PS_CHUNK_RECORDS;
        if (chunk->staged && !place->done)
            place->order = ch->placing.pushed++;
        if (chunk->slot)
            chunk->slot->rows_framed += chunk->rows;
        if (chunk->slot && chunk->rows > 0 && chunk->slot->lends)
            ps_framed_add(chunk);
        if (place->done)
            freed = ps_chunks_release_done(ch);
        pthread_cond_signal(&ch->decoder_wakes);
    }
    pthread_mutex_unlock(&ch->lock);
    if (freed)
        ps_engine_wake_io(ch->stream);
    return go_on;
}

bool ps_chunks_wait_released(struct ps_channel *ch, uint64_t pos)
{
    pthread_mutex_lock(&ch->lock);
    while (ps_tap_released(ch) < pos && !broken_off(ch))
        ps_wait_on(&ch->waits[PS_WAIT_DECODERS], &ch->framer_wakes, &ch->lock, NULL);
    bool go_on = !broken_off(ch);

    pthread_mutex_unlock(&ch->lock);
    return go_on;
}

/* The next chunk that there is something to do for; NULL when the stream stops. Lock held. */
static struct ps_chunk *take_chunk(struct ps_channel *ch)
{
    for (;;) {
        if (atomic_load(&ch->stream->stopping))
            return NULL;
        /* Chunks without rows are released without being taken, and their places used again. */
        if (ch->chunk_taken < ch->chunk_first)
            ch->chunk_taken = ch->chunk_first;
        while (ch->chunk_taken < ch->chunk_next) {
            struct ps_chunk *chunk = chunk_at(ch, ch->chunk_taken++);

            if (!chunk->done)
                return chunk;
        }
        ps_wait_on(&ch->waits[PS_WAIT_CHUNKS], &ch->decoder_wakes, &ch->lock, NULL);
    }
}

/* Notes a malformed record; of several in a batch the earliest row wins. Lock held. */
static void note_bad_record(struct ps_channel *ch, const struct ps_chunk *chunk, enum fmt_rc rc,
                            const struct fmt_error *cause)
{
    struct ps_slot *slot = chunk->slot;
    uint32_t row = chunk->first_row + cause->row;

    if (slot->bad && slot->bad_row <= row)
        return;
    slot->bad = true;
    slot->bad_row = row;
    if (rc == FMT_E_MEMORY)
        ps_fail(&slot->error, PENSTOCK_E_MEMORY, "channel %s: out of memory while decoding",
                ch->name);
    else
        ps_source_bad_record(&slot->error, ch->name, &ch->sources[chunk->object->source_no],
                             chunk->object, chunk->object_offset + cause->offset_bytes,
                             cause->text);
    ch->decode_failed = true;
}

/* Books the outcome of a chunk. Returns whether ring space was freed. */
static bool finish_chunk(struct ps_channel *ch, struct ps_chunk *chunk, enum fmt_rc rc,
                         const struct fmt_error *cause)
{
    pthread_mutex_lock(&ch->lock);
    if (rc != FMT_OK)
        note_bad_record(ch, chunk, rc, cause);
    chunk->slot->rows_decoded += chunk->rows;
    chunk->done = true;
    bool freed = ps_chunks_release_done(ch);

    if (rc != FMT_OK)
        ps_channel_wake_all(ch);
    else if (chunk->slot->rows_decoded == chunk->slot->rows_framed)
        pthread_cond_broadcast(&ch->consumer_wakes);
    pthread_mutex_unlock(&ch->lock);
    return freed;
}

static enum fmt_rc decode_chunk(struct ps_channel *ch, struct fmt_decoder *decoder,
                                const struct ps_chunk *chunk, struct fmt_error *cause)
{
    struct fmt_span span = {.in = chunk->in,
                            .len = chunk->len_bytes,
                            .rows = chunk->rows,
                            .epoch = chunk->epoch,
                            .position = chunk->position,
                            .key = chunk->object->key,
                            .object_offset = chunk->object_offset,
                            .value = chunk->value ? chunk->value->value : NULL,
                            .value_len = chunk->value ? (size_t)chunk->value->size_bytes : 0};
    struct fmt_rows rows = ps_slot_rows(chunk->slot, chunk->first_row);

    return ch->options.ops->decode(decoder, &span, &rows, cause);
}

void ps_chunks_count_records(struct ps_channel *ch, uint32_t rows)
{
    if (atomic_fetch_add_explicit(&ch->counts.records, rows, memory_order_relaxed) == 0)
        atomic_store(&ch->counts.first_record_ns, ps_now_ns() - ch->stream->opened_ns);
}

/* A thread's decoders. */
struct decoders {
    struct fmt_decoder *rows;    /* writes rows */
    struct fmt_decoder *records; /* checks records that are lent where they lie */
};

/* The shape was written before the first chunk was queued. */
static enum fmt_rc decode_with(struct ps_channel *ch, struct fmt_decoder **decoder,
                               const struct fmt_shape *shape, const struct ps_chunk *chunk,
                               struct fmt_error *cause)
{
    if (!*decoder)
        *decoder = ch->options.ops->decoder_new(&ch->options, shape);
    return *decoder ? decode_chunk(ch, *decoder, chunk, cause) : FMT_E_MEMORY;
}

static enum fmt_rc decode_or_check(struct ps_channel *ch, struct decoders *decoders,
                                   const struct ps_chunk *chunk, struct fmt_error *cause)
{
    const struct fmt_shape shape = ps_framed_decoded_shape(ch);

    if (!chunk->slot->lends)
        return decode_with(ch, &decoders->rows, &shape, chunk, cause);
    enum fmt_rc rc = decode_with(ch, &decoders->records, &ch->shape, chunk, cause);

    if (rc != FMT_E_FORMAT || !ch->shape.framing.lenient)
        return rc;
    rc = decode_with(ch, &decoders->rows, &shape, chunk, cause);
    if (rc == FMT_OK)
        ps_framed_is_odd(ch, chunk->slot);
    return rc;
}

static void run_direct(struct ps_channel *ch, struct decoders *decoders, struct ps_chunk *chunk)
{
    struct fmt_error cause = {.text = ""};
    enum fmt_rc rc = decode_or_check(ch, decoders, chunk, &cause);

    ps_chunks_count_records(ch, chunk->rows);
    if (finish_chunk(ch, chunk, rc, &cause))
        ps_engine_wake_io(ch->stream);
}

static void run_staged(struct ps_channel *ch, struct ps_stage **stage, struct ps_chunk *chunk)
{
    if (chunk->kind == PS_CHUNK_RECORDS) {
        if (!*stage)
            *stage = ps_stage_new(ch);
        if (*stage)
            ps_stage_decode(*stage, chunk);
    }
    ps_place_chunk(ch, *stage, chunk);
}

void *ps_decoder_main(void *channel)
{
    struct ps_channel *ch = channel;
    struct decoders decoders = {.rows = NULL};
    struct ps_stage *stage = NULL;

    for (;;) {
        pthread_mutex_lock(&ch->lock);
        struct ps_chunk *chunk = take_chunk(ch);

        pthread_mutex_unlock(&ch->lock);
        if (!chunk)
            break;
        if (chunk->staged)
            run_staged(ch, &stage, chunk);
        else
            run_direct(ch, &decoders, chunk);
    }
    ch->options.ops->decoder_free(decoders.rows);
    ch->options.ops->decoder_free(decoders.records);
    ps_stage_free(stage);
    return NULL;
}
