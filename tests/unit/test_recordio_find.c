/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_recordio_find.c - the next record after damage, and in a range of an object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/recordio.h"
#include "formats/recordio_find.h"
#include "formats/split.h"
#include "tests/arena.h"
#include "tests/frames.h"

#define MAGIC "\x0a\x23\xd7\xce"

enum { RECORDS_MAX = 64 };

/* An object, and where its records begin; the last is its end. */
struct object {
    struct frames frames;
    size_t starts[RECORDS_MAX + 1];
    size_t count;
};

/* A payload that is hard to tell from frames: the magic number at any place, and two good frames,
 * behind which there is none. */
static size_t make_body(uint8_t *body)
{
    size_t len = below(150);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)below(256);
    for (uint32_t i = below(6); len >= 4 && i > 0; i--)
        memcpy(body + below((uint32_t)len - 3), MAGIC, 4);
    if (len >= 28)
        memcpy(body + below((uint32_t)len - 27),
               MAGIC "\x04\0\0\0"
                     "abcd" MAGIC "\x04\0\0\0"
                     "efghnone",
               28);
    return len;
}

/* Whole records, as SageMaker's SDK frames them, with the magic number in their payloads; now and
 * then one in parts, as AWS's readers take them. */
static void make_object(struct object *object, size_t count)
{
    *object = (struct object){.count = count};
    for (size_t i = 0; i < count; i++) {
        uint8_t body[150];
        size_t len = make_body(body);
        object->starts[i] = object->frames.len_bytes;
        if (below(4) != 0) {
            frames_put_part(&object->frames, 0, body, len);
            continue;
        }
        size_t first = below((uint32_t)len + 1);
        frames_put_part(&object->frames, 1, body, first);
        frames_put_part(&object->frames, 3, body + first, len - first);
    }
    object->starts[count] = object->frames.len_bytes;
}

/* The first record at or after `at`; the object's end if there is none. */
static size_t next_start(const struct object *object, size_t at)
{
    size_t i = 0;
    while (i < object->count && object->starts[i] < at)
        i++;
    return object->starts[i];
}

static void test_magic_is_found_at_every_place(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 300; len += 1 + below(3)) {
        uint8_t *in = arena + ARENA_BYTES - len;
        for (size_t place = 0; place <= len; place += 1 + below(5)) {
            memset(in, 0x0a, len);
            if (place + 4 <= len)
                memcpy(in + place, MAGIC, 4);
            for (size_t from = 0; from < 8; from++) {
                size_t found = fmt_recordio_find_magic(in, len, from);
                assert_int_equal(found, fmt_recordio_find_magic_plainly(in, len, from));
                if (place + 4 <= len && from <= place && (place - from) % 4 == 0)
                    assert_int_equal(found, place);
                else
                    assert_true(found + 4 > len);
            }
        }
    }
}

static void test_find_from_every_byte_is_the_next_record(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct object object;
        make_object(&object, 1 + below(20));
        size_t len = object.frames.len_bytes;
        for (size_t from = 0; from <= len; from++) {
            /* the object lies before a page that must not be touched, and begins before `in` */
            uint8_t *in = arena + ARENA_BYTES - (len - from);
            size_t at;
            memcpy(in, object.frames.bytes + from, len - from);
            assert_int_equal(
                fmt_recordio_find(in, len - from, 0, from, true, FMT_RECORDIO_BODY_BYTES_MAX, &at),
                FMT_OK);
            assert_int_equal(from + at, next_start(&object, from));
        }
        frames_free(&object.frames);
    }
}

/* Resync as the pipe runs it: `step` more bytes at a time, those that need not be shown again let
 * go. Returns the offset of what was found. */
static size_t resync_in_steps(const struct object *object, size_t from, size_t step)
{
    size_t at = from;
    size_t given = from;
    for (;;) {
        given = given + step < object->frames.len_bytes ? given + step : object->frames.len_bytes;
        bool at_end = given == object->frames.len_bytes;
        uint8_t *in = arena + ARENA_BYTES - (given - at);
        size_t skip_bytes = SIZE_MAX;
        memcpy(in, object->frames.bytes + at, given - at);
        enum fmt_rc rc = fmt_recordio_resync(NULL, in, given - at, at, at_end, &skip_bytes);
        assert_true(skip_bytes <= given - at);
        at += skip_bytes;
        if (rc == FMT_OK)
            return at;
        assert_int_equal(rc, FMT_MORE);
        assert_false(at_end);
    }
}

static void test_resync_in_any_steps_is_behind_the_bad_record(void **state)
{
    (void)state;
    struct object object;
    make_object(&object, 12);
    for (size_t from = 0; from < object.frames.len_bytes; from++)
        for (size_t step = 1; step <= 40; step += 1 + step / 3)
            assert_int_equal(resync_in_steps(&object, from, step), next_start(&object, from + 1));
    frames_free(&object.frames);
}

