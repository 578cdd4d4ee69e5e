/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls.h - TLS on our own sockets, by OpenSSL: verified, resumed, read straight into the ring.
 *
 * Certificates are verified against the account's CA bundle, else OpenSSL's own ($SSL_CERT_DIR,
 * /etc/ssl). AES-128-GCM is offered first: it is the cheapest.
 *
 * Owner: a transport. Threads: the I/O thread that opened it, alone.
 */
#ifndef PIPE_TLS_H
#define PIPE_TLS_H

#include "pipe/s3.h"

#include <openssl/ssl.h>

/* What connections to one site share: options, trust, and the session to resume. */
struct ps_tls {
    SSL_CTX *context;
    SSL_SESSION *session;            /* of the last connection; NULL before the first */
    const struct ps_s3_place *place; /* where that went: a session vouches for one host alone */
};

/* Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT for an unusable CA bundle, or PENSTOCK_E_MEMORY. */
int ps_tls_open(struct ps_tls *tls, const struct ps_s3_site *site, struct penstock_error *error);
void ps_tls_close(struct ps_tls *tls);

/* A client's end for a connected socket; NULL when memory is out. SSL_free ends it. */
SSL *ps_tls_connect(struct ps_tls *tls, const struct ps_s3_place *place, int fd);

/* Words for the calling thread's last OpenSSL error, and for a failed verification. */
void ps_tls_explain(const SSL *ssl, char *out, size_t size);

#endif
