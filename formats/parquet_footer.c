/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_footer.c - see parquet_footer.h. */
#include "formats/parquet_footer.h"

#include "formats/bytes.h"
#include "formats/parquet_schema.h"

#include <string.h>

enum { MAGIC_BYTES = 4, TAIL_BYTES = 8 };

/* Fields of FileMetaData, RowGroup, ColumnChunk, ColumnMetaData. */
enum { FILE_SCHEMA = 2, FILE_ROWS = 3, FILE_GROUPS = 4, FILE_ENCRYPTION = 8 };
enum { GROUP_COLUMNS = 1, GROUP_ROWS = 3 };
enum { CHUNK_FILE = 1, CHUNK_META = 3, CHUNK_CRYPTO = 8, CHUNK_CRYPTO_META = 9 };
enum {
    META_TYPE = 1,
    META_CODEC = 4,
    META_VALUES = 5,
    META_LEN = 7,
    META_DATA_AT = 9,
    META_DICTIONARY_AT = 11,
};

static enum fmt_rc fail_thrift(const struct fmt_pq_file *file, const struct fmt_thrift *reader,
                               struct fmt_error *error)
{
    return fmt_fail(error, (size_t)(reader->at - file->bytes), 0, "the footer is corrupt: %s",
                    reader->cause);
}

/* ---- row groups ---- */

/* What the footer says of a chunk, of which nothing is known to be right. */
struct places {
    bool found;
    int64_t codec;
    int64_t len_bytes;
    int64_t data_at;
    int64_t dictionary_at;
};

static void read_meta(struct fmt_thrift *reader, struct fmt_pq_chunk *chunk, struct places *places)
{
    struct fmt_thrift_field field = {.id = 0};

    places->found = true;
    while (fmt_thrift_next(reader, &field)) {
        int64_t *word = field.id == META_TYPE            ? &chunk->type
                        : field.id == META_VALUES        ? &chunk->values
                        : field.id == META_CODEC         ? &places->codec
                        : field.id == META_LEN           ? &places->len_bytes
                        : field.id == META_DATA_AT       ? &places->data_at
                        : field.id == META_DICTIONARY_AT ? &places->dictionary_at
                                                         : NULL;

        if (word)
            *word = fmt_thrift_int(reader, &field);
        else
            fmt_thrift_skip(reader, &field);
    }
}

/* Takes over what has been checked. */
static void place_chunk(const struct fmt_pq_file *file, const struct places *places,
                        struct fmt_pq_chunk *chunk)
{
    int64_t at = places->dictionary_at > 0 && places->dictionary_at < places->data_at
                     ? places->dictionary_at
                     : places->data_at;

    chunk->codec =
        places->codec < 0 || places->codec > UINT32_MAX ? UINT32_MAX : (uint32_t)places->codec;
    if (chunk->refusal)
        return;
    if (!places->found) {
        chunk->refusal = "the footer does not tell where its pages are";
    } else if (at < MAGIC_BYTES || places->len_bytes < 0 || at > (int64_t)file->footer_at ||
               places->len_bytes > (int64_t)file->footer_at - at) {
        chunk->refusal = "its pages are said to be outside the file";
    } else {
        chunk->at = (size_t)at;
        chunk->len_bytes = (size_t)places->len_bytes;
    }
}

static void read_chunk(const struct fmt_pq_file *file, struct fmt_thrift *reader,
                       struct fmt_pq_chunk *chunk)
{
    struct fmt_thrift_field field = {.id = 0};
    struct places places = {.codec = -1, .len_bytes = -1};

    *chunk = (struct fmt_pq_chunk){.type = -1, .values = -1};
    while (fmt_thrift_next(reader, &field)) {
        if (field.id == CHUNK_META && fmt_thrift_struct(reader, &field)) {
            read_meta(reader, chunk, &places);
            continue;
        }
        if (field.id == CHUNK_CRYPTO || field.id == CHUNK_CRYPTO_META)
            chunk->refusal = "it is encrypted, which cannot be read here";
        else if (field.id == CHUNK_FILE)
            chunk->refusal = "its pages are in another file";
        fmt_thrift_skip(reader, &field);
    }
    place_chunk(file, &places, chunk);
}

enum fmt_rc fmt_pq_next_group(struct fmt_pq_file *file, uint64_t *rows, struct fmt_error *error)
{
    struct fmt_thrift *reader = &file->groups;
    struct fmt_thrift_field field = {.id = 0};
    size_t at = (size_t)(reader->at - file->bytes);
    int64_t row_count = -1;
    uint32_t chunk_count = 0;

