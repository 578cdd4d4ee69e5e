/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/framer_cut.c - see framer_cut.h. */
#include "pipe/framer_cut.h"

#include "pipe/chunks.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/framed.h"
#include "pipe/slots.h"
#include "pipe/stage.h"
#include "pipe/text.h"

#include <stdio.h>

enum { PASS_ROWS_MAX = 1 << 20 };

/* Where stream position f->pos can be read, and for how many bytes. */
static const uint8_t *view(const struct ps_framer *f, size_t *run_bytes)
{
    const struct ps_ring *ring = ps_tap_ring(f->ch);

    if (f->pos < f->carried_lap_pos) {
        size_t before_lap = (size_t)(f->carried_lap_pos - f->pos);

        *run_bytes = before_lap + ring->size_bytes;
        return ring->base - before_lap;
    }
    *run_bytes = ps_ring_run_bytes(ring, f->pos);
    return ps_ring_at(ring, f->pos);
}

/* Waits for bytes past `pos`, or for the object's end if that is not known; translates the ways a
 * stream can end early. */
static enum ps_step wait_bytes(struct ps_framer *f, uint64_t pos)
{
    struct ps_channel *ch = f->ch;

    switch (ps_tap_wait(ch, pos, &f->view)) {
    case PS_HEAD_MOVED:
        return PS_STEP_GO_ON;
    case PS_HEAD_BROKEN_OFF:
        return PS_STEP_BROKEN_OFF;
    case PS_HEAD_WAIT:
    case PS_HEAD_FAILED:
        break;
    }
    ch->frame_error = *ps_tap_error(ch);
    return PS_STEP_ERROR;
}

enum ps_step ps_framer_push(struct ps_framer *f, struct ps_chunk *chunk, size_t len_bytes)
{
    struct ps_channel *ch = f->ch;
    uint32_t rows = chunk->rows;

    /* It counts, and that is all. A mark is more. */
    if (chunk->kind == PS_CHUNK_RECORDS &&
        (f->pass_rows > 0 || (chunk->elsewhere && !ch->staged))) {
        f->pass_rows -= f->pass_rows > 0 ? rows : 0;
        *chunk = (struct ps_chunk){.in = chunk->in, .object_offset = chunk->object_offset};
    }
    chunk->end_pos = f->pos + len_bytes;
    chunk->object = f->view.object;
    chunk->index = f->index;
    chunk->value = f->value;
    chunk->epoch = f->cursor.epoch;
    chunk->position = f->position;
    chunk->object_row = f->object_row;
    chunk->staged = ch->staged;
    if (!ps_chunks_push(ch, chunk))
        return PS_STEP_BROKEN_OFF;
    if (f->pos < f->carried_lap_pos && len_bytes > 0)
        f->carried_end_pos = chunk->end_pos;
    f->pos = chunk->end_pos;
    f->position += rows;
    f->object_row += rows;
    f->cut = (struct fmt_cut){.rows = 0};
    f->limit_bytes = ch->chunk_bytes;
    return PS_STEP_GO_ON;
}

/* Leaves out bytes in which there is no record to be found; `cause` is why not, of the one at
 * `offset` in the object, and NULL if they are more of the same. */
static enum ps_step leave_out(struct ps_framer *f, const uint8_t *in, size_t len_bytes,
                              uint64_t offset, const char *cause)
{
    struct ps_chunk chunk = {.in = in,
                             .len_bytes = len_bytes,
                             .object_offset = offset,
                             .kind = PS_CHUNK_BROKEN,
                             .rows = cause ? 1 : 0};

    ps_text_copy(chunk.cause, sizeof chunk.cause, cause ? cause : "");
    return ps_framer_push(f, &chunk, len_bytes);
}

/* Passes over bytes that are not this stream's. */
static enum ps_step pass_over(struct ps_framer *f, const uint8_t *in, size_t len_bytes)
{
    struct ps_chunk chunk = {.in = in, .object_offset = ps_view_offset(&f->view, f->pos)};

    return ps_framer_push(f, &chunk, len_bytes);
}

/* The record at f->pos cannot be told from what follows: the stream ends here, or begins again with
 * the next record that can be found. */
static enum ps_step bad_record(struct ps_framer *f, uint64_t offset, const char *cause)
{
    struct ps_channel *ch = f->ch;

    if (ch->shaping.bad != PS_BAD_ERROR) {
        f->lost = true;
        return leave_out(f, NULL, 0, offset, cause);
    }
    ps_source_bad_record(&ch->frame_error, ch->name, &ch->sources[f->view.object->source_no],
                         f->view.object, offset, cause);
    return PS_STEP_ERROR;
}

