/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/spans.c - the consumer's end of a channel of plain bytes: penstock_next_span,
 * penstock_release_span and penstock_skip_epoch.
 *
 * Nothing is framed or copied: a span is a run of the stream ring, or of the ring that objects are
 * inflated into, between released and head, within one object and one lap. Spans may come back in
 * any order; their space is free again in stream order.
 */
#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/pipe_reader.h"
#include "pipe/tap.h"

/* A longer one would keep more of the ring from being filled anew until it comes back. */
#define SPAN_BYTES_MAX ((uint64_t)1 << 20)

enum look {
    LOOK_LENT,
    LOOK_PASSED,
    LOOK_WAIT,
    LOOK_EPOCH_END,
    LOOK_END,
    LOOK_BROKEN_OFF,
    LOOK_FAILED
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Moves released over spans that are back, without a gap. Lock held. True when space was freed. */
static bool release_back(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;
    uint64_t before = bytes->span_first;

    while (bytes->span_first < bytes->span_next) {
        const struct ps_span *span = &bytes->spans[bytes->span_first % PS_SPANS_MAX];

        if (span->lent)
            break;
        ps_tap_release(ch, span->end_pos);
        bytes->span_first++;
    }
    if (bytes->span_first == before)
        return false;
    pthread_cond_signal(&ch->framer_wakes);
    return true;
}

/* What it means for the caller that head is not past a position. */
static enum look look_of(struct ps_channel *ch, enum ps_head_answer answer)
{
    if (answer == PS_HEAD_WAIT)
        return LOOK_WAIT;
    if (answer == PS_HEAD_BROKEN_OFF)
        return LOOK_BROKEN_OFF;
    ch->frame_error = *ps_tap_error(ch);
    return LOOK_FAILED;
}

/* The object that bytes->pos is at the end of is all lent. Lock held. */
static void pass_object(struct ps_channel *ch)
{
    ch->bytes.view.object = NULL;
    ps_tap_pass(ch);
    atomic_fetch_add_explicit(&ch->counts.objects_streamed, 1, memory_order_relaxed);
}

/* Whether the object at hand takes no space in the ring: a value that the plan holds, or nothing.
 */
static bool is_value(const struct ps_channel *ch)
{
    return !ch->pipe && ps_object_ring_bytes(ch->bytes.view.object) == 0;
}

/* Puts a span of the object at hand on loan, after which the stream is at end_pos. Lock held. */
static const struct penstock_span *put_span(struct ps_channel *ch, struct penstock_span what,
                                            uint64_t end_pos)
{
    struct ps_bytes *bytes = &ch->bytes;
    const struct ps_object *object = bytes->view.object;
    struct ps_span *span = &bytes->spans[bytes->span_next++ % PS_SPANS_MAX];

    what.key = object->key;
    what.uri_no = object->uri_no;
    what.line_no = object->line_no;
    if (ch->attribute_count > 0)
        what.attribute_no = (uint32_t)((bytes->cursor.index - 1) % ch->attribute_count);
    what.epoch = bytes->cursor.epoch;
    what.position = bytes->pos - bytes->epoch_pos;
    *span = (struct ps_span){.channel = ch,
                             .span = what,
                             .end_pos = end_pos,
                             .source_no = object->source_no,
                             .lent = true};
    if (atomic_fetch_add_explicit(&ch->counts.batches, 1, memory_order_relaxed) == 0)
        atomic_store(&ch->counts.first_batch_ns, ps_now_ns() - ch->stream->opened_ns);
    return &span->span;
}

/* Lends bytes that the plan holds, or none. Lock held. */
static const struct penstock_span *lend_value(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;
    const struct ps_object *object = bytes->view.object;
    const char *value = object->state == PS_OBJECT_VALUE ? (const char *)object->value : "";
    uint64_t offset = bytes->value_offset;
    uint64_t len_bytes = least(object->size_bytes - offset, SPAN_BYTES_MAX);
    struct penstock_span what = {.data = value + offset,
                                 .len_bytes = (size_t)len_bytes,
                                 .object_offset = offset,
                                 .object_bytes = object->size_bytes,
                                 .ends_object = offset + len_bytes == object->size_bytes};
    const struct penstock_span *span = put_span(ch, what, bytes->pos);

    bytes->epoch_pos -= len_bytes; /* the epoch has had so many bytes more than the ring */
    bytes->value_offset += len_bytes;
    if (what.ends_object) {
        bytes->view.object = NULL;
        atomic_fetch_add_explicit(&ch->counts.objects_streamed, 1, memory_order_relaxed);
    }
    return span;
}

/* The size of the object that begins, for all its spans; 0 when its end has not come. */
static uint64_t size_in_advance(const struct ps_channel *ch)
{
    const struct ps_view *view = &ch->bytes.view;

    return ch->pipe || view->object_end_pos == UINT64_MAX ? 0
                                                          : view->object_end_pos - view->object_pos;
}

/* Lends the bytes from bytes->pos on, of which there is at least one unless the object, inflated,
 * is an empty item. Lock held. */
static const struct penstock_span *lend(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;
    const struct ps_view *view = &bytes->view;
    const struct ps_ring *ring = ps_tap_ring(ch);
    uint64_t end_pos = least(view->head_pos, view->object_end_pos);

    end_pos = least(end_pos, bytes->pos + ps_ring_run_bytes(ring, bytes->pos));
    end_pos = least(end_pos, bytes->pos + SPAN_BYTES_MAX);
    if (bytes->pos == view->object_pos)
        bytes->object_bytes = size_in_advance(ch);
    struct penstock_span what = {.data = ps_ring_at(ring, bytes->pos),
                                 .len_bytes = (size_t)(end_pos - bytes->pos),
                                 .object_offset = bytes->pos - view->object_pos,
                                 .object_bytes = bytes->object_bytes,
                                 .ends_object = !ch->pipe && end_pos == view->object_end_pos};
    const struct penstock_span *span = put_span(ch, what, end_pos);

    bytes->pos = end_pos;
    if (what.ends_object)
        pass_object(ch);
    return span;
}

static enum look end_epoch(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;

    if (ps_channel_is_empty(ch, &ch->frame_error))
        return LOOK_FAILED;
    bytes->cursor = (struct ps_cursor){.epoch = bytes->cursor.epoch + 1};
    bytes->epoch_pos = bytes->pos;
    ch->consumed_epoch = bytes->cursor.epoch;
    bytes->freed = true; /* the I/O threads may be waiting for it */
    return LOOK_EPOCH_END;
}

/* Lets go what has arrived of a skipped epoch. LOOK_LENT: all of it has. */
static enum look let_go(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;

    while (bytes->pos < bytes->skip_pos) {
        enum ps_head_answer answer = ps_tap_look(ch, bytes->pos, &bytes->view);

        if (answer != PS_HEAD_MOVED)
            return look_of(ch, answer);
        bytes->pos = least(bytes->view.head_pos, bytes->skip_pos);
        bytes->spans[bytes->span_next++ % PS_SPANS_MAX] =
            (struct ps_span){.channel = ch, .end_pos = bytes->pos};
        if (release_back(ch))
            bytes->freed = true;
        else if (bytes->span_next - bytes->span_first == PS_SPANS_MAX)
            return LOOK_WAIT;
    }
    return LOOK_LENT;
}

/* Makes bytes->view.object the one that bytes->pos is in. LOOK_LENT: it is. */
static enum look find_object(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;
    const struct ps_object *object;

    if (bytes->view.object)
        return LOOK_LENT;
    switch (ps_plan_at(ch->plan, &bytes->cursor, &object)) {
    case PS_PLAN_OBJECT:
        bytes->cursor.index++;
        if (object->state == PS_OBJECT_LEFT_OUT)
            return LOOK_PASSED;
        bytes->value_offset = 0;
        ps_tap_begin(ch, object, bytes->pos, &bytes->view);
        return LOOK_LENT;
    case PS_PLAN_WAIT:
        return LOOK_WAIT;
    case PS_PLAN_EPOCH_END:
        return end_epoch(ch);
    case PS_PLAN_END:
        return LOOK_END;
    case PS_PLAN_FAILED:
        break;
    }
    ch->frame_error = *ps_plan_error(ch->plan);
    return LOOK_FAILED;
}

static enum look look(struct ps_channel *ch, const struct penstock_span **out)
{
    struct ps_bytes *bytes = &ch->bytes;

