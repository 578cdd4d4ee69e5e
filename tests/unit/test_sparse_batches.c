/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_sparse_batches.c - pipe/stage.c, place.c, window.c and slot_rows.c: batches of
 * sparse rows and of texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sparse_fixture.h"

static void test_sparse_rows_and_texts_come_as_they_are(void **state)
{
    struct data *d = make_data(2300, 30, 0);

    (void)state;
    check_all(d, (struct ps_shaping){.bad = PS_BAD_ERROR});
    free(d);
}

static void test_bad_rows_leave_nothing_behind(void **state)
{
    struct data *d = make_data(2300, 30, 10);

    (void)state;
    check_all(d, (struct ps_shaping){.bad = PS_BAD_SKIP});
    free(d);
}

static void test_last_batches_are_filled(void **state)
{
    static const enum ps_last_batch last[] = {PS_LAST_DROP, PS_LAST_PAD, PS_LAST_WRAP};
    struct data *d = make_data(1234, 20, 5);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        check_all(
            d, (struct ps_shaping){.bad = PS_BAD_SKIP, .last = last[i], .pad_label = padding[1]});
    free(d);
}

/* Half of the rows, taken out in runs of all lengths. */
static void test_samples_of_sparse_rows(void **state)
{
    struct data *d = make_data(2300, 30, 0);
    struct ps_shaping shaping = {
        .samples = true, .sample_from = 0, .sample_to = UINT64_C(1) << 52, .sample_seed = 5};
    uint64_t object = ps_sample_object(&shaping, "/nowhere/object");

    (void)state;
    d->good_count = 0;
    for (uint32_t row = 0; row < d->count; row++)
        if (ps_sample_has(&shaping, object, row))
            d->good[d->good_count++] = row;
    assert_in_range(d->good_count, 1000, 1300);
    check_all(d, shaping);
    free(d);
}

/* Windows of one batch, of some, and longer than the epoch; every way of ending, with bad rows. */
static void test_rows_are_shuffled_in_windows(void **state)
{
    static const enum ps_last_batch last[] = {PS_LAST_KEEP, PS_LAST_DROP, PS_LAST_PAD,
                                              PS_LAST_WRAP};
    static const struct {
        uint32_t batch_rows;
        uint32_t batches; /* of a window */
    } windows[] = {{7, 1}, {1, 20}, {20, 15}, {100, 5}, {100, 40}, {1500, 2}};
    struct data *d = make_data(1234, 20, 5);

    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
            for (size_t l = (s + w) % 2; l < 4; l += 2) {
                struct ps_shaping shaping = {.bad = PS_BAD_SKIP,
                                             .last = last[l],
                                             .pad_label = padding[1],
                                             .window_rows =
                                                 windows[w].batch_rows * windows[w].batches};

                check_epochs(d, shapes[s], windows[w].batch_rows, shaping, 1u << (s + w + l) % 3);
            }
    free(d);
}

/* The same of every share of the rows, in windows and in order. */
static void test_shares_of_rows(void **state)
{
    static const struct {
        uint32_t batch_rows, batches, shares;
    } cases[] = {{8, 0, 8}, {100, 0, 4}, {1500, 0, 2}, {20, 15, 4}, {100, 5, 2}, {1500, 2, 4}};
    struct data *d = make_data(1234, 20, 5);

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (uint32_t i = 0; i < cases[c].shares; i++)
            for (uint32_t l = PS_LAST_KEEP; l <= PS_LAST_WRAP; l++) {
                struct ps_shaping shaping = {.bad = PS_BAD_SKIP,
                                             .last = (enum ps_last_batch)l,
                                             .pad_label = padding[1],
                                             .window_rows = cases[c].batch_rows * cases[c].batches};

                row_share.index = i;
                row_share.count = cases[c].shares;
                check_epochs(d, shapes[(i + l) % 4], cases[c].batch_rows, shaping,
                             1u << (i + c) % 3);
            }
    row_share.index = 0;
    row_share.count = 1;
    free(d);
}

