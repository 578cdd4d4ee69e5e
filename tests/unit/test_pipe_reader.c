/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_pipe_reader.c - channels that come through FIFOs: every byte of every epoch, or
 * an error that names the FIFO; whatever pace, order and temper the writer has.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/fifo_fixture.h"
#include "tests/unit/stream_fixture.h"

#include <poll.h>
#include <signal.h>

#define PLAIN "application/octet-stream"

/* ---- a reader that the machine leaves alone between two looks ---- */

static const char *awaited_fifo; /* set before the stream is opened; NULL: nothing is late */

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

/* Whether a FIFO's writer has gone is asked when its FIFO is gone as well. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    bool asks = count == 1 && fds->events == 0 && timeout_ms == 0;

    for (int i = 0; asks && awaited_fifo && access(awaited_fifo, F_OK) == 0 && i < 5000; i++)
        pause_ms(1);
    return __real_poll(fds, count, timeout_ms);
}

static struct penstock *open_fifos(const struct writer *w, bool recordio, struct how how)
{
    char uri[128];

    snprintf(uri, sizeof uri, "pipe://%s/train", w->scratch.path);
    return open_path(uri, recordio, how);
}

static struct penstock *open_plain(const struct writer *w, uint32_t epochs)
{
    return open_fifos(w, false, (struct how){.epochs = epochs, .content_type = PLAIN});
}

/* ---- records ---- */

/* `rows` rows of `features`, through FIFOs, must be what they are through a file. */
static void assert_records(bool recordio, uint32_t rows, uint32_t features, size_t write_bytes_max,
                           unsigned pause, uint32_t epochs)
{
    struct how how = {.epochs = epochs};
    struct data *d = data_open(recordio, 1, rows, features);
    struct bytes b = data_bytes(d, 0);
    struct writer w = writer_of(b.at, b.len, epochs);

    w.write_bytes_max = write_bytes_max;
    w.pause_ms = pause;
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, recordio, how);
    struct penstock_counters counters;

    assert_whole(d, stream, how);
    penstock_get_counters(stream, 0, &counters);
    assert_int_equal(counters.bytes_received, epochs * b.len);
    assert_int_equal(counters.objects_streamed, epochs);
    assert_int_equal(counters.get_requests, epochs);
    assert_true(counters.first_byte_ns > 0);
    penstock_close(&stream);
    writer_end(&w);
    assert_int_equal(w.broken_pipes, 0);
    free(b.at);
    data_close(d);
}

static void test_records_are_those_of_a_file(void **state)
{
    (void)state;
    assert_records(true, 500, 17, 70000, 0, 3);
    assert_records(false, 500, 17, 70000, 0, 3);
    assert_records(true, 40, 3, 5, 0, 3);
    assert_records(false, 40, 3, 5, 0, 3);
}

static void test_fifos_and_bytes_may_come_late(void **state)
{
    (void)state;
    assert_records(true, 50, 3, 1000, 30, 3);
}

static void test_more_than_the_ring_holds(void **state)
{
    (void)state;
    assert_records(true, 300, 10007, 1 << 20, 0, 2);
    assert_records(false, 200, 10007, 300000, 0, 2);
}

/* What `len` bytes of the object's `whole_rows` whole rows and more lead to. */
static void assert_truncated(const struct data *d, const struct bytes *b, size_t len)
{
    struct how how = {.batch_rows = 1};
    struct writer w = writer_of(b->at, len, 1);
    struct reading r = reading_of(d, how);
    uint32_t whole_rows = 0;

    while (d->offsets[0][whole_rows + 1] <= len)
        whole_rows++;
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, true, how);

    assert_int_equal(reading_go_on(&r, stream, 0, UINT64_MAX), PENSTOCK_E_FORMAT);
    const struct penstock_error *error = penstock_last_error(stream, 0);

    assert_string_equal(r.why, "");
    assert_int_equal(r.rows, whole_rows);
    assert_non_null(strstr(error->message, "truncated"));
    assert_string_equal(error->key, fifo_path(&w, 0).text);
    assert_non_null(strstr(error->message, error->key));
    assert_int_equal(error->offset_bytes, d->offsets[0][whole_rows]);
    penstock_close(&stream);
    writer_end(&w);
}

