/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_stream.c - penstock.h over files: every row, in order, whatever the settings. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/engine.h"
#include "tests/unit/stream_fixture.h"

/* Some tests run once for each I/O backend, which is their state. */
static const char *backend_of(void **state)
{
    const char *backend = *state;

    if (strcmp(backend, "uring") == 0) {
        struct ps_reactor *probe = ps_reactor_uring.open();

        if (!probe) {
            print_message("the kernel refuses io_uring\n");
            skip();
        }
        ps_reactor_uring.close(probe);
    }
    return backend;
}

/* ---- rows, positions, marks ---- */

static void test_every_row_comes_in_order(void **state)
{
    static const uint32_t batch_rows[] = {1, 7, 100, 5000};
    const char *backend = backend_of(state);

    for (int recordio = 0; recordio < 2; recordio++) {
        struct data *d = data_open(recordio != 0, 12, 50, 5);

        for (size_t i = 0; i < sizeof batch_rows / sizeof *batch_rows; i++)
            assert_streams(
                d, (struct how){.backend = backend, .batch_rows = batch_rows[i], .epochs = 3});
        data_close(d);
    }
}

static void test_batch_size_that_divides_the_epoch_leaves_no_empty_batch(void **state)
{
    struct data *d = data_open(false, 1, 300, 2);
    struct how how = {.batch_rows = 100, .epochs = 2};
    struct penstock *stream = open_data(d, how);
    const struct penstock_batch *batch;
    static const int expected[] = {PENSTOCK_OK,        PENSTOCK_OK,        PENSTOCK_OK,
                                   PENSTOCK_EPOCH_END, PENSTOCK_OK,        PENSTOCK_OK,
                                   PENSTOCK_OK,        PENSTOCK_EPOCH_END, PENSTOCK_END};

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(penstock_next(stream, 0, -1, &batch), expected[i]);
        if (batch)
            assert_int_equal(batch->rows, 100);
        penstock_release(stream, batch);
    }
    penstock_close(&stream);
    data_close(d);
}

static void test_epochs_without_end_go_on(void **state)
{
    struct data *d = data_open(true, 3, 40, 3);
    struct how how = {.epochs = ENDLESS, .batch_rows = 32};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);

    (void)state;
    assert_int_equal(reading_go_on(&r, stream, 0, 1000), PENSTOCK_OK);
    assert_string_equal(r.why, "");
    assert_true(r.epoch > 100);
    penstock_close(&stream);
    data_close(d);
}

static void test_single_file_and_file_uri(void **state)
{
    struct data *d = data_open(false, 1, 120, 3);
    char uri[1024];
    struct how how = {.decode_threads = 1};
    struct penstock *stream = open_path(data_path(d, 0).text, false, how);

    (void)state;
    assert_whole(d, stream, how);
    penstock_close(&stream);
    snprintf(uri, sizeof uri, "file://%s", data_path(d, 0).text);
    stream = open_path(uri, false, how);
    assert_whole(d, stream, how);
    penstock_close(&stream);
    data_close(d);
}

/* More files than parts may be under way, and than fit in a page of news from the lister. */
static void test_two_thousand_tiny_files(void **state)
{
    enum { FILES = 2000 };
    const char *backend = backend_of(state);
    struct scratch scratch = scratch_open();
    struct how how = {.backend = backend, .batch_rows = 77};
    uint32_t next = 0;

    for (int i = 0; i < FILES; i++) {
        char name[32];
        char row[32];

        snprintf(name, sizeof name, "f%05d", i);
        snprintf(row, sizeof row, "%d,1\n", i);
        /* Two of three hold nothing but a line end. */
        scratch_file(&scratch, name, i % 3 ? "\n" : row, i % 3 ? 1 : strlen(row));
    }
    struct penstock *stream = open_path(scratch.path, false, how);
    const struct penstock_batch *batch;
    struct penstock_counters counters;

    while (penstock_next(stream, 0, -1, &batch) == PENSTOCK_OK) {
        for (uint32_t i = 0; i < batch->rows; i++, next += 3)
            assert_int_equal(batch->labels[i], next);
        penstock_release(stream, batch);
    }
    assert_int_equal(next, 2001);
    penstock_get_counters(stream, 0, &counters);
    assert_int_equal(counters.objects_listed, FILES);
    assert_int_equal(counters.objects_streamed, FILES);
    penstock_close(&stream);
    scratch_close(&scratch);
}

/* ---- settings change nothing ---- */

