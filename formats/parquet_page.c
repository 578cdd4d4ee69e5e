/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_page.c - see parquet_page.h: heads and checksums. */
#include "formats/parquet_page.h"

#include "formats/crc.h"

/* Fields of PageHeader, and of the heads inside it. */
enum {
    PAGE_TYPE = 1,
    PAGE_BYTES = 2,
    PAGE_PACKED_BYTES = 3,
    PAGE_CRC = 4,
    PAGE_DATA = 5,
    PAGE_DICTIONARY = 7,
    PAGE_DATA_2 = 8,
};
enum { DATA_VALUES = 1, DATA_ENCODING = 2, DATA_LEVEL_ENCODING = 3 };
enum {
    DATA_2_VALUES = 1,
    DATA_2_ROWS = 3,
    DATA_2_ENCODING = 4,
    DATA_2_LEVEL_BYTES = 5,
    DATA_2_REPETITION_BYTES = 6,
    DATA_2_PACKED = 7,
};
enum { HEADS = 9 }; /* by field of PageHeader */

struct words {
    int64_t type;
    int64_t bytes;
    int64_t packed_bytes;
    int64_t crc;
    bool has_crc;
    bool has_head[HEADS];
    int64_t values;
    int64_t rows;
    int64_t encoding;
    int64_t level_encoding;
    int64_t level_bytes;
    int64_t repetition_bytes;
    bool packed;
};

/* A dictionary's head has the same first two fields. */
static void read_data(struct fmt_thrift *reader, bool in_dictionary, struct words *words)
{
    struct fmt_thrift_field field = {.id = 0};

    while (fmt_thrift_next(reader, &field))
        if (field.id == DATA_VALUES)
            words->values = fmt_thrift_int(reader, &field);
        else if (field.id == DATA_ENCODING)
            words->encoding = fmt_thrift_int(reader, &field);
        else if (field.id == DATA_LEVEL_ENCODING && !in_dictionary)
            words->level_encoding = fmt_thrift_int(reader, &field);
        else
            fmt_thrift_skip(reader, &field);
}

static void read_data_2(struct fmt_thrift *reader, struct words *words)
{
    struct fmt_thrift_field field = {.id = 0};

    while (fmt_thrift_next(reader, &field)) {
        int64_t *word = field.id == DATA_2_VALUES             ? &words->values
                        : field.id == DATA_2_ROWS             ? &words->rows
                        : field.id == DATA_2_ENCODING         ? &words->encoding
                        : field.id == DATA_2_LEVEL_BYTES      ? &words->level_bytes
                        : field.id == DATA_2_REPETITION_BYTES ? &words->repetition_bytes
                                                              : NULL;

        if (word)
            *word = fmt_thrift_int(reader, &field);
        else if (field.id == DATA_2_PACKED)
            words->packed = fmt_thrift_bool(reader, &field);
        else
            fmt_thrift_skip(reader, &field);
    }
}

static void read_head(struct fmt_thrift *reader, struct words *words)
{
    struct fmt_thrift_field field = {.id = 0};

    *words = (struct words){.type = -1,
                            .bytes = -1,
                            .packed_bytes = -1,
                            .values = -1,
                            .rows = -1,
                            .encoding = -1,
                            .level_encoding = FMT_PQ_RLE,
                            .packed = true};
    while (fmt_thrift_next(reader, &field)) {
        if (field.id >= 0 && field.id < HEADS)
            words->has_head[field.id] = true;
        if (field.id == PAGE_TYPE) {
            words->type = fmt_thrift_int(reader, &field);
        } else if (field.id == PAGE_BYTES) {
            words->bytes = fmt_thrift_int(reader, &field);
        } else if (field.id == PAGE_PACKED_BYTES) {
            words->packed_bytes = fmt_thrift_int(reader, &field);
        } else if (field.id == PAGE_CRC) {
            words->crc = fmt_thrift_int(reader, &field);
            words->has_crc = true;
        } else if ((field.id == PAGE_DATA || field.id == PAGE_DICTIONARY) &&
                   fmt_thrift_struct(reader, &field)) {
            read_data(reader, field.id == PAGE_DICTIONARY, words);
        } else if (field.id == PAGE_DATA_2 && fmt_thrift_struct(reader, &field)) {
            read_data_2(reader, words);
        } else {
            fmt_thrift_skip(reader, &field);
        }
    }
}

static bool is_within(int64_t value, int64_t most)
{
    return value >= 0 && value <= most;
}

/* What is wrong with a head; NULL: nothing. */
static const char *check_head(const struct words *words, size_t left)
{
    static const int head_of[] = {[FMT_PQ_PAGE_DATA] = PAGE_DATA,
                                  [FMT_PQ_PAGE_INDEX] = PAGE_TYPE,
                                  [FMT_PQ_PAGE_DICTIONARY] = PAGE_DICTIONARY,
                                  [FMT_PQ_PAGE_DATA_2] = PAGE_DATA_2};

    if (!is_within(words->type, FMT_PQ_PAGE_DATA_2))
        return "its type does not exist";
    if (!words->has_head[head_of[words->type]])
        return "its head is not of its type";
    if (!is_within(words->bytes, INT32_MAX) || !is_within(words->packed_bytes, INT32_MAX))
        return "it does not tell its length";
    if ((uint64_t)words->packed_bytes > left)
        return "it is longer than its column's pages together";
    if (words->type == FMT_PQ_PAGE_INDEX)
        return NULL;
    if (!is_within(words->values, INT32_MAX))
        return "it does not tell how many values it has";
    if (!is_within(words->encoding, UINT8_MAX) || !is_within(words->level_encoding, UINT8_MAX))
        return "it does not tell its encoding";
    if (words->type != FMT_PQ_PAGE_DATA_2)
        return NULL;
    if (words->rows != words->values || words->repetition_bytes != 0)
        return "it has not as many rows as values";
    if (!is_within(words->level_bytes, words->packed_bytes) || words->level_bytes > words->bytes)
        return "its levels are longer than the page";
    return NULL;
}

enum fmt_rc fmt_pq_read_page(const uint8_t *file, size_t at, size_t end, struct fmt_pq_page *page,
                             struct fmt_error *error)
{
    struct fmt_thrift reader = {.at = file + at, .end = file + end};
    struct words words;

    read_head(&reader, &words);
    const char *cause =
        reader.cause ? reader.cause : check_head(&words, end - (size_t)(reader.at - file));

    if (cause)
        return fmt_fail(error, at, 0, "a page's head is corrupt: %s", cause);
    *page = (struct fmt_pq_page){.type = (uint32_t)words.type,
                                 .at = at,
                                 .data = reader.at,
                                 .packed_bytes = (uint32_t)words.packed_bytes,
                                 .bytes = (uint32_t)words.bytes,
                                 .values = (uint32_t)words.values,
                                 .encoding = (uint32_t)words.encoding,
                                 .level_encoding = (uint32_t)words.level_encoding,
                                 .level_bytes = (uint32_t)words.level_bytes,
                                 .packed = words.packed,
                                 .has_crc = words.has_crc,
                                 .crc = (uint32_t)words.crc};
    return FMT_OK;
}

enum fmt_rc fmt_pq_check_page(const struct fmt_pq_page *page, struct fmt_error *error)
{
    if (page->has_crc && fmt_crc(FMT_CRC32, 0, page->data, page->packed_bytes) != page->crc)
        return fmt_fail(error, page->at, 0, "a page is corrupt: its CRC-32 differs");
    return FMT_OK;
}
