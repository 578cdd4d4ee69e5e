/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_spans.c - channels of plain bytes: every byte once, in order, in place, whatever
 * the caller holds on to. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"

#define PLAIN "application/octet-stream"
#define FILES 7

/* Byte `offset` of file `file`. */
static uint8_t byte_of(uint32_t file, uint64_t offset)
{
    return (uint8_t)((offset * 2654435761u + file * 97u) >> 13);
}

static uint64_t size_of(uint32_t file)
{
    return file % 3 == 0 ? 1 + file : 3 * MIB + file * 4099;
}

static uint8_t *contents[FILES];

static int make_contents(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < FILES; f++) {
        contents[f] = malloc(size_of(f));
        if (!contents[f])
            return -1;
        for (uint64_t i = 0; i < size_of(f); i++)
            contents[f][i] = byte_of(f, i);
    }
    return 0;
}

static int free_contents(void **state)
{
    (void)state;
    for (uint32_t f = 0; f < FILES; f++)
        free(contents[f]);
    return 0;
}

static struct scratch make_files(void)
{
    struct scratch scratch = scratch_open();

    for (uint32_t f = 0; f < FILES; f++)
        scratch_file(&scratch, data_name(f).text, contents[f], size_of(f));
    return scratch;
}

static struct penstock *open_plain(const char *path, struct how how)
{
    how.content_type = PLAIN;
    return open_path(path, false, how);
}

/* Where the oracle stands. */
struct expected {
    uint32_t file, epoch;
    uint64_t offset, position;
};

static void check_span(struct expected *e, const struct penstock_span *span)
{
    const uint8_t *data = span->data;

    assert_int_equal(span->epoch, e->epoch);
    assert_int_equal(span->position, e->position);
    assert_int_equal(span->object_offset, e->offset);
    assert_int_equal(span->object_bytes, size_of(e->file));
    assert_int_equal(span->ends_object, e->offset + span->len_bytes == size_of(e->file));
    assert_int_equal(span->uri_no, 0);
    assert_non_null(strstr(span->key, data_name(e->file).text));
    assert_in_range(span->len_bytes, 1, MIB);
    assert_true(e->offset + span->len_bytes <= size_of(e->file));
    if (memcmp(data, contents[e->file] + e->offset, span->len_bytes) != 0)
        for (size_t i = 0; i < span->len_bytes; i++)
            if (data[i] != byte_of(e->file, e->offset + i))
                fail_msg("file %u, byte %" PRIu64 " of epoch %u", e->file, e->offset + i, e->epoch);
    e->offset += span->len_bytes;
    e->position += span->len_bytes;
    if (e->offset == size_of(e->file)) {
        e->file++;
        e->offset = 0;
    }
}

/* Reads to the end; every `hold` spans are given back at once, in an order of chance. A span is
 * checked once more just before it goes back: nothing may have written to it meanwhile. */
static void read_to_end(struct penstock *stream, uint32_t epochs, unsigned hold)
{
    struct {
        const struct penstock_span *span;
        struct expected before;
    } held[64];
    unsigned count = 0;
    uint32_t chance = 1;
    bool giving_back = false;
    struct expected e = {.file = 0};
    int rc;

    for (;;) {
        const struct penstock_span *span;

        rc = penstock_next_span(stream, 0, -1, &span);
        if (rc == PENSTOCK_EPOCH_END) {
            assert_int_equal(e.file, FILES);
            e = (struct expected){.epoch = e.epoch + 1};
            continue;
        }
        if (rc != PENSTOCK_OK)
            break;
        held[count].before = e;
        held[count++].span = span;
        check_span(&e, span);
        while (count == hold || (count > 0 && giving_back)) {
            unsigned pick = ((chance = chance * 1664525u + 1013904223u) >> 16) % count;

            check_span(&held[pick].before, held[pick].span);
            penstock_release_span(stream, held[pick].span);
            held[pick] = held[--count];
            giving_back = count > 0;
        }
    }
    assert_int_equal(rc, PENSTOCK_END);
    assert_int_equal(e.epoch, epochs);
    while (count > 0)
        penstock_release_span(stream, held[--count].span);
}