static void test_an_end_inside_a_record_is_an_error(void **state)
{
    (void)state;
    struct data *d = data_open(true, 1, 3, 4);
    struct bytes b = data_bytes(d, 0);

    for (size_t len = 1; len < b.len; len += 3)
        if (len != d->offsets[0][1] && len != d->offsets[0][2])
            assert_truncated(d, &b, len);
    free(b.at);
    data_close(d);
}

static void test_a_bad_record_ends_the_reading(void **state)
{
    (void)state;
    static const char rows[] = "1,2\n3,4\n5,x\n7,8\n";
    struct writer w = writer_of(rows, strlen(rows), 2);
    const struct penstock_batch *batch;

    w.epochs = 1;
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, false, (struct how){.epochs = 2});
    int rc;

    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK)
        penstock_release(stream, batch);
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, "train_0, record at byte 8"));
    penstock_close(&stream);
    writer_end(&w);
}

static void test_an_empty_fifo_is_an_epoch_without_rows(void **state)
{
    (void)state;
    static const char rows[] = "1,2\n3,4\n";
    static const int told[] = {PENSTOCK_EPOCH_END, PENSTOCK_OK,        PENSTOCK_EPOCH_END,
                               PENSTOCK_EPOCH_END, PENSTOCK_EPOCH_END, PENSTOCK_END};
    struct writer w = writer_of(rows, 0, 4);

    w.has_lens = true;
    w.lens[1] = strlen(rows);
    w.pause_ms = 5;
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, false, (struct how){.epochs = 4});

    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        const struct penstock_batch *batch;

        assert_int_equal(penstock_next(stream, 0, -1, &batch), told[i]);
        if (batch)
            assert_int_equal(batch->epoch, 1);
        penstock_release(stream, batch);
    }
    penstock_close(&stream);
    writer_end(&w);
}

/* The reader finds nothing; the writer comes, writes all and goes; the reader sees that it has
 * gone.
 */
static void test_a_writer_that_is_gone_before_the_next_look_is_not_missed(void **state)
{
    (void)state;
    static const char rows[] = "1,2\n3,4\n";
    struct writer w = writer_of(rows, strlen(rows), 1);
    struct scratch_name fifo = fifo_path(&w, 0);
    const struct penstock_batch *batch;

    w.polls = true; /* it comes after the reader's first look */
    awaited_fifo = fifo.text;
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, false, (struct how){.epochs = 1});

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
    assert_int_equal(batch->rows, 2);
    penstock_release(stream, batch);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_EPOCH_END);
    awaited_fifo = NULL;
    penstock_close(&stream);
    writer_end(&w);
}

static void test_bytes_without_a_record_are_an_error(void **state)
{
    (void)state;
    struct writer w = writer_of("\n\n", 2, 1);
    const struct penstock_batch *batch;

    writer_start(&w);
    struct penstock *stream = open_fifos(&w, false, (struct how){.epochs = 1});

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_EMPTY);
    penstock_close(&stream);
    writer_end(&w);
}

/* ---- plain bytes ---- */

#define PLAIN_BYTES (20 * MIB + 12345)

