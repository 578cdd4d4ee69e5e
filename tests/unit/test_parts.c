/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_parts.c - pipe/stream.c: claiming parts, and how head moves over them. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/error.h"
#include "pipe/stream.h"
#include "tests/unit/channel_fixture.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define PART (256 * KIB) /* as long as the first part may be, and a step of head's */

static void assert_part(const struct ps_part *part, const char *key, uint64_t pos, uint64_t offset,
                        uint64_t len_bytes)
{
    assert_non_null(part);
    assert_string_equal(part->object->key, key);
    assert_int_equal(part->pos, pos);
    assert_int_equal(part->object_offset, offset);
    assert_int_equal(part->len_bytes, len_bytes);
    assert_int_equal(ps_part_left_bytes(part), len_bytes);
    assert_ptr_equal(ps_part_into(part), ps_ring_at(&part->channel->ring, pos));
}

static void fill(struct ps_part *part)
{
    ps_part_advance(part, ps_part_left_bytes(part));
    ps_part_complete(part);
}

/* As if everything before `pos` was decoded. */
static void release(struct fixture *f, uint64_t pos)
{
    pthread_mutex_lock(&f->ch->lock);
    f->ch->released_pos = pos;
    pthread_mutex_unlock(&f->ch->lock);
}

static uint64_t head_pos(struct fixture *f)
{
    pthread_mutex_lock(&f->ch->lock);
    uint64_t pos = f->ch->head_pos;

    pthread_mutex_unlock(&f->ch->lock);
    return pos;
}

/* ---- claims ---- */

static void test_parts_are_cut_in_plan_order_and_within_objects(void **state)
{
    struct fixture *f = fixture_open(100 * KIB, 2);

    (void)state;
    fixture_add(f, "a", 250 * KIB);
    fixture_add(f, "b", 1);
    fixture_add(f, "c", 100 * KIB);
    ps_plan_complete(f->ch->plan);
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        uint64_t pos = epoch * (350 * KIB + 1);

        assert_part(ps_stream_claim(f->ch, 0), "a", pos, 0, 100 * KIB);
        assert_part(ps_stream_claim(f->ch, 0), "a", pos + 100 * KIB, 100 * KIB, 100 * KIB);
        assert_part(ps_stream_claim(f->ch, 0), "a", pos + 200 * KIB, 200 * KIB, 50 * KIB);
        assert_part(ps_stream_claim(f->ch, 0), "b", pos + 250 * KIB, 0, 1);
        assert_part(ps_stream_claim(f->ch, 0), "c", pos + 250 * KIB + 1, 0, 100 * KIB);
    }
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

