/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_csv_options.c - the parameters of text/csv: what each makes of an object, whole,
 * byte by byte and in bulk, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/csv_fixture.h"
#include "tests/drive_text.h"

struct good_case {
    const char *parameters;
    const char *text;
    const char *rows; /* as drive_text says them */
};

/* clang-format off */
static const struct good_case GOOD[] = {
    /* labels */
    {"", "1,2,3\n", "y 1 x 2 3\n"},
    {"label_size=0", "1,2,3\n", "x 1 2 3\n"},
    {"label_size=2", "1,2,3\n", "y 1 2 x 3\n"},
    {"label_columns=2", "1,2,3\n4,5,6\n", "y 3 x 1 2\ny 6 x 4 5\n"},
    {"label_columns=\"2,0\"", "1,2,3\n4,5,6\n", "y 3 1 x 2\ny 6 4 x 5\n"},
    {"label_columns=\"1,0\"", "1,2,3\n4,5,6\n", "y 2 1 x 3\ny 5 4 x 6\n"},
    {"columns=\"2,1\"", "1,2,3\n4,5,6\n", "y 1 x 3 2\ny 4 x 6 5\n"},
    {"label_columns=1-2", "1,2,3,4\n", "y 2 3 x 1 4\n"},
    /* weights; dmlc-core test_weight_column */
    {"label_size=0;weight_column=2", "0,1,2,3\n4,5,6,7\n8,9,10,11",
     "w 2 x 0 1 3\nw 6 x 4 5 7\nw 10 x 8 9 11\n"},
    {"csv_weights=1", "1,0.5,2,3\n4,0.25,5,6\n", "y 1 w 0.5 x 2 3\ny 4 w 0.25 x 5 6\n"},
    {"csv_weights=0", "1,0.5\n", "y 1 x 0.5\n"},
    {"label_size=2;csv_weights=1", "1,2,3,4\n", "y 1 2 w 3 x 4\n"},
    /* delimiters; dmlc-core test_delimiter */
    {"label_size=0;delimiter=space", "0 1 2 3\n4 5 6 7\n8 9 10 11",
     "x 0 1 2 3\nx 4 5 6 7\nx 8 9 10 11\n"},
    {"label_size=0;delimiter=space", "\t1\t 2\t\r\n\t\n3 4", "x 1 2\nx 3 4\n"},
    {"label_size=0;delimiter=space", "1  3\n   \n\n", "x 1 nan 3\n!row has 4 fields, the channel has 3"},
    {"label_size=0;delimiter=tab", "1\t2\t 3 \n\t\t\n  \n4\t\"5\"\t6", "x 1 2 3\nx nan nan nan\nx 4 5 6\n"},
    {"label_size=0;delimiter=\";\"", "1;2\n3;4\n", "x 1 2\nx 3 4\n"},
    {"label_size=0;delimiter=semicolon", "1;\"2\"\n3;4\n", "x 1 2\nx 3 4\n"},
    {"label_size=0;delimiter=pipe", "1|2\n", "x 1 2\n"},
    {"label_size=0;delimiter=:", "1:2\n", "x 1 2\n"},
    {"label_size=0;delimiter=comma", "1,2\n", "x 1 2\n"},
    /* blanks */
    {"blanks=nan", "1,,3\n", "y 1 x nan 3\n"},
    {"blanks=0", "1,, \n,\"\",3\n", "y 1 x 0 0\ny 0 x 0 3\n"},
    {"blanks=error", "1,2,3\n4,,6\n", "y 1 x 2 3\n!field 2 is blank, and blanks=error"},
    {"blanks=error", "1,2,3\n4,\" \",6\n", "y 1 x 2 3\n!field 2 is blank, and blanks=error"},
    /* headers */
    {"header=present", "a,b\n1,2\n", "y 1 x 2\n"},
    {"header=present", "\xef\xbb\xbf\r\n \r\n\"a\nb\",\"c,\"\"d\"\"\"\r\n1,2\r\n", "y 1 x 2\n"},
    {"header=present", "7,8\n1,2\n", "y 1 x 2\n"},
    {"header=present", "a,b\n", ""},
    {"header=present", "a,b", ""},
    {"header=present", "\n \n", ""},
    {"header=present", "\"a", "!truncated: a quoted field is still open at the end of the object"},
    {"header=auto", "a,b\n1,2\n", "y 1 x 2\n"},
    {"header=auto", "1,2\n3,4\n", "y 1 x 2\ny 3 x 4\n"},
    {"header=auto", " ,\n3,4\n", "y nan x nan\ny 3 x 4\n"},
    {"header=auto", ",b\n3,4\n", "y 3 x 4\n"},
    {"header=auto", "a,1\n3,4\n", "!field 1 is 'a', not a number: if that is a header, say header=present"},
    {"header=absent", "a,b\n1,2\n", "!field 1 is 'a', not a number: if that is a header, say header=present"},
    /* selection and order */
    {"columns=1", "1,2,x\n4,5,\n", "y 1 x 2\ny 4 x 5\n"},
    {"label_size=0;columns=\"3,1-2\"", "1,2,3,4\n5,6,7,8\n", "x 4 2 3\nx 8 6 7\n"},
    {"label_size=0;columns=1", "1,\"2\"\n\"a,\nb\",4\n\"\",5\n", "x 2\nx 4\nx 5\n"},
    {"label_size=0;columns=0", "1,x\r\n2,y\r9\r\n3,y\r\n", "x 1\nx 2\n!row has 1 fields, the channel has 2"},
    {"label_size=0;columns=1,0;header=present", "a,b\n1,2\n", "x 2 1\n"},
    {"label_columns=y;header=present", "a,b,y\n1,2,3\n", "y 3 x 1 2\n"},
    {"label_columns=y;columns=\"b, a\";header=present", "a,\"b\",c,y\n1,2,3,4\n", "y 4 x 2 1\n"},
    {"label_columns=y;weight_column=w;names=\"a,w,y\"", "1,2,3\n", "y 3 w 2 x 1\n"},
    {"label_columns=y;names=\"a,y\";header=present", "a,y\n1,3\n", "y 3 x 1\n"},
    {"label_columns=petal-length;header=present", "a,petal-length\n1,3\n", "y 3 x 1\n"},
    /* categories, hashes, texts */
    {"cat.1=red|green|blue", "1,blue,3\n4,red,\n6, green ,8\n", "y 1 x 2 3\ny 4 x 0 nan\ny 6 x 1 8\n"},
    {"cat.colour=red|dark green;header=present", "y,colour\n1,\"dark green\"\n2,red\n", "y 1 x 1\ny 2 x 0\n"},
    {"cat.1=a \"b\"", "1,\"a \"\"b\"\"\"\n", "y 1 x 0\n"},
    {"cat.1=a|b", "1,a\n2,c\n", "y 1 x 0\n!field 2 is 'c', none of the column's categories"},
    {"cat.1=a|b;unknown=other", "1,a\n2,c\n3,b\n", "y 1 x 0\ny 2 x 2\ny 3 x 1\n"},
    {"cat.1=a|b;blanks=0", "1,\n2,b\n", "y 1 x 0\ny 2 x 1\n"},
    {"cat.1=a|b;blanks=error", "1,\n2,b\n", "!field 2 is blank, and blanks=error"},
    {"cat.0=no|yes", "yes,5\nno,6\n", "y 1 x 5\ny 0 x 6\n"},
    {"cat.1-2=a|b", "1,a,b\n", "y 1 x 0 1\n"},
    {"label_size=0;cat.0=a|b", "a\n\n \nb\n\"\"\n", "x 0\nx 1\nx nan\n"},
    {"label_size=0;hash_columns=0;hash_buckets=1000", "a\nb\n\"a\"\n\"\"\"\"\n", "x 996\nx 629\nx 996\nx 125\n"},
    {"text_columns=1", "1,one,1.5\n2, two ,2.5\n3,,3.5\n", "y 1 x 1.5 t 'one'\ny 2 x 2.5 t 'two'\ny 3 x 3.5 t ''\n"},
    {"text_columns=\"2,1\"", "1,one,eins,7\n", "y 1 x 7 t 'eins' 'one'\n"},
    {"text_columns=1;label_size=0", "1,\" a \"\"b\"\", \nc\"\n2,d\n", "x 1 t ' a \"b\", \nc'\nx 2 t 'd'\n"},
    {"text_columns=0-1;label_size=0", "u1,i7\nu2,i8\n", "x t 'u1' 'i7'\nx t 'u2' 'i8'\n"},
    {"text_columns=1", "1,\"a\"b,2\n", "!field 2 is '\"a\"b', which does not end with its quote"},
    {"label_size=0;text_columns=0", "a\n\nb\n", "x t 'a'\nx t 'b'\n"},
    /* quotes as in zsv's data sets: none, of all fields, of some, in fields without */
    {"text_columns=1-2", "1,ab,c d\n2,ef,\n", "y 1 x t 'ab' 'c d'\ny 2 x t 'ef' ''\n"},
    {"text_columns=1-2", "\"1\",\"ab\",\"c,d\"\n\"2\",\"e\nf\",\"\"\r\n",
     "y 1 x t 'ab' 'c,d'\ny 2 x t 'e\nf' ''\n"},
    {"text_columns=1-2", "1,\"a\"\"b\",c\n2,d,\"\"\"\"\n3,\"\"\"e\"\"\",\"\n\"\n",
     "y 1 x t 'a\"b' 'c'\ny 2 x t 'd' '\"'\ny 3 x t '\"e\"' '\n'\n"},
    {"text_columns=1-2", "1,12\" x,5'6\"\n2,a \"b, c\" d\n3,\"12\"\" x\",\"\"\n",
     "y 1 x t '12\" x' '5'6\"'\ny 2 x t 'a \"b' 'c\" d'\ny 3 x t '12\" x' ''\n"},
    /* no quotes */
    {"quotes=off;text_columns=1", "1,\"a,2\n3,b\"\"c,4\n5,12\" x,6\n",
     "y 1 x 2 t '\"a'\ny 3 x 4 t 'b\"\"c'\ny 5 x 6 t '12\" x'\n"},
    {"quotes=off", "1,\"2\"\n", "!field 2 is '\"2\"', not a number"},
    /* the number of fields; line ends; marks */
    {"columns=1", "1,2,3\n4,5\n", "y 1 x 2\n!row has 2 fields, the channel has 3"},
    {"columns=1", "1,2,3\n4,5,6,7\n", "y 1 x 2\n!row has 4 fields, the channel has 3"},
    {"delimiter=tab", "\xef\xbb\xbf" "1\t2\r3\t4\r\n5\t6", "y 1 x 2\ny 3 x 4\ny 5 x 6\n"},
    /* bad lists tell when the first record comes */
    {"label_columns=y;names=\"a,y,z\"", "1,2\n", "!names has 3 names, the row has 2 fields"},
    {"label_columns=z;header=present", "a,y\n1,2\n", "!label_columns: no column is named 'z'"},
    {"label_columns=y;header=auto", "1,2\n", "!label_columns: no column is named 'y': there is no header"},
    {"columns=2", "1,2\n", "!columns: there is no column '2': the row has 2, which count from 0"},
    {"columns=\"1,1\"", "1,2\n", "!columns: column 1 has a use already"},
    {"columns=0", "1,2\n", "!columns: column 0 has a use already"},
    {"cat.7=a", "1,2\n", "!cat: there is no column '7': the row has 2, which count from 0"},
    {"cat.1=a|b|a", "1,2\n", "!cat.1 has 'a' twice"},
    {"cat.1=a;text_columns=1", "1,2,3\n", "!cat.1: column 1 is no feature, label or weight"},
    {"hash_columns=1;hash_buckets=9;text_columns=1", "1,2,3\n",
     "!hash_columns: column 1 is no feature or label, or a category"},
    {"weight_column=0-1;label_size=0", "1,2,3\n", "!weight_column: a row has one weight, not 2"},
    {"label_size=0;csv_weights=1", "1\n", "!label_size=0 leaves no feature: the row has 1 column"},
    {"label_columns=0;text_columns=1;weight_column=2", "1,2,3\n", "y 1 w 3 x t '2'\n"},
    {"label_columns=0;weight_column=1", "1,2\n", "!no column is left to be a feature"},
};
/* clang-format on */