static uint8_t *plain_bytes(void)
{
    uint8_t *bytes = malloc(PLAIN_BYTES);

    assert_non_null(bytes);
    for (size_t i = 0; i < PLAIN_BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    return bytes;
}

/* Reads on up to `most` bytes of the epoch. False when it ended before that. */
static bool read_plain(struct penstock *stream, const struct writer *w, uint32_t epoch,
                       uint64_t *at, uint64_t most)
{
    while (*at < most) {
        const struct penstock_span *span;
        int rc = penstock_next_span(stream, 0, -1, &span);

        if (rc == PENSTOCK_EPOCH_END)
            return false;
        if (rc != PENSTOCK_OK)
            fail_msg("%s: %s", penstock_rc_name(rc), penstock_last_error(stream, 0)->message);
        assert_int_equal(span->epoch, epoch);
        assert_int_equal(span->object_offset, *at);
        assert_int_equal(span->position, *at);
        assert_int_equal(span->object_bytes, 0);
        assert_false(span->ends_object);
        assert_string_equal(span->key, fifo_path(w, epoch).text);
        assert_true(*at + span->len_bytes <= w->len);
        assert_memory_equal(span->data, w->bytes + *at, span->len_bytes);
        *at += span->len_bytes;
        penstock_release_span(stream, span);
    }
    return true;
}

static void assert_ended(struct penstock *stream)
{
    const struct penstock_span *span;

    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_END);
    assert_null(span);
}

static void test_plain_bytes_of_three_epochs(void **state)
{
    (void)state;
    uint8_t *bytes = plain_bytes();
    struct writer w = writer_of(bytes, PLAIN_BYTES, 3);

    writer_start(&w);
    struct penstock *stream = open_plain(&w, 3);

    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        uint64_t at = 0;

        assert_false(read_plain(stream, &w, epoch, &at, UINT64_MAX));
        assert_int_equal(at, PLAIN_BYTES);
    }
    assert_ended(stream);
    penstock_close(&stream);
    writer_end(&w);
    free(bytes);
}

/* A consumer that holds the whole ring stops the reader, and none of it is overwritten. */
static void test_a_full_ring_waits_for_its_consumer(void **state)
{
    (void)state;
    uint8_t *bytes = plain_bytes();
    struct writer w = writer_of(bytes, PLAIN_BYTES, 1);
    const struct penstock_span *spans[64];
    uint64_t at = 0;
    unsigned count = 0;

    w.write_bytes_max = MIB;
    writer_start(&w);
    struct penstock *stream = open_plain(&w, 1);

    while (count < 64 && penstock_next_span(stream, 0, 200, &spans[count]) == PENSTOCK_OK)
        count++;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(spans[i]->object_offset, at);
        assert_memory_equal(spans[i]->data, bytes + at, spans[i]->len_bytes);
        at += spans[i]->len_bytes;
        penstock_release_span(stream, spans[i]);
    }
    assert_true(at <= 16 * MIB);
    assert_false(read_plain(stream, &w, 0, &at, UINT64_MAX));
    assert_int_equal(at, PLAIN_BYTES);
    penstock_close(&stream);
    writer_end(&w);
    free(bytes);
}

/* Epochs are left before their first byte, within, and at their end: the next one is exact. */
static void assert_left_early(bool polls)
{
    static const uint64_t stops[] = {3 * MIB, 0, 1, UINT64_MAX, 18 * MIB, 0, 0, PLAIN_BYTES};
    uint8_t *bytes = plain_bytes();
    struct writer w = writer_of(bytes, PLAIN_BYTES, 8);

    w.pause_ms = 3;
    w.polls = polls;
    writer_start(&w);
    struct penstock *stream = open_plain(&w, 8);

    for (uint32_t epoch = 0; epoch < 8; epoch++) {
        uint64_t at = 0;

        if (read_plain(stream, &w, epoch, &at, stops[epoch]))
            assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
        else
            assert_int_equal(at, PLAIN_BYTES);
    }
    assert_ended(stream);
    penstock_close(&stream);
    writer_end(&w);
    /* At the ring's size and more the writer cannot have been done. */
    assert_in_range(w.broken_pipes, 3, 7);
    free(bytes);
}

static void test_epochs_left_early(void **state)
{
    (void)state;
    assert_left_early(false);
    assert_left_early(true);
}

/* ---- waiting, stopping, refusing ---- */

static void *stop_soon(void *stream)
{
    pause_ms(20);
    penstock_stop(stream);
    return NULL;
}

static void assert_stops(struct penstock *stream)
{
    const struct penstock_span *span;
    pthread_t thread;
    int rc;

    assert_int_equal(pthread_create(&thread, NULL, stop_soon, stream), 0);
    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK)
        penstock_release_span(stream, span);
    pthread_join(thread, NULL);
    assert_int_equal(rc, PENSTOCK_E_STOPPED);
}

