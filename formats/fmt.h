/* SPDX-License-Identifier: Apache-2.0 */
/* formats/fmt.h - what every record format offers to the pipe: cut a byte stream into records,
 * learn the shape from the first one, decode records into rows.
 *
 * Two passes, two threads. The framer calls `cut` on the bytes at hand: it finds record boundaries
 * only, at many GB/s. Decode threads call `decode` on what was cut, each with a decoder of its own.
 *
 * Owner: the caller owns all memory; nothing here keeps a pointer between calls.
 * Threads: pure functions; a struct fmt_decoder belongs to one thread at a time.
 * Units: bytes, rows. Offsets in errors count from the `in` of the failing call.
 */
#ifndef FORMATS_FMT_H
#define FORMATS_FMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fmt_rc {
    FMT_OK = 0,
    FMT_MORE = 1,        /* flow: no complete record in the bytes given */
    FMT_E_FORMAT = -1,   /* the bytes are malformed: see struct fmt_error */
    FMT_E_ARGUMENT = -2, /* unusable option, e.g. an unknown content type */
    FMT_E_MEMORY = -3,
};

struct fmt_error {
    size_t offset_bytes; /* of the bad record's first byte, from `in` */
    uint32_t row;        /* index of the bad record in this call, from 0 */
    char text[240];      /* cause and cure, e.g. "field 3 is 'abc', not a number" */
};

/* Channel options, parsed from a content type by fmt_options_parse. */
struct fmt_options {
    const struct fmt_ops *ops; /* NULL for application/octet-stream: bytes without records */
    uint32_t label_size;       /* CSV: leading columns that are labels */
};

/* The shape that every record of a channel shares. */
struct fmt_shape {
    uint32_t feature_dim;
    uint32_t label_dim;
};

/* Result of `cut`, and its memory between calls that returned FMT_MORE for the same record: zero it
 * before the first call and whenever `in` has moved on. */
struct fmt_cut {
    size_t lead_bytes;    /* out: bytes at `in` that belong to no record (BOM); not to be decoded */
    size_t len_bytes;     /* out: whole records found, in bytes from `in`, lead included */
    uint32_t rows;        /* out: number of records in them; may be 0 (blank lines only) */
    size_t scanned_bytes; /* private: prefix of `in` already searched in vain */
    uint32_t scan_state;  /* private */
};

struct fmt_decoder; /* one thread's decoder: options, shape and what was learnt of the records */

struct fmt_ops {
    const char *content_type; /* without parameters */

    /* Finds as many whole records as `in` holds, at most rows_max (>= 1) of them.
     *   at_start  `in` is the first byte of an object
     *   at_end    in + len is the end of the object: the last record needs no terminator, and an
     *             incomplete one is FMT_E_FORMAT ("truncated")
     * Returns FMT_OK with cut->len_bytes > 0, or FMT_MORE (never when at_end), or FMT_E_FORMAT. On
     * FMT_E_FORMAT whole records before the bad one were reported by an earlier FMT_OK: an error
     * always concerns the record at `in`. Called again from in + cut->len_bytes. len is >= 1. */
    enum fmt_rc (*cut)(const struct fmt_options *options, const uint8_t *in, size_t len,
                       bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                       struct fmt_error *error);

    /* Reads the shape off the first record of [in, in + len), which `cut` returned with rows >= 1
     * (lead removed). */
    enum fmt_rc (*learn)(const struct fmt_options *options, const uint8_t *in, size_t len,
                         struct fmt_shape *shape, struct fmt_error *error);

    /* Makes a decoder for records of `shape`; NULL when memory is out. free accepts NULL. */
    struct fmt_decoder *(*decoder_new)(const struct fmt_options *options,
                                       const struct fmt_shape *shape);
    void (*decoder_free)(struct fmt_decoder *decoder);

    /* Decodes exactly `rows` records, which fill [in, in + len) (blank lines apart), as `cut` found
     * them. features is (rows, feature_dim), labels (rows, label_dim), float32, row-major; labels
     * may be NULL when label_dim is 0. Never reads outside [in, in + len), never writes outside the
     * rows. On FMT_E_FORMAT rows before error->row are decoded. */
    enum fmt_rc (*decode)(struct fmt_decoder *decoder, const uint8_t *in, size_t len, uint32_t rows,
                          float *features, float *labels, struct fmt_error *error);
};

/* Parses a content type, e.g. "text/csv;label_size=1" (RFC 9110, 8.3.1: case-insensitive names,
 * blanks allowed around ";", values may be quoted; "csv" alone is accepted as SageMaker's
 * containers do). Unknown types and parameters are refused, except charset=utf-8. */
enum fmt_rc fmt_options_parse(const char *content_type, struct fmt_options *options,
                              struct fmt_error *error);

/* Records text (printf style) and place in *error (which may be NULL) and returns FMT_E_FORMAT. */
enum fmt_rc fmt_fail(struct fmt_error *error, size_t offset_bytes, uint32_t row, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));

extern const struct fmt_ops fmt_recordio_protobuf; /* formats/record.c */
extern const struct fmt_ops fmt_csv;               /* formats/csv.c */

#endif