static void test_every_byte_once_and_in_place(void **state)
{
    static const char *const backends[] = {"epoll", "auto"};
    static const size_t part_bytes[] = {64 << 10, 1 << 20, 0};
    struct scratch scratch = make_files();

    (void)state;
    for (size_t b = 0; b < 2; b++)
        for (size_t p = 0; p < 3; p++)
            for (unsigned hold = 1; hold <= 9; hold += 4) {
                struct penstock *stream = open_plain(
                    scratch.path,
                    (struct how){.epochs = 3, .backend = backends[b], .part_bytes = part_bytes[p]});
                struct penstock_counters counters;

                read_to_end(stream, 3, hold);
                penstock_get_counters(stream, 0, &counters);
                assert_int_equal(counters.objects_streamed, 3 * FILES);
                assert_int_equal(counters.records, 0);
                assert_int_equal(counters.bytes_carried, 0);
                assert_int_equal(counters.ring_bytes, 16 * MIB);
                assert_int_equal(counters.slot_count, 0);
                penstock_close(&stream);
            }
    scratch_close(&scratch);
}

static void test_all_on_loan_waits_for_a_release(void **state)
{
    struct scratch scratch = make_files();
    struct penstock *stream =
        open_plain(scratch.path, (struct how){.epochs = ENDLESS, .part_bytes = 64 << 10});
    const struct penstock_span *spans[64];
    const struct penstock_span *more;
    struct expected e = {.file = 0};
    unsigned count = 0;
    int rc;

    (void)state;
    /* Ends when 64 are on loan, or the whole ring is. */
    while ((rc = penstock_next_span(stream, 0, 200, &more)) != PENSTOCK_AGAIN) {
        if (rc == PENSTOCK_EPOCH_END) {
            e = (struct expected){.epoch = e.epoch + 1};
            continue;
        }
        assert_int_equal(rc, PENSTOCK_OK);
        assert_in_range(count, 0, 63);
        check_span(&e, more);
        spans[count++] = more;
    }
    assert_null(more);
    assert_int_equal(penstock_next_span(stream, 0, 0, &more), PENSTOCK_AGAIN);
    for (unsigned i = count; i-- > 1;) /* the oldest last: only then is there room */
        penstock_release_span(stream, spans[i]);
    assert_int_equal(penstock_next_span(stream, 0, 0, &more), PENSTOCK_AGAIN);
    penstock_release_span(stream, spans[0]);
    do {
        rc = penstock_next_span(stream, 0, -1, &more);
        if (rc == PENSTOCK_EPOCH_END)
            e = (struct expected){.epoch = e.epoch + 1};
    } while (rc == PENSTOCK_EPOCH_END);
    assert_int_equal(rc, PENSTOCK_OK);
    check_span(&e, more);
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_error_comes_after_the_bytes_before_it(void **state)
{
    struct scratch scratch = make_files();
    struct scratch_name absent = scratch_path(&scratch, "absent");
    const char *uris[2] = {scratch.path, absent.text};
    struct how how = {.content_type = PLAIN};
    struct penstock_channel_config channel = how_channel(&how, false, uris, 2);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock *stream = open_config(&config);
    const struct penstock_span *span;
    struct expected e = {.file = 0};
    int rc;

    (void)state;
    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK) {
        check_span(&e, span);
        penstock_release_span(stream, span);
    }
    assert_int_equal(rc, PENSTOCK_E_NOT_FOUND);
    assert_int_equal(e.file, FILES);
    assert_string_equal(penstock_last_error(stream, 0)->key, absent.text);
    assert_int_equal(penstock_next_span(stream, 0, 0, &span), PENSTOCK_E_NOT_FOUND);
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_empty_directory_is_an_error(void **state)
{
    struct scratch scratch = scratch_open();
    struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = 2});
    const struct penstock_span *span;

    (void)state;
    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_E_EMPTY);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, scratch.path));
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_shards_cut_the_objects_among_them(void **state)
{
    struct scratch scratch = make_files();
    uint64_t total = 0;

    (void)state;
    for (uint32_t shard = 0; shard < 2; shard++) {
        struct penstock *stream =
            open_plain(scratch.path, (struct how){.shard_index = shard, .shard_count = 2});
        const struct penstock_span *span;
        struct expected e = {.file = shard};
        int rc;

        while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK) {
            check_span(&e, span);
            total += span->len_bytes;
            e.file += e.offset == 0; /* check_span went on to the next, which is another's */
            penstock_release_span(stream, span);
        }
        assert_int_equal(rc, PENSTOCK_EPOCH_END);
        assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_END);
        penstock_close(&stream);
    }
    for (uint32_t f = 0; f < FILES; f++)
        total -= size_of(f);
    assert_int_equal(total, 0);
    scratch_close(&scratch);
}

