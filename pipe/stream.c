/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stream.c - see stream.h and the picture in channel.h. */
#include "pipe/stream.h"

#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/state.h"
#include "pipe/verify.h"

#define FIRST_PART_BYTES ((uint64_t)256 << 10)

/* A framer that waits is woken when an I/O thread has nothing else to do (pipe/io.c), or has
 * received so much meanwhile: waking it for every receive would cost more than the receives. */
#define TELL_BYTES ((uint64_t)1 << 20)

static struct ps_part *part_at(struct ps_channel *ch, uint64_t index)
{
    return &ch->parts[index % PS_PARTS_MAX];
}

/* Makes fetch_object the object to cut parts from; false when there is none for now. */
static bool find_object(struct ps_channel *ch)
{
    while (!ch->fetch_object) {
        switch (ps_plan_at(ch->plan, &ch->fetch_cursor, &ch->fetch_object)) {
        case PS_PLAN_OBJECT:
            ch->fetch_cursor.index++;
            if (ps_object_ring_bytes(ch->fetch_object) == 0) { /* the consumer alone sees it */
                ch->fetch_object = NULL;
                break;
            }
            ch->fetched_in_epoch = true;
            ch->fetch_offset = ch->fetch_object->slice ? ch->fetch_object->slice->from : 0;
            if (!ch->fetch_begun)
                ch->fetch_offset += ps_state_skip_bytes(ch, ch->fetch_object);
            ch->fetch_begun = true;
            ch->fetch_sum = NULL;
            break;
        case PS_PLAN_EPOCH_END:
            if (ch->fetch_cursor.index == 0)
                return false; /* an empty shard stays empty in every epoch */
            /* Where there is nothing to fetch, no lack of space ever stops us: the consumer has to
             * come along. */
            if (!ch->fetched_in_epoch && ch->fetch_cursor.epoch >= ch->consumed_epoch)
                return false;
            ch->fetch_cursor = (struct ps_cursor){.epoch = ch->fetch_cursor.epoch + 1};
            ch->fetched_in_epoch = false;
            break;
        case PS_PLAN_END:
            if (ch->counts.asked_all_ns == 0)
                atomic_store(&ch->counts.asked_all_ns, ps_now_ns() - ch->stream->opened_ns);
            return false;
        case PS_PLAN_WAIT:
        case PS_PLAN_FAILED:
            return false;
        }
    }
    return true;
}