static void test_ranges_lose_and_double_no_record(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct object object;
        make_object(&object, below(RECORDS_MAX));
        uint64_t len = object.frames.len_bytes;
        for (uint32_t count = 1; count <= 9; count++) {
            size_t next = 0; /* records that were read */
            uint64_t last_to = 0;
            for (uint32_t i = 0; i < count; i++) {
                struct fmt_range range = fmt_split_bytes(len, i, count);
                assert_int_equal(range.from, last_to);
                last_to = range.to;
                uint64_t at = range.from;
                size_t skip_bytes;
                if (at > 0 &&
                    at < len) { /* as a format's own way after damage: from a byte before */
                    const uint8_t *in = object.frames.bytes + at - 1;
                    assert_int_equal(
                        fmt_recordio_resync(NULL, in, len - at + 1, at - 1, true, &skip_bytes),
                        FMT_OK);
                    at += skip_bytes - 1;
                }
                while (at < range.to) {
                    struct fmt_cut cut = {.rows = 0};
                    assert_int_equal(fmt_recordio_cut(NULL, object.frames.bytes + at, len - at,
                                                      at == 0, true, 1, &cut, NULL),
                                     FMT_OK);
                    assert_int_equal(at, object.starts[next]);
                    at += cut.len_bytes;
                    next++;
                }
            }
            assert_int_equal(last_to, len);
            assert_int_equal(next, object.count);
        }
        frames_free(&object.frames);
    }
}

static void test_split_bytes_of_any_size_do_not_overflow(void **state)
{
    (void)state;
    struct fmt_range range = fmt_split_bytes(UINT64_MAX, UINT32_MAX - 1, UINT32_MAX);
    assert_true(range.to == UINT64_MAX);
    assert_true(range.to - range.from == UINT64_MAX / UINT32_MAX);
    range = fmt_split_bytes(2, 0, 5);
    assert_true(range.from == 0 && range.to == 0);
}

/* Damage of each kind behind a good record, and how many bytes from there the next one begins. */
static void test_resync_after_damage_of_each_kind(void **state)
{
    (void)state;
    struct object object;
    make_object(&object, 3);
    frames_free(&object.frames);
    for (int kind = 0; kind < 5; kind++) {
        struct frames frames = {0};
        size_t skip_bytes;
        if (kind == 0) /* a first part without a last one */
            frames_put_part(&frames, 1, "abcdef", 6);
        else if (kind == 1) /* a last part without a first one */
            frames_put_part(&frames, 3, "abcdef", 6);
        else if (kind == 2) /* a length that leads nowhere */
            frames_put(&frames, MAGIC "\x20\0\0\0", 8);
        else if (kind == 3) /* a flag that is none */
            frames_put_part(&frames, 5, "abcdef", 6);
        else /* no magic number */
            frames_put(&frames, "damaged, 16 byte", 16);
        size_t expected = frames.len_bytes;
        for (int i = 0; i < 4; i++)
            frames_put_part(&frames, 0, "record", 6);
        assert_int_equal(
            fmt_recordio_resync(NULL, frames.bytes, frames.len_bytes, 4096, true, &skip_bytes),
            FMT_OK);
        assert_int_equal(skip_bytes, expected);
        frames_free(&frames);
    }
}

static void test_resync_where_no_record_follows_is_the_end(void **state)
{
    (void)state;
    uint8_t bytes[100] = {0};
    size_t skip_bytes;
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        assert_int_equal(fmt_recordio_resync(NULL, bytes, len, 0, true, &skip_bytes), FMT_OK);
        assert_int_equal(skip_bytes, len);
    }
    /* a head whose frame goes on behind the end is none */
    memcpy(bytes + 40, MAGIC "\x40\0\0\0", 8);
    assert_int_equal(fmt_recordio_resync(NULL, bytes, sizeof(bytes), 0, true, &skip_bytes), FMT_OK);
    assert_int_equal(skip_bytes, sizeof(bytes));
    /* before the end it may be one, unless it is longer than any may be */
    assert_int_equal(fmt_recordio_resync(NULL, bytes, sizeof(bytes), 0, false, &skip_bytes),
                     FMT_MORE);
    assert_int_equal(skip_bytes, 39);
    size_t at;
    assert_int_equal(fmt_recordio_find(bytes, sizeof(bytes), 1, 0, false, 63, &at), FMT_MORE);
    assert_int_equal(at, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_magic_is_found_at_every_place),
        cmocka_unit_test(test_find_from_every_byte_is_the_next_record),
        cmocka_unit_test(test_resync_in_any_steps_is_behind_the_bad_record),
        cmocka_unit_test(test_ranges_lose_and_double_no_record),
        cmocka_unit_test(test_split_bytes_of_any_size_do_not_overflow),
        cmocka_unit_test(test_resync_after_damage_of_each_kind),
        cmocka_unit_test(test_resync_where_no_record_follows_is_the_end),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
