/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_shaping.c - last batches, windows of shuffled rows and samples, in whole streams
 * of CSV, of which some records are bad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/shaping_fixture.h"

/* ---- the last batch ---- */

static void test_last_batch_is_kept_dropped_padded_or_wrapped(void **state)
{
    static const char *const last[] = {"keep", "drop", "pad", "wrap"};
    static const uint32_t batch_rows[] = {1, 64, 100, 360, 1000, 5000};
    struct corpus *c = corpus_open(4, 100, 0, false);
    struct corpus *bad = corpus_open(4, 100, 9, false);

    (void)state;
    for (size_t l = 0; l < 4; l++)
        for (size_t b = 0; b < sizeof batch_rows / sizeof *batch_rows; b++) {
            struct how how = {
                .last_batch = last[l], .batch_rows = batch_rows[b], .pad_label = -1, .epochs = 3};

            check_setting(c, how, l + b);
            how.bad_records = "skip";
            check_setting(bad, how, l + b + 1);
        }
    corpus_close(c);
    corpus_close(bad);
}

/* What is dropped may be bad all the same. */
static void test_bad_record_in_a_dropped_batch_is_an_error(void **state)
{
    struct corpus *c = corpus_open(1, 150, 0, false);
    struct how how = {.last_batch = "drop"};
    uint64_t rows;

    (void)state;
    scratch_file(&c->scratch, "x", "1,2,3,no\n", 9);
    read_to_error(c, how, &rows);
    assert_int_equal(rows, 100);
    corpus_close(c);
}

/* ---- windows ---- */

static void test_rows_are_shuffled_in_windows(void **state)
{
    static const char *const last[] = {"keep", "drop", "pad", "wrap"};
    static const uint64_t windows[] = {1, 100, 101, 700, 5000};
    struct corpus *c = corpus_open(5, 400, 0, false);
    struct corpus *bad = corpus_open(5, 400, 9, true);

    (void)state;
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
        for (size_t l = 0; l < 4; l++) {
            struct how how = {
                .shuffle_rows = windows[w], .last_batch = last[l], .seed = w, .epochs = 2};

            check_setting(c, how, w + l);
            how.bad_records = "skip";
            check_setting(bad, how, w + l + 1);
        }
    check_all(c, (struct how){.shuffle_rows = 64, .batch_rows = 1, .epochs = 2});
    corpus_close(c);
    corpus_close(bad);
}

static void test_window_that_does_not_fit_is_refused(void **state)
{
    struct corpus *c = corpus_open(1, 10, 0, false);
    static const struct {
        uint64_t window;
        uint32_t batch_rows;
        const char *text;
    } cases[] = {{100000000, 100000, "raise the memory limit or lower shuffle_rows"},
                 {2000, 1, "raise batch_rows or lower shuffle_rows"}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct how how = {.shuffle_rows = cases[i].window, .batch_rows = cases[i].batch_rows};
        struct penstock *stream = open_path(c->scratch.path, false, how);
        const struct penstock_batch *batch;

        assert_true(penstock_next(stream, 0, -1, &batch) < 0);
        assert_non_null(strstr(penstock_last_error(stream, 0)->message, cases[i].text));
        penstock_close(&stream);
    }
    corpus_close(c);
}

/* Row `id` has up to 8 entries; some rows are malformed. */
enum { LIBSVM_OBJECTS = 3, LIBSVM_ROWS = 900 };

static bool libsvm_is_bad(uint32_t id)
{
    return id % 37 == 5;
}

