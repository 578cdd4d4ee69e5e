/* SPDX-License-Identifier: Apache-2.0 */
/* formats/libsvm.h - what the files of the libsvm decoder share. A record is a line:
 *
 *     label[:weight] [qid:GROUP] index[:value] ... [# comment]
 *
 * with blanks or tabs between its words, ended by LF, CR or CRLF; lines of blanks and comments are
 * no records. A value that is missing is 1. Indices may come in any order, and twice.
 *
 * Owner: the caller. Threads: pure functions; a decoder belongs to one thread. Units: bytes.
 */
#ifndef FORMATS_LIBSVM_H
#define FORMATS_LIBSVM_H

#include "formats/csv.h"

enum libsvm_base { LIBSVM_BASE_0, LIBSVM_BASE_1, LIBSVM_BASE_AUTO };

/* Of weights and of groups: as the first record has them; they are there; they are dropped; and,
 * found out and no option, there are none. */
enum libsvm_has { LIBSVM_AUTO, LIBSVM_ON, LIBSVM_OFF, LIBSVM_NONE };

struct fmt_libsvm_options {
    enum libsvm_base index_base; /* the number of the first column */
    enum libsvm_has weights;
    enum libsvm_has groups;
    uint32_t learnt_base; /* by the framer's thread, before there is a decoder */
};

struct fmt_decoder {
    uint32_t base;
    uint32_t feature_dim; /* columns; 0: unknown */
    enum libsvm_has weights;
    enum libsvm_has groups;
    struct libsvm_bulk *bulk; /* NULL: every row takes the plain path */
};

/* Columns are below it. */
static inline uint32_t libsvm_limit(const struct fmt_decoder *decoder)
{
    return decoder->feature_dim != 0 ? decoder->feature_dim : UINT32_MAX;
}

/* The dialect by which csv.h cuts and skips lines. */
extern const struct csv_dialect fmt_libsvm_lines;

/* What stands in front of a row's entries. */
struct libsvm_head {
    float label;
    float weight; /* 1 if there is none */
    uint64_t group;
    bool weighted;
    bool grouped;
};

/* The plain path, and the oracle of the other: reads the record at `row`, appends its entries, and
 * moves *next behind its line end. Offsets in errors count from `in`. */
enum fmt_rc fmt_libsvm_row(const struct fmt_decoder *decoder, const uint8_t *in, const uint8_t *end,
                           const uint8_t *row, const uint8_t **next, uint32_t row_no,
                           struct libsvm_head *head, struct fmt_entries *entries,
                           struct fmt_error *error);

/* The first byte of the next record's line, or end. */
const uint8_t *fmt_libsvm_skip_lines(const uint8_t *p, const uint8_t *end);

/* Bulk decoding of regular rows: no comment, all entries with a value. Stops in front of the first
 * row that is anything else. NULL when the processor lacks AVX2, or memory is out: then *failed. */
struct libsvm_bulk *fmt_libsvm_bulk_new(bool *failed);
void fmt_libsvm_bulk_free(struct libsvm_bulk *bulk);

/* Decodes rows of the span from *p, which is a row's start, to row `row_no` of out and on; moves *p
 * behind them and returns their number. */
uint32_t fmt_libsvm_bulk_rows(const struct fmt_decoder *decoder, const struct fmt_span *span,
                              const uint8_t **p, uint32_t row_no, struct fmt_rows *out);

#endif
