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

struct fmt_decoder {
    uint32_t feature_dim;
    uint32_t label_dim;
};

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
#define CSV_CHUNK_BLOCKS 32

struct csv_masks {
    uint64_t newline[CSV_CHUNK_BLOCKS]; /* LF and CR */
    uint64_t quote[CSV_CHUNK_BLOCKS];
};

/* Fills masks for `blocks` (1..CSV_CHUNK_BLOCKS) whole blocks at p, with AVX2 where there is. */
void fmt_csv_find(const uint8_t *p, size_t blocks, struct csv_masks *masks);

/* fmt_ops.cut of CSV. */
enum fmt_rc fmt_csv_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                        bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                        struct fmt_error *error);

#endif
