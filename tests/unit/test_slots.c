/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_slots.c - pipe/slots.c step by step: slots and events without a framer's thread.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/error.h"
#include "pipe/slots.h"
#include "tests/unit/channel_fixture.h"

enum { BATCH_ROWS = 10 };

/* A channel of the given shape whose slots are open. */
static struct fixture *open_slots(uint32_t feature_dim, uint32_t label_dim, uint32_t batch_rows)
{
    struct fixture *f = fixture_open(1 << 20, 1);
    struct penstock_error error;

    f->stream.channels = &f->ch;
    f->stream.channel_count = 1;
    f->ch->config.batch_rows = batch_rows;
    ps_shaping_share(&f->ch->shaping, batch_rows, 0, 1);
    f->ch->shape = (struct fmt_shape){.feature_dim = feature_dim, .label_dim = label_dim};
    assert_int_equal(ps_slots_open(f->ch, &error), PENSTOCK_OK);
    return f;
}

static int next(struct fixture *f, const struct penstock_batch **batch)
{
    return penstock_next(&f->stream, 0, 0, batch);
}

/* As the framer and a decoder would: rows placed, and some of them decoded. */
static void put_rows(struct fixture *f, struct ps_slot *slot, uint32_t framed, uint32_t decoded)
{
    pthread_mutex_lock(&f->ch->lock);
    slot->rows_framed = slot->whole_rows = framed;
    slot->rows_decoded = decoded;
    pthread_mutex_unlock(&f->ch->lock);
}

static struct ps_slot *queue_batch(struct fixture *f, uint64_t position, uint32_t decoded)
{
    struct ps_slot *slot = ps_slots_take(f->ch, 0, position);

    assert_non_null(slot);
    put_rows(f, slot, BATCH_ROWS, decoded);
    assert_true(ps_slots_queue(f->ch, PS_EVENT_BATCH, slot));
    return slot;
}

/* ---- memory ---- */

