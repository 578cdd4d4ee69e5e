/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_chunks.c - pipe/chunks.c: decoding in any order, releasing in stream order.
 *
 * The format is a fake whose decode waits until the test lets the chunk go, so that every order of
 * completion can be had at will. Byte 0 of a chunk is its number.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/chunks.h"
#include "tests/unit/channel_fixture.h"

enum { GATES = 256, CHUNK_BYTES = 10, ROWS = 3, DECODERS = 4 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open[GATES];
    int decodes[GATES]; /* how often each chunk was decoded */
    int entered;
    enum fmt_rc rc[GATES];
    uint32_t bad_row[GATES];
    bool no_decoder;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct fmt_decoder *fake_new(const struct fmt_options *options,
                                    const struct fmt_shape *shape)
{
    (void)options;
    (void)shape;
    return gate.no_decoder ? NULL : malloc(1);
}

static void fake_free(struct fmt_decoder *decoder)
{
    free(decoder);
}

static enum fmt_rc fake_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                               struct fmt_rows *rows, struct fmt_error *error)
{
    uint8_t number = span->in[0];

    (void)decoder;
    (void)rows;
    pthread_mutex_lock(&gate.lock);
    gate.decodes[number]++;
    gate.entered++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open[number])
        pthread_cond_wait(&gate.changed, &gate.lock);
    enum fmt_rc rc = gate.rc[number];

    pthread_mutex_unlock(&gate.lock);
    if (rc == FMT_E_FORMAT)
        fmt_fail(error, 2 * gate.bad_row[number], gate.bad_row[number], "chunk %u is bad", number);
    return rc;
}

static const struct fmt_ops fake_ops = {
    .decoder_new = fake_new, .decoder_free = fake_free, .decode = fake_decode};

static void let_go(int number)
{
    pthread_mutex_lock(&gate.lock);
    gate.open[number] = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* Waits until `count` chunks in all are being decoded or were. */
static void wait_entered(int count)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.entered < count)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

struct bench {
    struct fixture *f;
    struct ps_channel *ch;
    struct ps_slot slot;
    struct ps_object object;
    float row_memory[64];
    pthread_t threads[DECODERS];
    int thread_count;
    uint64_t pos;
    uint32_t row;
};

static struct bench *open_bench(void)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    memset(gate.open, 0, sizeof gate.open);
    memset(gate.decodes, 0, sizeof gate.decodes);
    memset(gate.rc, 0, sizeof gate.rc);
    gate.entered = 0;
    gate.no_decoder = false;
    b->f = fixture_open(1 << 20, 1);
    b->ch = b->f->ch;
    b->ch->options.ops = &fake_ops;
    b->slot.channel = b->ch;
    b->slot.batch.base = b->row_memory;
    b->object = (struct ps_object){.key = "/nowhere/object", .etag = "", .size_bytes = 1 << 20};
    return b;
}

static void start_decoders(struct bench *b, int count)
{
    for (; b->thread_count < count; b->thread_count++)
        assert_int_equal(pthread_create(&b->threads[b->thread_count], NULL, ps_decoder_main, b->ch),
                         0);
}

static void close_bench(struct bench *b)
{
    for (int i = 0; i < GATES; i++)
        let_go(i);
    fixture_stop(b->f);
    for (int i = 0; i < b->thread_count; i++)
        pthread_join(b->threads[i], NULL);
    fixture_close(b->f);
    free(b);
}

/* Pushes the next chunk: with ROWS rows, or with none. */
static bool push(struct bench *b, uint8_t number, bool blank)
{
    static uint8_t bytes[GATES][CHUNK_BYTES];
    struct ps_chunk chunk = {.in = bytes[number],
                             .len_bytes = CHUNK_BYTES,
                             .end_pos = b->pos + CHUNK_BYTES,
                             .object_offset = b->pos,
                             .object = &b->object,
                             .slot = blank ? NULL : &b->slot,
                             .first_row = b->row,
                             .rows = blank ? 0 : ROWS};

    bytes[number][0] = number;
    if (!ps_chunks_push(b->ch, &chunk))
        return false;
    b->pos += CHUNK_BYTES;
    b->row += chunk.rows;
    return true;
}

static uint64_t released_pos(struct bench *b)
{
    pthread_mutex_lock(&b->ch->lock);
    uint64_t pos = b->ch->released_pos;

    pthread_mutex_unlock(&b->ch->lock);
    return pos;
}