static void test_claims_wait_for_the_listing(void **state)
{
    struct fixture *f = fixture_open(1 * MIB, 1);

    (void)state;
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_add(f, "a", 10);
    assert_part(ps_stream_claim(f->ch, 0), "a", 0, 0, 10);
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_add(f, "b", 10);
    assert_part(ps_stream_claim(f->ch, 0), "b", 10, 0, 10);
    ps_plan_complete(f->ch->plan);
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

static void test_empty_plan_without_end_is_no_endless_search(void **state)
{
    struct fixture *f = fixture_open(1 * MIB, 0);

    (void)state;
    ps_plan_complete(f->ch->plan);
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

/* A part never crosses the ring's end, and free space is the only credit. */
static void test_parts_end_with_the_lap_and_need_free_space(void **state)
{
    struct fixture *f = fixture_open(PART, 1);
    const uint64_t ring_bytes = f->ch->ring.size_bytes;
    uint64_t pos = 0;
    struct ps_part *part;

    (void)state;
    fixture_add(f, "long", 100 * MIB);
    for (; (part = ps_stream_claim(f->ch, 0)) != NULL; pos += part->len_bytes) {
        uint64_t left_bytes = ring_bytes - pos;

        assert_part(part, "long", pos, pos, left_bytes < PART ? left_bytes : PART);
        fill(part);
    }
    assert_int_equal(pos, ring_bytes); /* the whole ring, and not a byte more */
    release(f, PART - 1);
    assert_null(ps_stream_claim(f->ch, 0));
    release(f, PART);
    part = ps_stream_claim(f->ch, 0);
    assert_part(part, "long", pos, pos, PART);
    assert_ptr_equal(ps_part_into(part), f->ch->ring.base);
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

static void test_parts_without_end_are_limited_in_number(void **state)
{
    struct fixture *f = fixture_open(1 * MIB, 0);
    struct ps_part *first;

    (void)state;
    fixture_add(f, "tiny", 1);
    ps_plan_complete(f->ch->plan);
    first = ps_stream_claim(f->ch, 0);
    for (uint64_t i = 1; i < PS_PARTS_MAX; i++)
        assert_part(ps_stream_claim(f->ch, 0), "tiny", i, 0, 1);
    assert_null(ps_stream_claim(f->ch, 0));
    fill(first);
    assert_part(ps_stream_claim(f->ch, 0), "tiny", PS_PARTS_MAX, 0, 1);
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

/* The first ones are small and double; a quarter of the ring is the most. */
static void test_parts_grow_to_a_quarter_of_the_ring(void **state)
{
    struct fixture *f = fixture_open(1024 * MIB, 1);
    uint64_t most_bytes = f->ch->ring.size_bytes / 4;
    uint64_t pos = 0;

    (void)state;
    fixture_add(f, "long", 100 * MIB);
    for (uint64_t len_bytes = PART; pos + most_bytes < f->ch->ring.size_bytes; len_bytes *= 2) {
        struct ps_part *part = ps_stream_claim(f->ch, 0);

        assert_part(part, "long", pos, pos, len_bytes < most_bytes ? len_bytes : most_bytes);
        pos += part->len_bytes;
    }
    assert_true(pos > 3 * most_bytes);
    fixture_close(f);
}

/* ---- head ---- */

enum { PARTS = 5 };

/* A channel with PARTS parts of PART bytes claimed. */
static struct fixture *open_claimed(struct ps_part *parts[PARTS])
{
    struct fixture *f = fixture_open(PART, 1);

    fixture_add(f, "long", 100 * MIB);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = ps_stream_claim(f->ch, 0);
        assert_non_null(parts[i]);
    }
    return f;
}

static void test_head_never_passes_a_gap(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    uint64_t pos;

    (void)state;
    fill(parts[2]);
    fill(parts[1]);
    assert_int_equal(head_pos(f), 0);
    ps_part_advance(parts[0], 100 * KIB);
    ps_part_advance(parts[4], 100 * KIB);
    assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 100 * KIB);
    ps_part_advance(parts[0], ps_part_left_bytes(parts[0]));
    /* Whole, but not yet completed: its end is as far as head goes. */
    assert_int_equal(fixture_wait_head(f->ch, 100 * KIB, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, PART);
    ps_part_complete(parts[0]);
    assert_int_equal(head_pos(f), 3 * PART);
    fill(parts[3]);
    assert_int_equal(head_pos(f), 4 * PART + 100 * KIB);
    assert_int_equal(fixture_wait_head(f->ch, 4 * PART, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 4 * PART + 100 * KIB);
    assert_int_equal(atomic_load(&f->ch->counts.bytes_received), 4 * PART + 100 * KIB);
    assert_true(atomic_load(&f->ch->counts.first_byte_ns) > 0);
    fixture_close(f);
}

/* Small steps are not published at once, but whoever asks gets them. */
static void test_small_steps_are_seen_when_asked_for(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    uint64_t pos;

    (void)state;
    ps_part_advance(parts[0], 100);
    assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 100);
    ps_part_advance(parts[0], 1);
    assert_int_equal(fixture_wait_head(f->ch, 100, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 101);
    fixture_close(f);
}

struct waiting {
    struct fixture *f;
    uint64_t pos; /* waits for bytes behind it, again and again up to until_pos */
    uint64_t until_pos;
    uint64_t calls;
    enum ps_head_answer answer;
};

static void *wait_on(void *cookie)
{
    struct waiting *w = cookie;

    w->answer = PS_HEAD_MOVED;
    while (w->answer == PS_HEAD_MOVED && w->pos < w->until_pos) {
        w->answer = fixture_wait_head(w->f->ch, w->pos, &w->pos);
        w->calls++;
    }
    return NULL;
}

static void wait_hungry(struct fixture *f)
{
    while (!atomic_load(&f->ch->framer_hungry))
        sched_yield();
}

static void test_waiting_framer_is_told_of_the_first_byte(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct waiting w = {.f = f, .until_pos = 1};
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, wait_on, &w), 0);
    wait_hungry(f);
    ps_part_advance(parts[1], 10); /* of no use to it */
    ps_part_advance(parts[0], 1);
    ps_stream_tell(f->ch);
    pthread_join(framer, NULL);
    assert_int_equal(w.answer, PS_HEAD_MOVED);
    assert_int_equal(w.pos, 1);
    fixture_close(f);
}

/* Without being told so, a framer that waits learns of much at once. */
static void test_waiting_framer_is_told_of_a_mebibyte(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct waiting w = {.f = f, .until_pos = PART};
    pthread_t framer;
    uint64_t told_bytes = 0;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, wait_on, &w), 0);
    wait_hungry(f);
    ps_part_advance(parts[0], PART);
    ps_part_complete(parts[0]);
    for (size_t i = 1; i < PARTS && told_bytes < 1024 * KIB; i++) {
        uint64_t len_bytes = ps_part_left_bytes(parts[i]);

        ps_part_advance(parts[i], len_bytes);
        told_bytes += len_bytes;
    }
    if (told_bytes + PART < 1024 * KIB)
        fail_msg("the parts have only %llu bytes", (unsigned long long)told_bytes);
    pthread_join(framer, NULL);
    assert_int_equal(w.answer, PS_HEAD_MOVED);
    fixture_close(f);
}

