/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/text.h - bounded strings: copy, append, percent-encode. Nothing here allocates or overruns.
 *
 * Owner: the caller owns every buffer. Threads: pure functions.
 * Units: sizes count bytes, the terminating NUL included; lengths do not count it.
 */
#ifndef PIPE_TEXT_H
#define PIPE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies `text` into `out` (size >= 1), cut at a UTF-8 character boundary if it does not fit.
 * Returns false if it was cut. The two must not overlap. */
bool ps_text_copy(char *out, size_t size, const char *text);

/* A string being built in a caller's buffer. After an append that does not fit, `cut` is true and
 * stays true; the buffer always ends in NUL. */
struct ps_text {
    char *bytes;
    size_t size;
    size_t len;
    bool cut;
};

/* Starts an empty string in `bytes` (size >= 1), which is lent until the string is finished. */
struct ps_text ps_text_in(char *bytes, size_t size);

void ps_text_add(struct ps_text *text, const char *more);
void ps_text_add_bytes(struct ps_text *text, const char *more, size_t len);
void ps_text_add_u64(struct ps_text *text, uint64_t value); /* in decimal */
void ps_text_addf(struct ps_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether percent-encoding leaves `c` as it is: A-Z a-z 0-9 - . _ ~ */
bool ps_text_is_unreserved(char c);

/* Appends `raw` with every byte percent-encoded (upper-case hex) except A-Z a-z 0-9 - . _ ~ and, if
 * keep_slash, '/'. Source: AWS, "Signature Calculations for the Authorization Header", UriEncode.
 */
void ps_text_add_encoded(struct ps_text *text, const char *raw, bool keep_slash);

#endif
