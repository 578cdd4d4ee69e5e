/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio.c - RecordIO frames: the cutter, and one record at a time. */
#include "formats/recordio.h"

#include <string.h>

#include "formats/bytes.h"

static struct fmt_recordio_part unpack_head(const uint8_t *head)
{
    uint32_t word = fmt_load_le32(head + 4);
    struct fmt_recordio_part part = {.flag = word >> 29, .body_bytes = word & ((1u << 29) - 1)};
    part.len_bytes = FMT_RECORDIO_HEAD_BYTES + (((size_t)part.body_bytes + 3) & ~(size_t)3);
    return part;
}

static enum fmt_rc fail_flag(uint32_t flag, bool inside, struct fmt_error *error)
{
    if (flag > FMT_RECORDIO_LAST)
        return fmt_fail(error, 0, 0, "corrupt frame head: flag %u is not defined (0 to 3 are)",
                        flag);
    if (inside)
        return fmt_fail(error, 0, 0,
                        "corrupt parts: a new record (flag %u) begins before the last part of a "
                        "record of several parts",
                        flag);
    return fmt_fail(error, 0, 0,
                    "corrupt parts: a record begins with a %s part (flag %u); its first part is "
                    "missing",
                    flag == FMT_RECORDIO_MIDDLE ? "middle" : "last", flag);
}

static enum fmt_rc fail_truncated(const uint8_t *in, size_t len, bool inside,
                                  struct fmt_error *error)
{
    if (len == 0)
        return fmt_fail(error, 0, 0, "truncated: the object ends between two parts of one record");
    if (len < FMT_RECORDIO_HEAD_BYTES)
        return fmt_fail(error, 0, 0,
                        "truncated: the object ends after %zu of the %u bytes of a frame head", len,
                        FMT_RECORDIO_HEAD_BYTES);
    struct fmt_recordio_part part = unpack_head(in);
    return fmt_fail(
        error, 0, 0, "truncated: the frame announces %u bytes%s, the object ends after %zu%s",
        part.body_bytes, part.body_bytes % 4 != 0 ? " and padding" : "",
        len - FMT_RECORDIO_HEAD_BYTES, inside ? " (inside a record of several parts)" : "");
}

enum fmt_rc fmt_recordio_read_part(const uint8_t *in, size_t len, bool inside,
                                   struct fmt_recordio_part *part, struct fmt_error *error)
{
    if (len < 4)
        return FMT_MORE;
    uint32_t magic = fmt_load_le32(in);
    if (magic != FMT_RECORDIO_MAGIC)
        return fmt_fail(error, 0, 0,
                        "bad magic 0x%08x at frame head; expected 0x%08x (is the object RecordIO, "
                        "and not compressed?)",
                        magic, FMT_RECORDIO_MAGIC);
    if (len < FMT_RECORDIO_HEAD_BYTES)
        return FMT_MORE;
    *part = unpack_head(in);
    bool continues = part->flag == FMT_RECORDIO_MIDDLE || part->flag == FMT_RECORDIO_LAST;
    if (part->flag > FMT_RECORDIO_LAST || continues != inside)
        return fail_flag(part->flag, inside, error);
    return part->len_bytes <= len ? FMT_OK : FMT_MORE;
}

/* Reads frames up to the end of the record at `in`, from where *record stands; part_count > 0
 * means that this many parts were read before. */
static enum fmt_rc read_parts(const uint8_t *in, size_t len, struct fmt_recordio_record *record,
                              struct fmt_error *error)
{
    for (;;) {
        struct fmt_recordio_part part = {0};
        enum fmt_rc rc = fmt_recordio_read_part(in + record->len_bytes, len - record->len_bytes,
                                                record->part_count > 0, &part, error);
        if (rc != FMT_OK)
            return rc;
        record->len_bytes += part.len_bytes;
        record->body_bytes += part.body_bytes;
        record->part_count++;
        if (part.flag == FMT_RECORDIO_WHOLE || part.flag == FMT_RECORDIO_LAST)
            return FMT_OK;
    }
}

enum fmt_rc fmt_recordio_read(const uint8_t *in, size_t len, struct fmt_recordio_record *record,
                              struct fmt_error *error)
{
    *record = (struct fmt_recordio_record){0};
    enum fmt_rc rc = read_parts(in, len, record, error);
    if (rc == FMT_MORE)
        return fail_truncated(in + record->len_bytes, len - record->len_bytes,
                              record->part_count > 0, error);
    return rc;
}

/* Whole records of one part: how many there are at `in`, and where they end. Records are mostly as
 * long as the one before: comparing with it, rather than computing where the next one is from this
 * one's head, lets the processor run ahead. */
static uint32_t skip_whole(const uint8_t *in, size_t len, uint32_t rows_max, size_t *end_bytes)
{
    size_t at = 0;
    uint32_t rows = 0;
    uint64_t head = 0;
    size_t len_bytes = 0; /* of a record with that head; 0: none was read yet */
    for (; rows < rows_max && len - at >= FMT_RECORDIO_HEAD_BYTES; rows++) {
        if (len_bytes == 0 || fmt_load_le64(in + at) != head) {
            struct fmt_recordio_part part = unpack_head(in + at);
            if (fmt_load_le32(in + at) != FMT_RECORDIO_MAGIC || part.flag != FMT_RECORDIO_WHOLE)
                break;
            head = fmt_load_le64(in + at);
            len_bytes = part.len_bytes;
        }
        if (len_bytes > len - at)
            break;
        at += len_bytes;
    }
    *end_bytes = at;
    return rows;
}

enum fmt_rc fmt_recordio_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                             bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                             struct fmt_error *error)
{
    (void)options;
    (void)at_start;
    size_t at = 0;
    uint32_t rows = 0;
    enum fmt_rc rc = FMT_OK;
    /* What an earlier call learnt of a record of several parts: see the end of this function. */
    struct fmt_recordio_record record = {.len_bytes = cut->scanned_bytes,
                                         .part_count = cut->scan_state};
    while (rows < rows_max && at < len) {
        if (record.part_count == 0) {
            size_t skipped_bytes;
            rows += skip_whole(in + at, len - at, rows_max - rows, &skipped_bytes);
            at += skipped_bytes;
            if (rows == rows_max || at == len)
                break;
        }
        rc = read_parts(in + at, len - at, &record, error);
        if (rc != FMT_OK)
            break;
        at += record.len_bytes;
        rows++;
        record = (struct fmt_recordio_record){0};
    }
    *cut = (struct fmt_cut){.len_bytes = at, .rows = rows};
    if (rows > 0)
        return FMT_OK; /* an error or a rest is the next call's */
    if (rc == FMT_MORE && at_end)
        return fail_truncated(in + record.len_bytes, len - record.len_bytes, record.part_count > 0,
                              error);
    if (rc == FMT_MORE) {
        cut->scanned_bytes = record.len_bytes;
        cut->scan_state = record.part_count;
    }
    return rc;
}

size_t fmt_recordio_join(const uint8_t *in, const struct fmt_recordio_record *record,
                         bool magic_between, uint8_t *to)
{
    static const uint8_t magic[4] = {0x0a, 0x23, 0xd7, 0xce};
    size_t len = 0;
    for (uint32_t i = 0; i < record->part_count; i++) {
        struct fmt_recordio_part part = unpack_head(in);
        if (i > 0 && magic_between) {
            memcpy(to + len, magic, sizeof magic);
            len += sizeof magic;
        }
        memcpy(to + len, in + FMT_RECORDIO_HEAD_BYTES, part.body_bytes);
        len += part.body_bytes;
        in += part.len_bytes;
    }
    return len;
}
