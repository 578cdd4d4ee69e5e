/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_inflater.c - compressed channels of plain bytes: every byte of what the objects
 * hold, whatever the consumer does; what is damaged ends the stream where it is. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "pipe/engine.h"
#include "pipe/inflater.h"
#include "tests/unit/stream_fixture.h"

#include "tests/unit/compress.h"

#define PLAIN "application/octet-stream"

/* Files of every kind, among them one larger than the rings, and some that hold nothing. */
static const struct file {
    const char *name;
    enum fmt_codec codec;
    size_t len_bytes;
    size_t parts;
} files[] = {
    {"00.csv.gz", FMT_CODEC_GZIP, 900001, 3},
    {"01.gz", FMT_CODEC_GZIP, 0, 1},
    {"02.gz", FMT_CODEC_GZIP, 1, 1},
    {"03.lz4", FMT_CODEC_LZ4, 2500000, 2},
    {"04.zeros.gz", FMT_CODEC_GZIP, 8 * MIB, 1},
    {"05.gz", FMT_CODEC_GZIP, 0, 2},
    {"06.zst", FMT_CODEC_ZSTD, 1300000, 4},
    {"07.txt", FMT_CODEC_NONE, 300000, 1},
    {"08.GZ", FMT_CODEC_GZIP, 70000, 70},
    {"09.zstd", FMT_CODEC_ZSTD, 0, 1},
};
enum { FILES = sizeof files / sizeof *files };

static uint8_t *contents[FILES];

static int make_contents(void **state)
{
    uint32_t chance = 5;

    (void)state;
    for (size_t f = 0; f < FILES; f++) {
        contents[f] = malloc(files[f].len_bytes + 1);
        if (!contents[f])
            return -1;
        for (size_t i = 0; i < files[f].len_bytes; i++) {
            chance = chance * 1664525u + 1013904223u;
            contents[f][i] = strstr(files[f].name, "zeros") ? (uint8_t)(i >> 18)
                             : (i >> 12) % 4 == 3           ? (uint8_t)(chance >> 24)
                                                            : (uint8_t)('0' + (chance >> 24) % 10);
        }
    }
    return 0;
}

static int free_contents(void **state)
{
    (void)state;
    for (size_t f = 0; f < FILES; f++)
        free(contents[f]);
    return 0;
}

static struct scratch make_files(void)
{
    struct scratch scratch = scratch_open();

    for (size_t f = 0; f < FILES; f++) {
        struct compressed object =
            compress_parts(files[f].codec, contents[f], files[f].len_bytes, files[f].parts);

        scratch_file(&scratch, files[f].name, object.bytes, object.len_bytes);
        free(object.bytes);
    }
    return scratch;
}

static struct penstock *open_plain(const char *path, struct how how)
{
    how.content_type = PLAIN;
    if (!how.compression)
        how.compression = "auto";
    return open_path(path, false, how);
}

/* ---- the oracle ---- */

struct expected {
    size_t file;
    uint32_t epoch;
    uint64_t offset, position, object_bytes;
};

static void pass_empty(struct expected *e)
{
    while (e->file < FILES && files[e->file].len_bytes == 0)
        e->file++;
}

static void check_span(struct expected *e, const struct penstock_span *span)
{
    pass_empty(e);
    assert_in_range(e->file, 0, FILES - 1);
    const struct file *file = &files[e->file];

    assert_non_null(strstr(span->key, file->name));
    assert_int_equal(span->epoch, e->epoch);
    assert_int_equal(span->position, e->position);
    assert_int_equal(span->object_offset, e->offset);
    if (e->offset == 0)
        e->object_bytes = span->object_bytes;
    assert_true(e->object_bytes == 0 || e->object_bytes == file->len_bytes);
    assert_int_equal(span->object_bytes, e->object_bytes);
    assert_in_range(span->len_bytes, 1, MIB);
    assert_true(e->offset + span->len_bytes <= file->len_bytes);
    assert_int_equal(span->ends_object, e->offset + span->len_bytes == file->len_bytes);
    if (memcmp(span->data, contents[e->file] + e->offset, span->len_bytes) != 0)
        fail_msg("%s differs after byte %" PRIu64 " of epoch %u", file->name, e->offset, e->epoch);
    e->offset += span->len_bytes;
    e->position += span->len_bytes;
    if (e->offset == file->len_bytes) {
        e->file++;
        e->offset = 0;
    }
}

