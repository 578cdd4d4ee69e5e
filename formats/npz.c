/* SPDX-License-Identifier: Apache-2.0 */
/* formats/npz.c - see npz.h. The central directory, found from the end of the file, is what counts;
 * local headers only tell where a member's bytes begin. */
#include "formats/npz.h"

#include "formats/bytes.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define END_BYTES 22
#define END64_LOCATOR_BYTES 20
#define END64_BYTES 56
#define ENTRY_BYTES 46
#define LOCAL_BYTES 30
#define COMMENT_BYTES_MAX 65535

#define END_MAGIC 0x06054b50u
#define END64_LOCATOR_MAGIC 0x07064b50u
#define END64_MAGIC 0x06064b50u
#define ENTRY_MAGIC 0x02014b50u
#define LOCAL_MAGIC 0x04034b50u

enum { METHOD_STORED = 0, METHOD_DEFLATED = 8, FLAG_ENCRYPTED = 1, EXTRA_ZIP64 = 1 };

struct directory {
    uint64_t offset;
    uint64_t count;
};

static uint32_t le16(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8;
}

static bool inside(size_t len, uint64_t offset, uint64_t need)
{
    return offset <= len && need <= len - offset;
}

static enum fmt_rc malformed(struct fmt_error *error, uint64_t offset)
{
    return fmt_fail(error, (size_t)offset, 0, "the .npz archive is malformed or cut short");
}

static bool find_directory(const uint8_t *in, size_t len, struct directory *directory)
{
    size_t end = len < END_BYTES ? 0 : len - END_BYTES;
    size_t least = end > COMMENT_BYTES_MAX ? end - COMMENT_BYTES_MAX : 0;

    if (len < END_BYTES)
        return false;
    while (fmt_load_le32(in + end) != END_MAGIC)
        if (end-- == least)
            return false;
    directory->count = le16(in + end + 10);
    directory->offset = fmt_load_le32(in + end + 16);
    if (directory->offset != UINT32_MAX && directory->count != UINT16_MAX)
        return true;
    if (end < END64_LOCATOR_BYTES ||
        fmt_load_le32(in + end - END64_LOCATOR_BYTES) != END64_LOCATOR_MAGIC)
        return true; /* the numbers just happen to be that large */
    uint64_t end64 = fmt_load_le64(in + end - END64_LOCATOR_BYTES + 8);

    if (!inside(len, end64, END64_BYTES) || fmt_load_le32(in + end64) != END64_MAGIC)
        return false;
    directory->count = fmt_load_le64(in + end64 + 32);
    directory->offset = fmt_load_le64(in + end64 + 48);
    return true;
}

/* Replaces sizes that did not fit 32 bits by those of the ZIP64 extra field. */
static bool read_zip64(const uint8_t *extra, size_t len, uint64_t *values[3])
{
    while (len >= 4) {
        size_t field_bytes = le16(extra + 2);

        if (field_bytes > len - 4)
            return false;
        if (le16(extra) == EXTRA_ZIP64) {
            const uint8_t *at = extra + 4;

            for (int i = 0; i < 3; i++) {
                if (*values[i] != UINT32_MAX)
                    continue;
                if (at + 8 > extra + 4 + field_bytes)
                    return false;
                *values[i] = fmt_load_le64(at);
                at += 8;
            }
        }
        extra += 4 + field_bytes;
        len -= 4 + field_bytes;
    }
    return true;
}

/* Reads the directory entry at `offset`; *next receives where the following one begins. */
static enum fmt_rc read_entry(const uint8_t *in, size_t len, uint64_t offset,
                              struct fmt_npz_member *member, uint64_t *next,
                              struct fmt_error *error)
{
    if (!inside(len, offset, ENTRY_BYTES) || fmt_load_le32(in + offset) != ENTRY_MAGIC)
        return malformed(error, offset);
    const uint8_t *entry = in + offset;
    size_t name_bytes = le16(entry + 28);
    size_t extra_bytes = le16(entry + 30);
    uint64_t stored = fmt_load_le32(entry + 20);
    uint64_t full = fmt_load_le32(entry + 24);
    uint64_t local = fmt_load_le32(entry + 42);
    uint64_t *values[3] = {&full, &stored, &local};

