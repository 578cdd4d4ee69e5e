/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slot_rows.h - rows of a staged channel in a slot.
 *
 * How many entries and bytes of text a batch will have is not known before its last row has its
 * place, and rows are copied to their places before that. So columns begin at the area's start, and
 * values at `values_at`, where they may be expected not to be in the way, as the batch before had
 * no more entries:
 *
 *   layout.entries                                                      (in words of 4 bytes)
 *   | columns 0 .. | values 0 .. E | ...                 | columns values_at .. E | ... |
 *   0          values_at                 2 * entries_max + values_at          3 * entries_max
 *
 * Columns for which there is no room before the values lie behind, and ps_slot_finish makes one
 * piece of them.
 *
 * In a window rows come in another order than they will have. What grows lies in the order of
 * coming, `begins` says where that of each row does, and ps_slot_gather puts it in the order of
 * rows. It needs room for as much again: of the entries that is the last part, as values then begin
 * behind all columns; of the texts, half of their area.
 *
 * Threads: a place belongs to the thread that was given it; finishing, to one that knows that all
 * rows are in place.
 */
#ifndef PIPE_SLOT_ROWS_H
#define PIPE_SLOT_ROWS_H

#include "pipe/channel.h"

/* Where the parts that grow lie, in a slot of `slot_bytes` of which layout->end are taken.
 * window_rows: rows of a batch that is part of a window; 0: it is not. */
void ps_slot_lay_out_variable(const struct fmt_shape *shape, size_t slot_bytes,
                              uint32_t window_rows, struct ps_layout *layout);

/* Begins a batch in the slot; of a window, all of its rows are without entries and texts. */
void ps_slot_begin(struct ps_slot *slot, uint32_t entries_guess);

/* Where some rows go. */
struct ps_place {
    struct ps_slot *slot;
    uint32_t row;
    uint32_t entries;
    uint32_t texts;
};

/* The next place in the slot, `row`, for `count` rows from from[first]; false if the parts that
 * grow are too large, and then *place tells how large. By the thread that has the turn. */
bool ps_slot_reserve(struct ps_slot *slot, uint32_t row, const struct fmt_rows *from,
                     uint32_t first, uint32_t count, struct ps_place *place);

/* The same for one row of a window, which goes to `row` of the slot: its place is then where
 * ps_slot_place finds it. */
bool ps_slot_reserve_row(struct ps_slot *slot, uint32_t row, const struct fmt_rows *from,
                         uint32_t no, struct ps_place *place);
struct ps_place ps_slot_place(struct ps_slot *slot, uint32_t row);

/* Copies from[first] and the rows behind it there. */
void ps_slot_put(const struct ps_place *place, const struct fmt_rows *from, uint32_t first,
                 uint32_t count);

/* Every row of the window is in place: puts what grows in the order of the rows. */
void ps_slot_gather(struct ps_slot *slot);

/* Moves row `from` of a slot that is gathered to row `to` of this one or another, in which rows
 * before it have their places, and that begins no later in the window; row 0 empties it. False if
 * it does not fit, and then *place tells how large it would be. */
bool ps_slot_move_row(const struct ps_slot *from_slot, uint32_t from, struct ps_slot *slot,
                      uint32_t to, struct ps_place *place);

/* Fills [rows, rows + count) with zeros, and the label. */
void ps_slot_pad(struct ps_slot *slot, uint32_t rows, uint32_t count, float label);

/* Every row is in place: what grows becomes one piece, and the batch says where it is. */
void ps_slot_finish(struct ps_slot *slot);

/* Of a slot that is finished and holds `rows` rows of a batch from its first on: those of the
 * channel's share move to its beginning, and the others are gone. */
void ps_slot_narrow(struct ps_slot *slot, uint32_t rows);

/* The rows of a slot that is finished, to be copied. */
struct fmt_rows ps_slot_view(const struct ps_slot *slot);

/* From the slot's start up to the last byte of the batch. */
size_t ps_slot_used_bytes(const struct ps_slot *slot);

#endif