/* Nothing whole in the `have_bytes` at hand: look at more of them, carry, or wait. */
static enum ps_step widen(struct ps_framer *f, size_t seen_bytes, size_t run_bytes,
                          size_t have_bytes)
{
    struct ps_channel *ch = f->ch;
    uint64_t offset = ps_view_offset(&f->view, f->pos);

    if (seen_bytes < have_bytes) {
        f->limit_bytes *= 4;
        return PS_STEP_GO_ON;
    }
    if (ps_view_is_cut_off(&f->view) && f->pos + have_bytes == f->view.object_end_pos) {
        char cause[160];

        snprintf(cause, sizeof cause,
                 "the record goes on for more than %llu bytes behind this shard's range, the most "
                 "that is read: %s",
                 (unsigned long long)(f->view.object_end_pos - ps_view_own_end(&f->view)),
                 f->ch->split == PS_SPLIT_INDEX ? "the index is not of this object"
                                                : "leave out split_objects");
        return bad_record(f, offset, cause);
    }
    if (have_bytes == ps_tap_ring(ch)->headroom_bytes) {
        char cause[160];

        snprintf(cause, sizeof cause,
                 "the record is longer than %zu bytes, the most this memory limit allows: "
                 "raise the memory limit",
                 ps_tap_ring(ch)->headroom_bytes);
        return bad_record(f, offset, cause);
    }
    if (have_bytes < run_bytes || f->pos < f->carried_lap_pos)
        return wait_bytes(f, f->pos + have_bytes);

    /* The record goes on past the ring's end. The headroom may still be read by the decoder of the
     * record that crossed one lap ago. */
    if (!ps_chunks_wait_released(ch, f->carried_end_pos))
        return PS_STEP_BROKEN_OFF;
    ps_ring_carry(ps_tap_ring(ch), f->pos);
    f->carried_lap_pos = f->pos + run_bytes;
    atomic_fetch_add_explicit(&ch->counts.bytes_carried, run_bytes, memory_order_relaxed);
    return wait_bytes(f, f->pos + have_bytes);
}

/* How many records a chunk may have. */
static uint32_t rows_most(const struct ps_framer *f)
{
    const struct ps_channel *ch = f->ch;
    uint32_t left = ps_row_share_left(&ch->shaping.share, f->rows);
    uint32_t stage_rows = ch->shape_known ? ch->stage_rows : 1;

    if (f->pass_rows > 0)
        return f->pass_rows < PASS_ROWS_MAX ? (uint32_t)f->pass_rows : PASS_ROWS_MAX;
    if (!ch->staged || (ch->shaping.skips && left < stage_rows))
        return left;
    return stage_rows;
}

/* Whether the next records are another share's, and known to be. */
static bool is_elsewhere(const struct ps_framer *f)
{
    const struct ps_shaping *shaping = &f->ch->shaping;
    bool needed = shaping->last == PS_LAST_WRAP && !f->past_first;
    uint32_t skip;

    return shaping->skips && !needed && ps_row_share_among(&shaping->share, f->rows, 1, &skip) == 0;
}

static enum ps_step out_of_memory(struct ps_framer *f)
{
    ps_fail(&f->ch->frame_error, PENSTOCK_E_MEMORY, "channel %s: out of memory", f->ch->name);
    return PS_STEP_ERROR;
}

/* The record is bad, but its end is known: it was cut. */
static enum ps_step leave_out_first(struct ps_framer *f, const uint8_t *in, const char *cause)
{
    struct fmt_cut cut = {.rows = 0};
    struct fmt_error ignored;
    const struct fmt_options *options = &f->ch->options;

    if (options->ops->cut(options, in, f->cut.len_bytes, ps_view_offset(&f->view, f->pos) == 0,
                          true, 1, &cut, &ignored) != FMT_OK)
        cut.len_bytes = f->cut.len_bytes;
    return leave_out(f, in, cut.len_bytes, ps_view_offset(&f->view, f->pos) + cut.lead_bytes,
                     cause);
}

/* The first record of the channel tells the shape; the slots follow from it. *learnt: it did. */
static enum ps_step learn_shape(struct ps_framer *f, const uint8_t *in, bool *learnt)
{
    struct ps_channel *ch = f->ch;
    struct fmt_error cause = {.text = ""};
    struct fmt_shape shape = {.feature_dim = 0};
    uint64_t offset = ps_view_offset(&f->view, f->pos) + f->cut.lead_bytes;
    enum fmt_rc rc = FMT_OK;

    if (!ps_state_tells_shape(ch))
        rc = ch->options.ops->learn(&ch->options, in + f->cut.lead_bytes,
                                    f->cut.len_bytes - f->cut.lead_bytes, &shape, &cause);
    else if (ps_state_learn(ch, in + f->cut.lead_bytes, f->cut.len_bytes - f->cut.lead_bytes,
                            &shape, &ch->frame_error) != PENSTOCK_OK)
        return PS_STEP_ERROR;
    bool wrong = rc != FMT_OK;

