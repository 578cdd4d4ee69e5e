/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_tls_reader.c - reading over TLS, from libssl's server: the same text whatever the
 * records are like, what is not text in between, and nothing that is not authentic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/tls_fixture.h"

/* A record made by hand goes to the wire in the server's stead, whose count it spoils. */
static void inject(struct tls_pair *p, uint64_t record_no, const void *inner, size_t inner_bytes)
{
    uint8_t record[PS_TLS_RECORD_BYTES_MAX];
    size_t len = ps_tls_record_seal(&p->reader.keys, record_no, inner, inner_bytes, record);

    assert_true(len > 0);
    assert_int_equal(BIO_write(p->wire, record, (int)len), len);
}

/* Nothing is heard but the end, which has that reason. */
static void expect_failure(struct tls_pair *p, int reason)
{
    size_t heard_bytes;

    assert_int_equal(hear(p, heard, 100, 100, &heard_bytes), SSL_ERROR_SSL);
    assert_int_equal(heard_bytes, 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), reason);
    ERR_clear_error();
}

/* ---- text ---- */

static void test_text_is_the_same_in_any_record_and_room(void **state)
{
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    static const size_t records[] = {1, 100, 16383, 16384};
    static const size_t rooms[] = {1, 99, 16384, 16385, SIZE_MAX};

    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct tls_world *w = *state;

        assert_int_equal(SSL_CTX_set_ciphersuites(w->server, suites[i]), 1);
        struct tls_pair *p = open_pair(w);

        assert_true(p->reader.ours);
        for (size_t r = 0; r < sizeof records / sizeof *records; r++)
            for (size_t m = 0; m < sizeof rooms / sizeof *rooms; m++) {
                size_t len_bytes = records[r] < 100 || rooms[m] < 99 ? 3000 : 50000;

                say(p, text, len_bytes, records[r]);
                expect_text_in(p, len_bytes, rooms[m]);
            }
        close_pair(p);
    }
}

static void test_tls_1_2_is_left_to_libssl(void **state)
{
    struct tls_world *w = *state;

    SSL_CTX_set_max_proto_version(w->server, TLS1_2_VERSION);
    struct tls_pair *p = open_pair(w);

    assert_false(p->reader.ours);
    say(p, text, TEXT, 16384);
    expect_text_in(p, TEXT, 70000);
    /* It reads ahead: several records with one call to the kernel. */
    size_t heard_bytes;

    say(p, text, 3000, 1000);
    flow(p);
    assert_int_equal(ps_tls_read(&p->reader, heard, 10, &heard_bytes), SSL_ERROR_NONE);
    assert_int_equal(recv(p->client_fd, heard, 1, MSG_PEEK), -1);
    assert_int_equal(hear(p, heard, 2990, 2990, &heard_bytes), SSL_ERROR_NONE);
    assert_memory_equal(heard, text + 10, 2990);
    /* A renegotiation is declined, and the connection goes on. */
    SSL_renegotiate(p->server);
    SSL_do_handshake(p->server);
    say(p, text, 1000, 1000);
    expect_text(p, 1000);
    SSL_shutdown(p->server);
    assert_int_equal(hear(p, heard, 1, 1, &heard_bytes), SSL_ERROR_ZERO_RETURN);
    close_pair(p);
}

static void test_libssl_reads_if_it_is_told_to(void **state)
{
    struct tls_world *w = *state;
    struct penstock_error error;

    ps_tls_close(&w->tls);
    setenv("PENSTOCK_TLS_RECORDS", "mine", 1);
    assert_int_equal(ps_tls_open(&w->tls, &w->site, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "PENSTOCK_TLS_RECORDS"));
    setenv("PENSTOCK_TLS_RECORDS", "openssl", 1);
    assert_int_equal(ps_tls_open(&w->tls, &w->site, &error), PENSTOCK_OK);
    unsetenv("PENSTOCK_TLS_RECORDS");
    struct tls_pair *p = open_pair(w);

    assert_false(p->reader.ours);
    say(p, text, TEXT, 16384);
    expect_text(p, TEXT);
    close_pair(p);
}

