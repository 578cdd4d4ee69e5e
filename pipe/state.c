/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/state.c - see state.h: a stream that goes on, and penstock_get_state. */
#include "pipe/state.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/fnv.h"
#include "pipe/inflater.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a stream that goes on ---- */

static int refuse_place(const struct ps_channel *ch, struct penstock_error *error)
{
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   ch->plain
                       ? "channel %s: it holds plain bytes, and only channels of records have "
                         "a state to resume from"
                       : "channel %s: it comes through FIFOs, which begin anew: only what is "
                         "read from its place has a state to resume from",
                   ch->name);
}

/* Everyone who walks the plan begins there. */
static void begin_at(struct ps_channel *ch, const struct ps_anchor *begin)
{
    struct ps_anchor placed = *begin;

    placed.drop = 0;
    ch->fetch_cursor = (struct ps_cursor){.epoch = begin->epoch, .index = begin->index};
    ch->consumed_epoch = begin->epoch;
    if (ch->inflater)
        ch->inflater->cursor = ch->fetch_cursor;
    ch->bad.records = begin->bad_records;
    ch->placing.after = placed;
    ch->placing.block_no = begin->window_no;
    ch->delivered = *begin;
    ch->drop_left = begin->drop;
}

int ps_state_open(struct ps_channel *ch, const struct penstock_channel_config *config,
                  struct penstock_error *error)
{
    struct ps_state *state = calloc(1, sizeof *state);

    ch->state = state;
    if (state)
        state->settings = ps_state_settings(ch, config);
    if (!state || !state->settings)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    if (!config->resume)
        return PENSTOCK_OK;
    if (ch->plain || ch->pipe)
        return refuse_place(ch, error);
    int rc = ps_state_read(ch, config->resume, state, error);

    if (rc != PENSTOCK_OK)
        return rc;
    state->resumed = true;
    state->changed_ok = config->resume_changed_data;
    begin_at(ch, &state->begin);
    return PENSTOCK_OK;
}

void ps_state_close(struct ps_channel *ch)
{
    if (ch->state)
        json_decref(ch->state->settings);
    free(ch->state);
    ch->state = NULL;
}

struct ps_cursor ps_state_begin(const struct ps_channel *ch)
{
    return (struct ps_cursor){.epoch = ch->state->begin.epoch, .index = ch->state->begin.index};
}

/* Not what is inflated, summed or named by its head. */
static bool begins_anywhere(const struct ps_channel *ch)
{
    const struct fmt_ops *ops = ch->options.ops;

    return !ch->inflater && ch->stream->verify != PS_VERIFY_ALWAYS &&
           (!ops->begins_anywhere || ops->begins_anywhere(&ch->options));
}

uint64_t ps_state_skip_bytes(const struct ps_channel *ch, const struct ps_object *object)
{
    const struct ps_anchor *begin = &ch->state->begin;
    uint64_t from = object->slice ? object->slice->from : 0;
    uint64_t to = object->slice ? object->slice->to : object->size_bytes;

    if (begin->object_row == 0 || ch->state->changed_ok || begin->offset <= from ||
        begin->offset >= to || begin->offset_row > begin->object_row || !begins_anywhere(ch))
        return 0;
    return begin->offset - from;
}

/* ---- the same data ---- */

static int changed(const struct ps_channel *ch, const char *field, const char *how,
                   struct penstock_error *error)
{
    return ps_fail(error, PENSTOCK_E_CHANGED,
                   "channel %s: the data are not those of the state (field %s): %s; begin anew, or "
                   "set resume_changed_data to go on with these",
                   ch->name, field, how);
}

static int compare_data(const struct ps_channel *ch, uint64_t count, uint64_t hash,
                        struct penstock_error *error)
{
    const struct ps_state *state = ch->state;
    char how[160];

    if (count == state->objects && hash == state->data)
        return PENSTOCK_OK;
    if (count == state->objects)
        snprintf(how, sizeof how,
                 "of the %" PRIu64 " objects, keys, ETags or sizes are not the same", count);
    else
        snprintf(how, sizeof how, "%" PRIu64 " objects are listed, there were %s%" PRIu64, count,
                 state->whole ? "" : "at least ", state->objects);
    return changed(ch, "data", how, error);
}

