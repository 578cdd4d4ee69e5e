/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/shaping.c - see shaping.h. */
#include "pipe/shaping.h"

#include "pipe/error.h"
#include "pipe/fnv.h"
#include "pipe/permute.h"

#include <string.h>

#define SAMPLE_BITS 53 /* a double holds them */
#define WINDOW_ROWS_MAX ((uint64_t)1 << 40)

/* The place of `word` in words[], or count. */
static size_t find_word(const char *word, const char *const words[], size_t count)
{
    size_t no = 0;

    while (no < count && strcmp(word ? word : words[0], words[no]) != 0)
        no++;
    return no;
}

static bool is_fraction(double x)
{
    return x >= 0 && x <= 1;
}

static int resolve_bad(const struct penstock_channel_config *channel, const char *name,
                       struct ps_shaping *out, struct penstock_error *error)
{
    static const char *const words[] = {
        [PS_BAD_ERROR] = "error", [PS_BAD_WARN] = "warn", [PS_BAD_SKIP] = "skip"};
    size_t no = find_word(channel->bad_records, words, 3);

    if (no == 3)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: bad_records is \"%s\": use error, warn or skip", name,
                       channel->bad_records);
    if (!is_fraction(channel->bad_fraction_max))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: bad_fraction_max is %g, not from 0 to 1", name,
                       channel->bad_fraction_max);
    if (no == PS_BAD_ERROR && (channel->bad_records_max > 0 || channel->bad_fraction_max > 0))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: %s is for bad_records \"skip\" and \"warn\", and that is "
                       "\"error\"",
                       name, channel->bad_records_max > 0 ? "bad_records_max" : "bad_fraction_max");
    out->bad = (enum ps_bad_policy)no;
    out->bad_records_max = channel->bad_records_max;
    out->bad_fraction_max = channel->bad_fraction_max;
    return PENSTOCK_OK;
}

static int resolve_last(const struct penstock_channel_config *channel, const char *name,
                        struct ps_shaping *out, struct penstock_error *error)
{
    static const char *const words[] = {[PS_LAST_KEEP] = "keep",
                                        [PS_LAST_DROP] = "drop",
                                        [PS_LAST_PAD] = "pad",
                                        [PS_LAST_WRAP] = "wrap"};
    size_t no = find_word(channel->last_batch, words, 4);

    if (no == 4)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: last_batch is \"%s\": use keep, drop, pad or wrap", name,
                       channel->last_batch);
    out->last = (enum ps_last_batch)no;
    out->pad_label = channel->pad_label;
    return PENSTOCK_OK;
}

static int resolve_order(const struct penstock_channel_config *channel, const char *name,
                         struct ps_shaping *out, struct penstock_error *error)
{
    if (channel->shuffle_rows > WINDOW_ROWS_MAX)
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT, "channel %s: shuffle_rows is %llu, more than %llu", name,
            (unsigned long long)channel->shuffle_rows, (unsigned long long)WINDOW_ROWS_MAX);
    if (!is_fraction(channel->sample_from) || !is_fraction(channel->sample_to) ||
        channel->sample_from >= channel->sample_to)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: the sample is from %g to %g: both have to be from 0 to 1, and "
                       "the second greater",
                       name, channel->sample_from, channel->sample_to);
    out->window_rows = (channel->shuffle_rows + channel->batch_rows - 1) / channel->batch_rows *
                       channel->batch_rows;
    out->sample_from = (uint64_t)(channel->sample_from * (double)(UINT64_C(1) << SAMPLE_BITS));
    out->sample_to = (uint64_t)(channel->sample_to * (double)(UINT64_C(1) << SAMPLE_BITS));
    out->samples = channel->sample_from > 0 || channel->sample_to < 1;
    out->sample_seed = channel->sample_seed;
    return PENSTOCK_OK;
}

/* Of a window that is not full the rows move up; and an epoch's first batch, of which the last one
 * is filled up, is needed whole. */
void ps_shaping_share(struct ps_shaping *shaping, uint32_t batch_rows, uint32_t index,
                      uint32_t count)
{
    uint32_t rows = batch_rows / count;
    bool whole = shaping->window_rows > 0 || shaping->last == PS_LAST_WRAP;

    shaping->share =
        (struct ps_row_share){.from = rows * index, .rows = rows, .batch_rows = batch_rows};
    shaping->slot_rows = whole ? batch_rows : rows;
    shaping->skips =
        count > 1 && shaping->bad == PS_BAD_ERROR && !shaping->samples && shaping->window_rows == 0;
}

int ps_shaping_resolve(const struct penstock_channel_config *channel, const char *name, bool plain,
                       struct ps_shaping *out, struct penstock_error *error)
{
    *out = (struct ps_shaping){.bad = PS_BAD_ERROR};
    int rc = resolve_bad(channel, name, out, error);

    if (rc == PENSTOCK_OK)
        rc = resolve_last(channel, name, out, error);
    if (rc == PENSTOCK_OK)
        rc = resolve_order(channel, name, out, error);
    if (rc == PENSTOCK_OK)
        ps_shaping_share(out, channel->batch_rows, channel->row_share_index,
                         channel->row_share_count);
    if (rc == PENSTOCK_OK && plain &&
        (ps_shaping_is_staged(out) || out->last != PS_LAST_KEEP || channel->row_share_count > 1))
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "channel %s: bad_records, last_batch, shuffle_rows, samples and shares of "
                     "rows are for records, and the channel holds plain bytes",
                     name);
    return rc;
}

bool ps_shaping_is_staged(const struct ps_shaping *shaping)
{
    return shaping->bad != PS_BAD_ERROR || shaping->last == PS_LAST_WRAP ||
           shaping->window_rows > 0 || shaping->samples;
}

uint64_t ps_sample_object(const struct ps_shaping *shaping, const char *key)
{
    return ps_permute_key(shaping->sample_seed, ps_fnv(PS_FNV_BASIS, key, strlen(key)));
}

bool ps_sample_has(const struct ps_shaping *shaping, uint64_t object, uint64_t index)
{
    uint64_t hash = ps_permute_key(object, index) >> (64 - SAMPLE_BITS);

    return hash >= shaping->sample_from && hash < shaping->sample_to;
}
