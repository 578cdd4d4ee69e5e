/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv.h - what the files of the CSV decoder share. The dialect, for cut and decode alike:
 *
 *   - fields end at ',', lines at LF, CR or CRLF; the last line needs no end;
 *   - lines of nothing but spaces and tabs are no records;
 *   - a field whose first character after blanks is '"' is quoted (RFC 4180): '""' inside stands
 *     for '"', delimiters and line ends inside are text; a '"' further on in a field is text;
 *   - an object may start with a UTF-8 byte order mark.
 *
 * Owner: the caller. Threads: pure functions; a decoder belongs to one thread. Units: bytes.
 */
#ifndef FORMATS_CSV_H
#define FORMATS_CSV_H

#include "formats/fmt.h"

struct fmt_csv_options {
    uint32_t label_size; /* leading columns that are labels */
};

struct fmt_decoder {
    uint32_t feature_dim;
    uint32_t label_dim;
    struct csv_bulk *bulk; /* NULL: every row takes the plain path */
};

/* Bulk decoding of regular rows: no quotes, LF or CRLF, the right number of fields, plain numbers.
 * Stops in front of the first row that is anything else, which is left to the plain path. */
struct csv_bulk;

/* NULL when the processor lacks AVX2 (memory: out of it, *failed is set). */
struct csv_bulk *fmt_csv_bulk_new(uint32_t label_dim, uint32_t feature_dim, bool *failed);
void fmt_csv_bulk_free(struct csv_bulk *bulk);

/* Decodes up to rows_max rows from in + *at, which is a row's start; moves *at behind them and
 * returns their number. Reads nothing outside [in, in + len). */
uint32_t fmt_csv_bulk_rows(struct csv_bulk *bulk, const uint8_t *in, size_t len, size_t *at,
                           uint32_t rows_max, float *features, float *labels);

static inline bool csv_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline bool csv_is_newline(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static inline const uint8_t *csv_skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && csv_is_blank(*p))
        p++;
    return p;
}

/* After the line end at p: one byte, or two for CRLF. */
static inline const uint8_t *csv_skip_newline(const uint8_t *p, const uint8_t *end)
{
    return p + (*p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1);
}

/* Skips blank lines. Returns the first byte of the next record's line, or end. */
static inline const uint8_t *csv_skip_blank_lines(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        const uint8_t *q = csv_skip_blanks(p, end);
        if (q == end)
            return end;
        if (!csv_is_newline(*q))
            return p;
        p = q + 1;
    }
    return end;
}

/* Masks of 64 bytes each: bit i tells of byte i. */
#define CSV_BLOCK_BYTES 64
#define CSV_CHUNK_BLOCKS 16

struct csv_masks {
    uint64_t newline[CSV_CHUNK_BLOCKS]; /* LF and CR */
    uint64_t quote[CSV_CHUNK_BLOCKS];
};

/* Fills masks for `blocks` (1..CSV_CHUNK_BLOCKS) whole blocks at p, with AVX2 where there is. */
void fmt_csv_find(const uint8_t *p, size_t blocks, struct csv_masks *masks);

/* The same on any processor. */
void fmt_csv_find_base(const uint8_t *p, size_t blocks, struct csv_masks *masks);

/* Number of leading blocks, of `blocks` at p, that hold neither a line end nor a quote. */
size_t fmt_csv_skip(const uint8_t *p, size_t blocks);

/* fmt_ops.cut of CSV. */
enum fmt_rc fmt_csv_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                        bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                        struct fmt_error *error);

#endif
