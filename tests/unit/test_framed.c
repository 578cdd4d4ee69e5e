/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_framed.c - batches that lend records in the stream ring: the rows of the oracle,
 * read in place, whatever is held and however the ring wraps; no copy; what does not go with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"

#include "tests/unit/compress.h"

#define FRAMED "application/x-recordio-protobuf;framed=true"

/* As reading_batch, in place. */
static bool read_in_place(struct reading *r, const struct penstock_batch *b)
{
    float features[600];
    float label;
    uint32_t rows = 0;

    if (b->epoch != r->epoch || b->position != r->position || b->run_count < 1 ||
        b->run_count > 2 || b->features || b->labels || b->data || b->len_bytes != 0 ||
        b->type != PENSTOCK_FLOAT32 || b->label_type != PENSTOCK_FLOAT32 ||
        b->feature_dim != r->data->features || b->label_dim != 1) {
        snprintf(r->why, sizeof r->why,
                 "batch at epoch %u, position %" PRIu64 " is not right: %u runs", b->epoch,
                 b->position, b->run_count);
        return false;
    }
    for (uint32_t k = 0; k < b->run_count; k++) {
        const uint8_t *record = b->runs[k].data;

        for (uint32_t i = 0; i < b->runs[k].rows; i++, record += b->stride_bytes) {
            memcpy(features, record + b->features_offset, b->feature_dim * sizeof *features);
            memcpy(&label, record + b->labels_offset, sizeof label);
            if (!reading_row(r, features, &label))
                return false;
        }
        rows += b->runs[k].rows;
    }
    if (rows != b->rows)
        snprintf(r->why, sizeof r->why, "%u rows in runs, %u in the batch", rows, b->rows);
    r->batches++;
    return rows == b->rows;
}

/* FNV-1a of the batch's records. */
static uint64_t sum_of(const struct penstock_batch *b)
{
    uint64_t sum = 14695981039346656037u;

    for (uint32_t k = 0; k < b->run_count; k++) {
        const uint8_t *bytes = b->runs[k].data;

        for (size_t i = 0; i < b->runs[k].rows * b->stride_bytes; i++)
            sum = (sum ^ bytes[i]) * 1099511628211u;
    }
    return sum;
}

/* A batch on loan, and what it held when it came. */
struct held {
    const struct penstock_batch *batch;
    uint64_t sum;
};

static void give_back(struct penstock *stream, const struct held *held)
{
    assert_true(sum_of(held->batch) == held->sum); /* nothing was received over it */
    penstock_release(stream, held->batch);
}

/* Reads all, with `hold` batches held while the next is waited for; these come back in an order
 * that changes. Returns how often a batch was in two runs. */
static uint32_t read_all(const struct data *d, struct penstock *stream, struct how how,
                         uint32_t hold)
{
    struct reading r = reading_of(d, how);
    struct held held[2];
    uint32_t held_count = 0;
    uint32_t split = 0;
    int rc;

    for (;;) {
        const struct penstock_batch *batch;

        rc = penstock_next(stream, 0, -1, &batch);
        if (rc == PENSTOCK_EPOCH_END && reading_mark(&r, rc))
            continue;
        if (rc != PENSTOCK_OK)
            break;
        split += batch->run_count == 2;
        if (!read_in_place(&r, batch))
            break;
        if (hold == 0) {
            penstock_release(stream, batch);
            continue;
        }
        if (held_count == hold) {
            uint32_t back = (uint32_t)(r.batches % hold);

            give_back(stream, &held[back]);
            held[back] = held[--held_count];
        }
        held[held_count++] = (struct held){batch, sum_of(batch)};
    }
    while (held_count > 0)
        give_back(stream, &held[--held_count]);
    if (r.why[0])
        fail_msg("%s", r.why);
    if (rc != PENSTOCK_END)
        fail_msg("%s: %s", penstock_rc_name(rc), penstock_last_error(stream, 0)->message);
    assert_true(reading_mark(&r, rc));
    return split;
}

static void test_rows_are_the_oracles_however_the_ring_wraps(void **state)
{
    (void)state;
    struct data *d = data_open(true, 7, 500, 501); /* 14 MB, in a ring of 6.7 MB */
    uint32_t split = 0;

    for (uint32_t hold = 0; hold <= 2; hold++) {
        struct how how = {.content_type = FRAMED,
                          .batch_rows = 500 + 131 * hold,
                          .epochs = 2,
                          .decode_threads = 1 + hold,
                          .part_bytes = 256 << 10};
        struct penstock *stream = open_data(d, how);
        struct penstock_counters counters;

        split += read_all(d, stream, how, hold);
        penstock_get_counters(stream, 0, &counters);
        assert_int_equal(counters.bytes_copied, 0);
        assert_true(counters.bytes_carried <= 4 * 2100); /* a record a lap */
        penstock_close(&stream);
    }
    assert_true(split > 3);
    data_close(d);
}

/* Then they lie in the ring that objects are inflated into. */
static void test_compressed_objects_are_lent_too(void **state)
{
    (void)state;
    struct data *d = data_open(true, 5, 700, 501);
    struct how how = {
        .content_type = FRAMED, .compression = "gzip", .epochs = 2, .decode_threads = 2};

    for (uint32_t o = 0; o < d->objects; o++) {
        struct bytes b = data_bytes(d, o);
        struct compressed object = compress_parts(FMT_CODEC_GZIP, b.at, b.len, 2);

        scratch_file(&d->scratch, data_name(o).text, object.bytes, object.len_bytes);
        free(object.bytes);
        free(b.at);
    }
    struct penstock *stream = open_data(d, how);

    (void)read_all(d, stream, how, 2);
    penstock_close(&stream);
    data_close(d);
}

