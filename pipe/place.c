/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/place.c - see place.h. Functions that have the lock may give it up for a while; the turn
 * stays theirs. */
#include "pipe/place.h"

#include "pipe/bad.h"
#include "pipe/chunks.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/first_batch.h"
#include "pipe/permute.h"
#include "pipe/slots.h"
#include "pipe/window.h"

static bool broken_off(const struct ps_channel *ch)
{
    return ch->placing.failed || atomic_load(&ch->stream->stopping);
}

/* ---- copying ---- */

/* All rows of a sealed slot are in place: what is left to do before it is lent. No lock. */
static void finish(struct ps_slot *slot)
{
    ps_slot_finish(slot);
    if (slot->first)
        ps_first_batch_keep(slot);
    if (slot->whole)
        ps_slot_narrow(slot, slot->whole_rows);
}

/* It may be lent now. Lock held. */
static void tell_finished(struct ps_slot *slot)
{
    struct ps_channel *ch = slot->channel;

    ch->placing.kept_whole |= slot->first;
    slot->unfinished = false;
    pthread_cond_broadcast(&ch->consumer_wakes);
}

/* Both. Lock held. */
static void complete(struct ps_slot *slot)
{
    pthread_mutex_unlock(&slot->channel->lock);
    finish(slot);
    pthread_mutex_lock(&slot->channel->lock);
    tell_finished(slot);
}

/* So many more rows of a block are in place. Lock held. */
static void book_block(struct ps_channel *ch, struct ps_block *block, uint32_t count)
{
    block->copied += count;
    if (block->copied < ch->shaping.window_rows)
        return;
    pthread_mutex_unlock(&ch->lock);
    for (uint64_t i = 0; i < ps_window_slots(ch); i++) {
        ps_slot_gather(block->slots[i]);
        finish(block->slots[i]);
    }
    pthread_mutex_lock(&ch->lock);
    for (uint64_t i = 0; i < ps_window_slots(ch); i++)
        tell_finished(block->slots[i]);
    block->used = false;
}

/* Copies what has its place. Lock held. */
static void copy_placed(struct ps_channel *ch, struct ps_stage *stage)
{
    if (stage->piece_count == 0)
        return;
    pthread_mutex_unlock(&ch->lock);
    for (size_t i = 0; i < stage->piece_count; i++) {
        const struct ps_piece *piece = &stage->pieces[i];

        if (piece->block)
            ps_window_put(piece->block, piece->block_row, &stage->rows, piece->first, piece->count);
        else
            ps_slot_put(&piece->place, &stage->rows, piece->first, piece->count);
    }
    pthread_mutex_lock(&ch->lock);
    for (size_t i = 0; i < stage->piece_count; i++) {
        const struct ps_piece *piece = &stage->pieces[i];
        struct ps_slot *slot = piece->place.slot;

        if (piece->block) {
            book_block(ch, piece->block, piece->count);
            continue;
        }
        slot->rows_decoded += piece->count;
        if (slot->sealed && slot->rows_decoded == slot->rows_framed)
            complete(slot);
    }
    stage->piece_count = 0;
    pthread_cond_broadcast(&ch->place_wakes);
}

/* ---- places ---- */

/* Behind row `row` of the stage, which has its place; what is bad behind it is booked already. */
static struct ps_anchor anchor_behind(const struct ps_channel *ch, const struct ps_stage *stage,
                                      const struct ps_chunk *chunk, uint32_t row)
{
    uint32_t rows = stage->row_nos[row] + 1;
    struct ps_anchor anchor = {.epoch = chunk->epoch,
                               .index = chunk->index,
                               .object_row = chunk->object_row + rows,
                               .position = chunk->position + rows,
                               .window_no = ch->placing.block_no,
                               .bad_records = ch->bad.records,
                               .object = chunk->object,
                               .offset = chunk->object_offset,
                               .offset_row = chunk->object_row};

    for (size_t i = stage->bad_count; i > 0 && stage->bad[i - 1].row >= rows; i--)
        anchor.bad_records--;
    return anchor;
}

/* The batch of `rows` rows is to be delivered, once its last row is in place; the stream goes on at
 * `after` behind it. Lock held. */
static void seal(struct ps_slot *slot, uint32_t rows, const struct ps_anchor *after)
{
    struct ps_channel *ch = slot->channel;

    slot->whole_rows = rows;
    if (ch->placing.blocks && rows > ch->shaping.share.from)
        slot->batch.position += ch->shaping.share.from;
    slot->after = *after;
    if (ch->shaping.last == PS_LAST_WRAP) /* which needs the epoch's first batch in any case */
        slot->after =
            (struct ps_anchor){.epoch = after->epoch, .drop = ++ch->placing.epoch_batches};
    slot->sealed = true;
    ps_slots_push(ch, (struct ps_event){.kind = PS_EVENT_BATCH, .slot = slot});
}

