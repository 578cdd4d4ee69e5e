/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls.c - see tls.h. */
#include "pipe/tls.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_12                                                                                 \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static void forget_oldest(struct ps_tls *tls)
{
    SSL_SESSION_free(tls->tickets[0]);
    tls->ticket_count--;
    memmove(tls->tickets, tls->tickets + 1, tls->ticket_count * sizeof tls->tickets[0]);
}

/* Keeps the newest tickets: TLS 1.3 servers send them, often two, after the handshake. Copies of
 * them, for OpenSSL spoils those of a connection that ends without a good-bye. */
static int keep_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct ps_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct ps_tls_reader *reader = SSL_get_app_data(ssl);
    SSL_SESSION *copy = SSL_SESSION_dup(ticket);

    if (!copy || reader->place != tls->place) {
        SSL_SESSION_free(copy);
        return 0;
    }
    if (tls->ticket_count == PS_TLS_TICKETS_MAX)
        forget_oldest(tls);
    tls->tickets[tls->ticket_count++] = copy;
    return 0; /* we have taken no reference */
}

static void use_ticket(struct ps_tls *tls, SSL *ssl)
{
    if (tls->ticket_count == 0)
        return;
    SSL_SESSION *newest = tls->tickets[tls->ticket_count - 1];
    SSL_SESSION *used = newest;

    if (tls->ticket_count > 1)
        tls->ticket_count--;
    else
        used = SSL_SESSION_dup(newest);
    if (used)
        SSL_set_session(ssl, used);
    SSL_SESSION_free(used);
}

static void forget_tickets(struct ps_tls *tls)
{
    while (tls->ticket_count > 0)
        SSL_SESSION_free(tls->tickets[--tls->ticket_count]);
}

void ps_tls_forget_tickets(const SSL *ssl)
{
    forget_tickets(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

/* Who decrypts: libssl if it is told to, for comparisons. */
static int choose_reader(struct ps_tls *tls, struct penstock_error *error)
{
    const char *wish = getenv("PENSTOCK_TLS_RECORDS");

    if (!wish || !*wish || strcmp(wish, "own") == 0)
        SSL_CTX_set_keylog_callback(tls->context, ps_tls_reader_learn);
    else if (strcmp(wish, "openssl") != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "PENSTOCK_TLS_RECORDS is \"%s\": use own or openssl", wish);
    return PENSTOCK_OK;
}

int ps_tls_open(struct ps_tls *tls, const struct ps_s3_site *site, struct penstock_error *error)
{
    const char *bundle = site->account->ca_bundle;
    char words[256];

    *tls = (struct ps_tls){.context = SSL_CTX_new(TLS_client_method())};
    if (!tls->context)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for TLS");
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(tls->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->context, keep_ticket);
    SSL_CTX_set_app_data(tls->context, tls);
    int rc = choose_reader(tls, error);

    if (rc != PENSTOCK_OK) {
        ps_tls_close(tls);
        return rc;
    }
    if (SSL_CTX_set_ciphersuites(tls->context, CIPHERS_13) == 1 &&
        SSL_CTX_set_cipher_list(tls->context, CIPHERS_12) == 1 &&
        (bundle[0] ? SSL_CTX_load_verify_locations(tls->context, bundle, NULL)
                   : SSL_CTX_set_default_verify_paths(tls->context)) == 1)
        return PENSTOCK_OK;
    ps_tls_explain(NULL, words, sizeof words);
    ps_tls_close(tls);
    return ps_fail(error, PENSTOCK_E_ARGUMENT, "TLS cannot be set up%s%s: %s",
                   bundle[0] ? " with the CA bundle " : "", bundle, words);
}

void ps_tls_close(struct ps_tls *tls)
{
    forget_tickets(tls);
    SSL_CTX_free(tls->context);
    *tls = (struct ps_tls){.context = NULL};
}

SSL *ps_tls_connect(struct ps_tls *tls, const struct ps_s3_place *place, int fd,
                    struct ps_tls_reader *reader)
{
    struct in6_addr address;
    SSL *ssl = SSL_new(tls->context);
    bool numeric = inet_pton(AF_INET, place->host, &address) == 1 ||
                   inet_pton(AF_INET6, place->host, &address) == 1;

    if (!ssl)
        return NULL;
    /* An address has no name to indicate, and is looked for among the certificate's addresses. */
    if (SSL_set_fd(ssl, fd) != 1 ||
        (numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), place->host)
                 : SSL_set1_host(ssl, place->host) && SSL_set_tlsext_host_name(ssl, place->host)) !=
            1) {
        SSL_free(ssl);
        return NULL;
    }
    if (tls->place != place)
        forget_tickets(tls);
    tls->place = place;
    reader->ssl = ssl;
    reader->place = place;
    reader->fd = fd;
    SSL_set_app_data(ssl, reader);
    use_ticket(tls, ssl);
    SSL_set_connect_state(ssl);
    return ssl;
}

void ps_tls_end(SSL *ssl, bool good_order)
{
    if (!ssl)
        return;
    ERR_clear_error();
    if (good_order) {
        struct ps_tls_reader *reader = SSL_get_app_data(ssl);

        SSL_shutdown(ssl);
        ps_tls_writer_forward(&reader->writer);
    }
    SSL_free(ssl);
    ERR_clear_error();
}

void ps_tls_explain(const SSL *ssl, char *out, size_t size)
{
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (verified != X509_V_OK)
        ps_text_copy(out, size, X509_verify_cert_error_string(verified));
    else
        ps_text_copy(out, size, reason ? reason : "the connection was closed");
    ERR_clear_error();
}
