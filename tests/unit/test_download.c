/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_download.c - which file an object of a File mode channel becomes, and which none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "pipe/download.h"
#include "pipe/make_path.h"
#include "tests/unit/scratch.h"

static void test_names_follow_the_prefix(void **state)
{
    static const struct {
        const char *prefix, *key, *name;
    } cases[] = {
        {"p/train", "p/train/a/b.csv", "a/b.csv"},
        {"p/train/", "p/train/x", "x"},
        {"p/tra", "p/train/x", "train/x"},
        {"p/one", "p/one", "one"},
        {"", "a/b", "a/b"},
        {"p", "p//x", "x"},
        {"p/", "p/a//b", "a//b"},
        {"p/", "p/...", "..."},
        {"m.json", "other/key", "other/key"},
        {"p/", "p/a/../b", NULL},
        {"p/", "p/..", NULL},
        {"p/", "p/./x", NULL},
        {"p/", "p/dir/", NULL},
        {"p/", "p/", NULL},
        {"", "../up", NULL},
        {"", "..x/y", "..x/y"},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *name = ps_download_name(cases[c].prefix, cases[c].key);

        if (!cases[c].name)
            assert_null(name);
        else
            assert_string_equal(name, cases[c].name);
    }
}

static void test_directories_are_made_with_their_parents(void **state)
{
    struct scratch dir = scratch_open();
    struct penstock_error error;
    char long_path[5000];

    (void)state;
    assert_int_equal(ps_make_path(scratch_path(&dir, "a/b/c").text, &error), PENSTOCK_OK);
    assert_int_equal(ps_make_path(scratch_path(&dir, "a/b/c/").text, &error), PENSTOCK_OK);
    scratch_file(&dir, "a/b/c/d", "x", 1);
    assert_int_equal(ps_make_path(scratch_path(&dir, "a/b/c/d/e").text, &error), PENSTOCK_E_SYSTEM);
    assert_non_null(strstr(error.message, "a/b/c/d is in the way: it is no directory"));
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(ps_make_path(long_path, &error), PENSTOCK_E_ARGUMENT);
    scratch_close(&dir);
}

/* Names whose JSON is longer than what is gathered before it is written. */
static void test_manifest_takes_names_of_any_length(void **state)
{
    struct scratch dir = scratch_open();
    struct scratch_name path = scratch_path(&dir, "one-manifest");
    struct ps_channel_manifest *manifest = calloc(1, sizeof *manifest);
    struct penstock_error error;
    char name[4096];

    (void)state;
    assert_non_null(manifest);
    memset(name, 1, sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(ps_channel_manifest_open(manifest, path.text, &error), PENSTOCK_OK);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(ps_channel_manifest_add(manifest, "s3://b/", n == 1 ? name : "a", &error),
                         PENSTOCK_OK);
    assert_int_equal(ps_channel_manifest_finish(manifest, &error), PENSTOCK_OK);
    json_t *read = json_load_file(path.text, 0, NULL);

    assert_int_equal(json_array_size(read), 4);
    assert_string_equal(json_string_value(json_array_get(read, 1)), "a");
    assert_string_equal(json_string_value(json_array_get(read, 2)), name);
    assert_string_equal(json_string_value(json_array_get(read, 3)), "a");
    json_decref(read);
    free(manifest);
    scratch_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_follow_the_prefix),
        cmocka_unit_test(test_manifest_takes_names_of_any_length),
        cmocka_unit_test(test_directories_are_made_with_their_parents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
