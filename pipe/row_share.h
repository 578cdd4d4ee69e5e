/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/row_share.h - which rows of a batch a channel carries, of those that several streams share.
 *
 * Threads: pure functions. Units: rows of a batch, from 0.
 */
#ifndef PIPE_ROW_SHARE_H
#define PIPE_ROW_SHARE_H

#include <stdint.h>

struct ps_row_share {
    uint32_t from;
    uint32_t rows;       /* all of batch_rows without shares */
    uint32_t batch_rows; /* of all shares */
};

/* How many of the `count` rows from `first` on the share has; *skip: so many rows come before. */
static inline uint32_t ps_row_share_among(const struct ps_row_share *share, uint32_t first,
                                          uint32_t count, uint32_t *skip)
{
    uint32_t end = share->from + share->rows;
    uint32_t from = first > share->from ? first : share->from;
    uint32_t to = first + count < end ? first + count : end;

    *skip = from - first;
    return to > from ? to - from : 0;
}

/* How many rows the share has of a batch of `rows`. */
static inline uint32_t ps_row_share_of(const struct ps_row_share *share, uint32_t rows)
{
    uint32_t skip;

    return ps_row_share_among(share, 0, rows, &skip);
}

/* How many rows there are from `row` to where the share, or the batch, begins or ends. */
static inline uint32_t ps_row_share_left(const struct ps_row_share *share, uint32_t row)
{
    if (row < share->from)
        return share->from - row;
    if (row < share->from + share->rows)
        return share->from + share->rows - row;
    return share->batch_rows - row;
}

#endif
