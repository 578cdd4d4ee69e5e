/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_tls_writer.c - writing over TLS, to libssl's server: all of the text, and what
 * libssl says in between, under numbers that the server takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/tls_fixture.h"

/* All of it reaches the server, however little the socket takes at a time. */
static void test_text_is_written_in_any_length(void **state)
{
    static const size_t lengths[] = {1, 2000, 16384, 16385, TEXT};

    for (int older = 0; older < 2; older++) {
        struct tls_world *w = *state;

        if (older)
            SSL_CTX_set_max_proto_version(w->server, TLS1_2_VERSION);
        struct tls_pair *p = open_pair(w);
        int small = 4096;

        setsockopt(p->client_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        assert_int_equal(p->reader.writer.ours, !older);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t told = 0, heard_bytes = 0, waits = 0;

            while (heard_bytes < lengths[i]) {
                size_t some_bytes = 0;
                int failure = SSL_ERROR_NONE;

                if (told < lengths[i])
                    failure = ps_tls_write(&p->reader.writer, text + told, lengths[i] - told,
                                           &some_bytes);
                assert_true(failure == SSL_ERROR_NONE || failure == SSL_ERROR_WANT_WRITE);
                told += some_bytes;
                waits += failure == SSL_ERROR_WANT_WRITE;
                if (SSL_read_ex(p->server, heard + heard_bytes, TEXT - heard_bytes, &some_bytes))
                    heard_bytes += some_bytes;
            }
            assert_int_equal(told, lengths[i]);
            assert_memory_equal(heard, text, lengths[i]);
            assert_true(waits > 0 || lengths[i] < TEXT);
        }
        close_pair(p);
    }
}

static void test_a_good_bye_is_said(void **state)
{
    struct tls_pair *p = open_pair(*state);
    char word[8];

    expect_answer(p); /* numbers of records are not libssl's any more */
    ps_tls_end(p->client, true);
    p->client = NULL;
    assert_int_equal(SSL_read(p->server, word, sizeof word), 0);
    assert_int_equal(SSL_get_error(p->server, 0), SSL_ERROR_ZERO_RETURN);
    close_pair(p);
}

/* The answer to a key update has to wait until a record that is half sent is whole. */
static void test_keys_are_updated_while_text_is_sent(void **state)
{
    struct tls_pair *p = open_pair(*state);
    int small = 4096;
    size_t told = 0, heard_bytes = 0, some_bytes;

    setsockopt(p->client_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    while (ps_tls_write(&p->reader.writer, text + told, TEXT - told, &some_bytes) == SSL_ERROR_NONE)
        told += some_bytes;
    assert_true(told < TEXT);
    assert_int_equal(SSL_key_update(p->server, SSL_KEY_UPDATE_REQUESTED), 1);
    say(p, text, 100, 100);
    expect_text(p, 100);
    while (heard_bytes < TEXT) {
        if (told < TEXT && ps_tls_write(&p->reader.writer, text + told, TEXT - told, &some_bytes) ==
                               SSL_ERROR_NONE)
            told += some_bytes;
        if (SSL_read_ex(p->server, heard + heard_bytes, TEXT - heard_bytes, &some_bytes))
            heard_bytes += some_bytes;
        assert_true(SSL_get_error(p->server, -1) != SSL_ERROR_SSL);
    }
    assert_memory_equal(heard, text, TEXT);
    assert_int_equal(BIO_pending(p->reader.writer.from_libssl), 0);
    close_pair(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_text_is_written_in_any_length),
        WITH_WORLD(test_a_good_bye_is_said),
        WITH_WORLD(test_keys_are_updated_while_text_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