    if (bytes->span_next - bytes->span_first == PS_SPANS_MAX)
        return LOOK_WAIT;
    enum look found = let_go(ch);

    if (found == LOOK_LENT)
        found = find_object(ch);
    if (found != LOOK_LENT)
        return found;
    if (is_value(ch)) {
        *out = lend_value(ch);
        return LOOK_LENT;
    }
    enum ps_head_answer answer = ps_tap_look(ch, bytes->pos, &bytes->view);

    if (answer != PS_HEAD_MOVED)
        return look_of(ch, answer);
    bool is_item = ch->attribute_count > 0 && bytes->view.object_pos == bytes->pos;

    if (bytes->view.object_end_pos == bytes->pos && !is_item) {
        /* a FIFO ended, or the object holds nothing */
        pass_object(ch);
        return LOOK_PASSED;
    }
    *out = lend(ch);
    return LOOK_LENT;
}

/* Looks once. PENSTOCK_AGAIN: there is nothing to tell yet. */
static int try_span(struct ps_channel *ch, const struct penstock_span **out)
{
    int ended_rc = ps_channel_check_ended(ch);

    if (ended_rc != PENSTOCK_OK)
        return ended_rc;
    enum look found;

    do
        found = look(ch, out);
    while (found == LOOK_PASSED);
    switch (found) {
    case LOOK_LENT:
        return PENSTOCK_OK;
    case LOOK_EPOCH_END:
        return PENSTOCK_EPOCH_END;
    case LOOK_END:
        return ps_channel_end(ch, PENSTOCK_END, NULL);
    case LOOK_FAILED:
        return ps_channel_end(ch, ch->frame_error.rc, &ch->frame_error);
    case LOOK_BROKEN_OFF:
    case LOOK_PASSED:
    case LOOK_WAIT:
        break;
    }
    return PENSTOCK_AGAIN;
}

/* Tells the I/O threads of freed space before the wait for what they bring. The lock is released
 * meanwhile: true means look again. */
static bool bytes_freed(struct ps_channel *ch)
{
    if (!ch->bytes.freed)
        return false;
    ch->bytes.freed = false;
    pthread_mutex_unlock(&ch->lock);
    ps_engine_wake_io(ch->stream);
    pthread_mutex_lock(&ch->lock);
    return true;
}

static int wait_span(struct ps_channel *ch, int timeout_ms, const struct penstock_span **out)
{
    struct timespec deadline =
        ps_timespec(ps_now_ns() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0) * PS_NS_PER_MS);
    bool late = false;
    int rc;

