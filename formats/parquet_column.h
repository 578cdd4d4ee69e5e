/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_column.h - one column of a row group, read from its first value to its last.
 *
 * A page is decompressed when its first value is wanted. Texts are not copied: they lie in the
 * file, the dictionary or the page, and are valid until the column goes on to its next page.
 *
 * Owner: the caller lends file, arena and unpacker. Threads: as its owner says. Units: values,
 * bytes. Offsets in errors are those of pages in the file.
 */
#ifndef FORMATS_PARQUET_COLUMN_H
#define FORMATS_PARQUET_COLUMN_H

#include "formats/parquet_bits.h"
#include "formats/parquet_page.h"

enum { FMT_PQ_READ_MAX = 256 }; /* values read at a time */

struct fmt_pq_text {
    const uint8_t *bytes;
    uint32_t len_bytes;
};

struct fmt_pq_column {
    const uint8_t *file;
    const struct fmt_pq_leaf *leaf;
    struct fmt_pq_unpacker *unpacker;
    uint32_t codec;
    size_t next_at; /* next page */
    size_t end_at;

    /* Dictionary: numbers converted, or texts. */
    bool has_dictionary;
    struct fmt_pq_page dictionary;
    uint32_t dictionary_count;
    uint8_t *dictionary_room; /* for it decompressed */
    float *numbers;
    struct fmt_pq_text *texts;

    /* The page under way. */
    uint8_t *room; /* for any page decompressed */
    size_t page_at;
    uint32_t page_left;          /* values */
    struct fmt_pq_hybrid levels; /* of an optional column: whether there is a value */
    uint32_t encoding;
    const uint8_t *at; /* PLAIN, or bytes of DELTA_LENGTH_BYTE_ARRAY */
    const uint8_t *end;
    struct fmt_pq_hybrid hybrid;
    struct fmt_pq_delta delta;
    size_t split_count; /* BYTE_STREAM_SPLIT: values, and those taken */
    size_t split_next;
};

/* Looks at all pages of a chunk. Memory for dictionary and pages is taken from the arena. Returns
 * FMT_OK, FMT_E_FORMAT, or FMT_E_MEMORY when the arena is too small. */
enum fmt_rc fmt_pq_column_start(struct fmt_pq_column *column, const uint8_t *file,
                                const struct fmt_pq_leaf *leaf, const struct fmt_pq_chunk *chunk,
                                struct fmt_pq_unpacker *unpacker, struct fmt_pq_arena *arena,
                                struct fmt_error *error);

/* Takes memory that fmt_pq_column_load wants besides, which may then be taken back. False when the
 * arena is too small. */
bool fmt_pq_column_lend(struct fmt_pq_column *column, struct fmt_pq_arena *arena);

/* Reads the dictionary, if there is one: before the first value. */
enum fmt_rc fmt_pq_column_load(struct fmt_pq_column *column, struct fmt_error *error);

/* Makes sure that the page under way has a value. Only while there are some. */
enum fmt_rc fmt_pq_column_look(struct fmt_pq_column *column, struct fmt_error *error);

/* Reads count values, up to FMT_PQ_READ_MAX, and no more than there are. Nulls are NaN. */
enum fmt_rc fmt_pq_read_numbers(struct fmt_pq_column *column, uint32_t count, float *out,
                                struct fmt_error *error);

/* The same for texts, and no more than the page under way has. Nulls are empty. */
enum fmt_rc fmt_pq_read_texts(struct fmt_pq_column *column, uint32_t count, struct fmt_pq_text *out,
                              struct fmt_error *error);

/* What is wrong with a column, at a place in the file. Returns FMT_E_FORMAT. */
enum fmt_rc fmt_pq_fail_column(struct fmt_error *error, const struct fmt_pq_leaf *leaf, size_t at,
                               const char *cause);

#endif
