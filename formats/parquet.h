/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet.h - Parquet files to rows: "application/x-parquet".
 *
 * An object is one file; what comes through a FIFO is files back to back. A footer is at its file's
 * end, so that the whole file has to be at hand: the codec here gathers it in memory of its own,
 * and makes of it a stream of frames (row_frame.h), in the order of the file's rows, which is then
 * cut and decoded as any other format.
 *
 * Read are columns at the top level that are not repeated, optional or required: of type BOOLEAN,
 * INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY and FIXED_LEN_BYTE_ARRAY, decimals, unsigned
 * integers and float16 among them; in pages of both versions, as PLAIN, with dictionaries, RLE,
 * DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY and BYTE_STREAM_SPLIT; compressed with Snappy, gzip,
 * zstd, LZ4, or not. Anything else is refused by name. Numbers become float32, correctly rounded,
 * nulls NaN; texts are the bytes there are, nulls are empty.
 *
 * Threads: as formats/inflate.h. Units: bytes, rows.
 */
#ifndef FORMATS_PARQUET_H
#define FORMATS_PARQUET_H

#include "formats/fmt.h"

/* Parameters of the content type. Lists are of names of columns, with commas between them. */
struct fmt_parquet_options {
    char *columns; /* features; NULL: all that are nothing else */
    char *label;   /* labels; NULL: the first label_size columns of the file */
    char *text;    /* NULL: all columns of bytes, unless `columns` is given */
    char *weight;  /* one column, or NULL */
    uint32_t label_size;
    bool label_size_given;
};

#endif
