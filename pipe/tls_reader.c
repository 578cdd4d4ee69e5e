/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls_reader.c - see tls_reader.h. */
#include "pipe/tls_reader.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

/* How much ciphertext libssl may take with one read where it reads by itself: four records. */
#define READ_AHEAD_BYTES ((size_t)64 << 10)
#define EMPTY_MAX 32 /* records without text in a row, as libssl has it */

/* ---- the secret ---- */

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void keep_secret(struct ps_tls_secret *secret, const char *digits)
{
    size_t count = strspn(digits, "0123456789abcdef");

    secret->len_bytes = 0;
    if (digits[count] != '\0' || count > 2 * sizeof secret->bytes)
        return;
    for (size_t i = 0; i < count / 2; i++)
        secret->bytes[i] = (uint8_t)(digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]));
    secret->len_bytes = count / 2;
}

/* Lines are "LABEL RANDOM SECRET", in lower-case hexadecimal digits. */
void ps_tls_reader_learn(const SSL *ssl, const char *line)
{
    static const char servers[] = "SERVER_TRAFFIC_SECRET_0 ";
    static const char clients[] = "CLIENT_TRAFFIC_SECRET_0 ";
    struct ps_tls_reader *r = SSL_get_app_data(ssl);
    const char *digits = strrchr(line, ' ');

    if (!r || !digits)
        return;
    if (strncmp(line, servers, sizeof servers - 1) == 0)
        keep_secret(&r->servers, digits + 1);
    else if (strncmp(line, clients, sizeof clients - 1) == 0)
        keep_secret(&r->clients, digits + 1);
}

/* libssl reads a message. */
static void on_message(int is_sent, int version, int content_type, const void *message, size_t len,
                       SSL *ssl, void *cookie)
{
    struct ps_tls_reader *r = cookie;

    (void)version;
    (void)ssl;
    if (!is_sent && content_type == SSL3_RT_HANDSHAKE && len > 0 &&
        *(const uint8_t *)message == SSL3_MT_KEY_UPDATE)
        r->rekeyed = true;
}

static bool make_ours(struct ps_tls_reader *r)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(r->ssl);
    unsigned suite = cipher ? SSL_CIPHER_get_protocol_id(cipher) : 0;

    if (r->servers.len_bytes == 0 || r->clients.len_bytes == 0 ||
        SSL_version(r->ssl) != TLS1_3_VERSION || SSL_has_pending(r->ssl) ||
        !ps_tls_keys_set(&r->keys, suite, r->servers.bytes, r->servers.len_bytes))
        return false;
    BIO *to_libssl = BIO_new(BIO_s_mem());

    if (!to_libssl || !ps_tls_writer_begin(&r->writer, r->ssl, r->fd, suite, r->clients.bytes,
                                           r->clients.len_bytes)) {
        BIO_free(to_libssl);
        return false;
    }
    r->to_libssl = to_libssl;
    return true;
}

void ps_tls_reader_begin(struct ps_tls_reader *r)
{
    r->writer.ssl = r->ssl;
    r->ours = make_ours(r);
    OPENSSL_cleanse(&r->servers, sizeof r->servers);
    OPENSSL_cleanse(&r->clients, sizeof r->clients);
    if (r->ours) {
        SSL_set0_rbio(r->ssl, r->to_libssl);
        SSL_set_msg_callback(r->ssl, on_message);
        SSL_set_msg_callback_arg(r->ssl, r);
        return;
    }
    ps_tls_keys_clear(&r->keys);
    ERR_clear_error();
    /* During the handshake there was no reading ahead, and a small buffer. */
    SSL_free_buffers(r->ssl);
    SSL_set_default_read_buffer_len(r->ssl, READ_AHEAD_BYTES);
    SSL_set_read_ahead(r->ssl, 1);
}

void ps_tls_reader_end(struct ps_tls_reader *r)
{
    struct ps_tls_staging *staging = r->staging;

    if (staging && staging->owner == r)
        staging->owner = NULL;
    ps_tls_writer_end(&r->writer);
    ps_tls_keys_clear(&r->keys);
    OPENSSL_cleanse(r, sizeof *r);
}

/* ---- the staging ---- */

static void put_aside(struct ps_tls_staging *s)
{
    struct ps_tls_reader *r = s->owner;
    size_t left_bytes = s->sealed_end - s->sealed_at;

    if (s->text_end > s->text_at || left_bytes > sizeof r->aside) {
        r->over = SSL_ERROR_SSL; /* it is nothing that we have asked for */
        return;
    }
    memcpy(r->aside, s->sealed + s->sealed_at, left_bytes);
    r->aside_bytes = left_bytes;
}