/* Skips at every kind of moment: before the first span, within, after the last, several at once. */
static void test_skipped_epochs_leave_the_others_whole(void **state)
{
    static const size_t part_bytes[] = {64 << 10, 1 << 20};
    struct scratch scratch = make_files();
    uint32_t chance = 7;

    (void)state;
    for (size_t round = 0; round < 12; round++) {
        struct penstock *stream =
            open_plain(scratch.path, (struct how){.epochs = ENDLESS,
                                                  .part_bytes = part_bytes[round % 2],
                                                  .backend = round % 3 ? "auto" : "epoll"});
        struct expected e = {.file = 0};

        for (unsigned step = 0; step < 40; step++) {
            chance = chance * 1664525u + 1013904223u;
            unsigned spans = (chance >> 16) % 40;
            unsigned skips = (chance >> 24) % 3;

            while (spans-- > 0) {
                const struct penstock_span *span;
                int rc = penstock_next_span(stream, 0, -1, &span);

                if (rc == PENSTOCK_EPOCH_END) {
                    assert_int_equal(e.file, FILES);
                    e = (struct expected){.epoch = e.epoch + 1};
                    break;
                }
                assert_int_equal(rc, PENSTOCK_OK);
                check_span(&e, span);
                penstock_release_span(stream, span);
            }
            for (; skips > 0; skips--) {
                assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
                e = (struct expected){.epoch = e.epoch + 1};
            }
        }
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

static void test_skipping_the_last_epoch_ends_the_stream(void **state)
{
    struct scratch scratch = make_files();
    struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = 2});
    const struct penstock_span *span;

    (void)state;
    assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_OK);
    assert_int_equal(span->epoch, 1);
    assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
    assert_int_equal(((const uint8_t *)span->data)[0], byte_of(0, 0)); /* still on loan */
    penstock_release_span(stream, span);
    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_END);
    assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_END);
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_each_kind_of_channel_has_its_own_call(void **state)
{
    struct data *d = data_open(false, 1, 10, 4);
    const struct penstock_batch *batch;
    const struct penstock_span *span;
    struct penstock *stream = open_data(d, (struct how){.epochs = 1});

    (void)state;
    assert_int_equal(penstock_next_span(stream, 1, -1, &span), PENSTOCK_E_ARGUMENT);
    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, "penstock_next"));
    penstock_close(&stream);
    stream = open_plain(d->scratch.path, (struct how){.epochs = 1});
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, "penstock_next_span"));
    penstock_close(&stream);
    data_close(d);
}

static void *stop_soon(void *stream)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    penstock_stop(stream);
    return NULL;
}

static void test_stop_ends_the_wait(void **state)
{
    struct scratch scratch = make_files();
    struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = ENDLESS});
    const struct penstock_span *span;
    pthread_t thread;
    int rc;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, stream), 0);
    while ((rc = penstock_next_span(stream, 0, -1, &span)) >= 0)
        ; /* never released: the ring fills, and the call waits */
    assert_int_equal(rc, PENSTOCK_E_STOPPED);
    assert_int_equal(penstock_last_error(stream, 0)->rc, PENSTOCK_E_STOPPED);
    pthread_join(thread, NULL);
    penstock_close(&stream);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_once_and_in_place),
        cmocka_unit_test(test_all_on_loan_waits_for_a_release),
        cmocka_unit_test(test_error_comes_after_the_bytes_before_it),
        cmocka_unit_test(test_empty_directory_is_an_error),
        cmocka_unit_test(test_shards_cut_the_objects_among_them),
        cmocka_unit_test(test_skipped_epochs_leave_the_others_whole),
        cmocka_unit_test(test_skipping_the_last_epoch_ends_the_stream),
        cmocka_unit_test(test_each_kind_of_channel_has_its_own_call),
        cmocka_unit_test(test_stop_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, make_contents, free_contents);
}