static void test_settings_change_nothing(void **state)
{
    static const struct how settings[] = {
        {.decode_threads = 1, .io_threads = 1, .part_bytes = 64 << 10},
        {.decode_threads = 2, .io_threads = 2, .part_bytes = 64 << 10, .connections = 1},
        {.decode_threads = 4, .io_threads = 2, .part_bytes = 100001, .connections = 64},
        {.decode_threads = 4, .io_threads = 1, .part_bytes = 1 << 20, .connections = 3},
        {.decode_threads = 2, .io_threads = 4, .part_bytes = 8 << 20},
        {.decode_threads = 3, .io_threads = 1, .memory_bytes = 64 << 20},
    };
    const char *backend = backend_of(state);

    for (int recordio = 0; recordio < 2; recordio++) {
        struct data *d = data_open(recordio != 0, 9, 400, 30);

        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
            struct how how = settings[i];

            how.backend = backend;
            how.batch_rows = 128;
            how.epochs = 2;
            assert_streams(d, how);
        }
        data_close(d);
    }
}

/* ---- the ring ---- */

/* 8 MiB of data, six times, through a ring of less than 7 MiB: records cross its end, and are
 * carried, while decoders still read what was carried a lap ago. */
static void test_ring_wraps_and_records_are_carried(void **state)
{
    const char *backend = backend_of(state);
    static const uint32_t decode_threads[] = {1, 4};

    for (size_t i = 0; i < 2; i++) {
        /* 20 KiB a record: every lap but few ends inside one. */
        struct data *d = data_open(true, 3, 100, 5000);
        struct how how = {.backend = backend,
                          .decode_threads = decode_threads[i],
                          .io_threads = (uint32_t)i + 1,
                          .part_bytes = i ? 64 << 10 : 8 << 20,
                          .batch_rows = 33,
                          .epochs = 6};
        struct penstock *stream = open_data(d, how);
        struct penstock_counters counters;

        assert_whole(d, stream, how);
        penstock_get_counters(stream, 0, &counters);
        assert_true(counters.bytes_received > 40 * MIB);
        assert_true(counters.bytes_received > 5 * counters.ring_bytes);
        assert_true(counters.bytes_carried > 0);
        assert_true(counters.bytes_carried < counters.bytes_received / 50);
        assert_true(counters.ring_bytes + counters.slot_bytes <= 16 * MIB);
        penstock_close(&stream);
        data_close(d);
    }
}

/* Text, whose records have all lengths, and whose batches are many. */
static void test_ring_wraps_with_csv(void **state)
{
    const char *backend = backend_of(state);
    struct data *d = data_open(false, 5, 600, 150);
    struct how how = {.backend = backend, .decode_threads = 2, .batch_rows = 50, .epochs = 4};
    struct penstock *stream = open_data(d, how);
    struct penstock_counters counters;

    assert_whole(d, stream, how);
    penstock_get_counters(stream, 0, &counters);
    assert_true(counters.bytes_received > 2 * counters.ring_bytes);
    assert_true(counters.bytes_carried > 0);
    penstock_close(&stream);
    data_close(d);
}

/* Records nearly as long as the headroom, which is a quarter of the ring. */
static void test_longest_records_pass(void **state)
{
    const char *backend = backend_of(state);

    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        struct data *d = data_open(true, 2, 4, 418700);
        struct how how = {
            .backend = backend, .decode_threads = threads, .batch_rows = 2, .epochs = 2};
        struct penstock *stream = open_data(d, how);
        const size_t headroom_bytes = stream->channels[0]->ring.headroom_bytes;

        assert_in_range(d->offsets[0][1], headroom_bytes - 600, headroom_bytes);
        assert_whole(d, stream, how);
        penstock_close(&stream);
        data_close(d);
    }
}

/* A record of exactly `len_bytes` as CSV: one long number among short ones. */
static struct bytes csv_record(size_t len_bytes)
{
    struct bytes b = {.at = NULL};

    bytes_add_text(&b, "7,1,0.");
    size_t zeros = len_bytes - 1 - b.len;

    memset(bytes_room(&b, zeros), '0', zeros);
    bytes_add_text(&b, "\n");
    return b;
}

/* Whether a record is too long must not depend on how its bytes happen to arrive: here the framer
 * finds the whole of it in the ring, as the consumer makes it wait. */
