/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/group_line.h - the items of one line of an augmented manifest, put together out of spans.
 *
 * An item that came in one span is lent in place, and the span stays on loan with it; one of
 * several is copied into memory that is used again.
 *
 * Owner: struct penstock_groups. Threads: the consumer's. Units: bytes.
 */
#ifndef PIPE_GROUP_LINE_H
#define PIPE_GROUP_LINE_H

#include "pipe/penstock.h"

struct ps_line;

/* item_count     1 .. 16
 * len_bytes_max  all items of a line together
 * NULL when memory is out. */
struct ps_line *ps_line_new(struct penstock *stream, uint32_t item_count, size_t len_bytes_max);
void ps_line_free(struct ps_line *line); /* accepts NULL */

/* Begins a line; what was lent of the one before is given back. */
void ps_line_begin(struct ps_line *line);

/* Takes the next span of the line, and the loan of it. Returns PENSTOCK_OK when the line is whole:
 * items[item_count] are where its items lie, until the next ps_line_begin; PENSTOCK_AGAIN when it
 * goes on; PENSTOCK_E_MEMORY when memory is out or the line is too long. */
int ps_line_take(struct ps_line *line, const struct penstock_span *span,
                 struct penstock_item *items);

#endif
