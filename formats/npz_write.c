/* SPDX-License-Identifier: Apache-2.0 */
/* formats/npz_write.c - see formats/npz_write.h. */
#include "formats/npz_write.h"

#include "formats/bytes.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert(FMT_LITTLE_ENDIAN, "words and arrays are written as they lie in memory");

#define NPY_HEADER_MAX 192U
#define NPY_ALIGNMENT 64U /* of the array's first byte in the member */

#define ZIP_LOCAL_BYTES 30U
#define ZIP_CENTRAL_BYTES 46U
#define ZIP_END_BYTES 22U
#define ZIP_LOCAL UINT32_C(0x04034b50)
#define ZIP_CENTRAL UINT32_C(0x02014b50)
#define ZIP_END UINT32_C(0x06054b50)
#define ZIP_VERSION 20U /* 2.0: what a stored member needs */
#define ZIP_DATE 0x21U  /* 1980-01-01, the first there is */

/* One member: what the local header and the directory both say. */
struct member {
    const struct fmt_tensor *tensor;
    char header[NPY_HEADER_MAX];
    size_t header_bytes;
    uint32_t crc;
    uint32_t offset_bytes; /* of the local header */
};

/* --- .npy ----------------------------------------------------------------------------------------
 */

/* Magic, version 1.0, length, a Python dictionary, blanks up to a newline that ends on the
 * alignment. */
static void make_npy_header(struct member *m)
{
    char shape[FMT_TENSOR_DIMS_MAX * 24] = "";
    char dictionary[NPY_HEADER_MAX];
    size_t len = 0;
    for (uint32_t d = 0; d < m->tensor->dim_count; d++)
        len += (size_t)snprintf(shape + len, sizeof shape - len, "%" PRIu64 "%s",
                                m->tensor->shape[d], d + 1 < m->tensor->dim_count ? ", " : "");
    snprintf(dictionary, sizeof dictionary,
             "{'descr': '<f4', 'fortran_order': False, 'shape': (%s%s), }", shape,
             m->tensor->dim_count == 1 ? "," : "");
    size_t text_bytes = strlen(dictionary);
    size_t whole = (10 + text_bytes + 1 + NPY_ALIGNMENT - 1) / NPY_ALIGNMENT * NPY_ALIGNMENT;
    uint16_t rest = (uint16_t)(whole - 10);
    memset(m->header, ' ', whole);
    memcpy(m->header, "\x93NUMPY\x01\x00", 8);
    memcpy(m->header + 8, &rest, sizeof rest);
    memcpy(m->header + 10, dictionary, text_bytes);
    m->header[whole - 1] = '\n';
    m->header_bytes = whole;
}

static uint64_t member_bytes(const struct member *m)
{
    return m->header_bytes + fmt_tensor_bytes(m->tensor);
}

/* --- ZIP -----------------------------------------------------------------------------------------
 */

/* CRC-32 of APPNOTE.TXT 4.4.7 (polynomial 0xedb88320), a byte at a time: models are small. */
static void make_crc_table(uint32_t *table)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? UINT32_C(0xedb88320) ^ (crc >> 1) : crc >> 1;
        table[i] = crc;
    }
}

