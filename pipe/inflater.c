/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inflater.c - see inflater.h. */
#include "pipe/inflater.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/team.h"

#include <stdio.h>
#include <stdlib.h>

/* Contents made before they are shown: a codec's call has a price (formats/inflate_gzip.c), and
 * what is shown should still be in a cache. */
#define MAKE_BYTES_MOST ((uint64_t)512 << 10)
/* The same of lz4, where it has a team: blocks of 4 MiB go straight to where they belong, too. The
 * codec itself stops earlier. */
#define MAKE_BYTES_LZ4_TEAM ((uint64_t)16 << 20)
/* Of a format's own codec: as long as threads work, they should not wait for each other often. */
#define MAKE_BYTES_OWN_TEAM ((uint64_t)2 << 20)
/* With less room than this it waits for more, unless the consumer waits as well. */
#define MAKE_BYTES_LEAST ((uint64_t)128 << 10)

/* What is to be done without the lock. */
struct work {
    struct fmt_inflate_step step;
    enum fmt_codec fresh_codec; /* of an object that begins; else AUTO */
    uint64_t skips;
    bool lacks_room; /* there is nothing to do because of that */
};

enum look { LOOK_WORK, LOOK_WAIT, LOOK_AGAIN, LOOK_END };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As many threads as decode records: one at a time is the slower of the two, and has work. */
static int open_team(struct ps_channel *ch, struct penstock_error *error)
{
    uint32_t size = ch->stream->config.decode_threads;
    char name[80];

    if (size == 1)
        return PENSTOCK_OK;
    snprintf(name, sizeof name, "ps-team-%s", ch->name);
    int rc = ps_team_open(size, name, &ch->inflater->team, error);

    if (rc == PENSTOCK_OK)
        fmt_inflate_share(ch->inflater->inflate, ps_team_of(ch->inflater->team));
    return rc;
}

int ps_inflater_open(struct ps_channel *ch, enum fmt_codec codec, size_t memory_bytes,
                     size_t ring_bytes, size_t headroom_bytes, struct penstock_error *error)
{
    struct ps_inflater *inflater = calloc(1, sizeof *inflater);

    if (!inflater)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    ch->inflater = inflater;
    pthread_cond_init(&inflater->wakes, NULL);
    ch->head_wakes = &inflater->wakes;
    inflater->codec = codec;
    inflater->inflate = fmt_inflate_new(codec, &ch->options, memory_bytes);
    if (!inflater->inflate)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    if (fmt_inflate_has_use(inflater->inflate)) {
        int rc = open_team(ch, error);

        if (rc != PENSTOCK_OK)
            return rc;
    }
    return ps_ring_open(&inflater->ring, ring_bytes, headroom_bytes, error);
}

void ps_inflater_close(struct ps_channel *ch)
{
    struct ps_inflater *inflater = ch->inflater;

    if (!inflater)
        return;
    fmt_inflate_free(inflater->inflate);
    ps_team_close(inflater->team);
    ps_ring_close(&inflater->ring);
    pthread_cond_destroy(&inflater->wakes);
    free(inflater);
    ch->inflater = NULL;
}

/* ---- for the consumer ---- */

enum ps_head_answer ps_inflater_look(const struct ps_channel *ch, struct ps_view *view)
{
    const struct ps_inflater *inflater = ch->inflater;

    view->head_pos = inflater->head_pos;
    view->object_end_pos = inflater->end_first < inflater->end_next
                               ? inflater->ends[inflater->end_first % PS_ENDS_MAX].pos
                               : UINT64_MAX;
    if (ch->decode_failed || atomic_load(&ch->stream->stopping))
        return PS_HEAD_BROKEN_OFF;
    return inflater->failed ? PS_HEAD_FAILED : PS_HEAD_WAIT;
}

