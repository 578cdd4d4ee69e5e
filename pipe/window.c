/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/window.c - see window.h. */
#include "pipe/window.h"

#include "pipe/permute.h"

#include <stdlib.h>

bool ps_window_open(struct ps_channel *ch)
{
    struct ps_placing *p = &ch->placing;
    uint32_t slots = (uint32_t)ps_window_slots(ch); /* there are more slots */

    if (slots == 0)
        return true;
    /* All of a block's slots are its own as long as it is used; and one is being begun. */
    p->block_places = ch->slot_count / slots + 1;
    p->blocks = calloc(p->block_places, sizeof *p->blocks);
    p->block_slots = calloc((size_t)p->block_places * slots, sizeof(struct ps_slot *));
    if (!p->blocks || !p->block_slots)
        return false;
    for (uint32_t i = 0; i < p->block_places; i++)
        p->blocks[i].slots = p->block_slots + (size_t)i * slots;
    return true;
}

struct ps_block *ps_window_find_unused(struct ps_channel *ch)
{
    struct ps_block *block = ch->placing.blocks;

    while (block->used)
        block++;
    return block;
}

void ps_window_close(struct ps_channel *ch)
{
    free(ch->placing.blocks);
    free(ch->placing.block_slots);
}

/* Where row `row` of the block goes. */
static struct ps_place place_of(const struct ps_block *block, uint64_t row)
{
    const struct ps_channel *ch = block->slots[0]->channel;
    uint64_t at = ps_permute(row, ch->shaping.window_rows, block->key);

    return ps_slot_place(block->slots[at / ch->config.batch_rows],
                         (uint32_t)(at % ch->config.batch_rows));
}

bool ps_window_reserve(const struct ps_block *block, uint64_t row, const struct fmt_rows *from,
                       uint32_t first, uint32_t count, struct ps_place *place)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ps_place to = place_of(block, row + i);

        if (!ps_slot_reserve_row(to.slot, to.row, from, first + i, place))
            return false;
    }
    return true;
}

void ps_window_put(const struct ps_block *block, uint64_t row, const struct fmt_rows *from,
                   uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ps_place place = place_of(block, row + i);

        ps_slot_put(&place, from, first + i, 1);
    }
}

/* Moves the row at `from` of the block to `to`, which is not behind it. */
static bool move_row(const struct ps_block *block, uint64_t from, uint64_t to,
                     struct ps_place *place)
{
    uint32_t batch_rows = block->slots[0]->channel->config.batch_rows;
    struct ps_slot *from_slot = block->slots[from / batch_rows];
    struct ps_slot *slot = block->slots[to / batch_rows];

    return ps_slot_move_row(from_slot, (uint32_t)(from % batch_rows), slot,
                            (uint32_t)(to % batch_rows), place);
}

int ps_window_close_gaps(const struct ps_block *block, uint64_t rows, struct ps_place *place)
{
    const struct ps_channel *ch = block->slots[0]->channel;
    uint64_t window_rows = ch->shaping.window_rows;
    uint8_t *taken = calloc(window_rows / 8 + 1, 1);
    uint64_t to = 0;

    *place = (struct ps_place){.slot = NULL};
    if (!taken)
        return PENSTOCK_E_MEMORY;
    for (uint64_t i = 0; i < ps_window_slots(ch); i++)
        ps_slot_gather(block->slots[i]);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t at = ps_permute(i, window_rows, block->key);

        taken[at / 8] |= (uint8_t)(1u << at % 8);
    }
    for (uint64_t from = 0; from < window_rows; from++) {
        if ((taken[from / 8] >> from % 8 & 1) == 0)
            continue;
        if (!move_row(block, from, to, place))
            break;
        to++;
    }
    free(taken);
    return to == rows ? PENSTOCK_OK : PENSTOCK_E_MEMORY;
}