    while (fmt_thrift_next(reader, &field)) {
        if (field.id == GROUP_COLUMNS) {
            chunk_count = fmt_thrift_structs(reader, &field);
            for (uint32_t i = 0; i < chunk_count && chunk_count == file->leaf_count; i++)
                read_chunk(file, reader, &file->chunks[i]);
            if (chunk_count != file->leaf_count)
                break;
        } else if (field.id == GROUP_ROWS) {
            row_count = fmt_thrift_int(reader, &field);
        } else {
            fmt_thrift_skip(reader, &field);
        }
    }
    if (reader->cause)
        return fail_thrift(file, reader, error);
    if (chunk_count != file->leaf_count)
        return fmt_fail(error, at, 0, "row group %u has %u columns, the file %u",
                        file->groups_read + 1, chunk_count, file->leaf_count);
    if (row_count < 0)
        return fmt_fail(error, at, 0, "row group %u does not tell how many rows it has",
                        file->groups_read + 1);
    file->groups_read++;
    *rows = (uint64_t)row_count;
    return FMT_OK;
}

/* Whether the row groups together are the file's rows; goes back to the first. */
static enum fmt_rc check_groups(struct fmt_pq_file *file, struct fmt_error *error)
{
    struct fmt_thrift first = file->groups;
    uint64_t left = file->rows;

    for (uint32_t i = 0; i < file->group_count; i++) {
        uint64_t rows = 0;
        size_t at = (size_t)(file->groups.at - file->bytes);
        enum fmt_rc rc = fmt_pq_next_group(file, &rows, error);

        if (rc != FMT_OK)
            return rc;
        if (rows > left)
            return fmt_fail(error, at, 0, "its row groups have more rows than the file");
        left -= rows;
    }
    if (left > 0)
        return fmt_fail(error, file->footer_at, 0, "its row groups have less rows than the file");
    file->groups = first;
    file->groups_read = 0;
    return FMT_OK;
}

/* ---- file ---- */

static enum fmt_rc find_footer(struct fmt_pq_file *file, struct fmt_error *error)
{
    if (file->len_bytes < MAGIC_BYTES + TAIL_BYTES || memcmp(file->bytes, "PAR1", 4) != 0) {
        if (file->len_bytes >= MAGIC_BYTES && memcmp(file->bytes, "PARE", 4) == 0)
            return fmt_fail(error, 0, 0, "it is encrypted, which cannot be read here");
        return fmt_fail(error, 0, 0, "not a Parquet file: it does not begin with PAR1");
    }
    const uint8_t *tail = file->bytes + file->len_bytes - TAIL_BYTES;

    if (memcmp(tail + 4, "PARE", 4) == 0)
        return fmt_fail(error, 0, 0, "it is encrypted, which cannot be read here");
    if (memcmp(tail + 4, "PAR1", 4) != 0)
        return fmt_fail(error, file->len_bytes, 0, "truncated: it does not end with PAR1");
    uint32_t footer_bytes = fmt_load_le32(tail);

    if (footer_bytes > file->len_bytes - MAGIC_BYTES - TAIL_BYTES)
        return fmt_fail(error, file->len_bytes - TAIL_BYTES, 0,
                        "corrupt: its footer is said to be longer than the file");
    file->footer_at = file->len_bytes - TAIL_BYTES - footer_bytes;
    return FMT_OK;
}

enum fmt_rc fmt_pq_open(struct fmt_pq_file *file, struct fmt_pq_arena *arena,
                        struct fmt_error *error)
{
    struct fmt_thrift_field field = {.id = 0};
    enum fmt_rc rc = find_footer(file, error);
    int64_t rows = -1;

    if (rc != FMT_OK)
        return rc;
    struct fmt_thrift reader = {.at = file->bytes + file->footer_at,
                                .end = file->bytes + file->len_bytes - TAIL_BYTES};

    file->group_count = file->groups_read = file->leaf_count = 0;
    file->groups = reader;
    while (rc == FMT_OK && fmt_thrift_next(&reader, &field)) {
        if (field.id == FILE_SCHEMA) {
            rc = fmt_pq_read_schema(file, &reader, &field, arena, error);
        } else if (field.id == FILE_ROWS) {
            rows = fmt_thrift_int(&reader, &field);
        } else if (field.id == FILE_GROUPS) {
            file->group_count = fmt_thrift_structs(&reader, &field);
            file->groups = reader;
            for (uint32_t i = 0; i < file->group_count && !reader.cause; i++)
                fmt_thrift_skip_struct(&reader);
        } else if (field.id == FILE_ENCRYPTION) {
            return fmt_fail(error, 0, 0, "it is encrypted, which cannot be read here");
        } else {
            fmt_thrift_skip(&reader, &field);
        }
    }
    if (rc != FMT_OK)
        return rc;
    if (reader.cause)
        return fail_thrift(file, &reader, error);
    if (file->leaf_count == 0 || rows < 0)
        return fmt_fail(error, file->footer_at, 0, "the footer has no %s",
                        rows < 0 ? "number of rows" : "columns");
    file->rows = (uint64_t)rows;
    file->chunks = fmt_pq_take(arena, file->leaf_count, sizeof *file->chunks);
    return file->chunks ? check_groups(file, error) : FMT_E_MEMORY;
}