    ps_tap_hunger(ch, true);
    while ((rc = try_span(ch, out)) == PENSTOCK_AGAIN && !late) {
        if (bytes_freed(ch))
            continue;
        late = ps_wait_on(&ch->waits[PS_WAIT_BYTES], &ch->framer_wakes, &ch->lock,
                          timeout_ms < 0 ? NULL : &deadline);
    }
    ps_tap_hunger(ch, false);
    return rc;
}

int penstock_next_span(struct penstock *stream, size_t channel_no, int timeout_ms,
                       const struct penstock_span **span)
{
    *span = NULL;
    if (channel_no >= stream->channel_count)
        return PENSTOCK_E_ARGUMENT;
    struct ps_channel *ch = stream->channels[channel_no];
    uint64_t start_ns = ps_now_ns();

    if (!ch->plain)
        return ps_channel_misused(ch);

    pthread_mutex_lock(&ch->lock);
    int rc = try_span(ch, span);

    if (rc == PENSTOCK_AGAIN && timeout_ms != 0)
        rc = wait_span(ch, timeout_ms, span);
    bool freed = ch->bytes.freed;

    ch->bytes.freed = false;
    pthread_mutex_unlock(&ch->lock);
    if (freed)
        ps_engine_wake_io(stream);
    atomic_fetch_add_explicit(&ch->counts.wait_ns, ps_now_ns() - start_ns, memory_order_relaxed);
    return rc;
}

bool ps_span_is_in_ring(const struct penstock_span *lent)
{
    const struct ps_ring *ring = ps_tap_ring(ps_span_of(lent)->channel);
    uintptr_t base = (uintptr_t)ring->base;
    uintptr_t data = (uintptr_t)lent->data;

    return data >= base && data < base + ring->size_bytes;
}

void penstock_release_span(struct penstock *stream, const struct penstock_span *lent)
{
    if (!lent)
        return;
    struct ps_span *span = ps_span_of(lent);
    struct ps_channel *ch = span->channel;

    pthread_mutex_lock(&ch->lock);
    span->lent = false;
    bool freed = release_back(ch);

    pthread_mutex_unlock(&ch->lock);
    if (freed)
        ps_engine_wake_io(stream);
}

static void skip_epoch(struct ps_channel *ch)
{
    struct ps_bytes *bytes = &ch->bytes;
    const struct ps_view *view = &bytes->view;
    uint64_t pos = bytes->pos > bytes->skip_pos ? bytes->pos : bytes->skip_pos;

    if (ch->pipe)
        ps_pipe_reader_skip(ch, bytes->cursor.epoch);
    if (view->object && !ch->inflater)
        pos = view->object_pos + ps_object_ring_bytes(view->object);
    bytes->skip_pos = ps_tap_skip_epoch(ch, bytes->cursor, pos);
    bytes->epoch_pos = bytes->skip_pos;
    bytes->view = (struct ps_view){.object_end_pos = UINT64_MAX};
    bytes->cursor = (struct ps_cursor){.epoch = bytes->cursor.epoch + 1};
    ch->consumed_epoch = bytes->cursor.epoch;
}

int penstock_skip_epoch(struct penstock *stream, size_t channel_no)
{
    if (channel_no >= stream->channel_count)
        return PENSTOCK_E_ARGUMENT;
    struct ps_channel *ch = stream->channels[channel_no];

    if (!ch->plain)
        return ps_channel_misused(ch);
    pthread_mutex_lock(&ch->lock);
    int rc = ps_channel_check_ended(ch);

    if (rc == PENSTOCK_OK)
        skip_epoch(ch);
    pthread_mutex_unlock(&ch->lock);
    if (rc == PENSTOCK_OK)
        ps_engine_wake_io(stream);
    return rc;
}