/* The thread is in that epoch: it leaves it, whatever it is doing. */
static uint64_t leave_epoch(struct ps_channel *ch)
{
    struct ps_inflater *inflater = ch->inflater;
    uint64_t from_pos =
        inflater->skip_pos > inflater->in_pos ? inflater->skip_pos : inflater->in_pos;

    if (inflater->object)
        from_pos = inflater->object_pos + inflater->object->size_bytes;
    inflater->skip_pos = ps_stream_skip_epoch(ch, inflater->cursor, from_pos);
    inflater->cursor = (struct ps_cursor){.epoch = inflater->cursor.epoch + 1};
    inflater->object = NULL;
    inflater->found_in_epoch = false;
    inflater->skips++;
    inflater->end_first = inflater->end_next;
    inflater->head_pos = inflater->made_pos;
    return inflater->made_pos;
}

uint64_t ps_inflater_skip_epoch(struct ps_channel *ch, uint32_t epoch, uint64_t pos)
{
    struct ps_inflater *inflater = ch->inflater;

    pthread_cond_signal(&inflater->wakes);
    if (inflater->cursor.epoch < epoch) /* at the end of the one before */
        inflater->cursor = (struct ps_cursor){.epoch = epoch};
    if (inflater->cursor.epoch == epoch)
        return leave_epoch(ch);
    for (; inflater->end_first < inflater->end_next; inflater->end_first++) {
        const struct ps_end *end = &inflater->ends[inflater->end_first % PS_ENDS_MAX];

        if (end->epoch != epoch)
            break;
        pos = end->pos;
    }
    return pos;
}

/* ---- the thread ---- */

/* Nothing comes any more. Lock held. */
static enum look fail(struct ps_channel *ch, const struct penstock_error *error)
{
    ch->inflater->error = *error;
    ch->inflater->failed = true;
    pthread_cond_signal(&ch->framer_wakes);
    return LOOK_END;
}

/* What it means that stream head is not past a position. */
static enum look look_of(struct ps_channel *ch, enum ps_head_answer answer)
{
    switch (answer) {
    case PS_HEAD_MOVED:
        return LOOK_WORK;
    case PS_HEAD_WAIT:
        return LOOK_WAIT;
    case PS_HEAD_FAILED:
        return fail(ch, &ch->fetch_error);
    case PS_HEAD_BROKEN_OFF:
        break;
    }
    return LOOK_END;
}

/* Lets go what has arrived of a skipped epoch. LOOK_WORK: all of it has. */
static enum look let_go(struct ps_channel *ch)
{
    struct ps_inflater *inflater = ch->inflater;

    if (inflater->in_pos >= inflater->skip_pos)
        return LOOK_WORK;
    enum ps_head_answer answer = ps_stream_look_head(ch, inflater->in_pos);

    if (answer != PS_HEAD_MOVED)
        return look_of(ch, answer);
    inflater->in_pos = least(ch->head_pos, inflater->skip_pos);
    ch->released_pos = inflater->in_pos;
    return LOOK_AGAIN;
}

/* Makes inflater->object the one that in_pos is in. LOOK_WORK: it is. */
static enum look find_object(struct ps_channel *ch)
{
    struct ps_inflater *inflater = ch->inflater;

    while (!inflater->object) {
        switch (ps_plan_at(ch->plan, &inflater->cursor, &inflater->object)) {
        case PS_PLAN_OBJECT:
            inflater->cursor.index++;
            if (ps_object_ring_bytes(inflater->object) == 0 && !ch->pipe) {
                /* the consumer alone sees it */
                inflater->object = NULL;
                break;
            }
            inflater->found_in_epoch = true;
            inflater->object_pos = inflater->in_pos;
            inflater->object_made_pos = inflater->made_pos;
            inflater->fresh = inflater->wants_in = true;
            break;
        case PS_PLAN_EPOCH_END:
            if (inflater->cursor.index == 0)
                return LOOK_END; /* an empty shard stays empty in every epoch */
            /* As for the fetching (stream.c). */
            if (!inflater->found_in_epoch && inflater->cursor.epoch >= ch->consumed_epoch)
                return LOOK_WAIT;
            inflater->found_in_epoch = false;
            inflater->cursor = (struct ps_cursor){.epoch = inflater->cursor.epoch + 1};
            break;
        case PS_PLAN_WAIT:
            return LOOK_WAIT;
        case PS_PLAN_END:
        case PS_PLAN_FAILED: /* the consumer learns it from the plan */
            return LOOK_END;
        }
    }
    return LOOK_WORK;
}

