/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_group.c - see record_group.h. Heads are read once, however the bytes come: `at` is
 * where the next one is, and of bytes that must be kept no more are taken than it announces. */
#include "formats/record_group.h"

#include "formats/recordio.h"

#include <stdlib.h>
#include <string.h>

struct fmt_group {
    uint32_t item_count;
    size_t len_bytes_max;
    bool magic_between;
    struct fmt_recordio_record *records; /* item_count of them */
    struct fmt_item *items;              /* likewise */
    size_t pos;                          /* where the group begins in the stream */
    size_t at;                           /* the next frame, from there */
    uint32_t whole;                      /* records before it */
    struct fmt_recordio_record record;   /* whose frame it is, as far as that is known */
    bool lent;                           /* the group is whole: the next call begins another */
    uint8_t *kept;                       /* its bytes, when one run does not hold it */
    size_t kept_bytes;
    size_t kept_room;
    uint8_t *joined; /* payloads of records that came in parts */
    size_t joined_room;
};

struct fmt_group *fmt_group_new(uint32_t item_count, size_t len_bytes_max, bool magic_between)
{
    struct fmt_group *group = calloc(1, sizeof *group);
    if (!group)
        return NULL;
    group->item_count = item_count;
    group->len_bytes_max = len_bytes_max;
    group->magic_between = magic_between;
    group->records = calloc(item_count, sizeof *group->records);
    group->items = calloc(item_count, sizeof *group->items);
    if (group->records && group->items)
        return group;
    fmt_group_free(group);
    return NULL;
}

void fmt_group_free(struct fmt_group *group)
{
    if (!group)
        return;
    free(group->records);
    free(group->items);
    free(group->kept);
    free(group->joined);
    free(group);
}

const struct fmt_item *fmt_group_items(const struct fmt_group *group)
{
    return group->items;
}

bool fmt_group_is_inside_record(const struct fmt_group *group)
{
    return !group->lent && (group->record.part_count > 0 || group->kept_bytes > group->at);
}

static void begin(struct fmt_group *group, size_t pos)
{
    group->pos = pos;
    group->at = 0;
    group->whole = 0;
    group->record = (struct fmt_recordio_record){0};
    group->kept_bytes = 0;
    group->lent = false;
}

/* Makes *bytes hold `len` at least; what it holds stays. */
static enum fmt_rc make_room(uint8_t **bytes, size_t *room, size_t len)
{
    if (len <= *room)
        return FMT_OK;
    size_t more = len > *room * 2 ? len : *room * 2;
    uint8_t *moved = realloc(*bytes, more);
    if (!moved)
        return FMT_E_MEMORY;
    *bytes = moved;
    *room = more;
    return FMT_OK;
}

static enum fmt_rc keep(struct fmt_group *group, const uint8_t *in, size_t len)
{
    enum fmt_rc rc = make_room(&group->kept, &group->kept_room, group->kept_bytes + len);
    if (rc != FMT_OK || len == 0)
        return rc;
    memcpy(group->kept + group->kept_bytes, in, len);
    group->kept_bytes += len;
    return FMT_OK;
}

static enum fmt_rc fail_length(const struct fmt_group *group, struct fmt_error *error)
{
    return fmt_fail(error, group->pos, 0,
                    "a group of %u records takes more than %zu bytes: is %u the number of "
                    "attributes, and is the memory limit large enough?",
                    group->item_count, group->len_bytes_max, group->item_count);
}

/* Reads on, frame by frame, in the group's bytes `in`. FMT_MORE: *need_bytes receives how long they
 * must be to get further. */