static void parse(const char *parameters, struct fmt_options *options)
{
    char content_type[512];
    struct fmt_error error = {.text = ""};
    snprintf(content_type, sizeof content_type, "text/csv;%s", parameters);
    if (fmt_options_parse(content_type, options, &error) != FMT_OK)
        fail_msg("%s: %s", content_type, error.text);
}

static void check(const struct good_case *c, bool plain, size_t (*step)(void *), void *cookie)
{
    struct drive drive = {.rows_max = plain ? 3 : 1000, .step = step, .cookie = cookie};
    struct drive_result r;
    char said[1024];
    size_t len = strlen(c->text);
    uint8_t *at = arena + ARENA_BYTES - len;
    memcpy(at, c->text, len);
    parse(c->parameters, &drive.options);
    struct fmt_ops ops = fmt_csv;
    if (plain)
        ops.decoder_new = plain_decoder_new;
    drive.options.ops = &ops;
    drive_run(&drive, at, len, &r);
    drive_text(&r, said, sizeof said);
    if (strcmp(said, c->rows) != 0)
        fail_msg("%s of '%s', %s: got\n%s\nexpected\n%s", c->parameters, c->text,
                 plain ? "plain" : "bulk", said, c->rows);
    drive_result_free(&r);
    drive.options.ops = &fmt_csv;
    fmt_options_free(&drive.options);
}