static enum fmt_codec codec_of_object(const struct ps_inflater *inflater)
{
    return inflater->codec == FMT_CODEC_AUTO ? fmt_codec_of_key(inflater->object->key)
                                             : inflater->codec;
}

static uint64_t make_bytes_most(const struct ps_inflater *inflater)
{
    if (!inflater->team)
        return MAKE_BYTES_MOST;
    switch (codec_of_object(inflater)) {
    case FMT_CODEC_LZ4:
        return MAKE_BYTES_LZ4_TEAM;
    case FMT_CODEC_OWN:
        return MAKE_BYTES_OWN_TEAM;
    case FMT_CODEC_NONE:
    case FMT_CODEC_GZIP:
    case FMT_CODEC_ZSTD:
    case FMT_CODEC_AUTO:
        break;
    }
    return MAKE_BYTES_MOST;
}

/* Finds room for contents. LOOK_WORK: there is. */
static enum look find_room(struct ps_inflater *inflater, struct fmt_inflate_step *step)
{
    uint64_t free_bytes = inflater->ring.size_bytes - (inflater->made_pos - inflater->released_pos);

    if (inflater->end_next - inflater->end_first == PS_ENDS_MAX || free_bytes == 0 ||
        (free_bytes < MAKE_BYTES_LEAST && !inflater->hungry))
        return LOOK_WAIT;
    free_bytes = least(free_bytes, ps_ring_run_bytes(&inflater->ring, inflater->made_pos));
    step->out = ps_ring_at(&inflater->ring, inflater->made_pos);
    step->out_bytes = (size_t)least(free_bytes, make_bytes_most(inflater));
    return LOOK_WORK;
}

/* Finds bytes of the object, if they are wanted. LOOK_WORK: there are. */
static enum look find_bytes(struct ps_channel *ch, struct fmt_inflate_step *step)
{
    const struct ps_inflater *inflater = ch->inflater;
    uint64_t size_bytes = inflater->object->size_bytes;
    uint64_t object_end_pos =
        size_bytes == PS_SIZE_UNKNOWN ? UINT64_MAX : inflater->object_pos + size_bytes;
    enum ps_head_answer answer = ps_stream_look_head(ch, inflater->in_pos);

    /* A FIFO's end may become known when all of it has been taken. */
    if (inflater->wants_in && answer != PS_HEAD_MOVED && inflater->in_pos < object_end_pos)
        return look_of(ch, answer);
    uint64_t in_bytes = least(ch->head_pos, object_end_pos) - inflater->in_pos;

    step->in = ps_ring_at(&ch->ring, inflater->in_pos);
    step->in_bytes = (size_t)least(in_bytes, ps_ring_run_bytes(&ch->ring, inflater->in_pos));
    step->at_end = inflater->in_pos + step->in_bytes == object_end_pos;
    step->in_stream = ch->pipe != NULL;
    return LOOK_WORK;
}

static enum look look(struct ps_channel *ch, struct work *work)
{
    struct ps_inflater *inflater = ch->inflater;

    if (atomic_load(&ch->stream->stopping) || ch->decode_failed)
        return LOOK_END;
    enum look found = let_go(ch);

    if (found == LOOK_WORK)
        found = find_object(ch);
    work->lacks_room = false;
    if (found == LOOK_WORK) {
        found = find_room(inflater, &work->step);
        work->lacks_room = found == LOOK_WAIT;
    }
    if (found == LOOK_WORK)
        found = find_bytes(ch, &work->step);
    if (found != LOOK_WORK)
        return found;
    work->skips = inflater->skips;
    work->fresh_codec = FMT_CODEC_AUTO;
    if (inflater->fresh)
        work->fresh_codec = codec_of_object(inflater);
    inflater->fresh = false;
    return LOOK_WORK;
}