static void take_staging(struct ps_tls_reader *r)
{
    struct ps_tls_staging *s = r->staging;

    if (s->owner == r)
        return;
    if (s->owner)
        put_aside(s);
    s->owner = r;
    s->sealed_at = s->text_at = s->text_end = 0;
    s->sealed_end = r->aside_bytes;
    memcpy(s->sealed, r->aside, r->aside_bytes);
    r->aside_bytes = 0;
}

/* Receives behind what is staged: what the socket has, as far as it fits. */
static int receive(struct ps_tls_reader *r)
{
    struct ps_tls_staging *s = r->staging;
    ssize_t got;

    if (r->drained) {
        r->drained = false;
        return SSL_ERROR_WANT_READ;
    }
    memmove(s->sealed, s->sealed + s->sealed_at, s->sealed_end - s->sealed_at);
    s->sealed_end -= s->sealed_at;
    s->sealed_at = 0;
    size_t room = PS_TLS_STAGING_BYTES - s->sealed_end;

    do {
        got = recv(r->fd, s->sealed + s->sealed_end, room, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? SSL_ERROR_WANT_READ : SSL_ERROR_SYSCALL;
    if (got == 0) {
        /* Without a good-bye before it that is an attack, or a fault: libssl knows. */
        BIO_set_mem_eof_return(r->to_libssl, 0);
        r->unfinished = true;
        return SSL_ERROR_NONE;
    }
    s->sealed_end += (size_t)got;
    r->drained = (size_t)got < room && !r->thorough;
    return SSL_ERROR_NONE;
}

/* ---- libssl's part ---- */

static int fail(int reason)
{
    ERR_raise(ERR_LIB_SSL, reason);
    return SSL_ERROR_SSL;
}

/* libssl would answer a KeyUpdate with the next text that it is given to write. */
static void answer_update(SSL *ssl)
{
    if (SSL_get_key_update_type(ssl) == SSL_KEY_UPDATE_NONE)
        return;
    SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl);
}

/* Has libssl read all that it was given. Returns WANT_READ when it has, and is content. */
static int run_libssl(struct ps_tls_reader *r)
{
    uint8_t byte;
    size_t got_bytes;

    ERR_clear_error(); /* SSL_get_error looks at what is left of failures to decrypt, too */
    int rc = SSL_read_ex(r->ssl, &byte, 1, &got_bytes);
    int failure = SSL_get_error(r->ssl, rc);

    r->unfinished = false;
    answer_update(r->ssl);
    ps_tls_writer_forward(&r->writer); /* that, or an alert */
    if (r->rekeyed) {
        r->rekeyed = false;
        r->libssl_no = 0;
        if (!ps_tls_keys_next(&r->keys))
            return fail(ERR_R_INTERNAL_ERROR);
    }
    /* Text it has never been given. */
    return rc == 1 ? fail(SSL_R_UNEXPECTED_RECORD) : failure;
}

static int tell_libssl(struct ps_tls_reader *r, const uint8_t *record, size_t len_bytes)
{
    if (BIO_write(r->to_libssl, record, (int)len_bytes) != (int)len_bytes)
        return fail(ERR_R_MALLOC_FAILURE);
    return run_libssl(r);
}

/* The record is not authentic, or no sealed one at all: libssl tells the server. */
static int refuse(struct ps_tls_reader *r, const uint8_t *record, size_t len_bytes)
{
    int failure = tell_libssl(r, record, len_bytes);

    return failure != SSL_ERROR_WANT_READ ? failure
                                          : fail(SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
}

/* An authentic record that holds something else than text: into[0 .. into_bytes) and the rest of
 * it in staging->text. Sealed again without its padding. */
static int hand_over(struct ps_tls_reader *r, const uint8_t *into, size_t into_bytes,
                     struct ps_tls_inner inner)
{
    struct ps_tls_staging *s = r->staging;
    size_t inner_bytes = inner.len_bytes + 1;

    if (inner_bytes < into_bytes)
        into_bytes = inner_bytes;
    memcpy(s->other, into, into_bytes);
    memcpy(s->other + into_bytes, s->text, inner_bytes - into_bytes);
    size_t len_bytes = ps_tls_record_seal(&r->keys, r->libssl_no, s->other, inner_bytes, s->again);

    if (len_bytes == 0)
        return fail(ERR_R_MALLOC_FAILURE);
    r->libssl_no++;
    return tell_libssl(r, s->again, len_bytes);
}

/* ---- reading ---- */

/* Opens the staged record. WANT_READ: it held no text. */
static int open_record(struct ps_tls_reader *r, uint8_t *into, size_t room, size_t *got_bytes)
{
    struct ps_tls_staging *s = r->staging;
    const uint8_t *record = s->sealed + s->sealed_at;
    size_t len_bytes = ps_tls_record_bytes(record);
    struct ps_tls_inner inner;

    s->sealed_at += len_bytes;
    if (!ps_tls_record_open(&r->keys, record, into, room, s->text, &inner))
        return refuse(r, record, len_bytes);
    if (inner.type != PS_TLS_APPLICATION_DATA || inner.len_bytes > PS_TLS_TEXT_BYTES_MAX)
        return hand_over(r, into, room, inner);
    if (inner.len_bytes == 0)
        return ++r->empty_count > EMPTY_MAX ? fail(SSL_R_RECORD_TOO_SMALL) : SSL_ERROR_WANT_READ;
    r->empty_count = 0;
    *got_bytes = inner.len_bytes < room ? inner.len_bytes : room;
    s->text_at = 0;
    s->text_end = inner.len_bytes - *got_bytes;
    return SSL_ERROR_NONE;
}

/* Whether all of a record is staged. */
static bool has_record(const struct ps_tls_staging *s)
{
    const uint8_t *record = s->sealed + s->sealed_at;
    size_t have_bytes = s->sealed_end - s->sealed_at;

    return have_bytes >= PS_TLS_HEADER_BYTES && have_bytes >= ps_tls_record_bytes(record);
}

/* What it announces is not waited for. */
static bool has_bad_header(const struct ps_tls_staging *s)
{
    const uint8_t *header = s->sealed + s->sealed_at;

    return s->sealed_end - s->sealed_at >= PS_TLS_HEADER_BYTES && !ps_tls_record_is_sealed(header);
}

static int read_ours(struct ps_tls_reader *r, uint8_t *into, size_t room, size_t *got_bytes)
{
    struct ps_tls_staging *s = r->staging;
    int failure = SSL_ERROR_NONE;

    while (failure == SSL_ERROR_NONE) {
        if (r->unfinished) {
            failure = run_libssl(r);
        } else if (has_bad_header(s)) {
            return refuse(r, s->sealed + s->sealed_at, PS_TLS_HEADER_BYTES);
        } else if (has_record(s)) {
            failure = open_record(r, into, room, got_bytes);
            if (failure == SSL_ERROR_NONE)
                return failure;
        } else {
            failure = receive(r);
            if (failure != SSL_ERROR_NONE)
                return failure;
        }
        if (failure == SSL_ERROR_WANT_READ)
            failure = SSL_ERROR_NONE; /* libssl's wish, or an empty record: there may be another */
    }
    return failure;
}

static int read_libssl(struct ps_tls_reader *r, uint8_t *into, size_t room, size_t *got_bytes)
{
    return SSL_get_error(r->ssl, SSL_read_ex(r->ssl, into, room, got_bytes));
}

static size_t take_text(struct ps_tls_reader *r, uint8_t *into, size_t room)
{
    struct ps_tls_staging *s = r->staging;
    size_t left_bytes = s->text_end - s->text_at;
    size_t take_bytes = left_bytes < room ? left_bytes : room;

    memcpy(into, s->text + s->text_at, take_bytes);
    s->text_at += take_bytes;
    r->copied_bytes += take_bytes;
    return take_bytes;
}

int ps_tls_read(struct ps_tls_reader *r, uint8_t *into, size_t room, size_t *got_bytes)
{
    if (!r->ours)
        return read_libssl(r, into, room, got_bytes);
    take_staging(r);
    if (r->over)
        return r->over == SSL_ERROR_SSL ? fail(SSL_R_UNEXPECTED_RECORD) : r->over;
    *got_bytes = take_text(r, into, room);
    if (*got_bytes > 0)
        return SSL_ERROR_NONE;
    int failure = read_ours(r, into, room, got_bytes);

    if (failure != SSL_ERROR_NONE && failure != SSL_ERROR_WANT_READ &&
        failure != SSL_ERROR_WANT_WRITE)
        r->over = failure;
    return failure;
}

bool ps_tls_is_open(struct ps_tls_reader *r)
{
    uint8_t byte;
    size_t got_bytes;

    ERR_clear_error();
    r->drained = false;
    r->thorough = true; /* an end may lie behind a ticket */
    bool is_open = ps_tls_read(r, &byte, 1, &got_bytes) == SSL_ERROR_WANT_READ;

    r->thorough = false;
    r->drained = is_open; /* no answer is there as soon as the next request is sent */
    return is_open;
}