static void test_slots_hold_their_rows_and_do_not_overlap(void **state)
{
    static const struct {
        uint32_t features, labels, rows;
    } shapes[] = {{1, 0, 1}, {1, 1, 1}, {3, 2, 7}, {784, 1, 1000}, {16, 0, 64}, {1000000, 3, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct fixture *f = open_slots(shapes[i].features, shapes[i].labels, shapes[i].rows);
        uint32_t count = f->ch->slot_count;

        assert_in_range(count, 2, PS_SLOTS_MAX);
        for (uint32_t s = 0; s < count; s++) {
            struct ps_slot *slot = ps_slots_take(f->ch, 0, s);
            char *begin = slot->batch.base;
            char *end = begin + f->ch->slot_bytes;
            uint32_t rows = shapes[i].rows;
            struct fmt_rows first = ps_slot_rows(slot, 0);
            struct fmt_rows last = ps_slot_rows(slot, rows - 1);
            char *features_end = (char *)((float *)last.features + shapes[i].features);

            assert_int_equal((uintptr_t)begin % 4096, 0);
            assert_ptr_equal(begin, (char *)f->ch->slot_map + s * f->ch->slot_bytes);
            assert_true(end <= (char *)f->ch->slot_map + f->ch->slot_map_bytes);
            assert_true(features_end <= end);
            if (shapes[i].labels > 0) {
                assert_int_equal((uintptr_t)first.labels % 64, 0);
                assert_true((char *)first.labels >= features_end);
                assert_true((char *)(last.labels + shapes[i].labels) <= end);
            } else {
                assert_null(first.labels);
            }
        }
        assert_true(f->ch->slot_map_bytes <= f->ch->slot_budget_bytes);
        ps_slots_close(f->ch);
        fixture_close(f);
    }
}

static void test_arrays_of_a_slot_lie_one_behind_the_other(void **state)
{
    static const struct {
        enum fmt_feature_type type;
        size_t bytes;
    } types[] = {{FMT_F32, 4}, {FMT_F64, 8}, {FMT_I32, 4}, {FMT_U8, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct fixture *f = open_slots(3, 2, 7);

        ps_slots_close(f->ch);
        f->ch->shape.type = types[i].type;
        f->ch->shape.weighted = f->ch->shape.grouped = true;
        assert_int_equal(ps_slots_open(f->ch, NULL), PENSTOCK_OK);
        struct ps_slot *slot = ps_slots_take(f->ch, 0, 0);
        const struct penstock_batch *batch = &slot->batch;
        struct fmt_rows last = ps_slot_rows(slot, 6);

        assert_int_equal(batch->type, types[i].type);
        assert_ptr_equal(batch->data, batch->base);
        assert_ptr_equal(batch->features, types[i].type == FMT_F32 ? batch->base : NULL);
        assert_ptr_equal(last.features, (char *)batch->base + 6 * 3 * types[i].bytes);
        assert_true((char *)batch->labels >= (char *)last.features + 3 * types[i].bytes);
        assert_true((const char *)batch->weights >= (char *)(last.labels + 2));
        assert_true((const char *)batch->groups >= (char *)(last.weights + 1));
        assert_true((char *)(last.groups + 1) <= (char *)batch->base + f->ch->slot_bytes);
        assert_int_equal((uintptr_t)batch->weights % 64, 0);
        assert_int_equal((uintptr_t)batch->groups % 64, 0);
        fixture_close(f);
    }
}

static void test_two_slots_must_fit(void **state)
{
    struct fixture *f = open_slots(1, 0, 1);
    struct penstock_error error;
    const size_t budget_bytes = f->ch->slot_budget_bytes;

    (void)state;
    ps_slots_close(f->ch);
    f->ch->shape = (struct fmt_shape){.feature_dim = (uint32_t)(budget_bytes / 2 / sizeof(float))};
    assert_int_equal(ps_slots_open(f->ch, &error), PENSTOCK_OK);
    assert_int_equal(f->ch->slot_count, 2);
    ps_slots_close(f->ch);
    f->ch->shape.feature_dim++;
    assert_int_equal(ps_slots_open(f->ch, &error), PENSTOCK_E_MEMORY);
    f->ch->shape = (struct fmt_shape){.feature_dim = UINT32_MAX, .label_dim = UINT32_MAX};
    ps_shaping_share(&f->ch->shaping, 1u << 24, 0, 1);
    assert_int_equal(ps_slots_open(f->ch, &error), PENSTOCK_E_MEMORY);
    assert_non_null(strstr(error.message, "16777216 rows"));
    fixture_close(f);
}

/* ---- batches ---- */

static void test_batch_waits_for_its_last_row(void **state)
{
    struct fixture *f = open_slots(4, 1, BATCH_ROWS);
    const struct penstock_batch *batch;

    (void)state;
    assert_int_equal(next(f, &batch), PENSTOCK_AGAIN);
    struct ps_slot *first = queue_batch(f, 0, BATCH_ROWS - 1);
    struct ps_slot *second = queue_batch(f, BATCH_ROWS, BATCH_ROWS);

    assert_int_equal(next(f, &batch), PENSTOCK_AGAIN); /* the second is whole, and waits */
    put_rows(f, first, BATCH_ROWS, BATCH_ROWS);
    assert_int_equal(next(f, &batch), PENSTOCK_OK);
    assert_ptr_equal(batch, &first->batch);
    assert_int_equal(batch->position, 0);
    assert_int_equal(batch->rows, BATCH_ROWS);
    assert_int_equal(next(f, &batch), PENSTOCK_OK);
    assert_ptr_equal(batch, &second->batch);
    assert_int_equal(batch->position, BATCH_ROWS);
    assert_int_equal(next(f, &batch), PENSTOCK_AGAIN);
    fixture_close(f);
}

/* A second release comes when the slot is being filled again, or waits: it must not free it. */
static void test_release_of_what_is_not_on_loan_is_ignored(void **state)
{
    struct fixture *f = open_slots(4, 1, BATCH_ROWS);
    const struct penstock_batch *batch;
    const struct penstock_batch *again;

    (void)state;
    queue_batch(f, 0, BATCH_ROWS);
    assert_int_equal(next(f, &batch), PENSTOCK_OK);
    penstock_release(&f->stream, batch);
    struct ps_slot *slot = ps_slots_take(f->ch, 0, 7);

    assert_ptr_equal(&slot->batch, batch);
    penstock_release(&f->stream, batch);
    assert_int_equal(slot->state, PS_SLOT_FILLING);
    put_rows(f, slot, BATCH_ROWS, BATCH_ROWS);
    assert_true(ps_slots_queue(f->ch, PS_EVENT_BATCH, slot));
    penstock_release(&f->stream, batch);
    assert_true(ps_slots_take(f->ch, 0, 8) != slot);
    assert_int_equal(next(f, &again), PENSTOCK_OK);
    assert_ptr_equal(again, batch);
    assert_int_equal(again->position, 7);
    fixture_close(f);
}

static void test_take_ends_with_the_stream(void **state)
{
    struct fixture *f = open_slots(4, 1, BATCH_ROWS);

    (void)state;
    while (f->ch->slots[f->ch->slot_count - 1].state == PS_SLOT_FREE)
        assert_non_null(ps_slots_take(f->ch, 0, 0));
    f->ch->decode_failed = true;
    assert_null(ps_slots_take(f->ch, 0, 0));
    f->ch->decode_failed = false;
    fixture_stop(f);
    assert_null(ps_slots_take(f->ch, 0, 0));
    assert_false(ps_slots_queue(f->ch, PS_EVENT_END, NULL));
    fixture_close(f);
}

/* ---- events ---- */

struct queueing {
    struct fixture *f;
    atomic_int queued;
};

static void *queue_marks(void *cookie)
{
    struct queueing *q = cookie;

    for (int i = 0; i < 3 * PS_EVENTS_MAX; i++) {
        if (!ps_slots_queue(q->f->ch, PS_EVENT_EPOCH_END, NULL))
            return NULL;
        atomic_fetch_add(&q->queued, 1);
    }
    ps_slots_queue(q->f->ch, PS_EVENT_END, NULL);
    return NULL;
}

static void test_full_queue_of_events_waits(void **state)
{
    struct fixture *f = open_slots(4, 1, BATCH_ROWS);
    struct queueing q = {.f = f};
    const struct timespec nap = {.tv_nsec = 20000000};
    const struct penstock_batch *batch;
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, queue_marks, &q), 0);
    while (atomic_load(&q.queued) < PS_EVENTS_MAX)
        sched_yield();
    nanosleep(&nap, NULL); /* time enough to do wrong */
    assert_int_equal(atomic_load(&q.queued), PS_EVENTS_MAX);
    for (int i = 0; i < 3 * PS_EVENTS_MAX; i++)
        assert_int_equal(penstock_next(&f->stream, 0, -1, &batch), PENSTOCK_EPOCH_END);
    assert_int_equal(penstock_next(&f->stream, 0, -1, &batch), PENSTOCK_END);
    pthread_join(framer, NULL);
    assert_int_equal(next(f, &batch), PENSTOCK_END);
    fixture_close(f);
}

