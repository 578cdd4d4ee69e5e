/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/shaping.h - how a channel's records become batches: which are left out, how rows are
 * shuffled, what the last batch is.
 *
 * Threads: constant after open.
 */
#ifndef PIPE_SHAPING_H
#define PIPE_SHAPING_H

#include "pipe/penstock.h"
#include "pipe/row_share.h"

enum ps_bad_policy { PS_BAD_ERROR, PS_BAD_WARN, PS_BAD_SKIP };

enum ps_last_batch { PS_LAST_KEEP, PS_LAST_DROP, PS_LAST_PAD, PS_LAST_WRAP };

struct ps_shaping {
    enum ps_bad_policy bad;
    uint64_t bad_records_max;
    double bad_fraction_max;
    enum ps_last_batch last;
    float pad_label;
    uint64_t window_rows; /* a multiple of batch_rows; 0: rows are not shuffled */
    bool samples;
    uint64_t sample_seed;
    uint64_t sample_from; /* of 2^53 */
    uint64_t sample_to;
    struct ps_row_share share;
    uint32_t slot_rows; /* that there has to be room for in a batch: those of the share, unless it
                           depends on what follows which ones they are, or others are needed */
    bool skips;         /* which rows are other shares' is known before they are decoded */
};

/* What a channel's configuration says of all this; `plain`: it holds no records. Returns
 * PENSTOCK_OK or PENSTOCK_E_ARGUMENT. */
int ps_shaping_resolve(const struct penstock_channel_config *channel, const char *name, bool plain,
                       struct ps_shaping *out, struct penstock_error *error);

/* Share `index` of `count` of the rows of every batch; the other fields of *shaping are set. */
void ps_shaping_share(struct ps_shaping *shaping, uint32_t batch_rows, uint32_t index,
                      uint32_t count);

/* Whether a row's place is not known before it and all before it are decoded. */
bool ps_shaping_is_staged(const struct ps_shaping *shaping);

/* The sample, version 1: with h = FNV-1a (64 bits) of the object's key and ps_permute_key(seed, x)
 * of permute.h, the record's hash is the high 53 bits of ps_permute_key(ps_permute_key(sample_seed,
 * h), index of the record in its object), taken as a fraction. */
uint64_t ps_sample_object(const struct ps_shaping *shaping, const char *key);
bool ps_sample_has(const struct ps_shaping *shaping, uint64_t object, uint64_t index);

#endif
