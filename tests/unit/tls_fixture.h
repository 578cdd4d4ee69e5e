/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/tls_fixture.h - a TLS client of ours and libssl's server, in one thread: what the
 * server sends lies in `wire` until the test passes it on, whole or otherwise.
 *
 * Owner: the test.
 */
#ifndef TESTS_UNIT_TLS_FIXTURE_H
#define TESTS_UNIT_TLS_FIXTURE_H

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipe/tls.h"
#include "tests/unit/scratch.h"

#define HOST "bucket.example"

/* What connections share. */
struct tls_world {
    struct scratch scratch;
    struct ps_s3_account account;
    struct ps_s3_site site;
    struct ps_s3_place place;
    struct ps_tls tls;
    struct ps_tls_staging staging;
    SSL_CTX *server;
    char name[64]; /* that the last client indicated */
};

struct tls_pair {
    struct ps_tls_reader reader;
    SSL *client, *server;
    BIO *wire; /* the server's output; SSL_free frees it */
    int client_fd, server_fd;
    size_t at_a_time; /* bytes that go from the wire to the socket at once */
};

static int note_name(SSL *ssl, int *alert, void *cookie)
{
    struct tls_world *w = cookie;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    snprintf(w->name, sizeof w->name, "%s", name ? name : "");
    return SSL_TLSEXT_ERR_OK;
}

static void certify(struct tls_world *w, const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *crt = X509_new();
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_NAME *subject = X509_get_subject_name(crt);

    X509_set_version(crt, X509_VERSION_3);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0);
    X509_set_issuer_name(crt, subject);
    X509_gmtime_adj(X509_getm_notBefore(crt), -3600);
    X509_gmtime_adj(X509_getm_notAfter(crt), 3600);
    X509_set_pubkey(crt, key);
    assert_int_equal(X509_add_ext(crt, extension, -1), 1);
    assert_true(X509_sign(crt, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(w->server, crt), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(w->server, key), 1);
    snprintf(w->account.ca_bundle, sizeof w->account.ca_bundle, "%s",
             scratch_path(&w->scratch, "ca.pem").text);
    FILE *out = fopen(w->account.ca_bundle, "w");

    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, crt), 1);
    assert_int_equal(fclose(out), 0);
    X509_EXTENSION_free(extension);
    X509_free(crt);
    EVP_PKEY_free(key);
}

static struct tls_world *open_tls_world(void)
{
    struct tls_world *w = calloc(1, sizeof *w);
    struct penstock_error error;