static void test_a_wait_can_be_stopped(void **state)
{
    (void)state;
    struct writer w = writer_of("x", 1, 1);

    for (int with = 0; with < 4; with++) {
        /* No directory, no FIFO, no writer, no byte. */
        if (with == 0)
            assert_int_equal(rmdir(w.scratch.path), 0);
        if (with == 1)
            assert_int_equal(mkdir(w.scratch.path, 0700), 0);
        if (with == 2)
            make_fifo(&w, 0);
        struct penstock *stream = open_plain(&w, 1);
        int fd = -1;

        if (with == 3) {
            fd = open(fifo_path(&w, 0).text, O_WRONLY | O_CLOEXEC);
            assert_true(fd >= 0);
            assert_int_equal(write(fd, "abc", 3), 3);
        }
        assert_stops(stream);
        penstock_close(&stream);
        if (fd >= 0)
            close(fd);
    }
    scratch_close(&w.scratch);
}

static void test_closing_needs_no_writer(void **state)
{
    (void)state;
    struct writer w = writer_of("x", 1, 1);

    make_fifo(&w, 0);
    struct penstock *stream = open_plain(&w, 0);

    penstock_close(&stream);
    scratch_close(&w.scratch);
}

static void test_the_directory_may_come_later(void **state)
{
    (void)state;
    static const char rows[] = "1,2\n3,4\n";
    struct writer w = writer_of(rows, strlen(rows), 1);
    const struct penstock_span *span;

    assert_int_equal(rmdir(w.scratch.path), 0);
    struct penstock *stream = open_plain(&w, 1);

    assert_int_equal(penstock_next_span(stream, 0, 20, &span), PENSTOCK_AGAIN);
    assert_int_equal(mkdir(w.scratch.path, 0700), 0);
    writer_start(&w);
    uint64_t at = 0;

    assert_false(read_plain(stream, &w, 0, &at, UINT64_MAX));
    assert_int_equal(at, strlen(rows));
    penstock_close(&stream);
    writer_end(&w);
}

/* FIFOs appear while the directory is watched: no timer may be what finds them. */
static void test_new_fifos_are_seen_at_once(void **state)
{
    (void)state;
    struct writer w = writer_of("x", 1, 12);
    struct timespec from;
    struct timespec to;

    w.pause_ms = 3;
    w.late = true;
    clock_gettime(CLOCK_MONOTONIC, &from);
    struct penstock *stream = open_plain(&w, 12);

    writer_start(&w);
    for (uint32_t epoch = 0; epoch < 12; epoch++) {
        uint64_t at = 0;

        assert_false(read_plain(stream, &w, epoch, &at, UINT64_MAX));
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    /* A look every second would take as many seconds as there are FIFOs. */
    assert_true(to.tv_sec - from.tv_sec < 8);
    penstock_close(&stream);
    writer_end(&w);
}

static void assert_refused(const struct writer *w, const char *part)
{
    struct penstock *stream = open_plain(w, 1);
    const struct penstock_span *span;

    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_E_ARGUMENT);
    const char *message = penstock_last_error(stream, 0)->message;

    if (!strstr(message, part))
        fail_msg("no \"%s\" in: %s", part, message);
    penstock_close(&stream);
}

static void test_a_file_mode_channel_is_refused(void **state)
{
    (void)state;
    struct writer w = writer_of("x", 1, 1);
    char uri[128];

    scratch_directory(&w.scratch, "train");
    scratch_file(&w.scratch, "train/part-0", "1,2\n", 4);
    snprintf(uri, sizeof uri, "channel train is a File mode channel: there is no FIFO");
    assert_refused(&w, uri);
    snprintf(uri, sizeof uri, "Read it as file://%s/train", w.scratch.path);
    assert_refused(&w, uri);
    /* With FIFOs beside it, it is none. */
    uint64_t at = 0;

    make_fifo(&w, 0);
    writer_start(&w);
    struct penstock *stream = open_plain(&w, 1);

    assert_false(read_plain(stream, &w, 0, &at, UINT64_MAX));
    assert_int_equal(at, 1);
    penstock_close(&stream);
    writer_end(&w);
}

