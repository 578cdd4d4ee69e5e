/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/tls_writer.c - see tls_writer.h. */
#include "pipe/tls_writer.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

bool ps_tls_writer_begin(struct ps_tls_writer *w, SSL *ssl, int fd, unsigned suite,
                         const uint8_t *secret, size_t secret_bytes)
{
    w->ssl = ssl;
    w->fd = fd;
    if (secret_bytes == 0 || !ps_tls_keys_set(&w->keys, suite, secret, secret_bytes) ||
        !(w->from_libssl = BIO_new(BIO_s_mem()))) {
        ps_tls_keys_clear(&w->keys);
        return false;
    }
    SSL_set0_wbio(ssl, w->from_libssl);
    w->ours = true;
    return true;
}

void ps_tls_writer_end(struct ps_tls_writer *w)
{
    ps_tls_keys_clear(&w->keys);
    OPENSSL_cleanse(w, sizeof *w);
}

static bool seal(struct ps_tls_writer *w, const uint8_t *inner, size_t inner_bytes)
{
    w->out_at = 0;
    w->out_end = ps_tls_record_seal(&w->keys, w->record_no, inner, inner_bytes, w->out);
    w->record_no++;
    return w->out_end > 0;
}

/* Sends the record at hand. */
static int flush(struct ps_tls_writer *w)
{
    while (w->out_at < w->out_end) {
        ssize_t sent =
            send(w->fd, w->out + w->out_at, w->out_end - w->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent >= 0)
            w->out_at += (size_t)sent;
        else if (errno == EAGAIN)
            return SSL_ERROR_WANT_WRITE;
        else if (errno != EINTR)
            return SSL_ERROR_SYSCALL;
    }
    return SSL_ERROR_NONE;
}

/* A record that libssl has written, if there is one, becomes the one at hand. It writes whole
 * records, and none with padding. */
static int take_from_libssl(struct ps_tls_writer *w, bool *taken)
{
    uint8_t record[PS_TLS_HEADER_BYTES + 256 + PS_TLS_TAG_BYTES]; /* alerts and key updates */
    uint8_t inner[sizeof record];
    uint8_t spill[PS_TLS_TAG_BYTES];
    struct ps_tls_inner content;
    uint8_t *all;
    long have_bytes = BIO_get_mem_data(w->from_libssl, (char **)&all);

    *taken = have_bytes > 0;
    if (!*taken)
        return SSL_ERROR_NONE;
    size_t len_bytes = have_bytes < PS_TLS_HEADER_BYTES ? SIZE_MAX : ps_tls_record_bytes(all);

    if (len_bytes > sizeof record || !ps_tls_record_is_sealed(all) ||
        BIO_read(w->from_libssl, record, (int)len_bytes) != (int)len_bytes ||
        !ps_tls_record_open(&w->keys, record, inner, sizeof inner, spill, &content) ||
        !seal(w, inner, content.len_bytes + 1)) {
        ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR);
        return SSL_ERROR_SSL;
    }
    if (content.type == SSL3_RT_HANDSHAKE && inner[0] == SSL3_MT_KEY_UPDATE) {
        w->record_no = 0;
        return ps_tls_keys_next(&w->keys) ? SSL_ERROR_NONE : SSL_ERROR_SSL;
    }
    return SSL_ERROR_NONE;
}

/* Sends all that waits. */
static int settle(struct ps_tls_writer *w)
{
    bool taken = true;
    int failure = flush(w);

    while (failure == SSL_ERROR_NONE && taken) {
        failure = take_from_libssl(w, &taken);
        if (failure == SSL_ERROR_NONE)
            failure = flush(w);
    }
    return failure;
}

void ps_tls_writer_forward(struct ps_tls_writer *w)
{
    if (w->ours)
        (void)settle(w);
}

int ps_tls_write(struct ps_tls_writer *w, const void *text, size_t len_bytes, size_t *sent_bytes)
{
    if (!w->ours)
        return SSL_get_error(w->ssl, SSL_write_ex(w->ssl, text, len_bytes, sent_bytes));
    int failure = settle(w);

    if (failure == SSL_ERROR_NONE && w->text_bytes == 0) {
        uint8_t *inner = w->out + PS_TLS_HEADER_BYTES; /* to be sealed in place */

        w->text_bytes = len_bytes < PS_TLS_TEXT_BYTES_MAX ? len_bytes : PS_TLS_TEXT_BYTES_MAX;
        memcpy(inner, text, w->text_bytes);
        inner[w->text_bytes] = PS_TLS_APPLICATION_DATA;
        failure = seal(w, inner, w->text_bytes + 1) ? flush(w) : SSL_ERROR_SSL;
    }
    if (failure == SSL_ERROR_NONE) {
        *sent_bytes = w->text_bytes;
        w->text_bytes = 0;
    }
    return failure;
}
