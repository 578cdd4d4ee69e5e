/* SPDX-License-Identifier: Apache-2.0 */
/* formats/json_string.h - the text inside JSON strings: how far it goes on without an escape.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_JSON_STRING_H
#define FORMATS_JSON_STRING_H

#include <stddef.h>
#include <stdint.h>

/* The number of leading bytes of [in, in + len) that stand for themselves in a string: up to a
 * quote, a backslash, a control character, or bytes that are no UTF-8 (RFC 3629, 4), whichever
 * comes first. With AVX2 where there is. */
size_t fmt_json_plain(const uint8_t *in, size_t len);

/* The same on any processor. */
size_t fmt_json_plain_base(const uint8_t *in, size_t len);

#endif