static void check_epoch_end(struct expected *e)
{
    pass_empty(e);
    assert_int_equal(e->file, FILES);
    *e = (struct expected){.epoch = e->epoch + 1};
}

/* Holds `hold` spans back, and looks at each again before it goes. */
static void read_to_end(struct penstock *stream, uint32_t epochs, unsigned hold)
{
    struct {
        const struct penstock_span *span;
        struct expected before;
    } held[64];
    unsigned first = 0, next = 0;
    struct expected e = {.file = 0};
    int rc;

    do {
        const struct penstock_span *span;

        rc = penstock_next_span(stream, 0, -1, &span);
        if (rc == PENSTOCK_EPOCH_END)
            check_epoch_end(&e);
        if (rc == PENSTOCK_OK) {
            held[next % 64].before = e;
            held[next++ % 64].span = span;
            check_span(&e, span);
        }
        if (next > first && (next - first == hold || rc != PENSTOCK_OK)) {
            check_span(&held[first % 64].before, held[first % 64].span);
            penstock_release_span(stream, held[first++ % 64].span);
        }
    } while (rc == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END);
    if (rc != PENSTOCK_END)
        fail_msg("%s", penstock_last_error(stream, 0)->message);
    assert_int_equal(e.epoch, epochs);
}

/* ---- spans ---- */

