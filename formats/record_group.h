/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_group.h - RecordIO records in groups of k, out of bytes that come in runs of any
 * length: the attributes of an augmented manifest, k records for each of its lines.
 *
 * A group that lies within one run is lent in place; one that runs over its end is put together in
 * the struct's own memory, which grows to the longest of these and is then used again. So are the
 * parts of a record that came in several.
 *
 * Owner: the caller. Threads: one at a time. Units: bytes. Offsets in errors count from the first
 * byte since fmt_group_new or fmt_group_end.
 */
#ifndef FORMATS_RECORD_GROUP_H
#define FORMATS_RECORD_GROUP_H

#include "formats/fmt.h"

/* A record's payload. */
struct fmt_item {
    const uint8_t *data;
    size_t len_bytes;
};

struct fmt_group;

/* item_count     records of a group, >= 1
 * len_bytes_max  a longer group is an error
 * magic_between  the parts of a record were cut out around the magic number, which goes back in
 *                between (dmlc's writers); else they are joined as they are (AWS's)
 * NULL when memory is out. fmt_group_free accepts NULL. */
struct fmt_group *fmt_group_new(uint32_t item_count, size_t len_bytes_max, bool magic_between);
void fmt_group_free(struct fmt_group *group);

/* Takes bytes up to the end of the current group; *used_bytes receives how many. Returns FMT_OK
 * when the group is whole: fmt_group_items lends it until the next call, and as long as `in` is
 * there; FMT_MORE when all of `in` was taken and there is more to come; FMT_E_FORMAT or
 * FMT_E_MEMORY. */
enum fmt_rc fmt_group_take(struct fmt_group *group, const uint8_t *in, size_t len,
                           size_t *used_bytes, struct fmt_error *error);

const struct fmt_item *fmt_group_items(const struct fmt_group *group);

/* Whether the bytes taken so far end inside a record. */
bool fmt_group_is_inside_record(const struct fmt_group *group);

/* The stream ends here, and another begins. Returns FMT_OK, or FMT_E_FORMAT when it ends inside a
 * group. */
enum fmt_rc fmt_group_end(struct fmt_group *group, struct fmt_error *error);

#endif
