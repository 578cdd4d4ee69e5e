/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_checksum.c - checksums in the heads of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pipe/checksum.h"

static struct ps_checksum take(const char *name, const char *value)
{
    struct ps_checksum checksum = {.told = false};

    ps_checksum_take(&checksum, name, strlen(name), value, strlen(value));
    return checksum;
}

/* Values as boto3 1.44 sends them with put_object(Body=b"123456789"). */
static void test_sums_are_read(void **state)
{
    struct ps_checksum c = take("x-amz-checksum-crc32", "y/Q5Jg==");

    (void)state;
    assert_true(c.told && c.has_sum && ps_checksum_is_comparable(&c));
    assert_int_equal(c.kind, FMT_CRC32);
    assert_int_equal(c.sum, 0xcbf43926);
    c = take("X-Amz-Checksum-CRC32C", "4waSgw==");
    assert_int_equal(c.kind, FMT_CRC32C);
    assert_int_equal(c.sum, 0xe3069283);
    c = take("x-amz-checksum-crc64nvme", "rosUhgp5mIg=");
    assert_int_equal(c.kind, FMT_CRC64NVME);
    assert_true(c.sum == 0xae8b14860a799888);
    assert_true(ps_checksum_is_comparable(&c));
}

static void test_what_a_stream_cannot_be_compared_with(void **state)
{
    static const char *const given[][2] = {
        {"x-amz-checksum-crc32", "y/Q5Jg==-3"},   {"x-amz-checksum-crc64nvme", "rosUhgp5mIg=-12"},
        {"x-amz-checksum-sha256", "y/Q5Jg=="},    {"x-amz-checksum-sha1", "y/Q5Jg=="},
        {"x-amz-checksum-xxhash64", "y/Q5Jg=="},  {"x-amz-checksum-crc32", ""},
        {"x-amz-checksum-crc32", "y/Q5Jg="},      {"x-amz-checksum-crc32", "y/Q5Jgg="},
        {"x-amz-checksum-crc32", "y/Q5J==="},     {"x-amz-checksum-crc32", "=/Q5Jg=="},
        {"x-amz-checksum-crc32", "y/Q5 g=="},     {"x-amz-checksum-crc64nvme", "y/Q5Jg=="},
        {"x-amz-checksum-crc32", "rosUhgp5mIg="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        struct ps_checksum c = take(given[i][0], given[i][1]);

        assert_true(c.told);
        assert_false(ps_checksum_is_comparable(&c));
    }
}

static void test_type_counts_in_any_order(void **state)
{
    static const char sum[] = "rosUhgp5mIg=";

    (void)state;
    for (int first = 0; first < 2; first++) {
        struct ps_checksum c = {.told = false};

        if (first == 0)
            ps_checksum_take(&c, "x-amz-checksum-type", 19, "COMPOSITE", 9);
        ps_checksum_take(&c, "x-amz-checksum-crc64nvme", 24, sum, sizeof sum - 1);
        assert_true(first == 0 || ps_checksum_is_comparable(&c));
        if (first == 1)
            ps_checksum_take(&c, "x-amz-checksum-type", 19, "COMPOSITE", 9);
        assert_true(c.told);
        assert_false(ps_checksum_is_comparable(&c));
    }
    struct ps_checksum c = take("x-amz-checksum-type", "FULL_OBJECT");

    assert_false(c.told);
    assert_false(c.composite);
}

static void test_other_fields_are_ignored(void **state)
{
    static const char *const names[] = {"etag", "x-amz-checksum", "x-amz-checksu-crc32",
                                        "content-md5", ""};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(take(names[i], "y/Q5Jg==").told);
}

static void test_texts_are_what_is_read(void **state)
{
    uint64_t sum = 1;

    (void)state;
    for (int i = 0; i < 1000; i++, sum = sum * 6364136223846793005u + 1442695040888963407u)
        for (int k = 0; k < FMT_CRC_KINDS; k++) {
            static const char *const fields[] = {"x-amz-checksum-crc32", "x-amz-checksum-crc32c",
                                                 "x-amz-checksum-crc64nvme"};
            enum fmt_crc_kind kind = (enum fmt_crc_kind)k;
            uint64_t part = kind == FMT_CRC64NVME ? sum : sum & 0xffffffff;
            char text[FMT_CRC_TEXT_BYTES];

            fmt_crc_text(kind, part, text);
            struct ps_checksum c = take(fields[k], text);

            assert_true(ps_checksum_is_comparable(&c));
            assert_int_equal(c.kind, kind);
            assert_true(c.sum == part);
        }
    char text[FMT_CRC_TEXT_BYTES];

    fmt_crc_text(FMT_CRC32, 0xcbf43926, text);
    assert_string_equal(text, "y/Q5Jg==");
    fmt_crc_text(FMT_CRC64NVME, 0xae8b14860a799888, text);
    assert_string_equal(text, "rosUhgp5mIg=");
    assert_string_equal(fmt_crc_name(FMT_CRC32C), "CRC32C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_read),
        cmocka_unit_test(test_what_a_stream_cannot_be_compared_with),
        cmocka_unit_test(test_type_counts_in_any_order),
        cmocka_unit_test(test_other_fields_are_ignored),
        cmocka_unit_test(test_texts_are_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