    if (rc == FMT_E_MEMORY)
        return out_of_memory(f);
    if (!wrong && ch->config.feature_dim != 0 && ch->config.feature_dim != shape.feature_dim) {
        snprintf(cause.text, sizeof cause.text,
                 "the record has %u features, the configuration says %u", shape.feature_dim,
                 ch->config.feature_dim);
        wrong = true;
    }
    if (!wrong && !ps_state_fits(ch, &shape)) {
        snprintf(cause.text, sizeof cause.text, "the record has another shape than the first one");
        wrong = true;
    }
    offset += cause.offset_bytes;
    if (wrong)
        return ch->shaping.bad == PS_BAD_ERROR ? bad_record(f, offset, cause.text)
                                               : leave_out_first(f, in, cause.text);
    if (ps_slots_take_shape(ch, &shape, &ch->frame_error) != PENSTOCK_OK)
        return PS_STEP_ERROR;
    *learnt = true;
    return PS_STEP_GO_ON;
}

struct ps_anchor ps_framer_anchor(const struct ps_framer *f)
{
    return (struct ps_anchor){.epoch = f->cursor.epoch,
                              .index = f->index,
                              .object_row = f->object_row,
                              .position = f->position,
                              .object = f->view.object,
                              .offset = ps_view_offset(&f->view, f->pos),
                              .offset_row = f->object_row};
}

/* So many more records are in the batch, which goes out as soon as it is full. */
static bool count_rows(struct ps_framer *f, uint32_t rows)
{
    struct ps_slot *slot = f->slot;

    f->rows += rows;
    if (f->rows < f->ch->config.batch_rows)
        return true;
    f->slot = NULL;
    f->rows = 0;
    f->past_first = true;
    if (!slot)
        return true;
    slot->whole_rows = f->ch->config.batch_rows;
    slot->after = ps_framer_anchor(f);
    return ps_slots_queue(f->ch, PS_EVENT_BATCH, slot);
}

/* Gives the records just cut their places, unless that is done later, and hands them on. */
static enum ps_step place_records(struct ps_framer *f, const uint8_t *in)
{
    struct ps_channel *ch = f->ch;
    struct fmt_cut cut = f->cut;
    uint32_t share_from = ch->shaping.share.from;
    bool passed = f->pass_rows > 0;

    if (cut.rows > 0 && !ch->shape_known && !passed) {
        bool learnt = false;
        enum ps_step step = learn_shape(f, in, &learnt);

        if (!learnt)
            return step;
        if (cut.rows > rows_most(f) || cut.len_bytes > ch->chunk_bytes) {
            f->cut = (struct fmt_cut){.rows = 0};
            f->limit_bytes = ch->chunk_bytes;
            return PS_STEP_GO_ON; /* cut anew, as small as it should be */
        }
    }
    if (cut.rows > 0 && !f->slot && !ch->staged && !passed) {
        f->slot = ps_slots_take(ch, f->cursor.epoch, f->position);
        if (!f->slot)
            return PS_STEP_BROKEN_OFF;
    }
    bool elsewhere = !passed && is_elsewhere(f);

    if (cut.rows > 0 && f->slot && f->rows == share_from)
        f->slot->batch.position = f->position;
    struct ps_chunk chunk = {.in = in + cut.lead_bytes,
                             .len_bytes = cut.len_bytes - cut.lead_bytes,
                             .object_offset = ps_view_offset(&f->view, f->pos) + cut.lead_bytes,
                             .slot = elsewhere ? NULL : f->slot,
                             .first_row = f->rows - share_from,
                             .rows = cut.rows,
                             .elsewhere = elsewhere};

    if (chunk.slot && !passed && !ps_framed_takes(f->slot, cut.rows, chunk.len_bytes)) {
        int rc = ps_framed_recall(ch, f->slot);

        if (rc != PENSTOCK_OK)
            return rc == PENSTOCK_E_STOPPED ? PS_STEP_BROKEN_OFF : PS_STEP_ERROR;
    }
    enum ps_step step = ps_framer_push(f, &chunk, cut.len_bytes);

    if (step != PS_STEP_GO_ON || passed)
        return step;
    return count_rows(f, cut.rows) ? PS_STEP_GO_ON : PS_STEP_BROKEN_OFF;
}

