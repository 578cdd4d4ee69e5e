/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio_find.h - the next record in a RecordIO object, from any byte of it.
 *
 * Nothing but the magic number marks a frame, and it may occur in a payload: SageMaker's and
 * Spark's writers do not escape it. So a head is believed only at a multiple of 4 from the object's
 * start, and if two more follow where they should, or the object ends there. What is left is a
 * payload that holds three frames itself.
 *
 * Owner: the caller owns all memory. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_RECORDIO_FIND_H
#define FORMATS_RECORDIO_FIND_H

#include "formats/fmt.h"

/* Heads that a record is known by: its own first one, and two more. */
#define FMT_RECORDIO_CHAIN_HEADS 3u

/* Longer frames than this are not believed after damage: what looks like one is mostly the magic
 * number before a float, which is the head of a frame of half a GiB. */
#define FMT_RECORDIO_FIND_BODY_BYTES_MAX ((1u << 26) - 1)

/* Where the first of the magic number's places from, from + 4, from + 8 ... is, in [in, in + len);
 * a value > len - 4, still of that row, when there is none. */
size_t fmt_recordio_find_magic(const uint8_t *in, size_t len, size_t from);
size_t fmt_recordio_find_magic_plainly(const uint8_t *in, size_t len, size_t from);

/* The first record that begins at in + from or later. `offset` is that of `in` in the object,
 *   at_end          in + len is the object's end
 *   body_bytes_max  frames that announce more are none
 * FMT_OK: it is at *at, which is len if there is none and at_end. FMT_MORE: it is at *at, if
 * anywhere before the end; more bytes will tell. */
enum fmt_rc fmt_recordio_find(const uint8_t *in, size_t len, size_t from, uint64_t offset,
                              bool at_end, uint32_t body_bytes_max, size_t *at);

/* fmt_ops.resync for any content type made of RecordIO frames. */
enum fmt_rc fmt_recordio_resync(const struct fmt_options *options, const uint8_t *in, size_t len,
                                uint64_t offset, bool at_end, size_t *skip_bytes);

#endif
