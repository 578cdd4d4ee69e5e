/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/verify.c - see verify.h. */
#include "pipe/verify.h"

#include "pipe/engine.h"
#include "pipe/error.h"

static bool is_last(const struct ps_part *part)
{
    return part->object_offset + part->len_bytes == part->object->size_bytes;
}

bool ps_verify_part_is_whole(const struct ps_part *part)
{
    return part->object_offset == 0 && is_last(part);
}

static enum ps_sum_state state_of(const struct ps_part *part)
{
    return (enum ps_sum_state)atomic_load(&part->object_sum->state);
}

static bool is_ours(const struct ps_channel *ch, const struct ps_object *object)
{
    return ch->stream->verify != PS_VERIFY_OFF && !object->slice &&
           ch->sources[object->source_no].uri.kind == PS_URI_S3;
}

bool ps_verify_asks_first(const struct ps_channel *ch, uint64_t len_bytes)
{
    return ch->stream->verify == PS_VERIFY_ALWAYS && ch->fetch_offset == 0 && !ch->fetch_sum &&
           len_bytes < ch->fetch_object->size_bytes && is_ours(ch, ch->fetch_object);
}

void ps_verify_claimed(struct ps_channel *ch, struct ps_part *part)
{
    enum ps_verify_mode mode = ch->stream->verify;
    bool whole = ps_verify_part_is_whole(part);

    if (!is_ours(ch, part->object))
        return;
    if (part->object_offset == 0 && !ch->fetch_sum &&
        (part->asks || (mode == PS_VERIFY_AUTO && whole) || mode == PS_VERIFY_ALWAYS)) {
        /* Every object that is not yet passed has a part that is not: their number is bounded. */
        ch->fetch_sum = &ch->object_sums[ch->object_sum_next++ % PS_PARTS_MAX];
        *ch->fetch_sum = (struct ps_object_sum){.state = PS_SUM_UNKNOWN};
    }
    part->object_sum = ch->fetch_sum;
    part->sum_kind = ch->sum_guess;
    if (part->object_sum && state_of(part) == PS_SUM_UNKNOWN)
        part->held = !(whole && part->pos == 0);
}

/* ---- what S3 keeps ---- */

static void settle(struct ps_part *part, enum ps_sum_state state,
                   const struct ps_checksum *checksum)
{
    struct ps_channel *ch = part->channel;
    struct ps_object_sum *object_sum = part->object_sum;

    pthread_mutex_lock(&ch->lock);
    if (state == PS_SUM_KNOWN) {
        object_sum->kind = ch->sum_guess = checksum->kind;
        object_sum->expected = checksum->sum;
    }
    atomic_store(&object_sum->state, (int)state);
    pthread_mutex_unlock(&ch->lock);
}

static void warn_once(struct ps_channel *ch, const struct ps_object *object)
{
    if (!atomic_exchange(&ch->warned_unverifiable, true))
        ps_engine_log(ch->stream, 1,
                      "channel %s: s3://%s/%s has a checksum of its upload's parts, or by a hash, "
                      "that a stream cannot be compared with; it is not verified, and neither are "
                      "others like it (counted as objects_unverified).",
                      ch->name, ch->sources[object->source_no].uri.bucket, object->key);
}

void ps_verify_answer(struct ps_part *part, int status, const struct ps_checksum *checksum)
{
    bool whole = ps_verify_part_is_whole(part);
    bool told = checksum->told && (part->asks || status == 200);

    if (!part->object_sum || state_of(part) != PS_SUM_UNKNOWN || !(part->asks || whole))
        return;
    if (told && ps_checksum_is_comparable(checksum)) {
        settle(part, PS_SUM_KNOWN, checksum);
    } else if (part->channel->stream->verify != PS_VERIFY_ALWAYS) {
        settle(part, PS_SUM_NONE, checksum);
    } else if (told) {
        settle(part, PS_SUM_NONE, checksum);
        warn_once(part->channel, part->object);
    } else {
        settle(part, PS_SUM_MISSING, checksum);
    }
}

/* ---- summing ---- */

void ps_verify_add(struct ps_part *part, uint64_t len_bytes)
{
    const uint8_t *base = ps_ring_at(&part->channel->ring, part->pos);
    uint64_t filled_bytes = part->filled_bytes;

    if (!part->object_sum)
        return;
    enum ps_sum_state state = state_of(part);

    if (state != PS_SUM_UNKNOWN && state != PS_SUM_KNOWN)
        return;
    if (state == PS_SUM_KNOWN && part->sum_kind != part->object_sum->kind) {
        part->sum_kind = part->object_sum->kind;
        part->sum = fmt_crc(part->sum_kind, 0, base, filled_bytes);
    }
    part->sum = fmt_crc(part->sum_kind, part->sum, base + filled_bytes, len_bytes);
}

