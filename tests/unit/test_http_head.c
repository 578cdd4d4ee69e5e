/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_http_head.c - heads of HTTP answers: what is read, what is refused, and that no
 * split of the bytes changes either. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pipe/http_head.h"

#define CRLF "\r\n"
#define OK_HEAD                                                                                    \
    "HTTP/1.1 206 Partial Content" CRLF "Content-Length: 10" CRLF                                  \
    "content-RANGE:  bytes 5-14/100\t" CRLF "x-amz-request-id: R1" CRLF                            \
    "x-amz-bucket-region: eu-west-1" CRLF "x-amz-checksum-crc32: y/Q5Jg==" CRLF                    \
    "x-amz-checksum-type: FULL_OBJECT" CRLF CRLF

/* Parses a copy that ends at a page that cannot be read. */
static enum ps_http_rc parse_guarded(const char *in, size_t len, size_t *scanned,
                                     struct ps_http_head *head)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = len / page + 1;
    char *map =
        mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mprotect(map + pages * page, page, PROT_NONE), 0);
    char *copy = map + pages * page - len;

    memcpy(copy, in, len);
    enum ps_http_rc rc = ps_http_head_parse(copy, len, scanned, head);

    munmap(map, (pages + 1) * page);
    return rc;
}

static enum ps_http_rc parse(const char *text, struct ps_http_head *head)
{
    size_t scanned = 0;

    memset(head, 0, sizeof *head);
    return parse_guarded(text, strlen(text), &scanned, head);
}

static void test_fields_of_a_good_head_are_read(void **state)
{
    struct ps_http_head head;

    (void)state;
    assert_int_equal(parse(OK_HEAD "body follows", &head), PS_HTTP_OK);
    assert_int_equal(head.len_bytes, strlen(OK_HEAD));
    assert_int_equal(head.status, 206);
    assert_true(ps_checksum_is_comparable(&head.checksum));
    assert_int_equal(head.checksum.sum, 0xcbf43926);
    assert_int_equal(head.content_length, 10);
    assert_true(head.keep_alive);
    assert_false(head.chunked);
    assert_true(head.has_range);
    assert_int_equal(head.range.first, 5);
    assert_int_equal(head.range.last, 14);
    assert_int_equal(head.range.total_bytes, 100);
    assert_string_equal(head.request_id, "R1");
    assert_string_equal(head.region, "eu-west-1");
}

static void test_every_prefix_wants_more(void **state)
{
    struct ps_http_head head;
    size_t scanned = 0;

    (void)state;
    for (size_t len = 0; len < strlen(OK_HEAD); len++) {
        size_t fresh = 0;

        assert_int_equal(parse_guarded(OK_HEAD, len, &fresh, &head), PS_HTTP_MORE);
        assert_int_equal(parse_guarded(OK_HEAD, len, &scanned, &head), PS_HTTP_MORE);
    }
    assert_int_equal(parse_guarded(OK_HEAD, strlen(OK_HEAD), &scanned, &head), PS_HTTP_OK);
    assert_int_equal(head.content_length, 10);
}

static void test_connection_and_version_decide_keeping(void **state)
{
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {"HTTP/1.1 200 OK" CRLF CRLF, true},
        {"HTTP/1.1 200" CRLF CRLF, true},
        {"HTTP/1.1 200 OK" CRLF "Connection: Close" CRLF CRLF, false},
        {"HTTP/1.0 200 OK" CRLF CRLF, false},
        {"HTTP/1.0 200 OK" CRLF "Connection: keep-alive" CRLF CRLF, true},
        {"HTTP/1.1 200 OK" CRLF "Connection: x, close ,y" CRLF CRLF, false},
        {"HTTP/1.1 200 OK" CRLF "Connection: keep-alive, close" CRLF CRLF, false},
        {"HTTP/1.1 200 OK" CRLF "Connection: close" CRLF "Connection: keep-alive" CRLF CRLF, false},
        {"HTTP/1.0 200 OK" CRLF "Connection: ,, Keep-Alive," CRLF CRLF, true},
        {"HTTP/1.1 200 OK" CRLF "Connection: closed" CRLF CRLF, true},
    };
    struct ps_http_head head;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(cases[i].text, &head), PS_HTTP_OK);
        assert_int_equal(head.keep_alive, cases[i].keep_alive);
        assert_int_equal(head.content_length, -1);
    }
}

static void test_hostile_heads_are_refused(void **state)
{
    static const char *const bad[] = {
        "GARBAGE",
        "HTTP/2 200 OK" CRLF CRLF,
        "HTTP/1.1 20 OK" CRLF CRLF,
        "HTTP/1.1 2000 OK" CRLF CRLF,
        "HTTP/1.1  200 OK" CRLF CRLF,
        "HTTP/1.1 099 Low" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: 1" CRLF "Content-Length: 2" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: 1" CRLF "Content-Length: 1" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: -1" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: +1" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: 1 2" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: 0x10" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length:" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: 9223372036854775808" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Content-Length: 1" CRLF "Transfer-Encoding: chunked" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Transfer-Encoding: gzip, chunked" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Transfer-Encoding: chunked" CRLF
        "Transfer-Encoding: chunked" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Folded: a" CRLF " b" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Name : space" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF ": no name" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "no colon" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Bare: line feed\nX: y" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Control: \x01" CRLF CRLF,
        "HTTP/1.1 200 OK" CRLF "Control: a\rb" CRLF CRLF,
        "HTTP/1.1 200 OK\rContent-Length: 5" CRLF CRLF,
    };
    struct ps_http_head head;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(bad[i], &head) != PS_HTTP_BAD)
            fail_msg("accepted: %s", bad[i]);
}