/* Waits until `rows` rows of the slot are booked. */
static void wait_decoded(struct bench *b, uint32_t rows)
{
    for (;;) {
        pthread_mutex_lock(&b->ch->lock);
        uint32_t done = b->slot.rows_decoded;

        pthread_mutex_unlock(&b->ch->lock);
        assert_true(done <= b->slot.rows_framed);
        if (done >= rows)
            return;
        sched_yield();
    }
}

/* Waits until the decoders have looked at every chunk there is. */
static void wait_all_taken(struct bench *b)
{
    for (bool all = false; !all; sched_yield()) {
        pthread_mutex_lock(&b->ch->lock);
        all = b->ch->chunk_taken == b->ch->chunk_next;
        pthread_mutex_unlock(&b->ch->lock);
    }
}

/* ---- release ---- */

static void test_space_is_released_in_stream_order(void **state)
{
    struct bench *b = open_bench();

    (void)state;
    start_decoders(b, 4);
    for (uint8_t i = 0; i < 4; i++)
        assert_true(push(b, i, false));
    wait_entered(4);
    let_go(3);
    wait_decoded(b, ROWS);
    assert_int_equal(released_pos(b), 0);
    let_go(1);
    wait_decoded(b, 2 * ROWS);
    assert_int_equal(released_pos(b), 0);
    let_go(0);
    assert_true(ps_chunks_wait_released(b->ch, 2 * CHUNK_BYTES));
    wait_decoded(b, 3 * ROWS);
    assert_int_equal(released_pos(b), 2 * CHUNK_BYTES);
    let_go(2);
    assert_true(ps_chunks_wait_released(b->ch, 4 * CHUNK_BYTES));
    assert_int_equal(released_pos(b), 4 * CHUNK_BYTES);
    close_bench(b);
}

static void test_blank_chunk_is_released_behind_those_before_it(void **state)
{
    struct bench *b = open_bench();

    (void)state;
    start_decoders(b, 2);
    assert_true(push(b, 0, true));
    assert_int_equal(released_pos(b), CHUNK_BYTES); /* nothing before it: at once */
    assert_true(push(b, 1, false));
    assert_true(push(b, 2, true));
    wait_entered(1);
    assert_int_equal(released_pos(b), CHUNK_BYTES);
    let_go(1);
    assert_true(ps_chunks_wait_released(b->ch, 3 * CHUNK_BYTES));
    assert_int_equal(gate.decodes[0] + gate.decodes[2], 0);
    close_bench(b);
}

/* Blank chunks are released without a decoder's doing: decoders that slept meanwhile must not take
 * what has since come to lie in the same places. */
static void test_many_blank_chunks_pass_sleeping_decoders(void **state)
{
    struct bench *b = open_bench();

    (void)state;
    for (int i = 0; i < PS_CHUNKS_MAX + 2; i++)
        assert_true(push(b, 255, true));
    for (uint8_t i = 0; i < 5; i++) {
        let_go(i);
        assert_true(push(b, i, false));
    }
    start_decoders(b, 1);
    assert_true(ps_chunks_wait_released(b->ch, b->pos));
    wait_all_taken(b);
    fixture_stop(b->f);
    pthread_join(b->threads[0], NULL);
    b->thread_count = 0;
    for (uint8_t i = 0; i < 5; i++)
        assert_int_equal(gate.decodes[i], 1);
    assert_int_equal(gate.decodes[255], 0);
    assert_int_equal(b->slot.rows_decoded, 5 * ROWS);
    assert_int_equal(b->slot.rows_framed, 5 * ROWS);
    assert_int_equal(atomic_load(&b->ch->counts.records), 5 * ROWS);
    close_bench(b);
}

/* ---- back-pressure ---- */

struct pushing {
    struct bench *b;
    atomic_int pushed;
    bool refused;
};

static void *push_two_hundred(void *cookie)
{
    struct pushing *pushing = cookie;

    for (int i = 0; i < 200 && !pushing->refused; i++) {
        pushing->refused = !push(pushing->b, (uint8_t)i, false);
        if (!pushing->refused)
            atomic_fetch_add(&pushing->pushed, 1);
    }
    return NULL;
}

static void test_push_waits_while_the_queue_is_full(void **state)
{
    struct bench *b = open_bench();
    struct pushing pushing = {.b = b};
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, push_two_hundred, &pushing), 0);
    while (atomic_load(&pushing.pushed) < PS_CHUNKS_MAX)
        sched_yield();
    for (int i = 0; i < GATES; i++)
        if (i != 1)
            let_go(i);
    start_decoders(b, 2);
    /* Chunk 1 holds up all behind it: 0 is released, so one more fits and none after it. */
    wait_entered(PS_CHUNKS_MAX + 1);
    assert_true(ps_chunks_wait_released(b->ch, CHUNK_BYTES));
    assert_int_equal(released_pos(b), CHUNK_BYTES);
    assert_true(atomic_load(&pushing.pushed) <= PS_CHUNKS_MAX + 1);
    let_go(1);
    pthread_join(framer, NULL);
    assert_false(pushing.refused);
    assert_true(ps_chunks_wait_released(b->ch, 200 * CHUNK_BYTES));
    for (int i = 0; i < 200; i++)
        assert_int_equal(gate.decodes[i], 1);
    close_bench(b);
}