/* Waits for something to do. Lock held. */
static enum look wait_work(struct ps_channel *ch, struct work *work)
{
    enum look found = look(ch, work);

    if (found != LOOK_WAIT)
        return found;
    ps_stream_hunger(ch, true);
    while ((found = look(ch, work)) == LOOK_WAIT)
        ps_wait_on(&ch->waits[work->lacks_room ? PS_WAIT_INFLATE_OUT : PS_WAIT_INFLATE_IN],
                   &ch->inflater->wakes, &ch->lock, NULL);
    ps_stream_hunger(ch, false);
    return found;
}

static enum look fail_object(struct ps_channel *ch, enum fmt_inflate_rc rc,
                             const struct fmt_error *cause)
{
    const struct ps_object *object = ch->inflater->object;
    const struct ps_source *source = &ch->sources[object->source_no];
    struct penstock_error error;
    char name[1400];

    ps_source_name(source, object, name, sizeof name);
    if (rc == FMT_INFLATE_E_MEMORY)
        ps_fail(&error, PENSTOCK_E_MEMORY, "channel %s: %s: out of memory while inflating",
                ch->name, name);
    else
        ps_fail(&error, PENSTOCK_E_FORMAT, "channel %s: %s, at %sbyte %zu: %s", ch->name, name,
                ch->inflater->codec == FMT_CODEC_OWN ? "" : "compressed ", cause->offset_bytes,
                cause->text);
    ps_error_object(&error, source->uri.bucket, object->key, cause->offset_bytes);
    return fail(ch, &error);
}

static void end_object(struct ps_channel *ch)
{
    struct ps_inflater *inflater = ch->inflater;

    inflater->ends[inflater->end_next++ % PS_ENDS_MAX] =
        (struct ps_end){.pos = inflater->made_pos, .epoch = inflater->cursor.epoch};
    inflater->object = NULL;
}

/* Books what was done; of an epoch that was skipped meanwhile, nothing. Lock held. */
static enum look book(struct ps_channel *ch, const struct work *work, enum fmt_inflate_rc rc,
                      const struct fmt_error *cause)
{
    struct ps_inflater *inflater = ch->inflater;

    if (inflater->skips != work->skips)
        return LOOK_AGAIN;
    inflater->in_pos += work->step.consumed_bytes;
    ch->released_pos = inflater->in_pos;
    inflater->made_pos += work->step.produced_bytes;
    inflater->wants_in = rc == FMT_INFLATE_IN;
    inflater->head_pos = inflater->made_pos;
    if (rc == FMT_INFLATE_END)
        end_object(ch);
    else if (inflater->made_pos > inflater->object_made_pos)
        inflater->head_pos--;
    atomic_fetch_add_explicit(&ch->counts.bytes_inflated, work->step.produced_bytes,
                              memory_order_relaxed);
    pthread_cond_signal(&ch->framer_wakes);
    if (rc == FMT_INFLATE_E_FORMAT || rc == FMT_INFLATE_E_MEMORY)
        return fail_object(ch, rc, cause);
    return LOOK_AGAIN;
}

void *ps_inflater_main(void *channel)
{
    struct ps_channel *ch = channel;
    struct fmt_inflate *inflate = ch->inflater->inflate;
    enum look found = LOOK_AGAIN;

    while (found != LOOK_END) {
        struct work work = {.skips = 0};
        struct fmt_error cause = {.text = ""};

        pthread_mutex_lock(&ch->lock);
        found = wait_work(ch, &work);
        pthread_mutex_unlock(&ch->lock);
        if (found == LOOK_WORK) {
            if (work.fresh_codec != FMT_CODEC_AUTO)
                fmt_inflate_start(inflate, work.fresh_codec);
            enum fmt_inflate_rc rc = fmt_inflate_run(inflate, &work.step, &cause);

            pthread_mutex_lock(&ch->lock);
            found = book(ch, &work, rc, &cause);
            pthread_mutex_unlock(&ch->lock);
        }
        ps_engine_wake_io(ch->stream);
    }
    return NULL;
}