/* A slot to fill; NULL when the stream breaks off. Lock held. */
static struct ps_slot *take_slot(struct ps_channel *ch, struct ps_stage *stage, uint32_t epoch,
                                 uint64_t position)
{
    struct ps_slot *slot;

    while (!(slot = ps_slots_find_free(ch)) && !broken_off(ch)) {
        if (stage->piece_count > 0)
            copy_placed(ch, stage);
        else
            ps_wait_on(&ch->waits[PS_WAIT_SLOT], &ch->place_wakes, &ch->lock, NULL);
    }
    if (!slot)
        return NULL;
    ps_slots_fill(slot, epoch, position);
    ps_slot_begin(slot, ch->placing.blocks ? ch->layout.entries_max : ch->placing.entries_guess);
    slot->unfinished = true;
    return slot;
}

/* `rows` rows take more than there is room for; `wanted` is how much. */
static void refuse_rows(struct ps_channel *ch, uint32_t rows, const struct ps_place *wanted)
{
    const struct ps_layout *layout = &ch->layout;
    bool entries = wanted->entries > layout->entries_max;

    ps_fail(&ch->placing.error, PENSTOCK_E_MEMORY,
            "channel %s: a batch of %u rows does not fit: %u rows take %u %s, and there is room "
            "for %u in the %zu bytes that the memory limit leaves for a batch: raise the memory "
            "limit or lower batch_rows%s",
            ch->name, ch->shaping.slot_rows, rows, entries ? wanted->entries : wanted->texts,
            entries ? "entries" : "bytes of text",
            entries ? layout->entries_max : layout->texts_max, ch->slot_bytes,
            ch->placing.blocks ? " or shuffle_rows" : "");
}

/* Gives rows of the stage the next places in a slot, from row `row` on. */
static bool add_piece(struct ps_channel *ch, struct ps_stage *stage, struct ps_slot *slot,
                      uint32_t row, uint32_t first, uint32_t count)
{
    struct ps_piece *piece = &stage->pieces[stage->piece_count];

    if (count == 0)
        return true;
    if (!ps_slot_reserve(slot, row, &stage->rows, first, count, &piece->place)) {
        refuse_rows(ch, row + count, &piece->place);
        return false;
    }
    piece->block = NULL;
    piece->first = first;
    piece->count = count;
    stage->piece_count++;
    slot->rows_framed += count;
    return true;
}

/* The next `count` rows of the batch are the stage's from `next` on: those of this channel's share,
 * or all, get places. Lock held. */
static bool add_share(struct ps_channel *ch, struct ps_stage *stage, const struct ps_chunk *chunk,
                      uint32_t next, uint32_t count)
{
    const struct ps_placing *p = &ch->placing;
    const struct ps_row_share *share = &ch->shaping.share;
    uint32_t skip;
    uint32_t own = ps_row_share_among(share, p->rows, count, &skip);

    if (own > 0 && p->rows <= share->from)
        p->slot->batch.position = chunk->position + stage->row_nos[next + skip];
    if (p->slot->whole)
        return add_piece(ch, stage, p->slot, p->rows, next, count);
    return add_piece(ch, stage, p->slot, p->rows + skip - share->from, next + skip, own);
}

/* Rows one behind the other. Lock held. */
static bool place_in_order(struct ps_channel *ch, struct ps_stage *stage,
                           const struct ps_chunk *chunk)
{
    struct ps_placing *p = &ch->placing;
    uint32_t batch_rows = ch->config.batch_rows;

    for (uint32_t next = 0; next < stage->count;) {
        if (!p->slot) {
            p->slot = take_slot(ch, stage, chunk->epoch, chunk->position + stage->row_nos[next]);
            p->rows = 0;
            if (!p->slot)
                return false;
            p->slot->first = p->epoch_rows == 0 && ch->shaping.last == PS_LAST_WRAP;
            p->slot->whole = p->slot->first;
        }
        uint32_t left = stage->count - next;
        uint32_t count = left < batch_rows - p->rows ? left : batch_rows - p->rows;

        if (stage->piece_count == PS_PIECES_MAX)
            copy_placed(ch, stage);
        if (!add_share(ch, stage, chunk, next, count))
            return false;
        p->rows += count;
        p->epoch_rows += count;
        next += count;
        p->after = anchor_behind(ch, stage, chunk, next - 1);
        if (p->rows == batch_rows) {
            struct ps_slot *slot = p->slot;

            p->entries_guess = slot->entries;
            seal(slot, batch_rows, &p->after);
            p->slot = NULL;
            if (slot->rows_decoded == slot->rows_framed) /* the last rows were other shares' */
                complete(slot);
        }
    }
    return true;
}