    *next = offset + ENTRY_BYTES + name_bytes + extra_bytes + le16(entry + 32);
    if (!inside(len, offset + ENTRY_BYTES, name_bytes + extra_bytes) ||
        !read_zip64(entry + ENTRY_BYTES + name_bytes, extra_bytes, values) ||
        !inside(len, local, LOCAL_BYTES) || fmt_load_le32(in + local) != LOCAL_MAGIC)
        return malformed(error, offset);
    snprintf(member->name, sizeof member->name, "%.*s", (int)name_bytes,
             (const char *)entry + ENTRY_BYTES);
    uint32_t method = le16(entry + 10);
    uint64_t data = local + LOCAL_BYTES + le16(in + local + 26) + le16(in + local + 28);

    if ((le16(entry + 8) & FLAG_ENCRYPTED) ||
        (method != METHOD_STORED && method != METHOD_DEFLATED))
        return fmt_fail(error, (size_t)offset, 0,
                        "member %s is encrypted or compressed by an unknown method", member->name);
    if (!inside(len, data, stored) || (method == METHOD_STORED && stored != full))
        return malformed(error, local);
    member->data = in + data;
    member->len_bytes = (size_t)stored;
    member->full_bytes = (size_t)full;
    member->crc32 = fmt_load_le32(entry + 16);
    member->deflated = method == METHOD_DEFLATED;
    return FMT_OK;
}

static bool is_called(const struct fmt_npz_member *member, const char *name)
{
    size_t len = strlen(name);

    return strncmp(member->name, name, len) == 0 &&
           (member->name[len] == '\0' || strcmp(member->name + len, ".npy") == 0);
}

enum fmt_rc fmt_npz_find(const uint8_t *in, size_t len, const char *name,
                         struct fmt_npz_member *member, struct fmt_error *error)
{
    struct directory directory;
    char names[160] = "";
    size_t names_len = 0;

    if (!find_directory(in, len, &directory))
        return malformed(error, 0);
    uint64_t offset = directory.offset;

    if (!name && directory.count != 1)
        return fmt_fail(error, 0, 0, "the .npz archive has %llu members: name one as FILE:MEMBER",
                        (unsigned long long)directory.count);
    for (uint64_t i = 0; i < directory.count; i++) {
        enum fmt_rc rc = read_entry(in, len, offset, member, &offset, error);

        if (rc != FMT_OK)
            return rc;
        if (!name || is_called(member, name))
            return FMT_OK;
        if (names_len < sizeof names)
            names_len += (size_t)snprintf(names + names_len, sizeof names - names_len, "%s%s",
                                          i ? ", " : "", member->name);
    }
    return fmt_fail(error, 0, 0, "the .npz archive has no member \"%.60s\"; it has %s", name,
                    names);
}

static bool inflate_member(const struct fmt_npz_member *member, uint8_t *out)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)member->data};
    size_t in_left = member->len_bytes;
    size_t out_left = member->full_bytes;
    int rc = inflateInit2(&z, -MAX_WBITS);

    z.next_out = out;
    while (rc == Z_OK) {
        /* zlib counts in 32 bits. */
        uInt in_step = in_left > UINT_MAX ? UINT_MAX : (uInt)in_left;
        uInt out_step = out_left > UINT_MAX ? UINT_MAX : (uInt)out_left;

        z.avail_in = in_step;
        z.avail_out = out_step;
        rc = inflate(&z, Z_NO_FLUSH);
        in_left -= in_step - z.avail_in;
        out_left -= out_step - z.avail_out;
        if (rc == Z_OK && in_step == z.avail_in && out_step == z.avail_out)
            break; /* no progress: the data is longer or shorter than announced */
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END && out_left == 0;
}

static uint32_t crc_of(const uint8_t *bytes, size_t len)
{
    uLong crc = crc32(0, NULL, 0);

    while (len > 0) {
        uInt step = len > UINT_MAX ? UINT_MAX : (uInt)len;

        crc = crc32(crc, bytes, step);
        bytes += step;
        len -= step;
    }
    return (uint32_t)crc;
}

enum fmt_rc fmt_npz_extract(const struct fmt_npz_member *member, uint8_t *out,
                            struct fmt_error *error)
{
    if (!member->deflated)
        memcpy(out, member->data, member->full_bytes);
    else if (!inflate_member(member, out))
        return fmt_fail(error, 0, 0, "member %s does not inflate", member->name);
    if (crc_of(out, member->full_bytes) != member->crc32)
        return fmt_fail(error, 0, 0, "member %s is damaged: its CRC-32 differs", member->name);
    return FMT_OK;
}