static void test_csv_options_make_of_an_object_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        check(&GOOD[i], false, step_all, NULL);
        check(&GOOD[i], true, step_all, NULL);
        check(&GOOD[i], false, step_one, NULL);
        for (size_t split = 1; split < strlen(GOOD[i].text); split++) {
            size_t first = split;
            check(&GOOD[i], split % 2 == 0, step_split, &first);
        }
    }
}

static void test_csv_options_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *content_type;
        const char *error;
    } bad[] = {
        {"text/csv;delimiter=", "delimiter must be comma, tab"},
        {"text/csv;delimiter=ab", "not 'ab'"},
        {"text/csv;delimiter=5", "not '5'"},
        {"text/csv;delimiter=e", "not 'e'"},
        {"text/csv;delimiter=-", "not '-'"},
        {"text/csv;delimiter=\"\\\"\"", "not '\"'"},
        {"text/csv;header=1", "header must be absent, present or auto, not '1'"},
        {"text/csv;blanks=drop", "blanks must be nan, error or 0"},
        {"text/csv;quotes=1", "quotes must be on or off"},
        {"text/csv;unknown=skip", "unknown must be error or other"},
        {"text/csv;csv_weights=2", "csv_weights must be a number from 0 to 1"},
        {"text/csv;label_columns=y", "columns are chosen by name: say header=present"},
        {"text/csv;cat.colour=a|b", "columns are chosen by name"},
        {"text/csv;label_columns=1;label_size=1", "exclude each other"},
        {"text/csv;weight_column=1;csv_weights=1", "exclude each other"},
        {"text/csv;hash_columns=1", "hash_columns and hash_buckets go together"},
        {"text/csv;hash_buckets=7", "hash_columns and hash_buckets go together"},
        {"text/csv;hash_columns=1;hash_buckets=0", "hash_buckets must be a number from 1"},
        {"text/csv;colour=red", "text/csv has no parameter colour: it has label_size, "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fmt_options options;
        struct fmt_error error = {.text = ""};
        if (fmt_options_parse(bad[i].content_type, &options, &error) != FMT_E_ARGUMENT ||
            strstr(error.text, bad[i].error) == NULL)
            fail_msg("%s: '%s'", bad[i].content_type, error.text);
    }
}

