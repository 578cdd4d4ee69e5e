/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/first_batch.c - see first_batch.h. */
#include "pipe/first_batch.h"

void ps_first_batch_keep(const struct ps_slot *slot)
{
    struct ps_slot *kept = &slot->channel->placing.kept;
    struct fmt_rows from = ps_slot_view(slot);
    struct ps_place place;

    ps_slot_begin(kept, slot->entries);
    if (ps_slot_reserve(kept, 0, &from, 0, slot->rows_framed, &place)) /* it fits */
        ps_slot_put(&place, &from, 0, slot->rows_framed);
    ps_slot_finish(kept);
}

bool ps_first_batch_fill(struct ps_slot *slot, uint32_t rows, struct ps_place *place)
{
    const struct ps_row_share *share = &slot->channel->shaping.share;
    uint32_t to_row = slot->whole ? share->batch_rows : share->rows;
    uint32_t row = slot->rows_framed;
    uint32_t at = slot->whole ? 0 : share->from + row - rows; /* in the first batch */
    uint32_t kept_rows = share->batch_rows;

    if (slot->first) {
        ps_slot_finish(slot);
        ps_first_batch_keep(slot);
        ps_slot_begin(slot, slot->entries);
        kept_rows = row;
        row = 0;
    }
    struct fmt_rows from = ps_slot_view(&slot->channel->placing.kept);

    while (row < to_row) {
        uint32_t count = to_row - row;

        if (count > kept_rows - at)
            count = kept_rows - at;
        if (!ps_slot_reserve(slot, row, &from, at, count, place)) {
            place->row += count;
            return false;
        }
        ps_slot_put(place, &from, at, count);
        row += count;
        at = 0;
    }
    return true;
}
