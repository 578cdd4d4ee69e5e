/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls_record.h - records of TLS 1.3 (RFC 8446, 5): the keys of one direction, and what they
 * seal.
 *
 * A record's text is decrypted straight to where it belongs and is not to be believed before its
 * tag has been checked. What comes behind the text, its type and padding, goes elsewhere if it does
 * not fit there.
 *
 * Owner: one connection. Threads: its I/O thread. Nothing is allocated for a record, but for the
 *   first that is sealed.
 * Units: bytes.
 */
#ifndef PIPE_TLS_RECORD_H
#define PIPE_TLS_RECORD_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PS_TLS_HEADER_BYTES = 5,
    PS_TLS_TAG_BYTES = 16,
    PS_TLS_NONCE_BYTES = 12,
    PS_TLS_SECRET_BYTES_MAX = 48,
    PS_TLS_TEXT_BYTES_MAX = 1 << 14,
    PS_TLS_INNER_BYTES_MAX = PS_TLS_TEXT_BYTES_MAX + 256 - PS_TLS_TAG_BYTES,
    PS_TLS_RECORD_BYTES_MAX = PS_TLS_HEADER_BYTES + PS_TLS_INNER_BYTES_MAX + PS_TLS_TAG_BYTES,
};

enum { PS_TLS_APPLICATION_DATA = 23 }; /* of the content types of records */

/* Begins zeroed, and is all secret. */
struct ps_tls_keys {
    EVP_CIPHER_CTX *opener;
    EVP_CIPHER_CTX *sealer; /* from the first use on */
    bool sealer_is_keyed;
    const EVP_CIPHER *cipher;
    const EVP_MD *digest;
    uint8_t secret[PS_TLS_SECRET_BYTES_MAX]; /* the traffic secret */
    size_t secret_bytes;
    uint8_t iv[PS_TLS_NONCE_BYTES];
    uint64_t record_no; /* of the next to be opened */
};

/* What a record holds: text, and of which type; 0 if it is all padding, which is not allowed. */
struct ps_tls_inner {
    uint8_t type;
    size_t len_bytes;
};

/* Derives the keys for record 0 of a cipher suite, 0x1301 to 0x1303, from the traffic secret. False
 * when the suite is another one, the secret not of its length, or libcrypto refuses. */
bool ps_tls_keys_set(struct ps_tls_keys *keys, unsigned suite, const uint8_t *secret,
                     size_t secret_bytes);

/* The next generation, after a KeyUpdate. */
bool ps_tls_keys_next(struct ps_tls_keys *keys);

/* Wipes and frees. */
void ps_tls_keys_clear(struct ps_tls_keys *keys);

/* The length of the record whose header is at `header`. */
static inline size_t ps_tls_record_bytes(const uint8_t header[static PS_TLS_HEADER_BYTES])
{
    return PS_TLS_HEADER_BYTES + ((size_t)header[3] << 8 | header[4]);
}

/* Whether the header can be that of a record which keys have sealed: its type, and its length. */
bool ps_tls_record_is_sealed(const uint8_t header[static PS_TLS_HEADER_BYTES]);

/* Opens the next record: whole, and with such a header. What it holds goes to into[0 .. room) and,
 * for all that does not fit, to spill[0 .. PS_TLS_INNER_BYTES_MAX); bytes behind the text are
 * written, too. False if it is not authentic: then the record still is the next, and what was
 * written means nothing. */
bool ps_tls_record_open(struct ps_tls_keys *keys, const uint8_t *record, uint8_t *into, size_t room,
                        uint8_t *spill, struct ps_tls_inner *inner);

/* Seals `inner_bytes` of text, type and padding as record `record_no` to `out`, which has room for
 * that, a header and a tag; `inner` may be where it belongs, behind the header. Returns the
 * record's length, or 0 when memory is out. */
size_t ps_tls_record_seal(struct ps_tls_keys *keys, uint64_t record_no, const uint8_t *inner,
                          size_t inner_bytes, uint8_t *out);

#endif
