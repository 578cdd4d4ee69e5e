/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_content_range.c - pipe/content_range.c: a server's word on what it sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipe/content_range.h"

static bool parse(const char *text, struct ps_content_range *out)
{
    return ps_content_range_parse(text, strlen(text), out);
}

static void test_satisfied_ranges_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t first, last, total_bytes;
    } cases[] = {
        {"bytes 0-0/1", 0, 0, 1},
        {"bytes 0-8388607/195035136", 0, 8388607, 195035136},
        {"bytes 42-1233/1234", 42, 1233, 1234}, /* RFC 9110, 14.4 */
        {"BYTES 1-2/3", 1, 2, 3},               /* range units are case-insensitive: 14.1 */
        {"Bytes 007-008/0009", 7, 8, 9},
        {"bytes 0-18446744073709551614/18446744073709551615", 0, UINT64_MAX - 1, UINT64_MAX},
        {"bytes 18446744073709551614-18446744073709551614/18446744073709551615", UINT64_MAX - 1,
         UINT64_MAX - 1, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ps_content_range range = {1, 1, 1};

        assert_true(parse(cases[i].text, &range));
        assert_true(range.first == cases[i].first);
        assert_true(range.last == cases[i].last);
        assert_true(range.total_bytes == cases[i].total_bytes);
    }
}

static void test_everything_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "bytes",
        "bytes ",
        "bytes 1",
        "bytes 1-",
        "bytes 1-2",
        "bytes 1-2/",
        "bytes -2/3",
        "bytes 1-/3",
        "bytes */3",   /* unsatisfied */
        "bytes 1-2/*", /* unknown total: of no use here */
        "bytes 2-1/3", /* RFC 9110: last < first is invalid */
        "bytes 0-3/3", /* last >= total is invalid */
        "bytes 3-3/3",
        "bytes 0-0/0",
        "bytes=0-1/2", /* that is a Range header */
        "bytes  0-1/2",
        "bytes 0 -1/2",
        "bytes 0- 1/2",
        "bytes 0-1 /2",
        "bytes 0-1/2 ",
        "bytes 0-1/2x",
        "bytes 0-1/2,3-4/5",
        " bytes 0-1/2",
        "bytes\t0-1/2",
        "byte 0-1/2",
        "bytess 0-1/2",
        "items 0-1/2",
        "bytes +0-1/2",
        "bytes 0--1/2",
        "bytes -1-1/2",
        "bytes 0x0-0x1/0x2",
        "bytes 0-1.0/2",
        "bytes 0-1e0/2",
        "bytes 0-18446744073709551615/18446744073709551616", /* 2^64 */
        "bytes 18446744073709551616-18446744073709551617/18446744073709551618",
        "bytes 0-0/99999999999999999999",
        "bytes 0-0/184467440737095516160000000000000000000000000000000000000001",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ps_content_range range;

        if (parse(texts[i], &range))
            fail_msg("accepted '%s'", texts[i]);
    }
}

static void test_length_counts_and_not_a_terminator(void **state)
{
    static const char text[] = "bytes 10-20/300";
    struct ps_content_range range;

    (void)state;
    /* Every cut before the total's first digit is malformed; later ones shorten the total. */
    for (size_t len = 0; len < strlen(text) - 2; len++)
        assert_false(ps_content_range_parse(text, len, &range));
    assert_false(ps_content_range_parse(text, strlen(text) - 2, &range)); /* total 3 */
    assert_true(ps_content_range_parse(text, strlen(text) - 1, &range));  /* total 30 */
    assert_int_equal(range.total_bytes, 30);
    assert_true(ps_content_range_parse("bytes 1-2/3garbage", 11, &range));
    assert_false(ps_content_range_parse("bytes 1-2/3\0", 12, &range));
    assert_false(ps_content_range_parse("bytes 1\0-2/3", 12, &range));
}

/* Every prefix of a value that ends where the next page cannot be read. */
static void test_no_byte_behind_the_end_is_read(void **state)
{
    static const char text[] = "bytes 0-18446744073709551614/18446744073709551615";
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct ps_content_range range;

    (void)state;
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
    for (size_t len = 0; len <= strlen(text); len++) {
        char *at = map + page - len;

        memcpy(at, text, len);
        bool whole = ps_content_range_parse(at, len, &range);

        assert_true(!whole || len == strlen(text));
    }
    munmap(map, 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_satisfied_ranges_are_read),
        cmocka_unit_test(test_everything_else_is_refused),
        cmocka_unit_test(test_length_counts_and_not_a_terminator),
        cmocka_unit_test(test_no_byte_behind_the_end_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
