/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/bad.c - see bad.h. */
#include "pipe/bad.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/text.h"

#include <stdio.h>

#define LOGGED_FIRST 16
/* A fraction of fewer records says little. */
#define FRACTION_RECORDS_LEAST 1000

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* What the caller is told of it, as an error: it need not become one. */
static int describe(const struct ps_channel *ch, const struct ps_bad_one *one,
                    struct penstock_error *error, const char *more)
{
    char text[480];

    snprintf(text, sizeof text, "%s%s", one->cause, more);
    return ps_source_bad_record(error, ch->name, &ch->sources[one->object->source_no], one->object,
                                one->offset_bytes, text);
}

static void list(struct ps_channel *ch, const struct ps_bad_one *one)
{
    struct ps_bad *bad = &ch->bad;

    pthread_mutex_lock(&ch->lock);
    if (bad->listed < PS_BAD_LISTED_MAX) {
        struct penstock_bad_record *place = &bad->list[bad->listed++];

        *place = (struct penstock_bad_record){.key = one->object->key,
                                              .offset_bytes = one->offset_bytes,
                                              .len_bytes = one->len_bytes,
                                              .position = one->position,
                                              .epoch = one->epoch};
        ps_text_copy(place->cause, sizeof place->cause, one->cause);
    }
    pthread_mutex_unlock(&ch->lock);
}

static void warn(struct ps_channel *ch, const struct ps_bad_one *one)
{
    uint64_t records = ch->bad.records;
    struct penstock_error error;

    if (ch->shaping.bad != PS_BAD_WARN ||
        (records > LOGGED_FIRST && (records & (records - 1)) != 0))
        return;
    describe(ch, one, &error, "");
    ps_engine_log(ch->stream, 1, "bad record %llu of epoch %u is left out: %s",
                  (unsigned long long)records, one->epoch, error.message);
}

/* Whether that many of `seen` records are too many; then *more says so. */
static bool too_many(const struct ps_channel *ch, uint64_t seen, char *more, size_t more_bytes)
{
    const struct ps_shaping *shaping = &ch->shaping;
    uint64_t records = ch->bad.records;

    if (shaping->bad_records_max > 0 && records > shaping->bad_records_max) {
        snprintf(more, more_bytes,
                 " (%llu of the epoch's first %llu records are bad, and bad_records_max is %llu)",
                 (unsigned long long)records, (unsigned long long)seen,
                 (unsigned long long)shaping->bad_records_max);
        return true;
    }
    if (shaping->bad_fraction_max > 0 &&
        (double)records > shaping->bad_fraction_max * (double)seen) {
        snprintf(more, more_bytes,
                 " (%llu of the epoch's first %llu records are bad, and bad_fraction_max is %g; if "
                 "the very first record was the odd one, set feature_dim)",
                 (unsigned long long)records, (unsigned long long)seen, shaping->bad_fraction_max);
        return true;
    }
    return false;
}

int ps_bad_add(struct ps_channel *ch, const struct ps_bad_one *one, struct penstock_error *error)
{
    struct ps_bad *bad = &ch->bad;
    uint64_t seen = one->position + 1;
    char more[240];

    if (ch->shaping.bad == PS_BAD_ERROR)
        return describe(ch, one, error, "");
    if (bad->object != one->object) {
        bad->object = one->object;
        bad->objects++;
        count(&ch->counts.objects_bad, 1);
    }
    bad->records++;
    count(&ch->counts.records_bad, 1);
    ps_bad_add_bytes(ch, one->len_bytes);
    list(ch, one);
    warn(ch, one);
    if (ch->shaping.bad_fraction_max > 0 && seen < FRACTION_RECORDS_LEAST &&
        (ch->shaping.bad_records_max == 0 || bad->records <= ch->shaping.bad_records_max))
        return PENSTOCK_OK;
    return too_many(ch, seen, more, sizeof more) ? describe(ch, one, error, more) : PENSTOCK_OK;
}

void ps_bad_add_bytes(struct ps_channel *ch, uint64_t len_bytes)
{
    ch->bad.bytes += len_bytes;
    count(&ch->counts.bytes_bad, len_bytes);
}

/* The last bad record that is known by heart. */
static int too_many_in_all(struct ps_channel *ch, const char *more, struct penstock_error *error)
{
    const struct penstock_bad_record *last = &ch->bad.list[ch->bad.listed - 1];

    return ps_fail(error, PENSTOCK_E_FORMAT,
                   "channel %s: too many bad records, such as %s, byte "
                   "%llu: %s%s",
                   ch->name, last->key, (unsigned long long)last->offset_bytes, last->cause, more);
}

int ps_bad_end_epoch(struct ps_channel *ch, uint32_t epoch, uint64_t seen,
                     struct penstock_error *error)
{
    struct ps_bad *bad = &ch->bad;
    char more[240];

    if (bad->records == 0)
        return PENSTOCK_OK;
    if (ch->shaping.bad == PS_BAD_WARN)
        ps_engine_log(ch->stream, 1,
                      "channel %s: %llu of %llu records of epoch %u were bad, %llu bytes in %llu "
                      "objects",
                      ch->name, (unsigned long long)bad->records, (unsigned long long)seen, epoch,
                      (unsigned long long)bad->bytes, (unsigned long long)bad->objects);
    if (seen == bad->records)
        return too_many_in_all(ch, " (there is no other record in the epoch)", error);
    if (too_many(ch, seen, more, sizeof more))
        return too_many_in_all(ch, more, error);
    bad->records = bad->bytes = bad->objects = 0;
    bad->object = NULL;
    return PENSTOCK_OK;
}

size_t penstock_bad_records(const struct penstock *stream, size_t channel_no,
                            struct penstock_bad_record *records, size_t max)
{
    if (channel_no >= stream->channel_count)
        return 0;
    struct ps_channel *ch = stream->channels[channel_no];

    pthread_mutex_lock(&ch->lock);
    size_t listed = ch->bad.listed;

    for (size_t i = 0; i < listed && i < max; i++)
        records[i] = ch->bad.list[i];
    pthread_mutex_unlock(&ch->lock);
    return listed;
}