static void spoil(struct ps_slot *slot, const char *text)
{
    slot->bad = true;
    ps_fail(&slot->error, PENSTOCK_E_FORMAT, "%s", text);
}

/* What the framer met comes later in the stream than a bad record of the batch it cut short. */
static void test_bad_record_goes_before_what_cut_the_batch_short(void **state)
{
    const struct penstock_batch *batch;

    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        struct fixture *f = open_slots(4, 1, BATCH_ROWS);
        struct ps_slot *slot = ps_slots_take(f->ch, 0, 0);

        put_rows(f, slot, 5, 4);
        ps_fail(&f->ch->frame_error, PENSTOCK_E_NETWORK, "later");
        assert_true(ps_slots_queue(f->ch, PS_EVENT_ERROR, slot));
        assert_int_equal(next(f, &batch), PENSTOCK_AGAIN); /* its rows may hold a bad one */
        if (bad)
            spoil(slot, "earlier");
        put_rows(f, slot, 5, 5);
        assert_int_equal(next(f, &batch), bad ? PENSTOCK_E_FORMAT : PENSTOCK_E_NETWORK);
        assert_null(batch);
        assert_string_equal(penstock_last_error(&f->stream, 0)->message, bad ? "earlier" : "later");
        assert_int_equal(next(f, &batch), bad ? PENSTOCK_E_FORMAT : PENSTOCK_E_NETWORK);
        fixture_close(f);
    }
}

static void test_earlier_of_two_bad_batches_is_told(void **state)
{
    struct fixture *f = open_slots(4, 1, BATCH_ROWS);
    const struct penstock_batch *batch;

    (void)state;
    queue_batch(f, 0, BATCH_ROWS);
    struct ps_slot *first = queue_batch(f, 10, BATCH_ROWS - 1);
    struct ps_slot *second = queue_batch(f, 20, BATCH_ROWS);

    spoil(second, "second");
    assert_int_equal(next(f, &batch), PENSTOCK_OK);
    assert_int_equal(next(f, &batch), PENSTOCK_AGAIN);
    spoil(first, "first");
    put_rows(f, first, BATCH_ROWS, BATCH_ROWS);
    assert_int_equal(next(f, &batch), PENSTOCK_E_FORMAT);
    assert_string_equal(penstock_last_error(&f->stream, 0)->message, "first");
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_hold_their_rows_and_do_not_overlap),
        cmocka_unit_test(test_arrays_of_a_slot_lie_one_behind_the_other),
        cmocka_unit_test(test_two_slots_must_fit),
        cmocka_unit_test(test_batch_waits_for_its_last_row),
        cmocka_unit_test(test_release_of_what_is_not_on_loan_is_ignored),
        cmocka_unit_test(test_take_ends_with_the_stream),
        cmocka_unit_test(test_full_queue_of_events_waits),
        cmocka_unit_test(test_bad_record_goes_before_what_cut_the_batch_short),
        cmocka_unit_test(test_earlier_of_two_bad_batches_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