static void check_record_of(size_t len_bytes, bool arrives_first, int expected)
{
    struct scratch scratch = scratch_open();
    struct bytes file = {.at = NULL};
    struct bytes record = csv_record(len_bytes);
    struct how how = {.batch_rows = 1, .decode_threads = 2};
    const struct penstock_batch *batches[PS_SLOTS_MAX + 1];
    uint64_t offset;
    int rc = PENSTOCK_OK;

    for (int i = 0; i < PS_SLOTS_MAX; i++)
        bytes_add_text(&file, "7,1,2\n");
    offset = file.len;
    bytes_add(&file, record.at, record.len);
    bytes_add_text(&file, "8,1,2\n");
    scratch_file(&scratch, "f", file.at, file.len);
    struct penstock *stream = open_path(scratch.path, false, how);

    for (int i = 0; i < PS_SLOTS_MAX; i++)
        assert_int_equal(penstock_next(stream, 0, -1, &batches[i]), PENSTOCK_OK);
    if (arrives_first) {
        struct penstock_counters counters = {.records = 0};

        while (counters.bytes_received < file.len)
            penstock_get_counters(stream, 0, &counters);
    }
    for (int i = 0; i < PS_SLOTS_MAX; i++)
        penstock_release(stream, batches[i]);
    rc = penstock_next(stream, 0, -1, &batches[0]);
    assert_int_equal(rc, expected);
    if (expected == PENSTOCK_OK) {
        assert_true(batches[0]->features[0] == 1.0f && batches[0]->features[1] == 0.0f);
        assert_int_equal(penstock_next(stream, 0, -1, &batches[1]), PENSTOCK_OK);
        assert_true(batches[1]->labels[0] == 8.0f);
    } else {
        const struct penstock_error *error = penstock_last_error(stream, 0);

        assert_int_equal(error->offset_bytes, offset);
        assert_string_equal(error->key, scratch_path(&scratch, "f").text);
        assert_non_null(strstr(error->message, "raise the memory limit"));
    }
    penstock_close(&stream);
    free(file.at);
    free(record.at);
    scratch_close(&scratch);
}

static void test_limit_of_a_record_is_exact(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock *stream = open_path(scratch.path, false, (struct how){.batch_rows = 1});
    const size_t headroom_bytes = stream->channels[0]->ring.headroom_bytes;

    (void)state;
    penstock_close(&stream);
    scratch_close(&scratch);
    for (int arrives_first = 0; arrives_first < 2; arrives_first++) {
        check_record_of(headroom_bytes - 1, arrives_first, PENSTOCK_OK);
        check_record_of(headroom_bytes, arrives_first, PENSTOCK_OK);
        check_record_of(headroom_bytes + 1, arrives_first, PENSTOCK_E_FORMAT);
        check_record_of(2 * headroom_bytes, arrives_first, PENSTOCK_E_FORMAT);
    }
}

/* ---- order, shards, sources, channels ---- */

static void test_shuffle_is_the_published_permutation(void **state)
{
    static const uint32_t counts[] = {1, 2, 5, 16, 33};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct data *d = data_open(false, counts[i], 10, 2);

        for (uint64_t seed = 0; seed < 3; seed++)
            assert_streams(d, (struct how){.shuffle = true, .seed = seed, .epochs = 3});
        data_close(d);
    }
}

static void test_shards_partition_the_rows(void **state)
{
    struct data *d = data_open(true, 10, 30, 2);

    (void)state;
    for (int shuffle = 0; shuffle < 2; shuffle++)
        for (uint32_t shard_count = 1; shard_count <= 12; shard_count++)
            for (uint32_t shard = 0; shard < shard_count; shard++)
                /* Each shard carries what the definition says; together that is everything. */
                assert_streams(d, (struct how){.shuffle = shuffle != 0,
                                               .seed = 5,
                                               .shard_index = shard,
                                               .shard_count = shard_count,
                                               .epochs = 2});
    data_close(d);
}

static void test_several_uris_follow_each_other(void **state)
{
    struct data *d = data_open(false, 9, 20, 3);
    struct how how = {.epochs = 2, .batch_rows = 64};
    struct scratch_name paths[9];
    const char *uris[9];

    (void)state;
    for (uint32_t i = 0; i < 9; i++) {
        /* In an order that is not that of their names: objects keep their numbers. */
        paths[i] = data_path(d, (i * 4 + 2) % 9);
        uris[i] = paths[i].text;
    }
    struct penstock_channel_config channel = how_channel(&how, false, uris, 9);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock *stream = open_config(&config);
    struct reading r = reading_of(d, how);

    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        for (uint32_t i = 0; i < 9; i++)
            r.order[i] = (i * 4 + 2) % 9;
        assert_int_equal(reading_go_on(&r, stream, 0, (epoch + 1) * 6), PENSTOCK_OK);
        assert_string_equal(r.why, "");
        const struct penstock_batch *batch;
        int rc = penstock_next(stream, 0, -1, &batch);

        assert_int_equal(rc, PENSTOCK_EPOCH_END);
        assert_true(reading_mark(&r, rc));
    }
    penstock_close(&stream);
    data_close(d);
}

struct consumer {
    struct penstock *stream;
    size_t channel_no;
    struct reading reading;
    int rc;
};

static void *consume(void *cookie)
{
    struct consumer *c = cookie;

    c->rc = reading_go_on(&c->reading, c->stream, c->channel_no, UINT64_MAX);
    return NULL;
}

