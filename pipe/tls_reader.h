/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls_reader.h - what a TLS connection reads: records of TLS 1.3 decrypted by ourselves,
 * straight to where their text belongs, instead of by SSL_read, which copies it there.
 *
 * libssl shakes hands. Reading is ours from the end of a TLS 1.3 handshake on, for then
 * libssl has read no byte behind it, and the next record is number 0 of the server's traffic
 * secret. Whatever is not application data is libssl's to judge: tickets, key updates, alerts and
 * nonsense. It gets them sealed again, for as it never sees application data it counts other
 * records than the server; and records that are not authentic as they came, to refuse them. It
 * reads from a BIO in memory that we fill. TLS 1.2 is left to libssl. tls_writer.h writes.
 *
 * Ciphertext is received to a staging buffer that the connections of a thread share, so that it
 * stays in cache. Between two readings a connection has at most part of a record there, which is
 * put aside when another one comes to read.
 *
 * Owner: a connection; of the staging a transport. Threads: their I/O thread.
 */
#ifndef PIPE_TLS_READER_H
#define PIPE_TLS_READER_H

#include "pipe/s3.h"
#include "pipe/tls_record.h"
#include "pipe/tls_writer.h"

#include <openssl/ssl.h>

#define PS_TLS_STAGING_BYTES ((size_t)256 << 10)

struct ps_tls_staging {
    struct ps_tls_reader *owner; /* whose bytes these are; NULL: nobody's */
    size_t sealed_at, sealed_end;
    size_t text_at, text_end;               /* in text: of an opened record, not yet taken */
    uint8_t text[PS_TLS_INNER_BYTES_MAX];   /* what did not fit where it belongs */
    uint8_t other[PS_TLS_INNER_BYTES_MAX];  /* a record for libssl, */
    uint8_t again[PS_TLS_RECORD_BYTES_MAX]; /* and sealed again */
    uint8_t sealed[PS_TLS_STAGING_BYTES];
};

/* Begins zeroed. */
struct ps_tls_reader {
    SSL *ssl;
    const struct ps_s3_place *place; /* the server's */
    struct ps_tls_staging *staging;
    int fd;
    bool ours;       /* we read records */
    bool drained;    /* the socket had no more, last time: wait before the next look */
    bool thorough;   /* look until there is no more */
    int over;        /* the SSL_ERROR_* that ended it; 0: it goes on */
    bool unfinished; /* libssl has still to do with what it got */
    bool rekeyed;    /* libssl has seen a KeyUpdate */
    unsigned empty_count;
    struct ps_tls_keys keys;
    uint64_t libssl_no;          /* of the record that libssl expects next */
    BIO *to_libssl;              /* which owns it */
    uint64_t copied_bytes;       /* of the text read: counts up */
    struct ps_tls_writer writer; /* of the same connection */
    struct ps_tls_secret {
        uint8_t bytes[PS_TLS_SECRET_BYTES_MAX];
        size_t len_bytes;
    } servers, clients; /* from the handshake, until it is over */
    size_t aside_bytes; /* ciphertext while another connection has the staging */
    uint8_t aside[PS_TLS_RECORD_BYTES_MAX];
};

/* For SSL_CTX_set_keylog_callback: keeps the traffic secrets with the connection. */
void ps_tls_reader_learn(const SSL *ssl, const char *line);

/* The handshake is over: reading and writing is ours from here on, if it can be. */
void ps_tls_reader_begin(struct ps_tls_reader *reader);

/* Reads some text, like SSL_read_ex; returns SSL_ERROR_NONE, or another one of SSL_ERROR_*, as
 * SSL_get_error does. Never NONE with 0 bytes. */
int ps_tls_read(struct ps_tls_reader *reader, uint8_t *into, size_t room, size_t *got_bytes);

/* Whether nothing of the stream has come, not even its end: tickets may have. */
bool ps_tls_is_open(struct ps_tls_reader *reader);

/* Wipes all that is secret, for the connection is over. The SSL is not freed. */
void ps_tls_reader_end(struct ps_tls_reader *reader);

#endif
