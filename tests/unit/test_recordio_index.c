/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_recordio_index.c - .idx files: read, shared, written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "formats/recordio_index.h"
#include "tests/arena.h"

static enum fmt_rc read_text(const char *text, struct fmt_recordio_index *index,
                             struct fmt_error *error)
{
    size_t len = strlen(text);
    char *in = (char *)arena + ARENA_BYTES - len; /* before a page that must not be touched */
    memcpy(in, text, len);
    return fmt_recordio_index_read(in, len, index, error);
}

static const struct good {
    const char *text;
    size_t count;
    uint64_t offsets[3];
} GOOD[] = {
    {"", 0, {0}},
    {"\n\n", 0, {0}},
    {"0\t0\n1\t52\n2\t1000\n", 3, {0, 52, 1000}},
    {"7\t52\n3\t1000\n5\t0\n", 3, {0, 52, 1000}}, /* im2rec.py's shuffled keys */
    {"0\t0\n1\t52", 2, {0, 52}},                  /* no line end at the end */
    {"0\t0\r\n1\t52\r\n", 2, {0, 52}},
    {" 0 0 \n\n1   52\n", 2, {0, 52}}, /* as dmlc's C++ reader */
    {"a picture.jpg\t8\tmore\n", 1, {8}},
    {"1\t18446744073709551612\n", 1, {18446744073709551612u}},
};

static void test_read_both_readers_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct fmt_recordio_index index;
        struct fmt_error error = {.text = ""};
        if (read_text(GOOD[i].text, &index, &error) != FMT_OK)
            fail_msg("'%s': %s", GOOD[i].text, error.text);
        assert_int_equal(index.count, GOOD[i].count);
        for (size_t k = 0; k < index.count; k++)
            assert_true(index.offsets[k] == GOOD[i].offsets[k]);
        fmt_recordio_index_free(&index);
    }
}

static const struct bad {
    const char *text;
    uint32_t row;
    const char *error;
} BAD[] = {
    {"0\t0\n1\n", 1, "line 2 of the index is not KEY, tab, OFFSET: '1'"},
    {"0\t\n", 0, "line 1"},
    {"\n0\tx\n", 1, "line 2"},
    {"0\t-4\n", 0, "not KEY, tab, OFFSET"},
    {"0\t4x\n", 0, "not KEY, tab, OFFSET"},
    {"0 4 8\n", 0, "not KEY, tab, OFFSET"},
    {"0\t18446744073709551616\n", 0, "not KEY, tab, OFFSET"},
    {"0\t0\n1\t6\n", 1, "line 2 of the index has offset 6, no multiple of 4"},
    {"0\t8\n1\t4\n2\t8\n", 0, "has offset 8 twice"},
};

static void test_read_bad_lines_say_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct fmt_recordio_index index;
        struct fmt_error error = {.text = ""};
        assert_int_equal(read_text(BAD[i].text, &index, &error), FMT_E_FORMAT);
        if (strstr(error.text, BAD[i].error) == NULL || error.row != BAD[i].row)
            fail_msg("'%s': %s, row %u", BAD[i].text, error.text, error.row);
        assert_null(index.offsets);
    }
}

static void test_shares_are_of_equal_records_and_leave_none_out(void **state)
{
    (void)state;
    uint64_t offsets[20];
    for (uint64_t i = 0; i < 20; i++)
        offsets[i] = 8 + i * i * 4;
    for (size_t count = 0; count <= 20; count++)
        for (uint32_t shares = 1; shares <= 25; shares++) {
            struct fmt_recordio_index index = {offsets, count};
            uint64_t size_bytes = count == 0 ? 0 : offsets[count - 1] + 100;
            uint64_t each = (count + shares - 1) / shares;
            uint64_t next = count == 0 ? 0 : offsets[0];
            for (uint32_t share = 0; share < shares; share++) {
                struct fmt_range range =
                    fmt_recordio_index_share(&index, size_bytes, share, shares);
                uint64_t records = 0;
                assert_true(range.from == next && range.to >= range.from);
                next = range.to;
                for (size_t i = 0; i < count; i++)
                    records += offsets[i] >= range.from && offsets[i] < range.to;
                assert_true(records == each || next == size_bytes);
                assert_true(records <= each);
            }
            assert_true(next == size_bytes);
        }
}

static void test_lines_written_are_read(void **state)
{
    (void)state;
    char line[FMT_RECORDIO_INDEX_LINE_BYTES];
    assert_int_equal(fmt_recordio_index_line(3, 3184, line), 7);
    assert_string_equal(line, "3\t3184\n");
    assert_int_equal(fmt_recordio_index_line(UINT64_MAX, UINT64_MAX - 3, line), sizeof(line) - 1);
    struct fmt_recordio_index index;
    assert_int_equal(read_text(line, &index, NULL), FMT_OK);
    assert_true(index.count == 1 && index.offsets[0] == UINT64_MAX - 3);
    fmt_recordio_index_free(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_both_readers_lines),
        cmocka_unit_test(test_read_bad_lines_say_why),
        cmocka_unit_test(test_shares_are_of_equal_records_and_leave_none_out),
        cmocka_unit_test(test_lines_written_are_read),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