/* Byte by byte, with the framer falling asleep and waking all the while: no wake-up is lost. */
static void test_no_wakeup_is_lost(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct waiting w = {.f = f, .until_pos = 20000};
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, wait_on, &w), 0);
    for (uint64_t i = 0; i < w.until_pos; i++) {
        ps_part_advance(parts[0], 1);
        ps_stream_tell(f->ch);
        if (i % 64 == 0)
            wait_hungry(f); /* it has seen everything so far, or is about to */
    }
    pthread_join(framer, NULL);
    assert_int_equal(w.pos, 20000);
    fixture_close(f);
}

/* ---- failures ---- */

static void fail_part(struct ps_part *part, const char *text)
{
    struct penstock_error error;

    ps_fail(&error, PENSTOCK_E_NETWORK, "%s", text);
    ps_part_fail(part, &error);
}

static void test_failure_is_told_after_every_byte_before_it(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    uint64_t pos;

    (void)state;
    fill(parts[3]);
    ps_part_advance(parts[1], 50);
    fail_part(parts[1], "second");
    ps_part_advance(parts[0], 7);
    assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 7);
    fill(parts[2]);
    fill(parts[0]);
    assert_int_equal(fixture_wait_head(f->ch, 7, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, PART + 50);
    assert_int_equal(fixture_wait_head(f->ch, pos, &pos), PS_HEAD_FAILED);
    assert_int_equal(pos, PART + 50);
    assert_string_equal(f->ch->fetch_error.message, "second");
    fixture_close(f);
}

/* The framer sleeps when the failure comes: it must go on waiting for what is before it. */
static void test_failure_further_on_ends_no_wait(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct waiting w = {.f = f, .until_pos = PART};
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, wait_on, &w), 0);
    wait_hungry(f);
    fail_part(parts[1], "second");
    fixture_wake_all(f);
    for (int i = 0; i < 100; i++)
        sched_yield();
    fill(parts[0]);
    ps_stream_tell(f->ch);
    pthread_join(framer, NULL);
    assert_int_equal(w.answer, PS_HEAD_MOVED);
    assert_int_equal(w.pos, PART);
    fixture_close(f);
}

static void test_earliest_failure_in_stream_order_wins(void **state)
{
    static const size_t orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                        {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};

    (void)state;
    for (size_t o = 0; o < 6; o++) {
        struct ps_part *parts[PARTS];
        struct fixture *f = open_claimed(parts);
        uint64_t pos;

        for (size_t i = 0; i < 3; i++) {
            char text[2] = {(char)('0' + orders[o][i]), '\0'};

            fail_part(parts[orders[o][i]], text);
        }
        fill(parts[0]);
        assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_MOVED);
        assert_int_equal(pos, PART);
        assert_int_equal(fixture_wait_head(f->ch, pos, &pos), PS_HEAD_FAILED);
        assert_string_equal(f->ch->fetch_error.message, "1");
        fixture_close(f);
    }
}