/* Counts how long a part could have been asked for but for the ring, which is full. */
static bool find_room(struct ps_channel *ch, uint64_t len_bytes)
{
    bool room = ch->ring.size_bytes - (ch->reserved_pos - ch->released_pos) >= len_bytes;
    struct ps_wait *wait = &ch->waits[PS_WAIT_ROOM];

    if (room && wait->waiting > 0)
        ps_wait_end(wait);
    else if (!room && wait->waiting == 0)
        ps_wait_begin(wait);
    return room;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The first parts are small and grow: all are under way at once, and the first batch should not
 * wait for its bytes behind those of a hundred MiB to come. */
static uint64_t part_limit(const struct ps_channel *ch, uint64_t part_bytes)
{
    uint64_t limit_bytes =
        min_u64(ch->part_bytes ? ch->part_bytes : part_bytes, ch->part_bytes_most);

    if (ch->part_next < 16 && FIRST_PART_BYTES << ch->part_next < limit_bytes)
        return FIRST_PART_BYTES << ch->part_next;
    return limit_bytes;
}

static struct ps_part *claim(struct ps_channel *ch, uint64_t part_bytes)
{
    if (ch->pipe || ch->fetch_failed || ch->decode_failed || ch->ended ||
        ch->part_next - ch->part_first == PS_PARTS_MAX || !find_object(ch))
        return NULL;

    const struct ps_object *object = ch->fetch_object;
    uint64_t end_offset = object->slice ? object->slice->to : object->size_bytes;
    uint64_t len_bytes = min_u64(part_limit(ch, part_bytes), end_offset - ch->fetch_offset);

    len_bytes = min_u64(len_bytes, ps_ring_run_bytes(&ch->ring, ch->reserved_pos));
    if (!find_room(ch, len_bytes))
        return NULL;

    bool asks = ps_verify_asks_first(ch, len_bytes);
    struct ps_part *part = part_at(ch, ch->part_next++);

    if (asks)
        len_bytes = 0;
    *part = (struct ps_part){.channel = ch,
                             .object = object,
                             .pos = ch->reserved_pos,
                             .object_offset = ch->fetch_offset,
                             .len_bytes = len_bytes,
                             .asks = asks};
    ps_verify_claimed(ch, part);
    ch->reserved_pos += len_bytes;
    ch->fetch_offset += len_bytes;
    if (ch->fetch_offset == end_offset)
        ch->fetch_object = NULL;
    return part;
}

struct ps_part *ps_stream_claim(struct ps_channel *ch, uint64_t part_bytes)
{
    pthread_mutex_lock(&ch->lock);
    struct ps_part *part = claim(ch, part_bytes);

    pthread_mutex_unlock(&ch->lock);
    return part;
}

uint64_t ps_stream_skip_epoch(struct ps_channel *ch, struct ps_cursor cursor, uint64_t pos)
{
    const struct ps_object *object;

    if (!ch->pipe && ch->fetch_cursor.epoch <= cursor.epoch) {
        ch->fetch_object = NULL;
        ch->fetch_cursor = (struct ps_cursor){.epoch = cursor.epoch + 1};
        ch->fetched_in_epoch = false;
        return ch->reserved_pos;
    }
    for (; ps_plan_at(ch->plan, &cursor, &object) == PS_PLAN_OBJECT; cursor.index++)
        pos += ps_object_ring_bytes(object);
    return pos;
}

uint8_t *ps_part_into(const struct ps_part *part)
{
    return ps_ring_at(&part->channel->ring, part->pos) + part->filled_bytes;
}

uint64_t ps_part_left_bytes(const struct ps_part *part)
{
    return part->len_bytes - part->filled_bytes;
}

/* Lock held. */
static void fail_at(struct ps_channel *ch, uint64_t fail_pos, const struct penstock_error *error)
{
    if (!ch->fetch_failed || fail_pos < ch->fail_pos) {
        ch->fetch_failed = true;
        ch->fail_pos = fail_pos;
        ch->fetch_error = *error;
    }
    pthread_cond_signal(ch->head_wakes);
}

/* Moves head over what has arrived without a gap. Lock held. */
static void move_head(struct ps_channel *ch)
{
    uint64_t head_pos = ch->head_pos;
    struct penstock_error error;

    while (ch->part_first < ch->part_next) {
        struct ps_part *part = part_at(ch, ch->part_first);

        head_pos = part->pos + ps_verify_shown_bytes(part);
        if (!part->done || part->refused)
            break;
        if (!ps_verify_pass(part, &error)) {
            part->refused = true;
            fail_at(ch, head_pos, &error);
            break;
        }
        head_pos = part->pos + part->len_bytes;
        ch->part_first++;
    }
    ch->head_pos = head_pos;
}

void ps_stream_tell(struct ps_channel *ch)
{
    if (atomic_exchange(&ch->untold_bytes, 0) == 0)
        return;
    pthread_mutex_lock(&ch->lock);
    move_head(ch);
    if (ch->framer_waits_head && ch->head_pos != ch->seen_pos) {
        ch->seen_pos = ch->head_pos;
        pthread_cond_signal(ch->head_wakes);
    }
    pthread_mutex_unlock(&ch->lock);
}

void ps_part_advance(struct ps_part *part, uint64_t len_bytes)
{
    struct ps_channel *ch = part->channel;
    uint64_t filled_bytes = part->filled_bytes + len_bytes;

    ps_verify_add(part, len_bytes);
    if (part->first_byte_ns == 0)
        part->first_byte_ns = ps_now_ns();
    if (filled_bytes == len_bytes)
        ps_histogram_add(&ch->counts.part_first_ns, part->first_byte_ns - part->started_ns);
    if (part->meter)
        *part->meter += len_bytes;
    atomic_fetch_add_explicit(&ch->counts.bytes_received, len_bytes, memory_order_relaxed);
    if (atomic_load_explicit(&ch->counts.first_byte_ns, memory_order_relaxed) == 0)
        atomic_store(&ch->counts.first_byte_ns, ps_now_ns() - ch->stream->opened_ns);
    /* Sequentially consistent, as is the framer's pair: either we see it hungry, or it sees these
     * bytes before it sleeps. */
    atomic_store(&part->filled_bytes, filled_bytes);
    if (atomic_load(&ch->framer_hungry) &&
        atomic_fetch_add(&ch->untold_bytes, len_bytes) + len_bytes >= TELL_BYTES)
        ps_stream_tell(ch);
}

void ps_part_complete(struct ps_part *part)
{
    struct ps_channel *ch = part->channel;

    pthread_mutex_lock(&ch->lock);
    part->done = true;
    move_head(ch);
    /* Whatever was told of it: head may go on over bytes that came before it was whole. */
    if (ch->framer_waits_head)
        atomic_fetch_add(&ch->untold_bytes, 1);
    pthread_mutex_unlock(&ch->lock);
}

void ps_part_fail(struct ps_part *part, const struct penstock_error *error)
{
    struct ps_channel *ch = part->channel;

    pthread_mutex_lock(&ch->lock);
    move_head(ch);
    fail_at(ch, part->pos + ps_verify_shown_bytes(part), error);
    pthread_mutex_unlock(&ch->lock);
}

void ps_stream_fail(struct ps_channel *ch, const struct penstock_error *error)
{
    pthread_mutex_lock(&ch->lock);
    move_head(ch);
    fail_at(ch, ch->head_pos, error);
    pthread_mutex_unlock(&ch->lock);
}

enum ps_head_answer ps_stream_look_head(struct ps_channel *ch, uint64_t pos)
{
    move_head(ch);
    ch->seen_pos = ch->head_pos;
    if (ch->head_pos > pos)
        return PS_HEAD_MOVED;
    if (ch->decode_failed || atomic_load(&ch->stream->stopping))
        return PS_HEAD_BROKEN_OFF;
    if (ch->fetch_failed && ch->head_pos >= ch->fail_pos)
        return PS_HEAD_FAILED;
    return PS_HEAD_WAIT;
}

void ps_stream_hunger(struct ps_channel *ch, bool hungry)
{
    atomic_store(&ch->framer_hungry, hungry);
    ch->framer_waits_head = hungry;
}