static void test_stop_ends_every_wait(void **state)
{
    struct bench *b = open_bench();
    struct pushing pushing = {.b = b};
    pthread_t framer;

    (void)state;
    assert_int_equal(pthread_create(&framer, NULL, push_two_hundred, &pushing), 0);
    while (atomic_load(&pushing.pushed) < PS_CHUNKS_MAX)
        sched_yield();
    fixture_stop(b->f);
    pthread_join(framer, NULL);
    assert_true(pushing.refused);
    assert_int_equal(pushing.pushed, PS_CHUNKS_MAX);
    assert_false(ps_chunks_wait_released(b->ch, CHUNK_BYTES));
    close_bench(b);
}

/* ---- bad records ---- */

static void mark_bad(int number, uint32_t row)
{
    gate.rc[number] = FMT_E_FORMAT;
    gate.bad_row[number] = row;
}

static void assert_bad(const struct bench *b, uint32_t row, uint64_t offset, const char *text)
{
    assert_true(b->slot.bad);
    assert_int_equal(b->slot.bad_row, row);
    assert_int_equal(b->slot.error.rc, PENSTOCK_E_FORMAT);
    assert_int_equal(b->slot.error.offset_bytes, offset);
    assert_string_equal(b->slot.error.key, "/nowhere/object");
    assert_non_null(strstr(b->slot.error.message, text));
}

/* Three bad chunks, done in every order of two: the earliest row is told. */
static void test_earliest_bad_row_wins(void **state)
{
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    (void)state;
    for (size_t o = 0; o < 6; o++) {
        struct bench *b = open_bench();

        for (uint8_t i = 0; i < 3; i++) {
            mark_bad(i, i == 0 ? 1 : 0);
            assert_true(push(b, i, false));
        }
        start_decoders(b, 3);
        wait_entered(3);
        for (uint32_t i = 0; i < 3; i++) {
            let_go(orders[o][i]);
            wait_decoded(b, (i + 1) * ROWS);
        }
        /* Row 1 of chunk 0 begins at byte 2 of it. */
        assert_bad(b, 1, 2, "chunk 0 is bad");
        assert_true(b->ch->decode_failed);
        close_bench(b);
    }
}

static void test_offset_of_a_bad_record_counts_from_the_objects_start(void **state)
{
    struct bench *b = open_bench();

    (void)state;
    mark_bad(2, 2);
    for (uint8_t i = 0; i < 3; i++) {
        let_go(i);
        assert_true(push(b, i, false));
    }
    start_decoders(b, 1);
    wait_decoded(b, 3 * ROWS);
    assert_bad(b, 2 * ROWS + 2, 2 * CHUNK_BYTES + 4, "record at byte 24");
    /* Nothing more is taken once a record was bad. */
    assert_false(push(b, 3, false));
    assert_false(ps_chunks_wait_released(b->ch, 4 * CHUNK_BYTES));
    close_bench(b);
}

static void test_memory_trouble_is_told_as_such(void **state)
{
    (void)state;
    for (int no_decoder = 0; no_decoder < 2; no_decoder++) {
        struct bench *b = open_bench();

        gate.no_decoder = no_decoder != 0;
        gate.rc[0] = FMT_E_MEMORY;
        let_go(0);
        assert_true(push(b, 0, false));
        start_decoders(b, 1);
        wait_decoded(b, ROWS);
        assert_true(b->slot.bad);
        assert_int_equal(b->slot.error.rc, PENSTOCK_E_MEMORY);
        close_bench(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space_is_released_in_stream_order),
        cmocka_unit_test(test_blank_chunk_is_released_behind_those_before_it),
        cmocka_unit_test(test_many_blank_chunks_pass_sleeping_decoders),
        cmocka_unit_test(test_push_waits_while_the_queue_is_full),
        cmocka_unit_test(test_stop_ends_every_wait),
        cmocka_unit_test(test_earliest_bad_row_wins),
        cmocka_unit_test(test_offset_of_a_bad_record_counts_from_the_objects_start),
        cmocka_unit_test(test_memory_trouble_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