/* ---- windows ---- */

/* Takes the slots of the next block. Lock held. */
static bool begin_block(struct ps_channel *ch, struct ps_stage *stage, uint32_t epoch,
                        uint64_t position)
{
    struct ps_placing *p = &ch->placing;
    struct ps_block *block = ps_window_find_unused(ch);

    block->used = true;
    for (uint64_t i = 0; i < ps_window_slots(ch); i++) {
        block->slots[i] = take_slot(ch, stage, epoch, position + i * ch->config.batch_rows);
        if (!block->slots[i])
            return false;
        block->slots[i]->whole = true;
    }
    block->slots[0]->first = p->epoch_rows == 0 && ch->shaping.last == PS_LAST_WRAP;
    block->key = ps_permute_key(ps_permute_key(ch->config.seed, epoch), p->block_no++);
    block->copied = 0;
    block->before = p->after;
    block->before.epoch = epoch;
    p->block = block;
    p->block_rows = 0;
    return true;
}

/* Room in their batches for what grows of rows, as far as there is any. Lock held. */
static bool reserve_in_window(struct ps_channel *ch, const struct ps_stage *stage, uint32_t first,
                              uint32_t count)
{
    struct ps_placing *p = &ch->placing;
    struct ps_place place;

    if (ch->layout.begins == 0)
        return true;
    pthread_mutex_unlock(&ch->lock);
    bool fits = ps_window_reserve(p->block, p->block_rows, &stage->rows, first, count, &place);

    pthread_mutex_lock(&ch->lock);
    if (!fits)
        refuse_rows(ch, place.slot->rows_framed + 1, &place);
    return fits;
}

/* Batch `no` of a window is out: it takes the whole window to make the next. */
static struct ps_anchor anchor_in_window(const struct ps_channel *ch, const struct ps_block *block,
                                         uint64_t no)
{
    struct ps_anchor anchor = block->before;

    anchor.drop = no + 1;
    return anchor.drop < ps_window_slots(ch) ? anchor : ch->placing.after;
}

/* Every row anywhere in its window. Lock held. */
static bool place_in_window(struct ps_channel *ch, struct ps_stage *stage,
                            const struct ps_chunk *chunk)
{
    struct ps_placing *p = &ch->placing;

    for (uint32_t next = 0; next < stage->count;) {
        if (!p->block &&
            !begin_block(ch, stage, chunk->epoch, chunk->position + stage->row_nos[next]))
            return false;
        if (stage->piece_count == PS_PIECES_MAX)
            copy_placed(ch, stage);
        uint64_t left = ch->shaping.window_rows - p->block_rows;
        uint32_t count = stage->count - next < left ? stage->count - next : (uint32_t)left;

        if (!reserve_in_window(ch, stage, next, count))
            return false;
        stage->pieces[stage->piece_count++] = (struct ps_piece){
            .block = p->block, .block_row = p->block_rows, .first = next, .count = count};
        p->block_rows += count;
        p->epoch_rows += count;
        next += count;
        p->after = anchor_behind(ch, stage, chunk, next - 1);
        if (count < left)
            continue;
        for (uint64_t i = 0; i < ps_window_slots(ch); i++) {
            struct ps_slot *slot = p->block->slots[i];
            struct ps_anchor after = anchor_in_window(ch, p->block, i);

            slot->rows_framed = slot->rows_decoded = ch->config.batch_rows;
            seal(slot, ch->config.batch_rows, &after);
        }
        p->block = NULL;
    }
    return true;
}

/* Waits until every row of the slot that has a place is there. Lock held. */
static bool wait_copied(struct ps_channel *ch, const struct ps_slot *slot)
{
    while (slot->rows_decoded < slot->rows_framed && !broken_off(ch))
        ps_wait_on(&ch->waits[PS_WAIT_CHUNKS], &ch->place_wakes, &ch->lock, NULL);
    return !broken_off(ch);
}

/* The epoch ends within a window: its batches are sealed, but for one that is not full. Lock held.
 */