static void test_a_nul_byte_is_refused(void **state)
{
    static const char nul[] = "HTTP/1.1 200 OK" CRLF "A: b\0c" CRLF CRLF;
    struct ps_http_head head;
    size_t scanned = 0;

    (void)state;
    assert_int_equal(parse_guarded(nul, sizeof nul - 1, &scanned, &head), PS_HTTP_BAD);
}

static void test_an_unusable_range_is_none(void **state)
{
    struct ps_http_head head;

    (void)state;
    assert_int_equal(parse("HTTP/1.1 206 x" CRLF "Content-Range: bytes */100" CRLF CRLF, &head),
                     PS_HTTP_OK);
    assert_false(head.has_range);
}

static void test_an_endless_head_is_refused(void **state)
{
    static char in[PS_HTTP_HEAD_BYTES_MAX + 64];
    struct ps_http_head head;
    size_t scanned = 0;

    (void)state;
    memset(in, 'a', sizeof in);
    memcpy(in, "HTTP/1.1 200 OK" CRLF "A: ", 20);
    assert_int_equal(ps_http_head_parse(in, PS_HTTP_HEAD_BYTES_MAX - 1, &scanned, &head),
                     PS_HTTP_MORE);
    assert_int_equal(ps_http_head_parse(in, PS_HTTP_HEAD_BYTES_MAX, &scanned, &head), PS_HTTP_BAD);
}

static void check_chunks(const char *in, enum ps_http_rc want_rc, const char *want)
{
    char copy[128];
    size_t len = strlen(in);
    size_t body_bytes = 0;
    size_t taken_bytes = 0;

    memcpy(copy, in, len);
    memcpy(copy + len, "0\r\n\r\n", 5); /* bytes that follow are not its own */
    assert_int_equal(
        ps_http_unchunk(copy, want_rc == PS_HTTP_OK ? len + 5 : len, &body_bytes, &taken_bytes),
        want_rc);
    if (want_rc == PS_HTTP_OK) {
        assert_int_equal(taken_bytes, len);
        assert_int_equal(body_bytes, strlen(want));
        assert_memory_equal(copy, want, body_bytes);
    } else {
        assert_memory_equal(copy, in, len);
    }
}

static void test_chunks_are_joined(void **state)
{
    (void)state;
    check_chunks("0" CRLF CRLF, PS_HTTP_OK, "");
    check_chunks("5" CRLF "hello" CRLF "0" CRLF CRLF, PS_HTTP_OK, "hello");
    check_chunks("2;x=y" CRLF "he" CRLF "03" CRLF "llo" CRLF "0" CRLF CRLF, PS_HTTP_OK, "hello");
    check_chunks("A" CRLF "0123456789" CRLF "0" CRLF "T: railer" CRLF CRLF, PS_HTTP_OK,
                 "0123456789");
    check_chunks("5" CRLF "helloX" CRLF "0" CRLF CRLF, PS_HTTP_BAD, NULL);
    check_chunks("" CRLF "hello", PS_HTTP_BAD, NULL);
    check_chunks("g" CRLF, PS_HTTP_BAD, NULL);
    check_chunks("5\nhello" CRLF, PS_HTTP_BAD, NULL);
    check_chunks("fffffffff" CRLF, PS_HTTP_BAD, NULL);
    check_chunks("ffffffff" CRLF "abc", PS_HTTP_MORE, NULL);
}

static void test_every_prefix_of_chunks_wants_more_and_is_left_alone(void **state)
{
    static const char in[] = "2" CRLF "he" CRLF "3" CRLF "llo" CRLF "0" CRLF "T: x" CRLF CRLF;

    (void)state;
    for (size_t len = 0; len < sizeof in - 1; len++) {
        char *copy = malloc(len + 1);
        size_t body_bytes;
        size_t taken_bytes;

        assert_non_null(copy);
        memcpy(copy, in, len);
        assert_int_equal(ps_http_unchunk(copy, len, &body_bytes, &taken_bytes), PS_HTTP_MORE);
        assert_memory_equal(copy, in, len);
        free(copy);
    }
}

static void test_etag_and_retry_after(void **state)
{
    char text[512];
    struct ps_http_head head;

    (void)state;
    assert_int_equal(parse("HTTP/1.1 503 x\r\nETag: \"a-2\" \r\nretry-after:  17\r\n\r\n", &head),
                     PS_HTTP_OK);
    assert_string_equal(head.etag, "\"a-2\"");
    assert_string_equal(head.retry_after, "17");
    /* A tag that has no room is not cut, for then it would be another one. */
    snprintf(text, sizeof text, "HTTP/1.1 206 x\r\nETag: %0128d\r\n\r\n", 0);
    assert_int_equal(parse(text, &head), PS_HTTP_OK);
    assert_string_equal(head.etag, "");
    assert_string_equal(head.retry_after, "");
    snprintf(text, sizeof text, "HTTP/1.1 206 x\r\nETag: %0127d\r\n\r\n", 0);
    assert_int_equal(parse(text, &head), PS_HTTP_OK);
    assert_int_equal(strlen(head.etag), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_a_good_head_are_read),
        cmocka_unit_test(test_every_prefix_wants_more),
        cmocka_unit_test(test_connection_and_version_decide_keeping),
        cmocka_unit_test(test_hostile_heads_are_refused),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_an_unusable_range_is_none),
        cmocka_unit_test(test_an_endless_head_is_refused),
        cmocka_unit_test(test_etag_and_retry_after),
        cmocka_unit_test(test_chunks_are_joined),
        cmocka_unit_test(test_every_prefix_of_chunks_wants_more_and_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
