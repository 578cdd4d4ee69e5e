/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/groups.c - penstock_next_group: a channel of plain bytes, read as groups of RecordIO
 * records, or of the items of an augmented manifest's lines. Built on the spans, which stay on loan
 * as long as a group lies in them. */
#include "formats/record_group.h"
#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/group_line.h"

#include <stdlib.h>

#define ITEMS_MAX 65536
#define MEMORY_SHARE 4 /* of the ring, for a group that is put together */

struct penstock_groups {
    struct penstock *stream;
    size_t channel_no;
    struct ps_channel *ch;
    struct fmt_group *group;          /* of records, or */
    struct ps_line *line;             /* of items; the other is NULL */
    const struct penstock_span *span; /* on loan, or NULL */
    size_t used_bytes;                /* of it */
    /* Of the last span, for errors. */
    const char *key;
    uint32_t source_no;
    uint64_t object_pos; /* where its object begins in the epoch */
    struct penstock_group out;
    struct penstock_item *items; /* out.item_count of them */
    uint64_t position;
    bool lent; /* the group is on loan */
};

static void release(struct penstock_groups *g)
{
    penstock_release_span(g->stream, g->span);
    g->span = NULL;
}

void penstock_groups_close(struct penstock_groups **groups)
{
    struct penstock_groups *g = *groups;

    *groups = NULL;
    if (!g)
        return;
    release(g);
    fmt_group_free(g->group);
    ps_line_free(g->line);
    free(g->items);
    free(g);
}

static int check_open(const struct ps_channel *ch, uint32_t item_count, unsigned flags,
                      struct penstock_error *error)
{
    if (!ch->plain)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s holds records of one content type: groups are read from a "
                       "channel of application/octet-stream",
                       ch->name);
    if (item_count < 1 || item_count > ITEMS_MAX || (flags & ~(unsigned)PENSTOCK_GROUPS_DMLC) != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: groups of %u records with flags 0x%x: 1 to %d records and no "
                       "flag but PENSTOCK_GROUPS_DMLC are known",
                       ch->name, item_count, flags, ITEMS_MAX);
    if (ch->attribute_count > 0 && (item_count != ch->attribute_count || flags != 0))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: groups of %u with flags 0x%x: the lines of its augmented "
                       "manifest have %zu attributes each, and no records",
                       ch->name, item_count, flags, ch->attribute_count);
    return PENSTOCK_OK;
}

/* Memory for one group. False when it is out. */
static bool open_memory(struct penstock_groups *g, uint32_t item_count, unsigned flags)
{
    size_t most_bytes = g->ch->ring.size_bytes / MEMORY_SHARE;

    g->items = calloc(item_count, sizeof *g->items);
    if (g->ch->attribute_count > 0)
        g->line = ps_line_new(g->stream, item_count, most_bytes);
    else
        g->group = fmt_group_new(item_count, most_bytes, (flags & PENSTOCK_GROUPS_DMLC) != 0);
    g->out.items = g->items;
    g->out.item_count = item_count;
    return g->items && (g->line || g->group);
}

int penstock_groups_open(struct penstock *stream, size_t channel_no, uint32_t item_count,
                         unsigned flags, struct penstock_groups **groups,
                         struct penstock_error *error)
{
    *groups = NULL;
    if (channel_no >= stream->channel_count)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "there is no channel %zu", channel_no);
    struct ps_channel *ch = stream->channels[channel_no];
    int rc = check_open(ch, item_count, flags, error);

    if (rc != PENSTOCK_OK)
        return rc;
    struct penstock_groups *g = calloc(1, sizeof *g);

    if (g) {
        g->stream = stream;
        g->channel_no = channel_no;
        g->ch = ch;
    }
    if (!g || !open_memory(g, item_count, flags)) {
        penstock_groups_close(&g);
        return ps_fail(error, PENSTOCK_E_MEMORY, "channel %s: out of memory", ch->name);
    }
    *groups = g;
    return PENSTOCK_OK;
}

static void begin_epoch(struct penstock_groups *g, uint32_t epoch)
{
    if (g->line)
        ps_line_begin(g->line);
    else
        (void)fmt_group_end(g->group, NULL);
    g->out.epoch = epoch;
    g->position = 0;
}

/* The channel ends here. */
static int end_channel(struct penstock_groups *g, const struct penstock_error *error)
{
    struct ps_channel *ch = g->ch;

    release(g);
    pthread_mutex_lock(&ch->lock);
    int ended_rc = ps_channel_check_ended(ch);

    if (ended_rc == PENSTOCK_OK)
        ended_rc = ps_channel_end(ch, error->rc, error);
    pthread_mutex_unlock(&ch->lock);
    return ended_rc;
}

static int fail_memory(struct penstock_groups *g)
{
    struct penstock_error error;

    ps_fail(&error, PENSTOCK_E_MEMORY,
            "channel %s: out of memory for a group, which may take %zu bytes, a fourth of the "
            "channel's: raise the memory limit",
            g->ch->name, g->ch->ring.size_bytes / MEMORY_SHARE);
    return end_channel(g, &error);
}

