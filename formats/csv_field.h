/* SPDX-License-Identifier: Apache-2.0 */
/* formats/csv_field.h - one CSV field, the plain way.
 *
 * Owner: the caller; a field points into the input. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_CSV_FIELD_H
#define FORMATS_CSV_FIELD_H

#include "formats/csv.h"

#define CSV_CLIP_BYTES 40

struct csv_field {
    const uint8_t *text; /* surrounding blanks and quotes removed */
    size_t len;
    const uint8_t *inside; /* what stands between the quotes, or text */
    size_t inside_len;
    const uint8_t *next; /* the delimiter, line end or end of input after it */
    bool open;           /* a quote was never closed */
    bool torn;           /* text follows the closing quote */
    bool doubled;        /* `inside` may hold '""', each of which stands for '"' */
};

/* Reads the field that starts at p. */
struct csv_field fmt_csv_field(const struct csv_dialect *d, const uint8_t *p, const uint8_t *end);

/* Number of fields of the record that starts at p. */
size_t fmt_csv_count_fields(const struct csv_dialect *d, const uint8_t *p, const uint8_t *end);

/* Copies `inside` to out, which has room for inside_len, with '""' undone. Returns the length. */
size_t fmt_csv_field_copy(const struct csv_field *f, uint8_t *out);

/* `text` for a message: printable, at most CSV_CLIP_BYTES of it. */
void fmt_csv_clip(const uint8_t *text, size_t len, char out[4 * CSV_CLIP_BYTES + 4]);

/* Refuses the field, number column_no from 0, of the record at `row`, which is number row_no. */
enum fmt_rc fmt_csv_fail_field(const struct csv_field *f, uint32_t column_no, size_t row_offset,
                               uint32_t row_no, const char *wanted, struct fmt_error *error);

#endif