static void test_padding_is_no_text(void **state)
{
    struct tls_world *w = *state;
    struct tls_pair *p = open_pair(w);

    assert_int_equal(SSL_set_block_padding(p->server, 1000), 1);
    say(p, text, 40000, 700);
    expect_text(p, 40000);
    assert_int_equal(SSL_set_block_padding(p->server, 16384), 1); /* as much as there can be */
    say(p, text, 50, 1);
    expect_text_in(p, 50, 3);
    close_pair(p);
}

static void test_bytes_may_come_one_by_one(void **state)
{
    struct tls_pair *p = open_pair(*state);

    p->at_a_time = 1;
    say(p, text, 3000, 1000);
    SSL_new_session_ticket(p->server);
    say(p, text + 3000, 100, 1000);
    expect_text(p, 3100);
    close_pair(p);
}

/* Each of them has part of a record in the staging when the other one comes to read. */
static void test_connections_share_the_staging(void **state)
{
    static uint8_t others[TEXT + 1];
    struct tls_pair *p = open_pair(*state), *q = open_pair(*state);
    size_t of_p = 0, of_q = 0, more;

    say(p, text, TEXT, 16384);
    say(q, text, TEXT, 5000);
    p->at_a_time = 7001;
    q->at_a_time = 10007;
    for (int i = 0; i < 1000 && (of_p < TEXT || of_q < TEXT); i++) {
        flow(p);
        flow(q);
        while (of_p < TEXT && ps_tls_read(&p->reader, heard + of_p, TEXT - of_p, &more) == 0)
            of_p += more;
        while (of_q < TEXT && ps_tls_read(&q->reader, others + of_q, TEXT - of_q, &more) == 0)
            of_q += more;
    }
    assert_int_equal(of_p, TEXT);
    assert_int_equal(of_q, TEXT);
    assert_memory_equal(heard, text, TEXT);
    assert_memory_equal(others, text, TEXT);
    close_pair(p);
    close_pair(q);
}

/* More than can be put aside is lost, and the connection with it: never another text. */
static void test_what_is_left_behind_is_not_read_wrongly(void **state)
{
    struct tls_pair *p = open_pair(*state), *q = open_pair(*state);
    size_t heard_bytes;

    for (int of_a_record = 0; of_a_record < 2; of_a_record++) {
        say(p, text, of_a_record ? 100 : 50000, 10000);
        flow(p);
        assert_int_equal(ps_tls_read(&p->reader, heard, 10, &heard_bytes), SSL_ERROR_NONE);
        say(q, text, 100, 100);
        expect_text(q, 100);
        assert_int_equal(ps_tls_read(&p->reader, heard, 10, &heard_bytes), SSL_ERROR_SSL);
        assert_false(ps_tls_is_open(&p->reader));
        close_pair(p);
        p = open_pair(*state);
    }
    close_pair(p);
    close_pair(q);
}

/* ---- what is not text ---- */

static void test_tickets_between_records_are_kept(void **state)
{
    struct tls_world *w = *state;
    struct tls_pair *p = open_pair(w);

    for (int i = 0; i < 5; i++) {
        say(p, text + 1000 * i, 1000, 300);
        assert_int_equal(SSL_new_session_ticket(p->server), 1);
    }
    expect_text(p, 5000);
    SSL_do_handshake(p->server);
    flow(p);
    assert_true(ps_tls_is_open(&p->reader));
    assert_int_equal(w->tls.ticket_count, 7); /* with the two that follow a handshake */
    close_pair(p);
    for (int i = 0; i < 3; i++) {
        p = open_pair(w);
        assert_int_equal(SSL_session_reused(p->client), 1);
        say(p, text, 1000, 1000);
        expect_text(p, 1000);
        close_pair(p);
    }
}

static void count_updates(int is_sent, int version, int content_type, const void *message,
                          size_t len, SSL *ssl, void *cookie)
{
    unsigned *count = cookie;

    (void)version;
    (void)ssl;
    *count += !is_sent && content_type == SSL3_RT_HANDSHAKE && len > 0 &&
              *(const uint8_t *)message == SSL3_MT_KEY_UPDATE;
}