bool ps_verify_again(struct ps_part *part)
{
    if (!part->held || part->fetched_again || part->asks || !ps_verify_part_is_whole(part) ||
        state_of(part) != PS_SUM_KNOWN || part->sum == part->object_sum->expected)
        return false;
    part->fetched_again = true;
    part->sum = 0;
    atomic_store(&part->filled_bytes, 0);
    return true;
}

uint64_t ps_verify_shown_bytes(const struct ps_part *part)
{
    uint64_t filled_bytes = part->filled_bytes;

    if (!is_ours(part->channel, part->object))
        return filled_bytes;
    if (part->held && state_of(part) != PS_SUM_NONE)
        return 0;
    /* The last byte waits for the comparison, and for the object's being counted. */
    return is_last(part) && filled_bytes == part->len_bytes ? filled_bytes - 1 : filled_bytes;
}

/* ---- comparing ---- */

static void explain_corrupt(const struct ps_part *part, struct penstock_error *error)
{
    const struct ps_channel *ch = part->channel;
    const struct ps_object_sum *object_sum = part->object_sum;
    const char *bucket = ch->sources[part->object->source_no].uri.bucket;
    char expected[FMT_CRC_TEXT_BYTES], computed[FMT_CRC_TEXT_BYTES];

    fmt_crc_text(object_sum->kind, object_sum->expected, expected);
    fmt_crc_text(object_sum->kind, object_sum->sum, computed);
    ps_fail(error, PENSTOCK_E_CORRUPT,
            "channel %s: s3://%s/%s is corrupt: its %llu bytes have the %s checksum %s%s, and S3 "
            "keeps %s; start again, and if it stays so upload the object anew (verify=off streams "
            "it as it is)",
            ch->name, bucket, part->object->key, (unsigned long long)part->object->size_bytes,
            fmt_crc_name(object_sum->kind), computed,
            part->fetched_again ? ", also when they are fetched again" : "", expected);
    ps_error_object(error, bucket, part->object->key, 0);
    ps_error_answer(error, 0, NULL, NULL, NULL, part->attempts);
}

static void explain_missing(const struct ps_part *part, struct penstock_error *error)
{
    const struct ps_channel *ch = part->channel;
    const char *bucket = ch->sources[part->object->source_no].uri.bucket;

    ps_fail(error, PENSTOCK_E_ARGUMENT,
            "channel %s: s3://%s/%s has no checksum to verify it with; copy it onto itself with "
            "one (aws s3 cp --checksum-algorithm CRC64NVME), or use verify=auto",
            ch->name, bucket, part->object->key);
    ps_error_object(error, bucket, part->object->key, 0);
    ps_error_answer(error, 0, NULL, NULL, NULL, part->attempts);
}

static void count_object(const struct ps_part *part, bool verified)
{
    struct ps_counts *counts = &part->channel->counts;

    if (verified) {
        atomic_fetch_add_explicit(&counts->objects_verified, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->bytes_verified, part->object->size_bytes,
                                  memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&counts->objects_unverified, 1, memory_order_relaxed);
    }
}

/* Adds the part's sum to the object's. A part that was complete before its object's algorithm was
 * known, and not guessed, is summed now, with the lock held: head has not passed it, so its bytes
 * are in the ring. That happens to a few parts whenever the algorithm changes between objects. */
static void combine(struct ps_part *part)
{
    struct ps_object_sum *object_sum = part->object_sum;

    if (part->sum_kind != object_sum->kind) {
        part->sum_kind = object_sum->kind;
        part->sum = fmt_crc(part->sum_kind, 0, ps_ring_at(&part->channel->ring, part->pos),
                            part->len_bytes);
    }
    object_sum->sum =
        fmt_crc_combine(object_sum->kind, object_sum->sum, part->sum, part->len_bytes);
}

bool ps_verify_pass(struct ps_part *part, struct penstock_error *error)
{
    struct ps_object_sum *object_sum = part->object_sum;

    if (!object_sum) {
        if (is_last(part) && is_ours(part->channel, part->object))
            count_object(part, false);
        return true;
    }
    switch (state_of(part)) {
    case PS_SUM_UNKNOWN: /* done without an answer: cannot be */
    case PS_SUM_MISSING:
        explain_missing(part, error);
        return false;
    case PS_SUM_NONE:
        if (is_last(part) && !part->asks)
            count_object(part, false);
        return true;
    case PS_SUM_KNOWN:
        break;
    }
    if (part->asks)
        return true;
    combine(part);
    if (!is_last(part))
        return true;
    if (object_sum->sum != object_sum->expected) {
        explain_corrupt(part, error);
        return false;
    }
    count_object(part, true);
    return true;
}