/* The error names the object. */
static int fail(struct penstock_groups *g, enum fmt_rc rc, const struct fmt_error *cause)
{
    struct ps_channel *ch = g->ch;
    const struct ps_object object = {.key = g->key ? g->key : "", .source_no = g->source_no};
    struct penstock_error error;
    /* A group may have begun in an object before this one. */
    uint64_t offset_bytes =
        cause->offset_bytes > g->object_pos ? cause->offset_bytes - g->object_pos : 0;

    if (rc == FMT_E_MEMORY)
        return fail_memory(g);
    ps_source_bad_record(&error, ch->name, &ch->sources[g->source_no], &object, offset_bytes,
                         cause->text);
    return end_channel(g, &error);
}

/* Whether the caller has skipped the epoch that the span is of. */
static bool is_skipped(struct penstock_groups *g)
{
    pthread_mutex_lock(&g->ch->lock);
    bool skipped = g->ch->bytes.cursor.epoch != g->span->epoch;

    pthread_mutex_unlock(&g->ch->lock);
    return skipped;
}

static int end_epoch(struct penstock_groups *g)
{
    struct fmt_error cause = {.text = ""};
    enum fmt_rc rc = g->line ? FMT_OK : fmt_group_end(g->group, &cause);

    return rc == FMT_OK ? PENSTOCK_EPOCH_END : fail(g, rc, &cause);
}

/* Gets a span that has not been used up. */
static int next_span(struct penstock_groups *g, int timeout_ms)
{
    if (g->span && (g->used_bytes == g->span->len_bytes || is_skipped(g)))
        release(g);
    if (g->span)
        return PENSTOCK_OK;
    int rc = penstock_next_span(g->stream, g->channel_no, timeout_ms, &g->span);

    if (rc == PENSTOCK_EPOCH_END)
        return end_epoch(g);
    if (rc != PENSTOCK_OK)
        return rc;
    if (g->span->epoch != g->out.epoch)
        begin_epoch(g, g->span->epoch);
    g->used_bytes = 0;
    g->key = g->span->key;
    g->source_no = ps_span_of(g->span)->source_no;
    g->object_pos = g->span->position - g->span->object_offset;
    return PENSTOCK_OK;
}

/* Takes the span, which is of the line at hand. PENSTOCK_AGAIN: there is more of that. */
static int take_item(struct penstock_groups *g)
{
    const struct penstock_span *span = g->span;

    g->span = NULL;
    g->out.line_no = span->line_no;
    int rc = ps_line_take(g->line, span, g->items);

    return rc == PENSTOCK_E_MEMORY ? fail_memory(g) : rc;
}

/* Takes what it can of the span. PENSTOCK_AGAIN: the group goes on in the next one. */
static int take_records(struct penstock_groups *g)
{
    struct fmt_error cause = {.text = ""};
    size_t used_bytes;
    enum fmt_rc rc = fmt_group_take(g->group, (const uint8_t *)g->span->data + g->used_bytes,
                                    g->span->len_bytes - g->used_bytes, &used_bytes, &cause);

    g->used_bytes += used_bytes;
    if (rc == FMT_MORE && g->span->ends_object && fmt_group_is_inside_record(g->group))
        rc = fmt_group_end(g->group, &cause);
    if (rc == FMT_MORE)
        return PENSTOCK_AGAIN;
    if (rc != FMT_OK)
        return fail(g, rc, &cause);
    for (uint32_t i = 0; i < g->out.item_count; i++)
        g->items[i] = (struct penstock_item){fmt_group_items(g->group)[i].data,
                                             fmt_group_items(g->group)[i].len_bytes};
    return PENSTOCK_OK;
}

/* What is left of the timeout. */
static int left_ms(uint64_t from_ns, int timeout_ms)
{
    uint64_t passed_ms = (ps_now_ns() - from_ns) / PS_NS_PER_MS;

    if (timeout_ms < 0)
        return timeout_ms;
    return passed_ms < (uint64_t)timeout_ms ? timeout_ms - (int)passed_ms : 0;
}

int penstock_next_group(struct penstock_groups *g, int timeout_ms,
                        const struct penstock_group **group)
{
    uint64_t from_ns = ps_now_ns();
    int rc;

    *group = NULL;
    if (g->lent && g->line)
        ps_line_begin(g->line);
    g->lent = false;
    do {
        rc = next_span(g, left_ms(from_ns, timeout_ms));
        if (rc != PENSTOCK_OK)
            return rc;
        rc = g->line ? take_item(g) : take_records(g);
    } while (rc == PENSTOCK_AGAIN);
    if (rc != PENSTOCK_OK)
        return rc;
    g->lent = true;
    g->out.position = g->position++;
    *group = &g->out;
    return PENSTOCK_OK;
}
