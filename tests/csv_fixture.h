/* SPDX-License-Identifier: Apache-2.0 */
/* tests/csv_fixture.h - what the CSV tests share: objects between guard pages, ways to hand them
 * over, and comparison with the reference. Include after cmocka.h.
 */
#ifndef TESTS_CSV_FIXTURE_H
#define TESTS_CSV_FIXTURE_H

#include "tests/arena.h"
#include "tests/csv_plain.h"
#include "tests/csv_reference.h"

static inline size_t step_random(void *cookie)
{
    (void)cookie;
    return 1 + below(below(4) == 0 ? 300 : 9);
}

static inline const struct fmt_ops *any_ops(void)
{
    static struct fmt_ops plain;
    plain = fmt_csv;
    plain.decoder_new = plain_decoder_new;
    return below(4) == 0 ? &plain : &fmt_csv;
}

static inline void run(const void *text, size_t len, uint32_t label_size, uint32_t rows_max,
                       size_t (*step)(void *), void *cookie, struct drive_result *r)
{
    struct fmt_csv_options own = {.label_size = label_size};
    struct drive drive = {.options = {.ops = any_ops(), .own = &own},
                          .rows_max = rows_max,
                          .step = step,
                          .cookie = cookie};
    uint8_t *at = below(2) == 0 ? arena : arena + ARENA_BYTES - len;
    assert_true(len <= ARENA_BYTES);
    memcpy(at, text, len);
    drive_run(&drive, at, len, r);
}

/* Rows hold features, then labels; columns count as in the text. */
static inline float value_at(const struct drive_result *r, size_t value_no)
{
    size_t columns = drive_columns(r);
    size_t column = value_no % columns;
    size_t place =
        column < r->shape.label_dim ? r->shape.feature_dim + column : column - r->shape.label_dim;
    return r->values[value_no - column + place];
}

static inline void expect_same(const char *what, const char *text, size_t at,
                               const struct drive_result *got, const struct drive_result *expected)
{
    if (!drive_result_equal(got, expected))
        fail_msg("%s at %zu of '%s': %zu rows%s, expected %zu rows%s", what, at, text, got->rows,
                 got->failed ? " and an error" : "", expected->rows,
                 expected->failed ? " and an error" : "");
}

#endif