static void test_spans_hold_what_the_objects_hold(void **state)
{
    static const size_t part_bytes[] = {64 << 10, 0};
    struct scratch scratch = make_files();

    (void)state;
    for (unsigned p = 0; p < 2; p++) {
        struct penstock *stream =
            open_plain(scratch.path, (struct how){.epochs = 3, .part_bytes = part_bytes[p]});
        struct penstock_counters counters;
        uint64_t held_bytes = 0;

        read_to_end(stream, 3, 1 + 3 * p);
        for (size_t f = 0; f < FILES; f++)
            held_bytes += files[f].len_bytes;
        penstock_get_counters(stream, 0, &counters);
        assert_int_equal(counters.objects_streamed, 3 * FILES);
        assert_int_equal(counters.bytes_inflated, 3 * held_bytes);
        assert_int_equal(counters.ring_bytes, 7 * MIB); /* 9 of 16 are for zstd's window */
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

/* An object whose end has come when its first span is lent has a size from there on. */
static void test_size_is_told_when_it_is_known(void **state)
{
    struct scratch scratch = make_files();
    struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = 1});
    const struct penstock_span *span;
    struct penstock_counters counters;
    struct expected e = {.file = 0};

    (void)state;
    do { /* far more than the first object */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        penstock_get_counters(stream, 0, &counters);
    } while (counters.bytes_inflated < 2 * MIB);
    while (penstock_next_span(stream, 0, -1, &span) == PENSTOCK_OK && e.file == 0) {
        check_span(&e, span);
        assert_int_equal(span->object_bytes, files[0].len_bytes);
        penstock_release_span(stream, span);
    }
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_all_on_loan_waits_for_a_release(void **state)
{
    struct scratch scratch = make_files();
    struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = ENDLESS});
    const struct penstock_span *spans[64];
    const struct penstock_span *more;
    struct expected e = {.file = 0};
    unsigned count = 0;
    /* The whole ring, but for the byte that waits for the object's end. */
    const uint64_t most_bytes = 7 * MIB / 4 * 3 - 1;

    (void)state;
    while (count < 64 && e.position < most_bytes) {
        assert_int_equal(penstock_next_span(stream, 0, 20000, &more), PENSTOCK_OK);
        check_span(&e, more);
        spans[count++] = more;
    }
    assert_int_equal(penstock_next_span(stream, 0, 20, &more), PENSTOCK_AGAIN);
    for (unsigned i = count; i-- > 0;)
        penstock_release_span(stream, spans[i]);
    assert_int_equal(penstock_next_span(stream, 0, -1, &more), PENSTOCK_OK);
    check_span(&e, more);
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_skipped_epochs_leave_the_others_whole(void **state)
{
    struct scratch scratch = make_files();
    uint32_t chance = 11;

    (void)state;
    for (size_t round = 0; round < 4; round++) {
        struct penstock *stream =
            open_plain(scratch.path, (struct how){.epochs = ENDLESS,
                                                  .part_bytes = round % 2 ? 64 << 10 : 0,
                                                  .backend = round % 3 ? "auto" : "epoll"});
        struct expected e = {.file = 0};

        for (unsigned step = 0; step < 25; step++) {
            chance = chance * 1664525u + 1013904223u;
            unsigned spans = (chance >> 16) % 64;
            unsigned skips = (chance >> 24) % 3;

            while (spans-- > 0) {
                const struct penstock_span *span;
                int rc = penstock_next_span(stream, 0, -1, &span);

                if (rc == PENSTOCK_EPOCH_END) {
                    check_epoch_end(&e);
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
    const struct penstock_span *span;

    (void)state;
    for (unsigned spans = 1; spans < 12; spans++) {
        struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = 1});

        for (unsigned i = 0; i < spans; i++) {
            assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_OK);
            penstock_release_span(stream, span);
        }
        assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
        assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_END);
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

/* The consumer is in the next epoch before the inflater has seen that there is one. */
static void test_skipping_ahead_of_the_inflater(void **state)
{
    static const char *const uri = "/nowhere";
    struct how how = {.content_type = PLAIN, .compression = "gzip", .epochs = 3};
    struct penstock_channel_config config = how_channel(&how, false, &uri, 1);
    struct penstock *stream = calloc(1, sizeof *stream);
    struct penstock_error error;
    struct ps_channel *ch;

    (void)state;
    assert_int_equal(ps_channel_open(stream, &config, 16 * MIB, &ch, &error), PENSTOCK_OK);
    assert_int_equal(ps_plan_add(ch->plan, 0, "a", "etag", 100), PENSTOCK_OK);
    ps_plan_complete(ch->plan);
    ch->inflater->cursor.index = 1;
    ch->inflater->in_pos = 100;
    ch->inflater->made_pos = 1000;
    ch->fetch_cursor = (struct ps_cursor){.epoch = 2};
    assert_int_equal(ps_inflater_skip_epoch(ch, 1, 1000), 1000);
    assert_int_equal(ch->inflater->cursor.epoch, 2);
    assert_int_equal(ch->inflater->cursor.index, 0);
    assert_int_equal(ch->inflater->skip_pos, 200);
    ps_channel_close(ch);
    free(stream);
}

static void test_a_channel_of_nothing_has_epochs_without_spans(void **state)
{
    struct scratch scratch = scratch_open();
    const struct penstock_span *span;

    (void)state;
    for (size_t f = 0; f < FILES; f++) {
        struct compressed object = compress_parts(FMT_CODEC_GZIP, contents[f], 0, 1);

        scratch_file(&scratch, files[f].name, object.bytes, object.len_bytes);
        free(object.bytes);
    }
    struct penstock *stream =
        open_plain(scratch.path, (struct how){.epochs = 3, .compression = "gzip"});

    for (unsigned epoch = 0; epoch < 3; epoch++)
        assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_EPOCH_END);
    assert_int_equal(penstock_next_span(stream, 0, -1, &span), PENSTOCK_END);
    penstock_close(&stream);
    scratch_close(&scratch);
}

/* ---- errors ---- */

/* Every object before the damaged one comes whole; of that nothing wrong comes, and not its end. */
static void expect_broken(const char *path, size_t broken, const char *key, const char *cause)
{
    struct penstock *stream = open_plain(path, (struct how){.epochs = 2});
    const struct penstock_span *span;
    struct expected e = {.file = 0};
    int rc;

    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK) {
        assert_true(e.file <= broken);
        check_span(&e, span);
        penstock_release_span(stream, span);
    }
    const struct penstock_error *error = penstock_last_error(stream, 0);

    pass_empty(&e);
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    assert_int_equal(e.file, broken);
    assert_string_equal(error->key, key);
    if (!strstr(error->message, cause) || !strstr(error->message, key))
        fail_msg("'%s' has no '%s'", error->message, cause);
    assert_int_equal(penstock_next_span(stream, 0, 0, &span), PENSTOCK_E_FORMAT);
    penstock_close(&stream);
}