static void test_keys_are_updated(void **state)
{
    struct tls_world *w = *state;
    struct tls_pair *p = open_pair(w);
    unsigned answers = 0;

    SSL_set_msg_callback(p->server, count_updates);
    SSL_set_msg_callback_arg(p->server, &answers);
    for (unsigned i = 0; i < 6; i++) {
        bool wants_ours = i % 2 == 1;

        say(p, text, 20000, 16384);
        assert_int_equal(SSL_key_update(p->server, wants_ours ? SSL_KEY_UPDATE_REQUESTED
                                                              : SSL_KEY_UPDATE_NOT_REQUESTED),
                         1);
        say(p, text + 20000, 20000, 16384);
        if (i == 3)
            SSL_new_session_ticket(p->server); /* libssl's count of records began anew, too */
        say(p, text + 40000, 100, 100);
        expect_text(p, 40100);
        expect_answer(p);
        assert_int_equal(answers, (i + 1) / 2);
    }
    assert_int_equal(w->tls.ticket_count, 3);
    close_pair(p);
}

static void test_a_key_update_may_come_in_pieces(void **state)
{
    struct tls_pair *p = open_pair(*state);
    struct ps_tls_keys next = p->reader.keys;

    assert_true(ps_tls_is_open(&p->reader)); /* the tickets are read */
    uint64_t no = p->reader.keys.record_no;

    inject(p, no, "\x18\x00\x16", 3);
    inject(p, no + 1, "\x00\x01\x00\x16", 4);
    flow(p);
    assert_true(ps_tls_is_open(&p->reader));
    assert_int_equal(p->reader.keys.record_no, 0);
    assert_memory_not_equal(p->reader.keys.secret, next.secret, next.secret_bytes);
    inject(p, 0, "text\x17", 5);
    flow(p);
    size_t heard_bytes;

    assert_int_equal(hear(p, heard, 4, 4, &heard_bytes), SSL_ERROR_NONE);
    assert_memory_equal(heard, "text", 4);
    close_pair(p);
}

/* ---- the end ---- */

static void test_a_good_bye_is_the_end(void **state)
{
    struct tls_pair *p = open_pair(*state);
    size_t heard_bytes;

    say(p, text, 1000, 1000);
    SSL_shutdown(p->server);
    flow(p);
    assert_int_equal(hear(p, heard, 2000, 2000, &heard_bytes), SSL_ERROR_ZERO_RETURN);
    assert_int_equal(heard_bytes, 1000);
    assert_false(ps_tls_is_open(&p->reader));
    close_pair(p);
}

/* Whoever cuts a connection can do so between records, or in one: neither is the server's end. */
static void test_an_end_without_a_good_bye_is_a_failure(void **state)
{
    for (int cut_bytes = 0; cut_bytes < 1000; cut_bytes += 333) {
        struct tls_pair *p = open_pair(*state);
        static char some[1000];

        expect_text(p, 0);
        assert_true(ps_tls_is_open(&p->reader));
        say(p, text, 2000, 2000);
        if (cut_bytes > 0) {
            int got = BIO_read(p->wire, some, cut_bytes);

            assert_int_equal(send(p->server_fd, some, (size_t)got, 0), got);
        }
        BIO_reset(p->wire);
        close(p->server_fd);
        p->server_fd = -1;
        expect_failure(p, SSL_R_UNEXPECTED_EOF_WHILE_READING);
        close_pair(p);
    }
}

static void test_idle_connections(void **state)
{
    struct tls_pair *p = open_pair(*state);

    assert_true(ps_tls_is_open(&p->reader)); /* though tickets came */
    assert_true(ps_tls_is_open(&p->reader));
    expect_answer(p);
    say(p, text, 10, 10);
    flow(p);
    assert_false(ps_tls_is_open(&p->reader));
    close_pair(p);
    p = open_pair(*state);
    say(p, text, 10, 10); /* more than is read */
    expect_text(p, 9);
    assert_false(ps_tls_is_open(&p->reader));
    close_pair(p);
    p = open_pair(*state);
    close(p->server_fd);
    p->server_fd = -1;
    assert_false(ps_tls_is_open(&p->reader));
    close_pair(p);
}

