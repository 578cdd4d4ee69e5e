/* SPDX-License-Identifier: Apache-2.0 */
/* formats/json_string.h - the text inside JSON strings, and escapes in it.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_JSON_STRING_H
#define FORMATS_JSON_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of leading bytes of [in, in + len) that stand for themselves in a string: up to a
 * quote, a backslash, a control character, or bytes that are no UTF-8 (RFC 3629, 4), whichever
 * comes first. With AVX2 where there is. */
size_t fmt_json_plain(const uint8_t *in, size_t len);

/* The same on any processor. */
size_t fmt_json_plain_base(const uint8_t *in, size_t len);

/* The escape at `in`, which begins with a backslash: its length, and the character it stands for. 0
 * if it is none, or for half of a surrogate pair. */
size_t fmt_json_escape(const uint8_t *in, size_t len, uint32_t *code);

/* The bytes of the string whose opening quote is in front of `in`: up to the closing one, or to
 * what is wrong with it; len if neither comes. */
size_t fmt_json_string(const uint8_t *in, size_t len, bool *escaped);

#endif