/* An I/O thread's own failure takes effect behind what has come, unless a part fails before. */
static void test_failure_of_a_thread_comes_behind_head(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct penstock_error error;
    uint64_t pos;

    (void)state;
    fill(parts[1]);
    ps_part_advance(parts[0], 9);
    ps_fail(&error, PENSTOCK_E_SYSTEM, "broken");
    ps_stream_fail(f->ch, &error);
    assert_null(ps_stream_claim(f->ch, 0));
    assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 9);
    assert_int_equal(fixture_wait_head(f->ch, 9, &pos), PS_HEAD_FAILED);
    assert_string_equal(f->ch->fetch_error.message, "broken");
    fixture_close(f);
}

static void test_nothing_is_claimed_after_a_failure(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);

    (void)state;
    fail_part(parts[4], "last");
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

static void test_failure_wakes_the_framer(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct waiting w = {.f = f, .until_pos = 1};
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, wait_on, &w), 0);
    wait_hungry(f);
    fail_part(parts[1], "not yet");
    fail_part(parts[0], "now");
    pthread_join(framer, NULL);
    assert_int_equal(w.answer, PS_HEAD_FAILED);
    assert_string_equal(f->ch->fetch_error.message, "now");
    fixture_close(f);
}

static void test_stop_and_bad_records_break_off(void **state)
{
    struct ps_part *parts[PARTS];
    struct fixture *f = open_claimed(parts);
    struct waiting w = {.f = f, .until_pos = 1};
    pthread_t framer;
    uint64_t pos;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, wait_on, &w), 0);
    wait_hungry(f);
    fixture_stop(f);
    pthread_join(framer, NULL);
    assert_int_equal(w.answer, PS_HEAD_BROKEN_OFF);
    fixture_close(f);

    f = open_claimed(parts);
    pthread_mutex_lock(&f->ch->lock);
    f->ch->decode_failed = true;
    pthread_mutex_unlock(&f->ch->lock);
    assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_BROKEN_OFF);
    assert_null(ps_stream_claim(f->ch, 0));
    fixture_close(f);
}

/* It may be behind where it had nothing to fetch: no byte of the skipped epoch has a place then. */
static void test_an_epoch_is_skipped_that_fetching_has_not_come_to(void **state)
{
    struct fixture *f = fixture_open(64 << 10, 4);
    const struct ps_cursor cursor = {.epoch = 2};

    (void)state;
    fixture_add(f, "a", 1000);
    ps_plan_complete(f->ch->plan);
    assert_non_null(ps_stream_claim(f->ch, 0));
    f->ch->fetch_cursor = (struct ps_cursor){.epoch = 1, .index = 1};
    assert_int_equal(ps_stream_skip_epoch(f->ch, cursor, 1000), 1000);
    assert_int_equal(f->ch->fetch_cursor.epoch, 3);
    assert_int_equal(f->ch->fetch_cursor.index, 0);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_cut_in_plan_order_and_within_objects),
        cmocka_unit_test(test_claims_wait_for_the_listing),
        cmocka_unit_test(test_empty_plan_without_end_is_no_endless_search),
        cmocka_unit_test(test_parts_end_with_the_lap_and_need_free_space),
        cmocka_unit_test(test_parts_without_end_are_limited_in_number),
        cmocka_unit_test(test_parts_grow_to_a_quarter_of_the_ring),
        cmocka_unit_test(test_head_never_passes_a_gap),
        cmocka_unit_test(test_small_steps_are_seen_when_asked_for),
        cmocka_unit_test(test_waiting_framer_is_told_of_the_first_byte),
        cmocka_unit_test(test_waiting_framer_is_told_of_a_mebibyte),
        cmocka_unit_test(test_no_wakeup_is_lost),
        cmocka_unit_test(test_failure_is_told_after_every_byte_before_it),
        cmocka_unit_test(test_failure_further_on_ends_no_wait),
        cmocka_unit_test(test_earliest_failure_in_stream_order_wins),
        cmocka_unit_test(test_failure_of_a_thread_comes_behind_head),
        cmocka_unit_test(test_nothing_is_claimed_after_a_failure),
        cmocka_unit_test(test_failure_wakes_the_framer),
        cmocka_unit_test(test_stop_and_bad_records_break_off),
        cmocka_unit_test(test_an_epoch_is_skipped_that_fetching_has_not_come_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
