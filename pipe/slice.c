/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/slice.c - see slice.h. */
#include "pipe/slice.h"

#include "formats/split.h"

/* For the end of the last record: a 64th of the object, so that a stream reads no more than 2 % of
 * it beyond its share; or so much, if that is more. */
#define MORE_SHARE 64
#define MORE_BYTES_LEAST ((uint64_t)1 << 20)

struct ps_slice ps_slice_of(uint64_t size_bytes, uint32_t index, uint32_t count)
{
    struct fmt_range range = fmt_split_bytes(size_bytes, index, count);
    uint64_t more_bytes = size_bytes / MORE_SHARE;

    if (range.from == range.to)
        return (struct ps_slice){range.from, range.to, range.from};
    if (more_bytes < MORE_BYTES_LEAST)
        more_bytes = MORE_BYTES_LEAST;
    if (more_bytes > size_bytes - range.to)
        more_bytes = size_bytes - range.to;
    return (struct ps_slice){range.from > 0 ? range.from - 1 : 0, range.to, range.to + more_bytes};
}

enum fmt_rc ps_slice_check_next(const struct fmt_options *options, const uint8_t *in,
                                size_t seen_bytes, size_t before_bytes, uint64_t offset,
                                size_t cut_bytes, bool at_end, struct fmt_error *cause)
{
    size_t skip_bytes = 0;
    enum fmt_rc rc = options->ops->resync(options, in + before_bytes, seen_bytes - before_bytes,
                                          offset + before_bytes, at_end, &skip_bytes);
    uint64_t found = offset + before_bytes + skip_bytes + (rc == FMT_MORE); /* or later */
    uint64_t next = offset + cut_bytes;

    if (found == next || (rc == FMT_MORE && found < next))
        return rc;
    return fmt_fail(cause, 0, 0,
                    "the record runs into another shard's range, and behind its start there the "
                    "next one seems to begin at offset %llu, not %llu: a record that holds others, "
                    "or damage; leave out split_objects",
                    (unsigned long long)found, (unsigned long long)next);
}
