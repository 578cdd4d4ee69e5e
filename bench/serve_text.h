/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_text.h - a growing run of bytes, for XML answers and canonical requests.
 *
 * Owner: the caller; zero it before first use, serve_text_free gives its memory back.
 * Threads: one at a time.
 * Errors: running out of memory sets `failed` and turns later calls into no-ops: check it once, at
 * the end. `data` is NUL-terminated unless it is NULL.
 */
#ifndef BENCH_SERVE_TEXT_H
#define BENCH_SERVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct serve_text {
    char *data;
    size_t len_bytes;
    size_t cap_bytes;
    bool failed;
};

void serve_text_add(struct serve_text *text, const char *bytes, size_t len_bytes);
void serve_text_str(struct serve_text *text, const char *string);
void serve_text_format(struct serve_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds bytes as XML character data: markup escaped, control characters as references. */
void serve_text_xml(struct serve_text *text, const char *bytes, size_t len_bytes);

/* Adds bytes percent-encoded, upper-case hexadecimal, all but A-Z a-z 0-9 - . _ ~ and the
 * characters of `keep`; a space becomes '+' when `keep` holds '+', as S3's encoding-type=url does
 * it. */
void serve_text_url(struct serve_text *text, const char *bytes, size_t len_bytes, const char *keep);

void serve_text_free(struct serve_text *text);

#endif