static uint32_t crc_add(const uint32_t *table, uint32_t crc, const void *bytes, uint64_t len_bytes)
{
    const uint8_t *p = bytes;
    crc = ~crc;
    for (uint64_t i = 0; i < len_bytes; i++)
        crc = table[(crc ^ p[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static char *put16(char *p, uint32_t value)
{
    uint16_t word = (uint16_t)value;
    memcpy(p, &word, sizeof word);
    return p + sizeof word;
}

static char *put32(char *p, uint32_t value)
{
    memcpy(p, &value, sizeof value);
    return p + sizeof value;
}

static size_t name_bytes(const struct member *m)
{
    return strlen(m->tensor->name) + strlen(".npy");
}

/* The fields that both headers share, from "version needed" to "extra field length". */
static char *put_common(char *p, const struct member *m)
{
    uint32_t size = (uint32_t)member_bytes(m);
    p = put16(p, ZIP_VERSION);
    p = put16(p, 0); /* flags */
    p = put16(p, 0); /* stored */
    p = put16(p, 0); /* time */
    p = put16(p, ZIP_DATE);
    p = put32(p, m->crc);
    p = put32(p, size); /* as stored */
    p = put32(p, size); /* as it was */
    p = put16(p, (uint32_t)name_bytes(m));
    return put16(p, 0); /* no extra field */
}

static int sink_name(const struct member *m, fmt_sink_fn sink, void *cookie)
{
    int rc = sink(cookie, m->tensor->name, strlen(m->tensor->name));
    return rc != 0 ? rc : sink(cookie, ".npy", strlen(".npy"));
}

static int write_member(const struct member *m, fmt_sink_fn sink, void *cookie)
{
    char local[ZIP_LOCAL_BYTES];
    put_common(put32(local, ZIP_LOCAL), m);
    int rc = sink(cookie, local, sizeof local);
    if (rc == 0)
        rc = sink_name(m, sink, cookie);
    if (rc == 0)
        rc = sink(cookie, m->header, m->header_bytes);
    if (rc == 0)
        rc = sink(cookie, m->tensor->data, (size_t)fmt_tensor_bytes(m->tensor));
    return rc;
}

static int write_directory_entry(const struct member *m, fmt_sink_fn sink, void *cookie)
{
    char central[ZIP_CENTRAL_BYTES];
    char *p = put32(central, ZIP_CENTRAL);
    p = put16(p, ZIP_VERSION); /* made by */
    p = put_common(p, m);
    p = put16(p, 0); /* no comment */
    p = put16(p, 0); /* disk */
    p = put16(p, 0); /* internal attributes */
    p = put32(p, 0); /* external attributes */
    put32(p, m->offset_bytes);
    int rc = sink(cookie, central, sizeof central);
    return rc != 0 ? rc : sink_name(m, sink, cookie);
}

static int write_end(size_t count, uint32_t directory_bytes, uint32_t directory_at,
                     fmt_sink_fn sink, void *cookie)
{
    char end[ZIP_END_BYTES];
    char *p = put32(end, ZIP_END);
    p = put32(p, 0); /* this disk, and the directory's */
    p = put16(p, (uint32_t)count);
    p = put16(p, (uint32_t)count);
    p = put32(p, directory_bytes);
    p = put32(p, directory_at);
    put16(p, 0); /* no comment */
    return sink(cookie, end, sizeof end);
}

uint64_t fmt_npz_bytes(const struct fmt_tensor *tensors, size_t tensor_count)
{
    uint64_t len_bytes = ZIP_END_BYTES;
    for (size_t i = 0; i < tensor_count; i++) {
        struct member m = {.tensor = &tensors[i]};
        make_npy_header(&m);
        len_bytes += ZIP_LOCAL_BYTES + ZIP_CENTRAL_BYTES + 2 * name_bytes(&m) + member_bytes(&m);
    }
    return len_bytes;
}

int fmt_npz_write(const struct fmt_tensor *tensors, size_t tensor_count, fmt_sink_fn sink,
                  void *cookie)
{
    struct member members[FMT_NPZ_TENSORS_MAX];
    uint32_t table[256];
    uint32_t at = 0;
    uint32_t directory_bytes = 0;
    int rc = 0;
    make_crc_table(table);
    for (size_t i = 0; i < tensor_count && rc == 0; i++) {
        struct member *m = &members[i];
        m->tensor = &tensors[i];
        m->offset_bytes = at;
        make_npy_header(m);
        m->crc = crc_add(table, 0, m->header, m->header_bytes);
        m->crc = crc_add(table, m->crc, tensors[i].data, fmt_tensor_bytes(&tensors[i]));
        rc = write_member(m, sink, cookie);
        at += (uint32_t)(ZIP_LOCAL_BYTES + name_bytes(m) + member_bytes(m));
    }
    for (size_t i = 0; i < tensor_count && rc == 0; i++) {
        rc = write_directory_entry(&members[i], sink, cookie);
        directory_bytes += (uint32_t)(ZIP_CENTRAL_BYTES + name_bytes(&members[i]));
    }
    return rc != 0 ? rc : write_end(tensor_count, directory_bytes, at, sink, cookie);
}