static void test_damaged_objects_end_the_stream_where_they_are(void **state)
{
    static const struct {
        size_t file;
        size_t cut_bytes, flip_from_end;
        const char *cause;
    } cases[] = {{0, 1, 0, "gzip member 3: truncated: the object ends inside its trailer"},
                 {0, 0, 1, "gzip member 3: its contents are not as long as its trailer says"},
                 {0, 0, 5, "gzip member 3: CRC-32 differs"},
                 {3, 4, 0, "lz4 frame 2: truncated"},
                 {3, 0, 1, "lz4 frame 2: corrupt: contentChecksum_invalid"},
                 {4, 8, 0, "gzip member 1: truncated: the object ends inside its trailer"},
                 {6, 3, 0, "zstd frame 4: truncated"},
                 {8, 2, 0, "gzip member 70: truncated"}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct scratch scratch = make_files();
        const struct file *file = &files[cases[c].file];
        struct compressed object =
            compress_parts(file->codec, contents[cases[c].file], file->len_bytes, file->parts);

        object.len_bytes -= cases[c].cut_bytes;
        if (cases[c].flip_from_end > 0)
            object.bytes[object.len_bytes - cases[c].flip_from_end] ^= 1;
        scratch_file(&scratch, file->name, object.bytes, object.len_bytes);
        expect_broken(scratch.path, cases[c].file, scratch_path(&scratch, file->name).text,
                      cases[c].cause);
        free(object.bytes);
        scratch_close(&scratch);
    }
}

/* What cannot be fetched ends the stream after the bytes before it, here too. */
static void test_absent_object_comes_after_the_bytes_before_it(void **state)
{
    struct scratch scratch = make_files();
    struct scratch_name absent = scratch_path(&scratch, "absent");
    const char *uris[2] = {scratch.path, absent.text};
    struct how how = {.content_type = PLAIN, .compression = "auto"};
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
    check_epoch_end(&e);
    assert_int_equal(rc, PENSTOCK_E_NOT_FOUND);
    penstock_close(&stream);
    scratch_close(&scratch);
}

/* ---- the rest ---- */

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
        ; /* never released: both rings fill, and the call waits */
    assert_int_equal(rc, PENSTOCK_E_STOPPED);
    pthread_join(thread, NULL);
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_close_at_any_moment(void **state)
{
    struct scratch scratch = make_files();

    (void)state;
    for (unsigned spans = 0; spans < 16; spans++) {
        struct penstock *stream = open_plain(scratch.path, (struct how){.epochs = ENDLESS});
        const struct penstock_span *span;

        for (unsigned i = 0; i < spans; i++) {
            assert_true(penstock_next_span(stream, 0, -1, &span) >= 0);
            penstock_release_span(stream, span);
        }
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

static void test_unknown_compression_is_refused(void **state)
{
    static const char *const uris[] = {"/nowhere", "pipe:///nowhere/train"};
    static const char *const names[] = {"gz", "gzip"};
    static const char *const why[] = {
        "channel train: compression is \"gz\": use none, gzip, lz4, zstd or auto",
        "leave out compression"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct how how = {.content_type = PLAIN, .compression = names[i]};
        struct penstock_channel_config channel = how_channel(&how, false, &uris[i], 1);
        struct penstock_config config = how_config(&how, &channel, 1);
        struct penstock *stream;
        struct penstock_error error;

        assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
        assert_non_null(strstr(error.message, why[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans_hold_what_the_objects_hold),
        cmocka_unit_test(test_size_is_told_when_it_is_known),
        cmocka_unit_test(test_all_on_loan_waits_for_a_release),
        cmocka_unit_test(test_skipped_epochs_leave_the_others_whole),
        cmocka_unit_test(test_skipping_the_last_epoch_ends_the_stream),
        cmocka_unit_test(test_skipping_ahead_of_the_inflater),
        cmocka_unit_test(test_a_channel_of_nothing_has_epochs_without_spans),
        cmocka_unit_test(test_damaged_objects_end_the_stream_where_they_are),
        cmocka_unit_test(test_absent_object_comes_after_the_bytes_before_it),
        cmocka_unit_test(test_stop_ends_the_wait),
        cmocka_unit_test(test_close_at_any_moment),
        cmocka_unit_test(test_unknown_compression_is_refused),
    };

    return cmocka_run_group_tests(tests, make_contents, free_contents);
}