/* The last, short window of an epoch makes full batches of what lay all over it: room for these is
 * room enough, and with less it is not. */
static void test_short_window_fits_to_the_last_entry(void **state)
{
    enum { BATCH_ROWS = 100, BATCHES = 4 };
    static uint32_t order[ROWS_MAX];
    struct data *d = make_data(240, 60, 0);
    const struct penstock_batch *batch;
    uint32_t most = 0;

    (void)state;
    for (int missing = 0; missing < 2; missing++) {
        struct bench *b = open_bench(d, shapes[0], BATCH_ROWS,
                                     (struct ps_shaping){.window_rows = BATCH_ROWS * BATCHES});

        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            order_rows(b, epoch, order);
            for (uint32_t row = 0; row < d->count; row += BATCH_ROWS) {
                uint32_t entries = 0;

                for (uint32_t i = row; i < d->count && i < row + BATCH_ROWS; i++)
                    entries += d->bytes[d->offsets[order[i]]];
                most = entries > most ? entries : most;
            }
        }
        b->ch->layout.entries_max = missing ? (most - 1) / 16 * 16 : (most + 15) / 16 * 16;
        start(b, 2, 3);
        if (missing == 0) {
            for (uint32_t epoch = 0; epoch < 3; epoch++)
                check_epoch(b, epoch);
        } else {
            int rc;

            while ((rc = next(b, &batch)) >= 0 && rc != PENSTOCK_END)
                penstock_release(&b->f->stream, batch);
            assert_int_equal(rc, PENSTOCK_E_MEMORY);
            assert_non_null(strstr(penstock_last_error(&b->f->stream, 0)->message,
                                   "lower batch_rows or shuffle_rows"));
        }
        close_bench(b);
    }
    free(d);
}

static void test_batch_that_does_not_fit_says_how_large_it_is(void **state)
{
    struct data *d = make_data(4000, 250, 0);
    const struct penstock_batch *batch;
    const char *message;
    int rc;

    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct bench *b = open_bench(d, shapes[s], 4000, (struct ps_shaping){.bad = PS_BAD_ERROR});

        if (s == 0)
            b->ch->layout.entries_max = 50000;
        else
            b->ch->layout.texts_max = 20000;
        start(b, 2, 1);
        rc = next(b, &batch);
        message = penstock_last_error(&b->f->stream, 0)->message;
        assert_int_equal(rc, PENSTOCK_E_MEMORY);
        assert_non_null(strstr(message, "a batch of 4000 rows does not fit"));
        assert_non_null(strstr(message, s == 0 ? "room for 50000" : "room for 20000"));
        assert_non_null(strstr(message, "lower batch_rows"));
        close_bench(b);
    }
    free(d);
}

/* Room for the entries of a batch, and not for one more. */
static void test_batch_fits_to_the_last_entry(void **state)
{
    struct data *d = make_data(500, 60, 0);
    struct bench *b = open_bench(d, shapes[0], 500, (struct ps_shaping){.bad = PS_BAD_ERROR});
    uint32_t entries = 0;

    (void)state;
    for (uint32_t row = 0; row < d->count; row++)
        entries += d->bytes[d->offsets[row]];
    b->ch->layout.entries_max = (entries + 15) / 16 * 16;
    start(b, 2, 2);
    check_epoch(b, 0);
    check_epoch(b, 1);
    close_bench(b);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparse_rows_and_texts_come_as_they_are),
        cmocka_unit_test(test_bad_rows_leave_nothing_behind),
        cmocka_unit_test(test_last_batches_are_filled),
        cmocka_unit_test(test_samples_of_sparse_rows),
        cmocka_unit_test(test_rows_are_shuffled_in_windows),
        cmocka_unit_test(test_shares_of_rows),
        cmocka_unit_test(test_short_window_fits_to_the_last_entry),
        cmocka_unit_test(test_batch_that_does_not_fit_says_how_large_it_is),
        cmocka_unit_test(test_batch_fits_to_the_last_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