int ps_state_check_data(struct ps_channel *ch, struct penstock_error *error)
{
    const struct ps_state *state = ch->state;
    int rc = PENSTOCK_E_STOPPED;
    bool known = !state->resumed || state->changed_ok;

    if (known)
        return PENSTOCK_OK;
    pthread_mutex_lock(&ch->lock);
    while (!known && !atomic_load(&ch->stream->stopping)) {
        struct ps_cursor cursor = ps_state_begin(ch);
        const struct ps_object *object;
        uint64_t count = state->whole ? UINT64_MAX : state->objects;
        bool complete;
        uint64_t hash = ps_plan_hash(ch->plan, ps_state_hash_object, ch, &count, &complete);

        known = complete || (!state->whole && count == state->objects);
        if (known)
            rc = compare_data(ch, count, hash, error);
        else if (ps_plan_at(ch->plan, &cursor, &object) == PS_PLAN_FAILED) {
            *error = *ps_plan_error(ch->plan);
            rc = error->rc;
            known = true;
        } else
            ps_wait_on(&ch->waits[PS_WAIT_BYTES], &ch->framer_wakes, &ch->lock, NULL);
    }
    pthread_mutex_unlock(&ch->lock);
    return rc;
}

int ps_state_enter(struct ps_channel *ch, const struct ps_object *object, struct ps_view *view,
                   uint64_t *rows, struct penstock_error *error)
{
    const struct ps_state *state = ch->state;
    uint64_t bytes = ps_state_skip_bytes(ch, object);

    if (!state->changed_ok && ps_state_hash_object(ch, PS_FNV_BASIS, object) != state->object) {
        int rc = changed(ch, "object_hash",
                         "the object that it is in has another key, ETag or size", error);

        ps_error_object(error, ch->sources[object->source_no].uri.bucket, object->key, 0);
        return rc;
    }
    view->object_pos -= bytes;
    if (view->object_end_pos != UINT64_MAX)
        view->object_end_pos -= bytes;
    *rows = bytes > 0 ? state->begin.offset_row : 0;
    return PENSTOCK_OK;
}

int ps_state_fell_short(const struct ps_channel *ch, const struct ps_object *object,
                        struct penstock_error *error)
{
    char how[1200];

    if (ch->state->changed_ok)
        return PENSTOCK_OK;
    if (!object)
        return changed(ch, "object", "the epoch has fewer objects", error);
    snprintf(how, sizeof how, "%s has fewer than %" PRIu64 " records", object->key,
             ch->state->begin.object_row);
    int rc = changed(ch, "record", how, error);

    ps_error_object(error, ch->sources[object->source_no].uri.bucket, object->key, 0);
    return rc;
}

/* ---- the same shape ---- */

bool ps_state_tells_shape(const struct ps_channel *ch)
{
    return ch->state->word_count > 0 && ch->options.ops->learn_again;
}

int ps_state_learn(struct ps_channel *ch, const uint8_t *in, size_t len, struct fmt_shape *shape,
                   struct penstock_error *error)
{
    const struct ps_state *state = ch->state;
    const struct fmt_ops *ops = ch->options.ops;
    struct fmt_error cause = {.text = "it does not go with \"shape\""};
    struct fmt_shape at_hand = {.feature_dim = 0};

    /* A state does not tell where values lie in records: others may do without. */
    if (ch->options.leave_records && ops->learn(&ch->options, in, len, &at_hand, NULL) != FMT_OK)
        at_hand.framing = (struct fmt_framing){.stride_bytes = 0};
    enum fmt_rc rc = ops->learn_again(&ch->options, state->words, state->word_count, shape, &cause);

    if (rc == FMT_OK && !shape->sparse && at_hand.feature_dim == shape->feature_dim &&
        at_hand.label_dim == shape->label_dim)
        shape->framing = at_hand.framing;
    if (rc == FMT_OK && ps_state_hash_shape(shape) == state->shape)
        return PENSTOCK_OK;
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "channel %s: the state is damaged (field learnt): %s", ch->name, cause.text);
}

bool ps_state_fits(const struct ps_channel *ch, const struct fmt_shape *shape)
{
    return !ch->state->has_shape || ps_state_hash_shape(shape) == ch->state->shape;
}
