/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_find.c - see parquet_find.h. */
#include "formats/parquet_find.h"

#include "formats/bytes.h"
#include "formats/thrift.h"

#include <string.h>

enum { MAGIC_BYTES = 4, TAIL_BYTES = 8 };

/* Fields of FileMetaData, RowGroup, ColumnChunk, ColumnMetaData. */
enum { FILE_GROUPS = 4 };
enum { GROUP_COLUMNS = 1 };
enum {
    CHUNK_META = 3,
    CHUNK_OFFSETS_AT = 4,
    CHUNK_OFFSETS_LEN = 5,
    CHUNK_COLUMN_INDEX_AT = 6,
    CHUNK_COLUMN_INDEX_LEN = 7,
};
enum {
    META_LEN = 7,
    META_DATA_AT = 9,
    META_DICTIONARY_AT = 11,
    META_BLOOM_AT = 14,
    META_BLOOM_LEN = 15,
};
enum { FIELDS = 16 };

/* What a footer places. */
struct places {
    uint64_t end;    /* of the last of it */
    bool open_ended; /* a Bloom filter, of which old files do not tell the length */
};

/* Reads the integers of a struct by field; what else is in it is passed over, but for meta. */
static void read_words(struct fmt_thrift *reader, int64_t words[FIELDS], int64_t *meta)
{
    struct fmt_thrift_field field = {.id = 0};

    for (int i = 0; i < FIELDS; i++)
        words[i] = -1;
    while (fmt_thrift_next(reader, &field)) {
        if (meta && field.id == CHUNK_META && fmt_thrift_struct(reader, &field))
            read_words(reader, meta, NULL);
        else if (field.id >= 0 && field.id < FIELDS &&
                 (field.type == FMT_THRIFT_I32 || field.type == FMT_THRIFT_I64))
            words[field.id] = fmt_thrift_int(reader, &field);
        else
            fmt_thrift_skip(reader, &field);
    }
}

static void add_place(struct places *places, int64_t at, int64_t len_bytes)
{
    if (at > 0 && len_bytes >= 0 && (uint64_t)at + (uint64_t)len_bytes > places->end)
        places->end = (uint64_t)at + (uint64_t)len_bytes;
}

static void add_chunk(struct fmt_thrift *reader, struct places *places)
{
    int64_t words[FIELDS];
    int64_t meta[FIELDS];

    for (int i = 0; i < FIELDS; i++)
        meta[i] = -1;
    read_words(reader, words, meta);
    /* Without rows there may be a dictionary of nothing, and no data. */
    bool from_dictionary =
        meta[META_DICTIONARY_AT] > 0 &&
        (meta[META_DATA_AT] <= 0 || meta[META_DICTIONARY_AT] < meta[META_DATA_AT]);

    add_place(places, meta[from_dictionary ? META_DICTIONARY_AT : META_DATA_AT], meta[META_LEN]);
    add_place(places, words[CHUNK_OFFSETS_AT], words[CHUNK_OFFSETS_LEN]);
    add_place(places, words[CHUNK_COLUMN_INDEX_AT], words[CHUNK_COLUMN_INDEX_LEN]);
    add_place(places, meta[META_BLOOM_AT], meta[META_BLOOM_LEN]);
    places->open_ended |= meta[META_BLOOM_AT] > 0 && meta[META_BLOOM_LEN] < 0;
}

static void add_group(struct fmt_thrift *reader, struct places *places)
{
    struct fmt_thrift_field field = {.id = 0};

    while (fmt_thrift_next(reader, &field)) {
        if (field.id != GROUP_COLUMNS) {
            fmt_thrift_skip(reader, &field);
            continue;
        }
        uint32_t count = fmt_thrift_structs(reader, &field);

        for (uint32_t i = 0; i < count && !reader->cause; i++)
            add_chunk(reader, places);
    }
}

/* Whether in[len] ends as a file does that begins there. */
static bool is_file(const uint8_t *in, size_t len)
{
    uint32_t footer_bytes = fmt_load_le32(in + len - TAIL_BYTES);

    if (memcmp(in, "PAR1", MAGIC_BYTES) != 0 || footer_bytes == 0 ||
        footer_bytes > len - MAGIC_BYTES - TAIL_BYTES)
        return false;
    size_t footer_at = len - TAIL_BYTES - footer_bytes;
    struct fmt_thrift reader = {.at = in + footer_at, .end = in + len - TAIL_BYTES};
    struct fmt_thrift_field field = {.id = 0};
    struct places places = {.end = MAGIC_BYTES};

    while (fmt_thrift_next(&reader, &field)) {
        if (field.id != FILE_GROUPS) {
            fmt_thrift_skip(&reader, &field);
            continue;
        }
        uint32_t count = fmt_thrift_structs(&reader, &field);

        for (uint32_t i = 0; i < count && !reader.cause; i++)
            add_group(&reader, &places);
    }
    return !reader.cause && reader.at == reader.end &&
           (places.open_ended ? places.end <= footer_at : places.end == footer_at);
}

size_t fmt_pq_find_end(const uint8_t *in, size_t len, size_t *seen)
{
    size_t at = *seen < TAIL_BYTES ? TAIL_BYTES : *seen;

    while (at + MAGIC_BYTES <= len) {
        const uint8_t *found = memchr(in + at, 'P', len - MAGIC_BYTES - at + 1);

        if (!found) {
            at = len - MAGIC_BYTES + 1;
            break;
        }
        at = (size_t)(found - in);
        if (memcmp(found, "PAR1", MAGIC_BYTES) == 0 && is_file(in, at + MAGIC_BYTES))
            return at + MAGIC_BYTES;
        at++;
    }
    *seen = at;
    return 0;
}