/* Looks for the next record in the bytes at hand, and leaves out what comes before it. */
static enum ps_step find_record(struct ps_framer *f, const uint8_t *in, size_t seen_bytes,
                                size_t run_bytes, size_t have_bytes, bool at_end, bool is_all)
{
    const struct fmt_options *options = &f->ch->options;
    size_t skip_bytes = seen_bytes;
    enum fmt_rc rc = FMT_MORE;

    if (options->ops->resync)
        rc = options->ops->resync(options, in, seen_bytes, ps_view_offset(&f->view, f->pos), at_end,
                                  &skip_bytes);
    f->lost = rc != FMT_OK;
    if (f->lost && skip_bytes == 0 && is_all && f->seeking) {
        f->seeking = false;
        return bad_record(f, ps_view_offset(&f->view, f->pos) + 1,
                          "whether this shard's first record begins here is not told by the bytes "
                          "that can be looked at: records are too long for split_objects, or for "
                          "the memory limit");
    }
    if (f->lost && skip_bytes == 0 && is_all)
        skip_bytes = 1; /* what would begin at the next byte is none: it cannot be shown whole */
    bool seeking = f->seeking;

    f->seeking &= f->lost;
    if (skip_bytes > 0)
        return seeking ? pass_over(f, in, skip_bytes) : leave_out(f, in, skip_bytes, 0, NULL);
    return rc == FMT_OK ? PS_STEP_GO_ON : widen(f, seen_bytes, run_bytes, have_bytes);
}

/* Cuts records off, but none that is another stream's. `is_all`: more will not be shown. */
static enum fmt_rc cut_own(struct ps_framer *f, const uint8_t *in, size_t seen_bytes, bool at_end,
                           bool is_all, struct fmt_error *cause)
{
    const struct fmt_options *options = &f->ch->options;
    bool at_start = ps_view_offset(&f->view, f->pos) == 0;
    uint64_t own_bytes = ps_view_own_end(&f->view) - f->pos;

    if (seen_bytes <= own_bytes)
        return options->ops->cut(options, in, seen_bytes, at_start, at_end, rows_most(f), &f->cut,
                                 cause);
    f->cut = (struct fmt_cut){.rows = 0};
    enum fmt_rc rc = options->ops->cut(options, in, (size_t)own_bytes, at_start, false,
                                       rows_most(f), &f->cut, cause);

    if (rc != FMT_MORE)
        return rc;
    f->cut = (struct fmt_cut){.rows = 0};
    rc = options->ops->cut(options, in, seen_bytes, at_start, at_end, 1, &f->cut, cause);
    if (rc != FMT_OK || f->ch->shaping.bad != PS_BAD_ERROR)
        return rc;
    rc = ps_slice_check_next(options, in, seen_bytes, (size_t)own_bytes - 1,
                             ps_view_offset(&f->view, f->pos), f->cut.len_bytes, at_end, cause);
    return rc == FMT_MORE && is_all ? FMT_OK : rc;
}

enum ps_step ps_framer_cut(struct ps_framer *f)
{
    struct ps_channel *ch = f->ch;
    struct fmt_error cause = {.text = ""};
    uint64_t object_end_pos = f->view.object_end_pos;
    uint64_t limit_pos = f->view.head_pos < object_end_pos ? f->view.head_pos : object_end_pos;
    size_t headroom_bytes = ps_tap_ring(ch)->headroom_bytes;
    size_t run_bytes;
    const uint8_t *in = view(f, &run_bytes);

    if (limit_pos <= f->pos)
        return wait_bytes(f, f->pos);

    /* More than the longest record is not looked at: whether a record is too long must not depend
     * on how much of it happens to be here. */
    size_t most_bytes = run_bytes < headroom_bytes ? run_bytes : headroom_bytes;
    size_t have_bytes = limit_pos - f->pos < most_bytes ? (size_t)(limit_pos - f->pos) : most_bytes;
    size_t seen_bytes = have_bytes < f->limit_bytes ? have_bytes : f->limit_bytes;
    bool at_end = f->pos + seen_bytes == object_end_pos && !ps_view_is_cut_off(&f->view);
    bool is_all = have_bytes == seen_bytes &&
                  (have_bytes == headroom_bytes || f->pos + seen_bytes == object_end_pos);

    if (f->pos + f->lost >= ps_view_own_end(&f->view))
        return pass_over(f, in, have_bytes);
    if (f->lost)
        return find_record(f, in, seen_bytes, run_bytes, have_bytes, at_end, is_all);
    switch (cut_own(f, in, seen_bytes, at_end, is_all, &cause)) {
    case FMT_OK:
        return place_records(f, in);
    case FMT_MORE:
        return widen(f, seen_bytes, run_bytes, have_bytes);
    case FMT_E_MEMORY:
        return out_of_memory(f);
    case FMT_E_FORMAT:
    case FMT_E_ARGUMENT:
        break;
    }
    return bad_record(f, ps_view_offset(&f->view, f->pos) + cause.offset_bytes, cause.text);
}
