/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls_writer.h - what a TLS connection writes: records of TLS 1.3 sealed by ourselves, for
 * libssl allocates memory for each.
 *
 * libssl writes, too: alerts, and its answers to key updates. It does so to a BIO in memory, under
 * the same keys but with a count of its own, which has never left this process: its records are
 * opened here and sealed again with the number that the server expects. No two texts are ever sent
 * under one number.
 *
 * Owner: a connection, with its reader. Threads: their I/O thread.
 */
#ifndef PIPE_TLS_WRITER_H
#define PIPE_TLS_WRITER_H

#include "pipe/tls_record.h"

#include <openssl/ssl.h>

/* Begins zeroed. */
struct ps_tls_writer {
    SSL *ssl;
    int fd;
    bool ours;               /* we write records */
    struct ps_tls_keys keys; /* keys.record_no: libssl's count */
    uint64_t record_no;      /* of the next record to be sent */
    BIO *from_libssl;        /* which owns it */
    size_t text_bytes;       /* of the caller's, in the record below */
    size_t out_at, out_end;  /* of a record that has to be sent first */
    uint8_t out[PS_TLS_RECORD_BYTES_MAX];
};

/* Writing is ours from here on. False: it is libssl's, as it was. */
bool ps_tls_writer_begin(struct ps_tls_writer *writer, SSL *ssl, int fd, unsigned suite,
                         const uint8_t *secret, size_t secret_bytes);

/* Writes some of it, like SSL_write_ex: returns SSL_ERROR_NONE with 1 or more bytes sent, or
 * another one of SSL_ERROR_*, after which the same is to be tried again, as with SSL_get_error. */
int ps_tls_write(struct ps_tls_writer *writer, const void *text, size_t len_bytes,
                 size_t *sent_bytes);

/* Sends what libssl has to say, as far as that goes; the rest goes with the next text. */
void ps_tls_writer_forward(struct ps_tls_writer *writer);

/* Wipes all that is secret. The SSL is not freed. */
void ps_tls_writer_end(struct ps_tls_writer *writer);

#endif
