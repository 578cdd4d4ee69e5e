/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_footer.h - what a Parquet file's footer tells: its columns, and where each row
 * group has their chunks (apache/parquet-format: src/main/thrift/parquet.thrift).
 *
 * A file is "PAR1", chunks of pages, the footer, its length in 4 bytes, "PAR1". Every offset and
 * length is checked against the file before it is used. Columns below the top level and repeated
 * ones are listed but cannot be read, nor can an encrypted file.
 *
 * Owner: the caller lends the file, whole; names point into it. Threads: as its owner says.
 * Units: bytes, rows. Offsets in errors count from the file's first byte.
 */
#ifndef FORMATS_PARQUET_FOOTER_H
#define FORMATS_PARQUET_FOOTER_H

#include "formats/fmt.h"
#include "formats/parquet_arena.h"
#include "formats/thrift.h"

/* As files number them. */
enum fmt_pq_type {
    FMT_PQ_BOOLEAN,
    FMT_PQ_INT32,
    FMT_PQ_INT64,
    FMT_PQ_INT96,
    FMT_PQ_FLOAT,
    FMT_PQ_DOUBLE,
    FMT_PQ_BYTE_ARRAY,
    FMT_PQ_FIXED,
    FMT_PQ_TYPES,
};

/* How a column's values are to be read, from its physical and logical type. */
enum fmt_pq_kind {
    FMT_PQ_FLAG, /* a bit */
    FMT_PQ_I32,  /* dates, times and timestamps too: as they are stored */
    FMT_PQ_U32,
    FMT_PQ_I64,
    FMT_PQ_U64,
    FMT_PQ_F16,
    FMT_PQ_F32,
    FMT_PQ_F64,
    FMT_PQ_TIME96, /* ns since 1970 */
    FMT_PQ_DECIMAL32,
    FMT_PQ_DECIMAL64,
    FMT_PQ_DECIMAL_BYTES, /* big-endian, up to 16 of them */
    FMT_PQ_TEXT,
};

struct fmt_pq_leaf {
    struct fmt_thrift_bytes name; /* of the column at the top level that it is, or is part of */
    enum fmt_pq_type type;
    enum fmt_pq_kind kind;
    uint32_t value_bytes; /* of a value by itself; 0: they vary, or are bits */
    uint32_t scale;       /* of a decimal */
    bool optional;        /* it may have nulls */
    const char *refusal;  /* why it cannot be read; NULL: it can */
};

/* One column's values in one row group. */
struct fmt_pq_chunk {
    uint32_t codec;
    int64_t type;        /* as the chunk has it */
    int64_t values;      /* nulls among them */
    size_t at;           /* its first page */
    size_t len_bytes;    /* of its pages */
    const char *refusal; /* why it cannot be read; NULL: it can */
};

struct fmt_pq_file {
    const uint8_t *bytes;
    size_t len_bytes;
    size_t footer_at; /* where chunks end */
    struct fmt_pq_leaf *leaves;
    struct fmt_pq_chunk *chunks; /* of the row group read last, one a leaf */
    uint32_t leaf_count;
    uint64_t rows;
    uint32_t group_count;
    uint32_t groups_read;
    struct fmt_thrift groups; /* at the next row group */
};

/* Reads the footer of file->bytes and fills in all the rest. Leaves and chunks are taken from the
 * arena. Returns FMT_OK, FMT_E_FORMAT, or FMT_E_MEMORY when the arena is too small. */
enum fmt_rc fmt_pq_open(struct fmt_pq_file *file, struct fmt_pq_arena *arena,
                        struct fmt_error *error);

/* Reads the next of group_count row groups into file->chunks; *rows is how many rows it has. */
enum fmt_rc fmt_pq_next_group(struct fmt_pq_file *file, uint64_t *rows, struct fmt_error *error);

/* Type names as the specification has them. */
const char *fmt_pq_type_name(enum fmt_pq_type type);

#endif
