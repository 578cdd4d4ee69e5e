/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tfrecord.c - see tfrecord.h. */
#include "formats/tfrecord.h"

#include <inttypes.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "formats/bytes.h"
#include "formats/crc.h"
#include "formats/crc_x86.h"

#define AROUND_BYTES ((uint64_t)FMT_TFRECORD_HEAD_BYTES + FMT_TFRECORD_TAIL_BYTES)

static uint32_t mask(uint32_t sum)
{
    return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

uint32_t fmt_tfrecord_sum(const uint8_t *in, size_t len)
{
    return mask((uint32_t)fmt_crc(FMT_CRC32C, 0, in, len));
}

static bool is_head(const uint8_t *in)
{
    return fmt_load_le32(in + 8) == fmt_tfrecord_sum(in, 8);
}

size_t fmt_tfrecord_find_head_plainly(const uint8_t *in, size_t len, size_t from)
{
    while (from + FMT_TFRECORD_HEAD_BYTES <= len && !is_head(in + from))
        from++;
    return from;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static size_t find_head(const uint8_t *in, size_t len,
                                                          size_t from)
{
    for (; from + FMT_TFRECORD_HEAD_BYTES <= len; from++) {
        uint64_t state = _mm_crc32_u64(UINT32_MAX, fmt_load_le64(in + from));
        if (mask(~(uint32_t)state) == fmt_load_le32(in + from + 8))
            break;
    }
    return from;
}
#endif

size_t fmt_tfrecord_find_head(const uint8_t *in, size_t len, size_t from)
{
#if defined(__x86_64__)
    if (fmt_has_crc32())
        return find_head(in, len, from);
#endif
    return fmt_tfrecord_find_head_plainly(in, len, from);
}

/* Reads the head at `in`. FMT_MORE: the record does not end within `len`; if its head does,
 * *data_bytes is set, and else 0. */
static enum fmt_rc read_head(const uint8_t *in, size_t len, uint64_t *data_bytes,
                             struct fmt_error *error)
{
    *data_bytes = 0;
    if (len < FMT_TFRECORD_HEAD_BYTES)
        return FMT_MORE;
    if (!is_head(in))
        return fmt_fail(error, 0, 0,
                        "bad checksum of a record's length: 0x%08" PRIx32 ", not 0x%08" PRIx32
                        " (is the object TFRecord, and not compressed?)",
                        fmt_load_le32(in + 8), fmt_tfrecord_sum(in, 8));
    *data_bytes = fmt_load_le64(in);
    return len >= AROUND_BYTES && *data_bytes <= len - AROUND_BYTES ? FMT_OK : FMT_MORE;
}

static enum fmt_rc fail_truncated(uint64_t data_bytes, size_t len, struct fmt_error *error)
{
    if (len < FMT_TFRECORD_HEAD_BYTES)
        return fmt_fail(error, 0, 0,
                        "truncated: the object ends after %zu of the %d bytes of a record's head",
                        len, FMT_TFRECORD_HEAD_BYTES);
    return fmt_fail(error, 0, 0,
                    "truncated: the record announces %" PRIu64
                    " bytes and a checksum, the object ends after %zu",
                    data_bytes, len - FMT_TFRECORD_HEAD_BYTES);
}

enum fmt_rc fmt_tfrecord_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                             bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                             struct fmt_error *error)
{
    (void)options;
    (void)at_start;
    size_t at = 0;
    uint32_t rows = 0;
    uint64_t data_bytes = 0;
    enum fmt_rc rc = FMT_OK;
    while (rows < rows_max && at < len) {
        /* A head like the last one needs no sum. */
        bool same =
            rows > 0 && len - at >= FMT_TFRECORD_HEAD_BYTES &&
            memcmp(in + at, in + at - AROUND_BYTES - data_bytes, FMT_TFRECORD_HEAD_BYTES) == 0;
        if (!same)
            rc = read_head(in + at, len - at, &data_bytes, error);
        else if (len - at < AROUND_BYTES || data_bytes > len - at - AROUND_BYTES)
            rc = FMT_MORE;
        if (rc != FMT_OK)
            break;
        at += (size_t)(data_bytes + AROUND_BYTES);
        rows++;
    }
    *cut = (struct fmt_cut){.len_bytes = at, .rows = rows};
    if (rows > 0)
        return FMT_OK; /* an error or a rest is the next call's */
    return rc == FMT_MORE && at_end ? fail_truncated(data_bytes, len, error) : rc;
}

enum fmt_rc fmt_tfrecord_resync(const struct fmt_options *options, const uint8_t *in, size_t len,
                                uint64_t offset, bool at_end, size_t *skip_bytes)
{
    (void)options;
    (void)offset;
    for (size_t at = 1; at + FMT_TFRECORD_HEAD_BYTES <= len; at++) {
        uint64_t data_bytes;
        at = fmt_tfrecord_find_head(in, len, at);
        if (at + FMT_TFRECORD_HEAD_BYTES > len)
            break;
        /* One that goes on behind the object's end is none. */
        if (at_end && read_head(in + at, len - at, &data_bytes, NULL) != FMT_OK)
            continue;
        *skip_bytes = at;
        return FMT_OK;
    }
    *skip_bytes = at_end ? len : len < FMT_TFRECORD_HEAD_BYTES ? 0 : len - FMT_TFRECORD_HEAD_BYTES;
    return at_end ? FMT_OK : FMT_MORE;
}

enum fmt_rc fmt_tfrecord_read(const uint8_t *in, size_t len, struct fmt_tfrecord *record,
                              struct fmt_error *error)
{
    uint64_t data_bytes;
    enum fmt_rc rc = read_head(in, len, &data_bytes, error);
    if (rc != FMT_OK)
        return rc;
    record->data = in + FMT_TFRECORD_HEAD_BYTES;
    record->data_bytes = (size_t)data_bytes;
    record->len_bytes = (size_t)(data_bytes + AROUND_BYTES);
    uint32_t expected = fmt_load_le32(record->data + record->data_bytes);
    uint32_t sum = fmt_tfrecord_sum(record->data, record->data_bytes);
    if (sum == expected)
        return FMT_OK;
    return fmt_fail(error, 0, 0,
                    "bad checksum of a record's %zu bytes: 0x%08" PRIx32 ", not 0x%08" PRIx32
                    ": they are corrupt",
                    record->data_bytes, expected, sum);
}
