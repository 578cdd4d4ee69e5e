/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_options.c - content types and their parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "formats/csv.h"

static const struct good {
    const char *text;
    const struct fmt_ops *ops;
    uint32_t label_size;
} GOOD[] = {
    {"application/x-recordio-protobuf", &fmt_recordio_protobuf, 0},
    {"Application/X-RecordIO-Protobuf", &fmt_recordio_protobuf, 0},
    {"application/x-recordio-protobuf; charset=UTF-8", &fmt_recordio_protobuf, 0},
    {"text/csv", &fmt_csv, 1},
    {"csv", &fmt_csv, 1},
    {"text/csv;label_size=0", &fmt_csv, 0},
    {"text/csv;label_size=4294967295", &fmt_csv, UINT32_MAX},
    {" TEXT/CSV ;\tLabel_Size = 3 ; charset=utf8 ; ", &fmt_csv, 3},
    {"text/csv;label_size=\"2\";charset=\"utf-8\"", &fmt_csv, 2},
    {"text/csv;label_size=\"\\2\"", &fmt_csv, 2},
    {"text/csv;label_size=1;label_size=2", &fmt_csv, 2},
    {"application/octet-stream", NULL, 0},
};

static const struct bad {
    const char *text;
    const char *error;
} BAD[] = {
    {"", "content type must be"},
    {";", "content type must be"},
    {"text/plain", "not 'text/plain'"},
    {"text/csvx", "not 'text/csvx'"},
    {"text/csv label_size=1", "not 'text/csv label_size=1'"},
    {"text/csv;label_size", "parameter without '='"},
    {"text/csv;label_size=", "label_size must be a number"},
    {"text/csv;label_size=-1", "not '-1'"},
    {"text/csv;label_size=1x", "not '1x'"},
    {"text/csv;label_size=4294967296", "not '4294967296'"},
    {"text/csv;label_size=18446744073709551617", "not '18446744073709551617'"},
    {"text/csv;colour=\";\\\";\"", "text/csv has no parameter colour: it has label_size"},
    {"text/csv;charset=\"a;b\";x", "not 'a;b'"},
    {"text/csv;charset=latin1", "only charset=utf-8 is supported, not 'latin1'"},
    {"application/x-recordio-protobuf;label_size=1", "has no parameter label_size"},
    {"application/octet-stream;label_size=1", "has no parameter label_size"},
};

static void test_options_good_content_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct fmt_options options = {0};
        struct fmt_error error = {0};
        if (fmt_options_parse(GOOD[i].text, &options, &error) != FMT_OK)
            fail_msg("%s: %s", GOOD[i].text, error.text);
        assert_ptr_equal(options.ops, GOOD[i].ops);
        const struct fmt_csv_options *csv = options.own;
        assert_int_equal(csv ? csv->label_size : 0, GOOD[i].label_size);
        fmt_options_free(&options);
    }
}

static void test_options_bad_content_types_say_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct fmt_options options = {0};
        struct fmt_error error = {0};
        assert_int_equal(fmt_options_parse(BAD[i].text, &options, &error), FMT_E_ARGUMENT);
        if (strstr(error.text, BAD[i].error) == NULL)
            fail_msg("%s: '%s'", BAD[i].text, error.text);
        assert_int_equal(fmt_options_parse(BAD[i].text, &options, NULL), FMT_E_ARGUMENT);
    }
}

static void test_fail_long_text_is_cut(void **state)
{
    (void)state;
    char text[400];
    struct fmt_error error;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(fmt_fail(&error, 7, 8, "%s", text), FMT_E_FORMAT);
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
    assert_int_equal(error.offset_bytes, 7);
    assert_int_equal(error.row, 8);
    assert_int_equal(fmt_fail(NULL, 0, 0, "nowhere"), FMT_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_good_content_types),
        cmocka_unit_test(test_options_bad_content_types_say_why),
        cmocka_unit_test(test_fail_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
