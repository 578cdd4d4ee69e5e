/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record.c - recordio-protobuf as the SageMaker SDK writes it: tests/golden.
 */
#include <stdio.h>

#include "tests/record_check.h"

/* One case of tests/golden/sdk_records.bin: see make_golden.py. */
struct golden {
    char name[33];
    struct drive_result expected;
    uint8_t *frames;
    uint32_t frames_bytes;
};

static bool golden_next(FILE *file, struct golden *golden)
{
    uint32_t head[4];
    *golden = (struct golden){0};
    if (fread(golden->name, 32, 1, file) != 1)
        return false;
    assert_int_equal(fread(head, sizeof(head), 1, file), 1);
    golden->expected.rows = head[0];
    golden->expected.shape = (struct fmt_shape){.feature_dim = head[1], .label_dim = head[2]};
    golden->frames_bytes = head[3];
    golden->frames = drive_allocate(head[3]);
    assert_int_equal(fread(golden->frames, 1, head[3], file), head[3]);
    size_t count = golden->expected.rows * drive_columns(&golden->expected);
    golden->expected.values = drive_allocate(count * sizeof(float));
    assert_int_equal(fread(golden->expected.values, sizeof(float), count, file), count);
    return true;
}

static void golden_free(struct golden *golden)
{
    free(golden->frames);
    drive_result_free(&golden->expected);
}

static FILE *golden_open(void)
{
    FILE *file = fopen("tests/golden/sdk_records.bin", "rb");
    if (file == NULL)
        fail_msg("tests/golden/sdk_records.bin: cannot be read (run from the top folder)");
    return file;
}

static void test_golden_decodes_to_the_arrays(void **state)
{
    (void)state;
    FILE *file = golden_open();
    struct golden golden;
    int count = 0;
    for (; golden_next(file, &golden); golden_free(&golden)) {
        channel_set(strncmp(golden.name, "sparse", 6) == 0 ? ";layout=dense" : "");
        check_splits(golden.name, golden.frames, golden.frames_bytes, &golden.expected);
        check_truncations(golden.name, golden.frames, golden.frames_bytes, &golden.expected);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 69);
}

/* Every byte of every golden record, as the second of three, replaced. */
static void test_template_notices_every_changed_byte(void **state)
{
    (void)state;
    FILE *file = golden_open();
    struct golden golden;
    for (; golden_next(file, &golden); golden_free(&golden)) {
        if (golden.frames_bytes > 1200 || golden.expected.rows < 3)
            continue;
        channel_set("");
        for (size_t i = 0; i < golden.frames_bytes; i++) {
            uint8_t kept = golden.frames[i];
            golden.frames[i] = (uint8_t)(kept + 1 + below(255));
            struct drive_result expected;
            struct drive_result got;
            record_reference(&channel, golden.frames, golden.frames_bytes, &expected);
            run(golden.frames, golden.frames_bytes, 10, step_all, NULL, &got);
            expect_same(golden.name, "changed byte", i, &got, &expected);
            golden.frames[i] = kept;
            drive_result_free(&got);
            drive_result_free(&expected);
        }
    }
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_decodes_to_the_arrays),
        cmocka_unit_test(test_template_notices_every_changed_byte),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
