/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_shape.c - rows that a model cannot learn from, by their places in the data. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trainer/shape.h"

static void test_a_bad_label_is_named_by_its_row(void **state)
{
    (void)state;
    const float labels[] = {1.0F, 7.0F, 2.0F, 7.0F, 0.0F, 7.0F};
    const struct penstock_batch batch = {
        .rows = 3, .epoch = 4, .position = 5000000000, .labels = labels, .label_dim = 2};
    struct tr_error error = {0};
    assert_int_equal(tr_shape_check_labels(TR_LOSS_SQUARED, 1, "train", &batch, &error), 0);
    assert_int_equal(tr_shape_check_labels(TR_LOSS_SOFTMAX, 3, "train", &batch, &error), 0);
    assert_int_equal(tr_shape_check_labels(TR_LOSS_SOFTMAX, 2, "train", &batch, &error), -1);
    assert_string_equal(error.text,
                        "channel train, epoch 4, row 5000000001 (the first row is 0): the label is "
                        "2, not a whole number from 0 to 1 (num_classes - 1)");
    assert_int_equal(tr_shape_check_labels(TR_LOSS_HINGE, 1, "test", &batch, &error), -1);
    assert_non_null(strstr(error.text, "row 5000000001 (the first row is 0): the label is 2, not 0 "
                                       "or 1"));
}

static void test_a_label_that_is_no_number_is_named(void **state)
{
    (void)state;
    const float labels[] = {1.0F, NAN};
    const struct penstock_batch batch = {.rows = 2, .labels = labels, .label_dim = 1};
    struct tr_error error = {0};
    assert_int_equal(tr_shape_check_labels(TR_LOSS_ABSOLUTE, 1, "train", &batch, &error), -1);
    assert_non_null(strstr(error.text, "row 1 (the first row is 0): the label is nan, not a finite "
                                       "number"));
}

static void test_a_column_beyond_the_model_is_named_by_its_row(void **state)
{
    (void)state;
    const uint32_t row_offsets[] = {0, 2, 2, 3};
    const uint32_t columns[] = {0, 8, UINT32_MAX};
    const struct penstock_batch batch = {
        .rows = 3, .epoch = 1, .position = 90, .row_offsets = row_offsets, .columns = columns};
    const struct penstock_batch none = {.rows = 0, .row_offsets = row_offsets};
    struct tr_error error = {0};
    assert_int_equal(tr_shape_check_columns(9, "train", &batch, &error), -1);
    assert_string_equal(error.text, "channel train, epoch 1, row 92 (the first row is 0): the "
                                    "column is 4294967295, not below feature_dim, 9");
    assert_int_equal(tr_shape_check_columns(8, "train", &batch, &error), -1);
    assert_non_null(strstr(error.text, "row 90 (the first row is 0): the column is 8, not"));
    assert_int_equal(tr_shape_check_columns(UINT32_MAX, "train", &none, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bad_label_is_named_by_its_row),
        cmocka_unit_test(test_a_label_that_is_no_number_is_named),
        cmocka_unit_test(test_a_column_beyond_the_model_is_named_by_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
