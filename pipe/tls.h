/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls.h - TLS on our own sockets, by OpenSSL: verified and resumed. tls_reader.h reads.
 *
 * Certificates are verified against the account's CA bundle, else OpenSSL's own ($SSL_CERT_DIR,
 * /etc/ssl). AES-128-GCM is offered first: it is the cheapest.
 *
 * Owner: a transport. Threads: the I/O thread that opened it, alone.
 */
#ifndef PIPE_TLS_H
#define PIPE_TLS_H

#include "pipe/tls_reader.h"

#define PS_TLS_TICKETS_MAX 16

/* What connections to one site share: options, trust, and sessions to resume. A ticket is used once
 * (RFC 8446, C.4) unless it is the last. */
struct ps_tls {
    SSL_CTX *context;
    SSL_SESSION *tickets[PS_TLS_TICKETS_MAX]; /* newest last */
    unsigned ticket_count;
    const struct ps_s3_place *place; /* where they are from: they vouch for one host alone */
};

/* Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT for an unusable CA bundle, or PENSTOCK_E_MEMORY. */
int ps_tls_open(struct ps_tls *tls, const struct ps_s3_site *site, struct penstock_error *error);
void ps_tls_close(struct ps_tls *tls);

/* A client's end for a connected socket; NULL when memory is out. `reader` is zeroed but for its
 * staging, and reads from it. */
SSL *ps_tls_connect(struct ps_tls *tls, const struct ps_s3_place *place, int fd,
                    struct ps_tls_reader *reader);

/* The server was at odds with us: begin anew with whole handshakes. */
void ps_tls_forget_tickets(const SSL *ssl);

/* Frees it; NULL is ignored. Says good-bye if the connection is in good order. */
void ps_tls_end(SSL *ssl, bool good_order);

/* Words for the calling thread's last OpenSSL error, and for a failed verification. */
void ps_tls_explain(const SSL *ssl, char *out, size_t size);

#endif