static enum fmt_rc read_frames(struct fmt_group *group, const uint8_t *in, size_t len,
                               size_t *need_bytes, struct fmt_error *error)
{
    while (group->whole < group->item_count) {
        struct fmt_recordio_part part = {.len_bytes = FMT_RECORDIO_HEAD_BYTES};
        enum fmt_rc rc = fmt_recordio_read_part(in + group->at, len - group->at,
                                                group->record.part_count > 0, &part, error);
        *need_bytes = group->at + part.len_bytes;
        if (rc == FMT_E_FORMAT)
            error->offset_bytes = group->pos + group->at;
        else if (*need_bytes > group->len_bytes_max)
            return fail_length(group, error);
        if (rc != FMT_OK)
            return rc;
        group->at = *need_bytes;
        group->record.len_bytes += part.len_bytes;
        group->record.body_bytes += part.body_bytes;
        group->record.part_count++;
        if (part.flag != FMT_RECORDIO_WHOLE && part.flag != FMT_RECORDIO_LAST)
            continue;
        group->records[group->whole++] = group->record;
        group->record = (struct fmt_recordio_record){0};
    }
    return FMT_OK;
}

/* Where the group's payloads are, now that it is whole. */
static enum fmt_rc lend(struct fmt_group *group, const uint8_t *in)
{
    size_t joined_bytes = 0;
    for (uint32_t i = 0; i < group->item_count; i++)
        joined_bytes += group->records[i].part_count > 1 ? group->records[i].len_bytes : 0;
    if (make_room(&group->joined, &group->joined_room, joined_bytes) != FMT_OK)
        return FMT_E_MEMORY;
    uint8_t *to = group->joined;
    for (uint32_t i = 0; i < group->item_count; i++) {
        const struct fmt_recordio_record *record = &group->records[i];
        struct fmt_item *item = &group->items[i];
        *item = (struct fmt_item){in + FMT_RECORDIO_HEAD_BYTES, record->body_bytes};
        if (record->part_count > 1) {
            item->data = to;
            item->len_bytes = fmt_recordio_join(in, record, group->magic_between, to);
            to += item->len_bytes;
        }
        in += record->len_bytes;
    }
    group->lent = true;
    return FMT_OK;
}

/* The group begins in this run. */
static enum fmt_rc take_first(struct fmt_group *group, const uint8_t *in, size_t len,
                              size_t *used_bytes, struct fmt_error *error)
{
    size_t need_bytes = 0;
    enum fmt_rc rc = read_frames(group, in, len, &need_bytes, error);
    if (rc == FMT_OK) {
        *used_bytes = group->at;
        return lend(group, in);
    }
    if (rc == FMT_MORE) {
        *used_bytes = len;
        rc = keep(group, in, len);
    }
    return rc == FMT_OK ? FMT_MORE : rc;
}

enum fmt_rc fmt_group_take(struct fmt_group *group, const uint8_t *in, size_t len,
                           size_t *used_bytes, struct fmt_error *error)
{
    if (group->lent)
        begin(group, group->pos + group->at);
    *used_bytes = 0;
    if (group->kept_bytes == 0)
        return take_first(group, in, len, used_bytes, error);
    for (;;) {
        size_t need_bytes = 0;
        enum fmt_rc rc = read_frames(group, group->kept, group->kept_bytes, &need_bytes, error);
        if (rc == FMT_OK)
            return lend(group, group->kept);
        if (rc != FMT_MORE || *used_bytes == len)
            return rc;
        size_t more = need_bytes - group->kept_bytes;
        if (more > len - *used_bytes)
            more = len - *used_bytes;
        if (keep(group, in + *used_bytes, more) != FMT_OK)
            return FMT_E_MEMORY;
        *used_bytes += more;
    }
}

enum fmt_rc fmt_group_end(struct fmt_group *group, struct fmt_error *error)
{
    enum fmt_rc rc = FMT_OK;
    if (fmt_group_is_inside_record(group))
        rc = fmt_fail(error, group->pos + group->at - group->record.len_bytes, 0,
                      "truncated: the stream ends inside record %u of a group of %u",
                      group->whole + 1, group->item_count);
    else if (!group->lent && group->whole > 0)
        rc = fmt_fail(error, group->pos, 0,
                      "truncated: the stream ends after %u of the %u records of a group: is %u the "
                      "number of attributes?",
                      group->whole, group->item_count, group->item_count);
    begin(group, 0);
    return rc;
}