static bool end_short_block(struct ps_channel *ch)
{
    struct ps_placing *p = &ch->placing;
    struct ps_block *block = p->block;
    uint32_t batch_rows = ch->config.batch_rows;
    uint64_t full = p->block_rows / batch_rows;

    while (block->copied < p->block_rows && !broken_off(ch))
        ps_wait_on(&ch->waits[PS_WAIT_CHUNKS], &ch->place_wakes, &ch->lock, NULL);
    if (broken_off(ch))
        return false;
    pthread_mutex_unlock(&ch->lock);
    struct ps_place place;
    int rc = ps_window_close_gaps(block, p->block_rows, &place);

    pthread_mutex_lock(&ch->lock);
    if (rc != PENSTOCK_OK && place.slot)
        refuse_rows(ch, place.row + 1, &place);
    else if (rc != PENSTOCK_OK)
        ps_fail(&p->error, PENSTOCK_E_MEMORY, "out of memory");
    if (rc != PENSTOCK_OK)
        return false;
    p->rows = (uint32_t)(p->block_rows % batch_rows);
    for (uint64_t i = 0; i < ps_window_slots(ch); i++) {
        struct ps_slot *slot = block->slots[i];
        struct ps_anchor after = block->before;

        after.drop = i + 1;
        slot->rows_framed = slot->rows_decoded = i < full ? batch_rows : i == full ? p->rows : 0;
        if (slot->rows_framed == 0) {
            slot->state = PS_SLOT_FREE;
        } else if (i < full) {
            seal(slot, batch_rows, &after);
            complete(slot);
        } else {
            p->slot = slot;
            p->after = after;
        }
    }
    block->used = false;
    p->block = NULL;
    return true;
}

/* ---- the last batch ---- */

/* The epoch's last batch, which is not full. Lock held. */
static bool end_last(struct ps_channel *ch, struct ps_slot *slot)
{
    const struct ps_row_share *share = &ch->shaping.share;
    enum ps_last_batch last = ch->shaping.last;
    uint32_t batch_rows = ch->config.batch_rows;
    uint32_t rows = ch->placing.rows;
    uint32_t missing = share->rows - ps_row_share_of(share, rows);
    uint32_t to_rows = slot->whole ? batch_rows : share->rows;

    if (last == PS_LAST_DROP) {
        slot->state = PS_SLOT_FREE;
        return true;
    }
    pthread_mutex_unlock(&ch->lock);
    struct ps_place place;
    bool fits = last != PS_LAST_WRAP || ps_first_batch_fill(slot, rows, &place);

    if (last == PS_LAST_PAD)
        ps_slot_pad(slot, slot->rows_framed, to_rows - slot->rows_framed, ch->shaping.pad_label);
    ps_slot_finish(slot);
    if (slot->whole)
        ps_slot_narrow(slot, last == PS_LAST_KEEP ? rows : batch_rows);
    pthread_mutex_lock(&ch->lock);
    if (!fits)
        refuse_rows(ch, place.row, &place);
    if (!fits)
        return false;
    slot->batch.rows_padded = last == PS_LAST_KEEP ? 0 : missing;
    slot->unfinished = false;
    seal(slot, rows, &ch->placing.after);
    return true;
}

/* ---- chunks ---- */

/* Lock held. */
static bool end_epoch(struct ps_channel *ch, const struct ps_chunk *chunk)
{
    struct ps_placing *p = &ch->placing;

    if (p->block && !end_short_block(ch))
        return false;
    if (p->slot && !wait_copied(ch, p->slot))
        return false;
    /* In any case: the next epoch's first batch is kept in the same place. */
    while (ch->shaping.last == PS_LAST_WRAP && p->epoch_rows >= ch->config.batch_rows &&
           !p->kept_whole && !broken_off(ch))
        ps_wait_on(&ch->waits[PS_WAIT_CHUNKS], &ch->place_wakes, &ch->lock, NULL);
    if (broken_off(ch))
        return false;
    if (p->slot && !end_last(ch, p->slot))
        return false;
    p->slot = NULL;
    p->epoch_rows = p->block_no = p->epoch_batches = 0;
    p->after = (struct ps_anchor){.epoch = chunk->epoch + 1};
    p->kept_whole = false;
    pthread_mutex_unlock(&ch->lock);
    int rc = ps_bad_end_epoch(ch, chunk->epoch, chunk->position, &p->error);

    pthread_mutex_lock(&ch->lock);
    if (rc != PENSTOCK_OK || !ps_slots_wait_room(ch, &ch->place_wakes))
        return false;
    ps_slots_push(ch, (struct ps_event){.kind = PS_EVENT_EPOCH_END});
    return true;
}

/* Books what was bad in the chunk. If that is an error, rows behind it get no places. The turn, but
 * no lock. */