static void test_what_is_no_fifo_is_refused(void **state)
{
    (void)state;
    struct writer w = writer_of("x", 1, 1);

    scratch_file(&w.scratch, "train_0", "x", 1);
    assert_refused(&w, "train_0 is not a FIFO but a regular file");
    assert_int_equal(unlink(fifo_path(&w, 0).text), 0);
    scratch_directory(&w.scratch, "train_0");
    assert_refused(&w, "train_0 is not a FIFO but a directory");
    scratch_close(&w.scratch);
}

static void test_the_error_comes_after_the_epochs_before_it(void **state)
{
    (void)state;
    struct writer w = writer_of("abc", 3, 1);
    const struct penstock_span *span;
    uint64_t at = 0;

    w.epochs = 1;
    make_fifo(&w, 0);
    scratch_file(&w.scratch, "train_1", "x", 1);
    writer_start(&w);
    struct penstock *stream = open_plain(&w, 2);

    assert_false(read_plain(stream, &w, 0, &at, UINT64_MAX));
    assert_int_equal(at, 3);
    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_E_ARGUMENT);
    penstock_close(&stream);
    writer_end(&w);
}

static void assert_not_opened(const struct penstock_channel_config *channel, const char *part)
{
    struct penstock_config config = how_config(&(struct how){.epochs = 1}, channel, 1);
    struct penstock_error error;
    struct penstock *stream;

    assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
    if (!strstr(error.message, part))
        fail_msg("no \"%s\" in: %s", part, error.message);
}

static void test_what_fifos_cannot_do_is_refused(void **state)
{
    (void)state;
    const char *uris[] = {"pipe:///tmp/train", "/tmp/x"};
    const char *reversed[] = {"/tmp/x", "pipe:///tmp/train"};
    struct penstock_channel_config channel = how_channel(&(struct how){.epochs = 1}, 0, uris, 2);

    assert_not_opened(&channel, "more URIs than one, pipe:///tmp/train among them");
    channel.uris = reversed;
    assert_not_opened(&channel, "more URIs than one, pipe:///tmp/train among them");
    channel.uris = uris;
    channel.uri_count = 1;
    channel.shuffle = true;
    assert_not_opened(&channel, "leave out shuffle and shard");
    channel.shuffle = false;
    channel.shard_count = 2;
    assert_not_opened(&channel, "leave out shuffle and shard");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_those_of_a_file),
        cmocka_unit_test(test_fifos_and_bytes_may_come_late),
        cmocka_unit_test(test_more_than_the_ring_holds),
        cmocka_unit_test(test_an_end_inside_a_record_is_an_error),
        cmocka_unit_test(test_a_bad_record_ends_the_reading),
        cmocka_unit_test(test_an_empty_fifo_is_an_epoch_without_rows),
        cmocka_unit_test(test_a_writer_that_is_gone_before_the_next_look_is_not_missed),
        cmocka_unit_test(test_bytes_without_a_record_are_an_error),
        cmocka_unit_test(test_plain_bytes_of_three_epochs),
        cmocka_unit_test(test_a_full_ring_waits_for_its_consumer),
        cmocka_unit_test(test_epochs_left_early),
        cmocka_unit_test(test_a_wait_can_be_stopped),
        cmocka_unit_test(test_closing_needs_no_writer),
        cmocka_unit_test(test_the_directory_may_come_later),
        cmocka_unit_test(test_new_fifos_are_seen_at_once),
        cmocka_unit_test(test_a_file_mode_channel_is_refused),
        cmocka_unit_test(test_what_is_no_fifo_is_refused),
        cmocka_unit_test(test_the_error_comes_after_the_epochs_before_it),
        cmocka_unit_test(test_what_fifos_cannot_do_is_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