/* Columns by name: objects whose header is another one are not mixed up with the first. */
static void test_csv_options_another_header_is_an_error(void **state)
{
    static const struct {
        const char *parameters;
        const char *first;
        const char *second;
        const char *error; /* NULL: none */
    } cases[] = {
        {"label_columns=y;header=present", "a,y\n1,2\n", "a,y\n3,4\n", NULL},
        {"label_columns=y;header=present", "a,y\n1,2\n", "\"a\", y\r\n3,4\n", NULL},
        {"label_columns=y;header=present", "a,y\n1,2\n", "y,a\n3,4\n",
         "the header's column 0 is 'y', not 'a' as in the channel's first object"},
        {"label_columns=y;header=present", "a,y\n1,2\n", "a\n3,4\n",
         "the header has 1 columns, the channel's first object another number"},
        {"label_columns=y;header=present", "a,y\n1,2\n", "a,y,z\n3,4\n",
         "the header has 3 columns, the channel's first object another number"},
        {"label_columns=1;header=present", "a,y\n1,2\n", "y,a\n3,4\n", NULL},
        {"label_columns=1;header=present;names=\"a,y\"", "a,y\n1,2\n", "a,z\n3,4\n",
         "the header's column 1 is 'z', not 'y' as names says"},
        {"label_columns=1;header=present;names=\"a,y\"", "a,y\n1,2\n", "a\n3,4\n",
         "the header has 1 columns, names has another number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct drive drive = {.rows_max = 9, .step = step_all};
        struct drive_result r;
        parse(cases[i].parameters, &drive.options);
        drive_run(&drive, (const uint8_t *)cases[i].first, strlen(cases[i].first), &r);
        if (r.failed || r.rows != 1)
            fail_msg("case %zu, first object: %zu rows, %s", i, r.rows, r.text);
        drive_result_free(&r);
        drive_run(&drive, (const uint8_t *)cases[i].second, strlen(cases[i].second), &r);
        if (r.failed != (cases[i].error != NULL) ||
            (r.failed && strcmp(r.text, cases[i].error) != 0))
            fail_msg("case %zu, second object: '%s'", i, r.text);
        drive_result_free(&r);
        fmt_options_free(&drive.options);
    }
}

static const char *const RANDOM_PARAMETERS[] = {
    "",
    "label_size=0;delimiter=tab",
    "label_size=0;delimiter=space;quotes=off",
    "delimiter=semicolon;blanks=0",
    "blanks=error",
    "label_columns=2;weight_column=0;columns=\"5,3,4\"",
    "header=auto;columns=1-4",
    "header=present;text_columns=\"4,1\"",
    "cat.1=0|1|2|3|4|a;unknown=other;columns=\"1,3\"",
    "hash_columns=2-3;hash_buckets=97;text_columns=5",
    "quotes=off;text_columns=\"1,3\";csv_weights=1",
};

static size_t random_field(char *out, bool odd)
{
    static const char *const odds[] = {
        "",     " ",  "\"7\"", "\"\"", "\"a,b\"", "\"a\nb\"", "a\"\"",    "\"a\"\"\"",
        "x\ry", "\"", "nan",   "a b",  "\t",      "\"c\" d",  " \"5\"  ", "\r"};
    if (odd)
        return (size_t)snprintf(out, 16, "%s", odds[below(16)]);
    if (below(3) == 0)
        return (size_t)snprintf(out, 32, "%.*f", (int)below(9), (double)below(100000) / 997);
    return (size_t)snprintf(out, 32, "%u", below(below(2) == 0 ? 6 : 100000));
}

/* In bulk, plain, in one piece, in many: the same rows and the same error. */
static void test_csv_options_bulk_equals_plain_on_random_objects(void **state)
{
    enum { PARAMETERS = sizeof RANDOM_PARAMETERS / sizeof RANDOM_PARAMETERS[0] };
    static char text[8192];
    (void)state;
    for (uint32_t round = 0; round < 4000; round++) {
        const char *parameters = RANDOM_PARAMETERS[round % PARAMETERS];
        struct drive drive = {.rows_max = 1 + below(40)};
        struct drive_result plain;
        struct drive_result bulk;
        struct fmt_ops ops = fmt_csv;
        uint32_t odd_one_in = below(3) == 0 ? 15 : 200;
        uint32_t rows = 1 + below(60);
        size_t len = 0;
        char delimiter = strstr(parameters, "tab")         ? '\t'
                         : strstr(parameters, "space")     ? ' '
                         : strstr(parameters, "semicolon") ? ';'
                                                           : ',';
        for (uint32_t row = 0; row < rows; row++) {
            for (uint32_t i = 0; i < 6; i++) {
                len += random_field(text + len, below(odd_one_in) == 0);
                text[len++] = i < 5 ? delimiter : '\n';
            }
            if (below(odd_one_in) == 0)
                len -= below(3);
        }
        uint8_t *at = arena + ARENA_BYTES - len;
        memcpy(at, text, len);
        parse(parameters, &drive.options);
        ops.decoder_new = plain_decoder_new;
        drive.options.ops = &ops;
        drive.step = step_all;
        drive_run(&drive, at, len, &plain);
        drive.options.ops = &fmt_csv;
        drive.step = below(2) == 0 ? step_all : step_random;
        drive_run(&drive, at, len, &bulk);
        text[len] = 0;
        if (!drive_result_equal(&plain, &bulk) || strcmp(plain.text, bulk.text) != 0)
            fail_msg("round %u, %s, of '%s': plain %zu rows, '%s'; bulk %zu rows, '%s'", round,
                     parameters, text, plain.rows, plain.text, bulk.rows, bulk.text);
        drive_result_free(&plain);
        drive_result_free(&bulk);
        fmt_options_free(&drive.options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_options_make_of_an_object_what_they_say),
        cmocka_unit_test(test_csv_options_that_cannot_be_are_refused),
        cmocka_unit_test(test_csv_options_another_header_is_an_error),
        cmocka_unit_test(test_csv_options_bulk_equals_plain_on_random_objects),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