static void test_channels_are_read_by_different_threads(void **state)
{
    enum { CHANNELS = 4 };
    const char *backend = backend_of(state);
    struct penstock_channel_config channels[CHANNELS];
    struct consumer consumers[CHANNELS];
    struct data *data[CHANNELS];
    const char *paths[CHANNELS];
    pthread_t threads[CHANNELS];
    struct how how[CHANNELS];

    for (uint32_t i = 0; i < CHANNELS; i++) {
        data[i] = data_open(i % 2 == 0, 3 + i, 200, 10 + 50 * i);
        how[i] = (struct how){.batch_rows = 10 + 30 * i, .epochs = 3, .shuffle = i == 3};
        paths[i] = data[i]->scratch.path;
        channels[i] = how_channel(&how[i], data[i]->recordio, &paths[i], 1);
    }
    struct how common = {.backend = backend, .io_threads = 2, .decode_threads = 2};
    struct penstock_config config = how_config(&common, channels, CHANNELS);
    struct penstock *stream = open_config(&config);

    for (size_t i = 0; i < CHANNELS; i++) {
        consumers[i] = (struct consumer){
            .stream = stream, .channel_no = i, .reading = reading_of(data[i], how[i])};
        assert_int_equal(pthread_create(&threads[i], NULL, consume, &consumers[i]), 0);
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(consumers[i].reading.why, "");
        assert_int_equal(consumers[i].rc, PENSTOCK_END);
        assert_int_equal(consumers[i].reading.epoch_ends, 3);
    }
    penstock_close(&stream);
    for (size_t i = 0; i < CHANNELS; i++)
        data_close(data[i]);
}

struct counting {
    struct penstock *stream;
    atomic_bool stop;
    bool fell; /* a counter went back */
};

static void *count_on(void *cookie)
{
    struct counting *counting = cookie;
    struct penstock_counters before = {.records = 0};

    while (!atomic_load(&counting->stop)) {
        struct penstock_counters now;

        penstock_get_counters(counting->stream, 0, &now);
        counting->fell |= now.records < before.records || now.batches < before.batches ||
                          now.bytes_received < before.bytes_received ||
                          now.objects_listed < before.objects_listed ||
                          now.slot_count < before.slot_count;
        before = now;
        sched_yield();
    }
    return NULL;
}

/* Slow, so that others look on while the slots are being made. */
static int pin_slowly(void *cookie, void *base, size_t len_bytes)
{
    const struct timespec nap = {.tv_nsec = 100000};

    (void)cookie;
    (void)base;
    (void)len_bytes;
    nanosleep(&nap, NULL);
    return 0;
}

/* From before the first record on; what races here a thread sanitizer sees. */
static void test_counters_are_read_by_another_thread_all_the_while(void **state)
{
    struct data *d = data_open(true, 5, 100, 20);

    (void)state;
    for (int round = 0; round < 10; round++) {
        struct how how = {.batch_rows = 30, .epochs = 2};
        const char *path = d->scratch.path;
        struct penstock_channel_config channel = how_channel(&how, true, &path, 1);
        struct penstock_config config = how_config(&how, &channel, 1);
        struct counting counting = {.stop = false};
        pthread_t thread;

        config.pin = pin_slowly;
        counting.stream = open_config(&config);
        assert_int_equal(pthread_create(&thread, NULL, count_on, &counting), 0);
        assert_whole(d, counting.stream, how);
        atomic_store(&counting.stop, true);
        pthread_join(thread, NULL);
        assert_false(counting.fell);
        penstock_close(&counting.stream);
    }
    data_close(d);
}

static char epoll[] = "epoll";
static char uring[] = "uring";

#define ON(function, backend)                                                                      \
    {                                                                                              \
#function "_" #backend, function, NULL, NULL, backend                                      \
    }
#define BOTH(function) ON(function, epoll), ON(function, uring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_every_row_comes_in_order),
        cmocka_unit_test(test_batch_size_that_divides_the_epoch_leaves_no_empty_batch),
        cmocka_unit_test(test_epochs_without_end_go_on),
        cmocka_unit_test(test_single_file_and_file_uri),
        BOTH(test_two_thousand_tiny_files),
        BOTH(test_settings_change_nothing),
        BOTH(test_ring_wraps_and_records_are_carried),
        BOTH(test_ring_wraps_with_csv),
        BOTH(test_longest_records_pass),
        cmocka_unit_test(test_limit_of_a_record_is_exact),
        cmocka_unit_test(test_shuffle_is_the_published_permutation),
        cmocka_unit_test(test_shards_partition_the_rows),
        cmocka_unit_test(test_several_uris_follow_each_other),
        BOTH(test_channels_are_read_by_different_threads),
        cmocka_unit_test(test_counters_are_read_by_another_thread_all_the_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
