/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_lst.c - lists of labels: what is found by which key, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/lst.h"
#include "tests/arena.h"

/* Reads a list whose last byte is the last one that may be read. */
static struct fmt_lst *read_list(const char *text)
{
    struct fmt_error error = {0};
    struct fmt_lst *lst;
    size_t len = strlen(text);
    uint8_t *in = arena + ARENA_BYTES - len;
    memcpy(in, text, len);
    if (fmt_lst_new(in, len, &lst, &error) != FMT_OK)
        fail_msg("%s", error.text);
    return lst;
}

static void check(const struct fmt_lst *lst, const char *key, uint32_t count, float first)
{
    uint32_t got;
    const float *labels = fmt_lst_find(lst, key, &got);
    if (count == 0) {
        assert_null(labels);
        return;
    }
    assert_non_null(labels);
    assert_int_equal(got, count);
    assert_true(labels[0] == first);
}

static void test_found_by_the_longest_tail(void **state)
{
    (void)state;
    struct fmt_lst *lst = read_list("5\t1\tdogs/a.jpg\n"
                                    "2\t2.5\ta.jpg\r\n"
                                    "\n"
                                    "0\t-3\twith blank/b c.jpg\n"
                                    "9\t4\tdogs/a.jpg\n"
                                    "7\t6\tlast.png");
    assert_int_equal(fmt_lst_width(lst), 1);
    check(lst, "train/dogs/a.jpg", 1, 1);
    check(lst, "dogs/a.jpg", 1, 1);
    check(lst, "train/cats/a.jpg", 1, 2.5f);
    check(lst, "a.jpg", 1, 2.5f);
    check(lst, "/data/with blank/b c.jpg", 1, -3);
    check(lst, "x//last.png", 1, 6);
    check(lst, "ba.jpg", 0, 0); /* whole components only */
    check(lst, "a.jpg/b", 0, 0);
    check(lst, "", 0, 0);
    fmt_lst_free(lst);
}

static void test_several_labels(void **state)
{
    (void)state;
    uint32_t count;
    struct fmt_lst *lst = read_list("0\t2\t5\t0\t0.25\t0.5\t0.75\t1\ta.jpg\n1\t7\tb.jpg\n");
    const float *labels = fmt_lst_find(lst, "x/a.jpg", &count);
    static const float expected[] = {2, 5, 0, 0.25f, 0.5f, 0.75f, 1};
    assert_int_equal(count, 7);
    assert_memory_equal(labels, expected, sizeof(expected));
    check(lst, "b.jpg", 1, 7);
    assert_int_equal(fmt_lst_width(lst), 7);
    fmt_lst_free(lst);
}

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *cause;
        size_t offset;
    } cases[] = {{"0\t1\ta.jpg\nno tab\n", "line 2 of the list has no TAB", 10},
                 {"0\ta.jpg\n", "line 1 of the list has no label", 0},
                 {"\n0\tone\ta.jpg\n", "line 2 of the list: label 1 is 'one'", 1},
                 {"0\t1\t\ta.jpg\n", "label 2 is ''", 0},
                 {"0\t1\t\n", "has no path", 0},
                 {"0\t1 \ta.jpg\n", "label 1 is '1 '", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fmt_error error = {0};
        struct fmt_lst *lst;
        assert_int_equal(
            fmt_lst_new((const uint8_t *)cases[i].text, strlen(cases[i].text), &lst, &error),
            FMT_E_FORMAT);
        assert_null(lst);
        if (strstr(error.text, cases[i].cause) == NULL)
            fail_msg("%s", error.text);
        assert_int_equal(error.offset_bytes, cases[i].offset);
    }
}

static void test_many_lines(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    char *text = malloc(LINES * 40);
    size_t len = 0;
    struct fmt_lst *lst;
    assert_non_null(text);
    for (int i = 0; i < LINES; i++)
        len += (size_t)snprintf(text + len, 40, "%d\t%d\tn%d/%d.jpg\n", LINES - i, i, i % 7, i);
    assert_int_equal(fmt_lst_new((const uint8_t *)text, len, &lst, NULL), FMT_OK);
    for (int i = 0; i < LINES; i++) {
        char key[40];
        snprintf(key, sizeof(key), "train/n%d/%d.jpg", i % 7, i);
        check(lst, key, 1, (float)i);
    }
    check(lst, "train/n1/0.jpg", 0, 0);
    fmt_lst_free(lst);
    free(text);
}

static void test_any_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        static const char alphabet[] = "\t\t\n\r01.-ae/ \0";
        size_t len = below(60);
        uint8_t *in = arena + ARENA_BYTES - len;
        struct fmt_lst *lst;
        struct fmt_error error;
        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)alphabet[below(sizeof(alphabet) - 1)];
        if (fmt_lst_new(in, len, &lst, &error) == FMT_OK) {
            uint32_t count;
            (void)fmt_lst_find(lst, "a/e", &count);
            fmt_lst_free(lst);
        } else {
            assert_null(lst);
            assert_true(error.offset_bytes < len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_the_longest_tail),
        cmocka_unit_test(test_several_labels),
        cmocka_unit_test(test_bad_lines_are_named),
        cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
