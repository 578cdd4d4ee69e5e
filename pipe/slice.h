/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slice.h - what a stream reads of an object that several streams share by bytes.
 *
 * A record belongs to the stream in whose range it begins (formats/split.h). So a slice begins one
 * byte before the range, to see whether a record begins right at the range's start, and ends some
 * way behind it, to hold the end of the last record.
 *
 * Threads: pure functions. Units: bytes from the object's start.
 */
#ifndef PIPE_SLICE_H
#define PIPE_SLICE_H

#include "formats/fmt.h"

struct ps_slice {
    uint64_t from;   /* first byte that is read; 0: the object's first */
    uint64_t own_to; /* records that begin here or later are others' */
    uint64_t to;     /* what is read ends here: at own_to, if an index tells where records begin */
};

/* Slice `index` of `count` of an object of size_bytes; from == to: there is nothing to read. */
struct ps_slice ps_slice_of(uint64_t size_bytes, uint32_t index, uint32_t count);

/* A slice's last record has been cut from `in`, at `offset` in the object, and is `cut_bytes` long;
 * the range of the next slice begins behind the byte at `before_bytes`. Whether the stream that
 * reads that will find its first record where this one ends. FMT_MORE: the bytes do not tell. */
enum fmt_rc ps_slice_check_next(const struct fmt_options *options, const uint8_t *in,
                                size_t seen_bytes, size_t before_bytes, uint64_t offset,
                                size_t cut_bytes, bool at_end, struct fmt_error *cause);

#endif