static void libsvm_write(struct scratch *scratch)
{
    for (uint32_t o = 0; o < LIBSVM_OBJECTS; o++) {
        struct bytes b = {.at = NULL};
        char text[64];

        for (uint32_t id = o * LIBSVM_ROWS; id < (o + 1) * LIBSVM_ROWS; id++) {
            snprintf(text, sizeof text, "%u", id);
            bytes_add_text(&b, text);
            for (uint32_t i = 0; i < id % 9; i++) {
                snprintf(text, sizeof text, " %u:%u.5", i * 100 + id % 50, id + i);
                bytes_add_text(&b, text);
            }
            bytes_add_text(&b, libsvm_is_bad(id) ? " x:1\n" : "\n");
        }
        scratch_file(scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
}

static void libsvm_check_batch(const struct penstock_batch *b, const uint32_t *ids)
{
    assert_int_equal(b->row_offsets[0], 0);
    for (uint32_t row = 0; row < b->rows; row++) {
        uint32_t begin = b->row_offsets[row];

        assert_true(b->labels[row] == (float)ids[row]);
        assert_int_equal(b->row_offsets[row + 1] - begin, ids[row] % 9);
        for (uint32_t i = 0; i < ids[row] % 9; i++) {
            assert_int_equal(b->columns[begin + i], i * 100 + ids[row] % 50);
            assert_true(b->values[begin + i] == (float)(ids[row] + i) + 0.5f);
        }
    }
}

static void libsvm_check(const struct scratch *scratch, struct how how)
{
    static uint32_t ids[LIBSVM_OBJECTS * LIBSVM_ROWS];
    struct penstock *stream = open_path(scratch->path, false, how);
    const struct penstock_batch *batch;

    for (uint32_t epoch = 0; epoch < how.epochs; epoch++) {
        uint32_t count = 0;
        uint32_t done = 0;

        for (uint32_t id = 0; id < LIBSVM_OBJECTS * LIBSVM_ROWS; id++)
            if (!libsvm_is_bad(id))
                ids[count++] = id;
        model_shuffle(ids, count, &how, epoch);
        while (done < count) {
            assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
            assert_int_equal(batch->rows, count - done < 100 ? count - done : 100);
            libsvm_check_batch(batch, ids + done);
            done += batch->rows;
            penstock_release(stream, batch);
        }
        assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_EPOCH_END);
    }
    penstock_close(&stream);
}

static void test_sparse_rows_are_shuffled_whatever_the_threads(void **state)
{
    static const uint64_t windows[] = {100, 800, 1000, 9000};
    struct scratch scratch = scratch_open();

    (void)state;
    libsvm_write(&scratch);
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
        for (size_t i = 0; i < SETTINGS; i++)
            libsvm_check(&scratch, (struct how){.content_type = "text/libsvm",
                                                .bad_records = "skip",
                                                .shuffle_rows = windows[w],
                                                .seed = w,
                                                .epochs = 2,
                                                .memory_bytes = 64 * MIB,
                                                .decode_threads = settings[i].threads,
                                                .part_bytes = settings[i].part_bytes});
    scratch_close(&scratch);
}

/* ---- samples ---- */

static void test_samples_are_disjoint_and_stay_the_same(void **state)
{
    struct corpus *c = corpus_open(5, 800, 0, false);
    struct corpus *bad = corpus_open(5, 400, 9, true);
    struct how how = {.epochs = 2, .sample_seed = 3};
    uint32_t counts[2];

    (void)state;
    for (int part = 0; part < 2; part++) {
        how.sample_from = part ? 0.9 : 0;
        how.sample_to = part ? 1 : 0.9;
        check_all(c, how);
        model(c, &how, 0, &expected);
        counts[part] = expected.count;
    }
    assert_int_equal(counts[0] + counts[1], c->count);
    assert_in_range(counts[1], c->count * 8 / 100, c->count * 12 / 100);
    how.bad_records = "skip";
    how.shuffle_rows = 300;
    how.last_batch = "wrap";
    check_all(bad, how);
    corpus_close(c);
    corpus_close(bad);
}

/* The definition is for ever: worked out with another program. */
static void test_sample_is_as_published(void **state)
{
    static const struct {
        uint64_t seed, index, hash;
        const char *key;
    } cases[] = {{0, 0, UINT64_C(7164162497234589), ""},
                 {1, 7, UINT64_C(6005782947092304), "train/part-0"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ps_shaping shaping = {.sample_seed = cases[i].seed,
                                     .sample_from = cases[i].hash,
                                     .sample_to = cases[i].hash + 1};
        uint64_t object = ps_sample_object(&shaping, cases[i].key);

        assert_true(ps_sample_has(&shaping, object, cases[i].index));
        assert_false(ps_sample_has(&shaping, object, cases[i].index + 1));
    }
}

/* ---- configuration ---- */

static void test_unusable_settings_are_named(void **state)
{
    static const struct {
        struct how how;
        const char *text;
    } cases[] = {
        {{.bad_records = "ignore"}, "bad_records is \"ignore\""},
        {{.bad_records_max = 3}, "bad_records_max is for"},
        {{.bad_records = "skip", .bad_fraction_max = 1.5}, "bad_fraction_max is 1.5"},
        {{.last_batch = "fill"}, "last_batch is \"fill\""},
        {{.sample_from = 0.5, .sample_to = 0.5}, "from 0.5 to 0.5"},
        {{.sample_from = -1, .sample_to = 0.5}, "from -1 to 0.5"},
        {{.shuffle_rows = UINT64_MAX}, "shuffle_rows is"},
        {{.shuffle_rows = 10, .content_type = "application/octet-stream"}, "plain bytes"},
        {{.last_batch = "pad", .content_type = "application/octet-stream"}, "plain bytes"},
    };
    const char *path = "/nowhere";

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct penstock_channel_config channel = how_channel(&cases[i].how, false, &path, 1);
        struct penstock_config config = how_config(&cases[i].how, &channel, 1);
        struct penstock *stream;
        struct penstock_error error;

        assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
        if (!strstr(error.message, cases[i].text))
            fail_msg("\"%s\" lacks \"%s\"", error.message, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_batch_is_kept_dropped_padded_or_wrapped),
        cmocka_unit_test(test_bad_record_in_a_dropped_batch_is_an_error),
        cmocka_unit_test(test_rows_are_shuffled_in_windows),
        cmocka_unit_test(test_window_that_does_not_fit_is_refused),
        cmocka_unit_test(test_sparse_rows_are_shuffled_whatever_the_threads),
        cmocka_unit_test(test_samples_are_disjoint_and_stay_the_same),
        cmocka_unit_test(test_sample_is_as_published),
        cmocka_unit_test(test_unusable_settings_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