/* Values at addresses that are not aligned, batches of a few rows, and more batches than chunks. */
static void test_small_records_and_batches(void **state)
{
    (void)state;
    struct data *d = data_open(true, 9, 3000, 29);
    struct how how = {.content_type = FRAMED, .batch_rows = 7, .decode_threads = 3};
    struct penstock *stream = open_data(d, how);

    (void)read_all(d, stream, how, 2);
    penstock_close(&stream);
    how.batch_rows = 10000;
    how.part_bytes = 64 << 10; /* many chunks in a batch */
    stream = open_data(d, how);
    (void)read_all(d, stream, how, 1);
    penstock_close(&stream);
    data_close(d);
}

/* ---- pinning ---- */

struct pins {
    int pins;
    int unpins;
    const char *base;
    size_t len_bytes;
};

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct pins *pins = cookie;

    pins->pins++;
    pins->base = base;
    pins->len_bytes = len_bytes;
    return 0;
}

static void unpin(void *cookie, void *base, size_t len_bytes)
{
    struct pins *pins = cookie;

    if (base == pins->base && len_bytes == pins->len_bytes)
        pins->unpins++;
}

static void test_the_ring_is_pinned_once_and_batches_lie_in_it(void **state)
{
    (void)state;
    struct data *d = data_open(true, 3, 500, 100);
    struct how how = {.content_type = FRAMED};
    struct penstock_channel_config channel =
        how_channel(&how, true, (const char *const[]){d->scratch.path}, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct pins pins = {.pins = 0};
    const struct penstock_batch *batch;

    config.pin = pin;
    config.unpin = unpin;
    config.pin_cookie = &pins;
    struct penstock *stream = open_config(&config);

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
    assert_int_equal(pins.pins, 1);
    assert_true(batch->pinned);
    const char *data = batch->runs[0].data;

    assert_true(data >= pins.base &&
                data + 100 * batch->stride_bytes <= pins.base + pins.len_bytes);
    penstock_close(&stream); /* with the batch on loan */
    assert_int_equal(pins.unpins, 1);
    data_close(d);
}

/* ---- what is refused ---- */

static void expect_error(const char *path, struct how how, int rc, const char *words)
{
    struct penstock *stream = open_path(path, true, how);
    const struct penstock_batch *batch;
    int got;

    while ((got = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK)
        penstock_release(stream, batch);
    assert_int_equal(got, rc);
    if (!strstr(penstock_last_error(stream, 0)->message, words))
        fail_msg("expected '%s': %s", words, penstock_last_error(stream, 0)->message);
    penstock_close(&stream);
}

static void test_what_does_not_go_with_it_is_refused(void **state)
{
    (void)state;
    struct data *d = data_open(true, 3, 100, 100);
    struct how how = {.content_type = FRAMED, .bad_records = "skip"};

    expect_error(d->scratch.path, how, PENSTOCK_E_ARGUMENT, "does not go with bad_records");
    how = (struct how){.content_type = FRAMED, .last_batch = "pad"};
    expect_error(d->scratch.path, how, PENSTOCK_E_ARGUMENT, "does not go with");
    how = (struct how){.content_type = FRAMED, .split_objects = "bytes", .shard_count = 2};
    expect_error(d->scratch.path, how, PENSTOCK_E_ARGUMENT, "with split_objects=bytes: use index");
    how = (struct how){.content_type = FRAMED, .batch_rows = 10000};
    expect_error(d->scratch.path, how, PENSTOCK_E_MEMORY, "more than a fourth of the stream ring");
    data_close(d);
}

static void test_a_record_of_another_size_is_an_error_with_its_place(void **state)
{
    (void)state;
    struct data *d = data_open(true, 1, 100, 40);
    struct data *other = data_open(true, 1, 1, 41);
    struct bytes longer = data_bytes(other, 0);
    struct bytes b = data_bytes(d, 0);
    uint64_t offset = b.len;

    bytes_add(&b, longer.at, longer.len);
    scratch_file(&d->scratch, data_name(0).text, b.at, b.len);
    struct how how = {.content_type = FRAMED, .batch_rows = 30};
    struct penstock *stream = open_data(d, how);
    const struct penstock_batch *batch;
    int rc;

    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK)
        penstock_release(stream, batch);
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    assert_int_equal(penstock_last_error(stream, 0)->offset_bytes, offset);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message,
                           "record has 41 features and 1 labels, the channel has 40 and 1"));
    penstock_close(&stream);
    free(b.at);
    free(longer.at);
    data_close(other);
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_the_oracles_however_the_ring_wraps),
        cmocka_unit_test(test_compressed_objects_are_lent_too),
        cmocka_unit_test(test_small_records_and_batches),
        cmocka_unit_test(test_the_ring_is_pinned_once_and_batches_lie_in_it),
        cmocka_unit_test(test_what_does_not_go_with_it_is_refused),
        cmocka_unit_test(test_a_record_of_another_size_is_an_error_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
