/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv.h - what the files of the CSV decoder share. The dialect, for cut and decode alike:
 *
 *   - fields end at the delimiter, lines at LF, CR or CRLF; the last line needs no end;
 *   - lines of nothing but spaces and tabs (but for the delimiter) are no records;
 *   - a field whose first character after blanks is '"' is quoted (RFC 4180): '""' inside stands
 *     for '"', delimiters and line ends inside are text; a '"' further on in a field is text;
 *   - an object may start with a UTF-8 byte order mark, and then with a header.
 *
 * Owner: the caller. Threads: pure functions; a decoder belongs to one thread. Units: bytes.
 */
#ifndef FORMATS_CSV_H
#define FORMATS_CSV_H

#include "formats/fmt.h"

struct csv_dialect {
    uint8_t delimiter;
    uint8_t blanks[2]; /* what may surround a field */
    uint8_t comment;   /* a line that starts with it is no record; 0: there are none such */
    bool quotes;       /* a '"' may open a field */
};

enum csv_header { CSV_HEADER_ABSENT, CSV_HEADER_PRESENT, CSV_HEADER_AUTO };
enum csv_blanks { CSV_BLANKS_NAN, CSV_BLANKS_ERROR, CSV_BLANKS_ZERO };

/* Values of a column that stand for 0, 1, 2 ... : "cat.COLUMN=a|b|c". */
struct csv_category {
    char *column;
    char *values;
};

/* All zero: comma, quotes, no header, blanks are NaN, all columns are features. Lists of columns
 * are kept as they were given until the first record tells how many there are; NULL: not given. */
struct fmt_csv_options {
    uint32_t label_size; /* leading columns that are labels */
    bool label_size_set;
    bool weight_follows; /* the column behind the labels is the weight */
    uint8_t delimiter;   /* 0: comma */
    bool no_quotes;
    bool other_unknown; /* a value outside its category is one more, not an error */
    enum csv_header header;
    enum csv_blanks blanks;
    char *labels;
    char *weight;
    char *columns; /* features */
    char *texts;
    char *hashed;
    char *names; /* of all columns */
    uint32_t hash_buckets;
    struct csv_category *categories;
    size_t category_count;
    /* Found out by the framer's thread, before there is a decoder. */
    char *header_names; /* of the channel's first header, NUL behind each; NULL: none seen */
    size_t header_count;
    uint32_t column_count;
};

void fmt_csv_options_init(void *own);
enum fmt_rc fmt_csv_set_option(void *own, const char *name, const char *value,
                               struct fmt_error *error);
enum fmt_rc fmt_csv_check_options(void *own, struct fmt_error *error);
void fmt_csv_options_clear(void *own);
#define FMT_CSV_PARAMETERS                                                                         \
    "label_size, label_columns, weight_column, csv_weights, columns, names, header, delimiter, "   \
    "quotes, blanks, cat.COLUMN, unknown, hash_columns, hash_buckets, text_columns"

/* Whether a column is chosen by its name. */
bool fmt_csv_is_named(const struct fmt_csv_options *own);

/* One item of a list, without the blanks around it; not terminated. */
struct csv_item {
    const char *text;
    size_t len;
};

/* The next of a list's items, which `separator` ends. False when there is none left (NULL). */
bool fmt_csv_next_item(const char **list, char separator, struct csv_item *item);

struct csv_dialect fmt_csv_dialect(const struct fmt_csv_options *own);

static inline bool csv_is_blank(const struct csv_dialect *d, uint8_t c)
{
    return c == d->blanks[0] || c == d->blanks[1];
}

static inline bool csv_is_newline(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static inline const uint8_t *csv_skip_blanks(const struct csv_dialect *d, const uint8_t *p,
                                             const uint8_t *end)
{
    while (p < end && csv_is_blank(d, *p))
        p++;
    return p;
}

/* After the line end at p: one byte, or two for CRLF. */
static inline const uint8_t *csv_skip_newline(const uint8_t *p, const uint8_t *end)
{
    return p + (*p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1);
}

/* Skips blank lines. Returns the first byte of the next record's line, or end. */
static inline const uint8_t *csv_skip_blank_lines(const struct csv_dialect *d, const uint8_t *p,
                                                  const uint8_t *end)
{
    while (p < end) {
        const uint8_t *q = csv_skip_blanks(d, p, end);
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

/* The same with AVX2, where there is. */
size_t fmt_csv_skip_avx2(const uint8_t *p, size_t blocks);

/* Cuts records that are lines, quoted parts apart; see fmt_ops.cut. */
enum fmt_rc fmt_csv_cut_lines(const struct csv_dialect *dialect, const uint8_t *in, size_t len,
                              bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                              struct fmt_error *error);

/* fmt_ops.cut of CSV: leaves the header out. */
enum fmt_rc fmt_csv_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                        bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                        struct fmt_error *error);

#endif