    assert_non_null(w);
    signal(SIGPIPE, SIG_IGN); /* as I/O threads have it, in effect */
    w->scratch = scratch_open();
    w->server = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(w->server, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_session_id_context(w->server, (const uint8_t *)"t", 1);
    SSL_CTX_set_tlsext_servername_callback(w->server, note_name);
    SSL_CTX_set_tlsext_servername_arg(w->server, w);
    certify(w, "DNS:" HOST ",IP:127.0.0.1");
    w->site.account = &w->account;
    snprintf(w->place.host, sizeof w->place.host, "%s", HOST);
    assert_int_equal(ps_tls_open(&w->tls, &w->site, &error), PENSTOCK_OK);
    return w;
}

static void close_tls_world(struct tls_world *w)
{
    ps_tls_close(&w->tls);
    SSL_CTX_free(w->server);
    scratch_close(&w->scratch);
    free(w);
}

/* What the server has written goes to the client's socket, as far as that takes it. */
static void flow(struct tls_pair *p)
{
    char *bytes;
    long left_bytes = BIO_get_mem_data(p->wire, &bytes);
    size_t step = (size_t)left_bytes;

    if (p->at_a_time > 0 && p->at_a_time < step)
        step = p->at_a_time;
    ssize_t sent = step > 0 ? send(p->server_fd, bytes, step, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    static char sink[1 << 18];

    while (sent > 0) {
        int got =
            BIO_read(p->wire, sink, sent < (ssize_t)sizeof sink ? (int)sent : (int)sizeof sink);

        assert_true(got > 0);
        sent -= got;
    }
}

static struct tls_pair *open_pair_raw(struct tls_world *w)
{
    struct tls_pair *p = calloc(1, sizeof *p);
    int fds[2];

    assert_non_null(p);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    p->client_fd = fds[0];
    p->server_fd = fds[1];
    p->reader.staging = &w->staging;
    p->client = ps_tls_connect(&w->tls, &w->place, p->client_fd, &p->reader);
    p->server = SSL_new(w->server);
    p->wire = BIO_new(BIO_s_mem());
    assert_non_null(p->client);
    SSL_set_bio(p->server, BIO_new_socket(p->server_fd, BIO_NOCLOSE), p->wire);
    SSL_set_accept_state(p->server);
    return p;
}

/* Shakes hands. */
static struct tls_pair *open_pair(struct tls_world *w)
{
    struct tls_pair *p = open_pair_raw(w);
    int client = 0, server = 0;

    for (int i = 0; i < 20 && (client != 1 || server != 1); i++) {
        client = SSL_do_handshake(p->client);
        server = SSL_do_handshake(p->server);
        flow(p);
    }
    if (client != 1 || server != 1)
        ERR_print_errors_fp(stderr);
    assert_int_equal(client, 1);
    assert_int_equal(server, 1);
    ps_tls_reader_begin(&p->reader);
    return p;
}

static void close_pair(struct tls_pair *p)
{
    static const struct ps_tls_reader none;

    ps_tls_end(p->client, false);
    ps_tls_reader_end(&p->reader);
    assert_memory_equal(&p->reader, &none, sizeof none); /* nothing secret is left */
    SSL_free(p->server);
    close(p->client_fd);
    if (p->server_fd >= 0)
        close(p->server_fd);
    free(p);
}

/* The server writes it in records of at most that text. */
static void say(struct tls_pair *p, const uint8_t *text, size_t len_bytes, size_t each_bytes)
{
    for (size_t done = 0; done < len_bytes; done += each_bytes) {
        size_t step = len_bytes - done < each_bytes ? len_bytes - done : each_bytes;

        assert_int_equal(SSL_write(p->server, text + done, (int)step), step);
    }
}

/* Reads text until there is so much, or no more; nothing is written behind the room. */
static int hear(struct tls_pair *p, uint8_t *into, size_t room, size_t each_bytes,
                size_t *heard_bytes)
{
    enum { GUARD = 0xa5 };
    int failure = SSL_ERROR_NONE;
    unsigned idle = 0;

    *heard_bytes = 0;
    while (*heard_bytes < room && (failure == SSL_ERROR_NONE || failure == SSL_ERROR_WANT_READ)) {
        size_t step = room - *heard_bytes < each_bytes ? room - *heard_bytes : each_bytes;
        uint8_t *at = into + *heard_bytes;
        size_t got_bytes = 0;

        at[step] = GUARD;
        flow(p);
        ERR_clear_error();
        failure = ps_tls_read(&p->reader, at, step, &got_bytes);
        assert_int_equal(at[step], GUARD);
        if (failure == SSL_ERROR_NONE) {
            assert_in_range(got_bytes, 1, step);
            *heard_bytes += got_bytes;
            idle = 0;
        } else if (failure == SSL_ERROR_WANT_READ && BIO_pending(p->wire) == 0 && ++idle > 2) {
            break;
        }
    }
    return failure;
}

/* ---- a text, for tests that begin with a world ---- */

enum { TEXT = 200000 };

static uint8_t text[TEXT];
static uint8_t heard[TEXT + 1]; /* and a guard behind it */

static int setup(void **state)
{
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof text; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = x >> 31 ? 0 : (uint8_t)(x >> 24); /* zeros look like padding */
    }
    *state = open_tls_world();
    return 0;
}

static int teardown(void **state)
{
    close_tls_world(*state);
    return 0;
}

/* All that the server says is heard, in steps of that room. */
static void expect_text_in(struct tls_pair *p, size_t len_bytes, size_t each_bytes)
{
    size_t heard_bytes;

    memset(heard, 0, sizeof heard);
    assert_int_equal(hear(p, heard, len_bytes, each_bytes, &heard_bytes), SSL_ERROR_NONE);
    assert_int_equal(heard_bytes, len_bytes);
    assert_memory_equal(heard, text, len_bytes);
}

static void expect_text(struct tls_pair *p, size_t len_bytes)
{
    expect_text_in(p, len_bytes, SIZE_MAX);
}

/* The client's text reaches the server. */
static void expect_answer(struct tls_pair *p)
{
    char word[16];

    size_t sent_bytes;

    assert_int_equal(ps_tls_write(&p->reader.writer, "request", 7, &sent_bytes), SSL_ERROR_NONE);
    assert_int_equal(sent_bytes, 7);
    assert_int_equal(SSL_read(p->server, word, sizeof word), 7);
    assert_memory_equal(word, "request", 7);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