/* ---- what is not authentic, or not allowed ---- */

/* Some text that is heard, and then another record, altered by `alter`. */
static struct tls_pair *altered(struct tls_world *w, void (*alter)(uint8_t *record, size_t len))
{
    struct tls_pair *p = open_pair(w);
    char *record;

    say(p, text, 500, 100);
    expect_text(p, 500);
    say(p, text, 100, 100);
    size_t len = (size_t)BIO_get_mem_data(p->wire, &record);

    alter((uint8_t *)record, len);
    return p;
}

static void flip_text(uint8_t *record, size_t len)
{
    record[len / 2] ^= 0x10;
}

static void flip_tag(uint8_t *record, size_t len)
{
    record[len - 1] ^= 1;
}

static void shorten(uint8_t *record, size_t len)
{
    (void)len;
    record[4]--;
}

static void test_flipped_bits_are_noticed(void **state)
{
    void (*const alter[])(uint8_t *, size_t) = {flip_text, flip_tag, shorten};

    for (size_t i = 0; i < sizeof alter / sizeof *alter; i++) {
        struct tls_pair *p = altered(*state, alter[i]);
        char word[8];

        expect_failure(p, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
        /* The server is told. */
        assert_true(SSL_read(p->server, word, sizeof word) <= 0);
        assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
        close_pair(p);
    }
}

static void make_plain(uint8_t *record, size_t len)
{
    (void)len;
    record[0] = 22;
}

/* For the sake of middleboxes, but only before a handshake's end (RFC 8446, 5). */
static void make_ccs(uint8_t *record, size_t len)
{
    (void)len;
    memcpy(record, "\x14\x03\x03\x00\x01\x01", 6);
}

static void make_http(uint8_t *record, size_t len)
{
    (void)len;
    memcpy(record, "HTTP/", 5);
}

static void make_old(uint8_t *record, size_t len)
{
    (void)len;
    record[2] = 1;
}

static void make_long(uint8_t *record, size_t len)
{
    (void)len;
    record[3] = 0x41;
    record[4] = 1;
}

/* Nothing is waited for that such a header announces. */
static void test_headers_of_no_record_are_refused(void **state)
{
    static const struct {
        void (*alter)(uint8_t *, size_t);
        int reason;
    } cases[] = {
        {make_plain, SSL_R_BAD_RECORD_TYPE},          {make_ccs, SSL_R_BAD_RECORD_TYPE},
        {make_http, SSL_R_WRONG_VERSION_NUMBER},      {make_old, SSL_R_WRONG_VERSION_NUMBER},
        {make_long, SSL_R_ENCRYPTED_LENGTH_TOO_LONG},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_pair *p = altered(*state, cases[i].alter);
        char header[PS_TLS_HEADER_BYTES];

        assert_int_equal(BIO_read(p->wire, header, sizeof header), sizeof header);
        BIO_reset(p->wire);
        BIO_write(p->wire, header, sizeof header);
        expect_failure(p, cases[i].reason);
        close_pair(p);
    }
}

static void test_records_may_not_be_left_out_or_come_twice(void **state)
{
    for (int twice = 0; twice < 2; twice++) {
        struct tls_pair *p = open_pair(*state);
        static char record[200];

        say(p, text, 500, 100);
        expect_text(p, 500);
        say(p, text, 100, 100);
        int len = BIO_read(p->wire, record, sizeof record);

        if (twice) {
            BIO_write(p->wire, record, len);
            expect_text(p, 100);
            BIO_write(p->wire, record, len);
        } else {
            say(p, text, 100, 100);
        }
        expect_failure(p, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
        close_pair(p);
    }
}

/* From the server itself: authentic, and wrong. */
static void test_records_that_break_the_rules_are_refused(void **state)
{
    static const uint8_t long_text[PS_TLS_TEXT_BYTES_MAX + 2] = {[PS_TLS_TEXT_BYTES_MAX + 1] =
                                                                     PS_TLS_APPLICATION_DATA};
    static const struct {
        const void *inner;
        size_t inner_bytes;
        int reason;
    } cases[] = {
        {"\0\0\0\0", 4, SSL_R_BAD_RECORD_TYPE}, /* no type */
        {"abc\x18", 4, SSL_R_BAD_RECORD_TYPE},  /* a heartbeat, which was not agreed on */
        {"\x02\x28\x15", 3, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE},
        {"\x18\x00\x00\x01\x00\x18\x00\x00\x01\x00\x16", 11, SSL_R_NOT_ON_RECORD_BOUNDARY},
        {"\x18\x00\x00\x01\x02\x16", 6, SSL_R_BAD_KEY_UPDATE},
        {"\x00\x00\x00\x00\x16", 5, SSL_R_UNEXPECTED_MESSAGE}, /* HelloRequest, of TLS 1.2 */
        {long_text, sizeof long_text, SSL_R_DATA_LENGTH_TOO_LONG},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_pair *p = open_pair(*state);

        assert_true(ps_tls_is_open(&p->reader));
        inject(p, p->reader.keys.record_no, cases[i].inner, cases[i].inner_bytes);
        expect_failure(p, cases[i].reason);
        close_pair(p);
    }
}

static void test_records_without_text_may_not_come_for_ever(void **state)
{
    struct tls_pair *p = open_pair(*state);

    assert_true(ps_tls_is_open(&p->reader));
    uint64_t no = p->reader.keys.record_no;

    for (int i = 0; i < 32; i++)
        inject(p, no++, "\x17\0\0", 3);
    inject(p, no++, "a\x17", 2);
    size_t heard_bytes;

    assert_int_equal(hear(p, heard, 1, 1, &heard_bytes), SSL_ERROR_NONE);
    assert_int_equal(heard[0], 'a');
    for (int i = 0; i < 33; i++)
        inject(p, no++, "\x17", 1);
    expect_failure(p, SSL_R_RECORD_TOO_SMALL);
    close_pair(p);
}

/* ---- names ---- */

static void test_a_name_is_indicated_and_an_address_is_not(void **state)
{
    struct tls_world *w = *state;

    close_pair(open_pair(w));
    assert_string_equal(w->name, HOST);
    snprintf(w->place.host, sizeof w->place.host, "127.0.0.1");
    ps_tls_close(&w->tls); /* no ticket for the other name */
    struct penstock_error error;

    assert_int_equal(ps_tls_open(&w->tls, &w->site, &error), PENSTOCK_OK);
    close_pair(open_pair(w));
    assert_string_equal(w->name, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_text_is_the_same_in_any_record_and_room),
        WITH_WORLD(test_tls_1_2_is_left_to_libssl),
        WITH_WORLD(test_libssl_reads_if_it_is_told_to),
        WITH_WORLD(test_padding_is_no_text),
        WITH_WORLD(test_bytes_may_come_one_by_one),
        WITH_WORLD(test_connections_share_the_staging),
        WITH_WORLD(test_what_is_left_behind_is_not_read_wrongly),
        WITH_WORLD(test_tickets_between_records_are_kept),
        WITH_WORLD(test_keys_are_updated),
        WITH_WORLD(test_a_key_update_may_come_in_pieces),
        WITH_WORLD(test_a_good_bye_is_the_end),
        WITH_WORLD(test_an_end_without_a_good_bye_is_a_failure),
        WITH_WORLD(test_idle_connections),
        WITH_WORLD(test_flipped_bits_are_noticed),
        WITH_WORLD(test_headers_of_no_record_are_refused),
        WITH_WORLD(test_records_may_not_be_left_out_or_come_twice),
        WITH_WORLD(test_records_that_break_the_rules_are_refused),
        WITH_WORLD(test_records_without_text_may_not_come_for_ever),
        WITH_WORLD(test_a_name_is_indicated_and_an_address_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
