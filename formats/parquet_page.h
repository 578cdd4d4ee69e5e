/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_page.h - a page of a Parquet column: its head, its checksum, its bytes
 * decompressed.
 *
 * Owner: the caller lends the file and all room. Threads: a struct fmt_pq_unpacker belongs to one
 * thread at a time. Units: bytes, values (nulls among them). Offsets in errors count from the
 * file's first byte.
 */
#ifndef FORMATS_PARQUET_PAGE_H
#define FORMATS_PARQUET_PAGE_H

#include "formats/parquet_footer.h"

enum fmt_pq_page_type {
    FMT_PQ_PAGE_DATA,
    FMT_PQ_PAGE_INDEX,
    FMT_PQ_PAGE_DICTIONARY,
    FMT_PQ_PAGE_DATA_2,
};

enum fmt_pq_encoding {
    FMT_PQ_PLAIN = 0,
    FMT_PQ_PLAIN_DICTIONARY = 2,
    FMT_PQ_RLE = 3,
    FMT_PQ_BIT_PACKED = 4,
    FMT_PQ_DELTA_BINARY_PACKED = 5,
    FMT_PQ_DELTA_LENGTH_BYTE_ARRAY = 6,
    FMT_PQ_DELTA_BYTE_ARRAY = 7,
    FMT_PQ_RLE_DICTIONARY = 8,
    FMT_PQ_BYTE_STREAM_SPLIT = 9,
};

struct fmt_pq_page {
    uint32_t type;
    size_t at;           /* of its head, in the file */
    const uint8_t *data; /* as it is in the file */
    uint32_t packed_bytes;
    uint32_t bytes; /* decompressed */
    uint32_t values;
    uint32_t encoding;
    uint32_t level_encoding;
    uint32_t level_bytes; /* DATA_2: levels in front, never compressed */
    bool packed;          /* DATA_2: the rest is compressed */
    bool has_crc;
    uint32_t crc;
};

/* Reads the page whose head is at `at`, and which has to end before `end`. The next one is behind
 * page->data[page->packed_bytes]. */
enum fmt_rc fmt_pq_read_page(const uint8_t *file, size_t at, size_t end, struct fmt_pq_page *page,
                             struct fmt_error *error);

/* FMT_E_FORMAT if the page has a CRC, and it differs. */
enum fmt_rc fmt_pq_check_page(const struct fmt_pq_page *page, struct fmt_error *error);

struct fmt_pq_unpacker; /* contexts of the codecs */

/* NULL when memory is out. free accepts NULL. */
struct fmt_pq_unpacker *fmt_pq_unpacker_new(void);
void fmt_pq_unpacker_free(struct fmt_pq_unpacker *unpacker);

/* Whether pages of that codec are anything but themselves. */
bool fmt_pq_is_packed(uint32_t codec);

/* NULL if pages of that codec can be read; else its name, or what it is. */
const char *fmt_pq_refused_codec(uint32_t codec);

/* Decompresses in[in_bytes] to exactly out_bytes. Returns the cause of an error, or NULL. */
const char *fmt_pq_unpack(struct fmt_pq_unpacker *unpacker, uint32_t codec, const uint8_t *in,
                          size_t in_bytes, uint8_t *out, size_t out_bytes);

#endif