static bool account(struct ps_channel *ch, struct ps_stage *stage, const struct ps_chunk *chunk)
{
    struct ps_bad_one one = {.object = chunk->object,
                             .epoch = chunk->epoch,
                             .position = chunk->position,
                             .offset_bytes = chunk->object_offset,
                             .cause = chunk->cause};

    if (chunk->kind == PS_CHUNK_BROKEN) {
        if (chunk->rows > 0 && ps_bad_add(ch, &one, &ch->placing.error) != PENSTOCK_OK)
            return false;
        ps_bad_add_bytes(ch, chunk->len_bytes);
        return true;
    }
    for (size_t i = 0; i < stage->bad_count; i++) {
        const struct ps_bad_row *bad = &stage->bad[i];
        struct fmt_error cause;

        ps_stage_explain(stage, chunk, bad, &cause);
        one.position = chunk->position + bad->row;
        one.offset_bytes = chunk->object_offset + bad->offset_bytes;
        one.len_bytes = bad->len_bytes;
        one.cause = cause.text;
        if (ps_bad_add(ch, &one, &ch->placing.error) == PENSTOCK_OK)
            continue;
        while (stage->count > 0 && stage->row_nos[stage->count - 1] > bad->row)
            stage->count--;
        return false;
    }
    return true;
}

/* Lock held. False: the stream ends here, with placing.error unless it was stopped. */
static bool place_records(struct ps_channel *ch, struct ps_stage *stage,
                          const struct ps_chunk *chunk)
{
    bool whole = true;

    if (stage->bad_count > 0) {
        pthread_mutex_unlock(&ch->lock);
        whole = account(ch, stage, chunk);
        pthread_mutex_lock(&ch->lock);
    }
    if (stage->count > 0 && !chunk->elsewhere)
        ps_chunks_count_records(ch, stage->count);
    atomic_fetch_add_explicit(&ch->counts.records_unsampled, stage->unsampled,
                              memory_order_relaxed);
    bool placed =
        ch->placing.blocks ? place_in_window(ch, stage, chunk) : place_in_order(ch, stage, chunk);

    if (placed && whole && stage->rc == FMT_E_MEMORY) {
        ps_fail(&ch->placing.error, PENSTOCK_E_MEMORY, "channel %s: out of memory while decoding",
                ch->name);
        whole = false;
    }
    return placed && whole;
}

static bool place(struct ps_channel *ch, struct ps_stage *stage, const struct ps_chunk *chunk)
{
    bool go_on = true;

    switch (chunk->kind) {
    case PS_CHUNK_RECORDS:
        return chunk->rows == 0 || place_records(ch, stage, chunk);
    case PS_CHUNK_BROKEN:
        pthread_mutex_unlock(&ch->lock);
        go_on = account(ch, stage, chunk);
        pthread_mutex_lock(&ch->lock);
        return go_on;
    case PS_CHUNK_EPOCH_END:
        return end_epoch(ch, chunk);
    case PS_CHUNK_END:
        ps_slots_push(ch, (struct ps_event){.kind = PS_EVENT_END});
        return true;
    case PS_CHUNK_ERROR:
        break;
    }
    ch->placing.error = ch->frame_error;
    return false;
}

/* Nothing is placed from now on. Lock held. */
static void fail(struct ps_channel *ch)
{
    ch->placing.failed = true;
    if (!atomic_load(&ch->stream->stopping))
        ps_slots_push(ch, (struct ps_event){.kind = PS_EVENT_ERROR, .error = &ch->placing.error});
    ch->decode_failed = true;
    ps_channel_wake_all(ch);
}

void ps_place_chunk(struct ps_channel *ch, struct ps_stage *stage, struct ps_chunk *chunk)
{
    struct ps_placing *p = &ch->placing;

    pthread_mutex_lock(&ch->lock);
    while (p->turn != chunk->order && !broken_off(ch))
        ps_wait_on(&ch->waits[PS_WAIT_CHUNKS], &ch->place_wakes, &ch->lock, NULL);
    if (!broken_off(ch)) {
        if (!stage && chunk->kind == PS_CHUNK_RECORDS)
            ps_fail(&p->error, PENSTOCK_E_MEMORY, "channel %s: out of memory while decoding",
                    ch->name);
        if ((!stage && chunk->kind == PS_CHUNK_RECORDS) || !place(ch, stage, chunk)) {
            if (!p->failed)
                fail(ch);
        }
        p->turn++;
        pthread_cond_broadcast(&ch->place_wakes);
    }
    chunk->done = true;
    bool freed = ps_chunks_release_done(ch);

    if (stage)
        copy_placed(ch, stage);
    pthread_mutex_unlock(&ch->lock);
    if (freed)
        ps_engine_wake_io(ch->stream);
}
