/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_lend.c - lend_records: the rows and states of a stream that decodes, whether
 * batches are lent or, for records that are not like the first one, decoded after all; wherever
 * such a record is, and however long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/stream_fixture.h"

enum { FEATURES = 25, ROWS = 400, BATCH_ROWS = 60 };

/* How a record differs from the others. */
enum kind {
    LIKE,
    LONGER,   /* it has a uid, too */
    SWAPPED,  /* its label comes first: as long, values elsewhere */
    UNPACKED, /* each value has a tag of its own: such values cannot be lent */
    BROKEN,   /* no message at all */
    KINDS
};

static void add_unpacked(struct bytes *b, uint32_t object, uint32_t row)
{
    size_t values = 5 * (size_t)FEATURES;

    bytes_add(b, "\x0a", 1);
    bytes_add_varint(b, 8 + 1 + varint_bytes(1 + varint_bytes(values) + values) + 1 +
                            varint_bytes(values) + values);
    bytes_add(b, "\x0a\x06values\x12", 9);
    bytes_add_varint(b, 1 + varint_bytes(values) + values);
    bytes_add(b, "\x12", 1);
    bytes_add_varint(b, values);
    for (uint32_t c = 0; c < FEATURES; c++) {
        float value = data_value(object, row, c);

        bytes_add(b, "\x0d", 1);
        bytes_add(b, &value, sizeof value);
    }
}

static void add_features(struct bytes *b, uint32_t object, uint32_t row)
{
    bytes_add_map_head(b, 1, FEATURES);
    for (uint32_t c = 0; c < FEATURES; c++) {
        float value = data_value(object, row, c);

        bytes_add(b, &value, sizeof value);
    }
}

static void add_label(struct bytes *b, uint32_t object)
{
    float label = (float)object;

    bytes_add_map_head(b, 2, 1);
    bytes_add(b, &label, sizeof label);
}

static void add_record(struct bytes *b, uint32_t object, uint32_t row, enum kind kind,
                       uint32_t uid_bytes)
{
    struct bytes body = {.at = NULL};

    if (kind == SWAPPED)
        add_label(&body, object);
    if (kind == UNPACKED)
        add_unpacked(&body, object, row);
    else
        add_features(&body, object, row);
    if (kind != SWAPPED)
        add_label(&body, object);
    if (kind == LONGER) {
        bytes_add(&body, "\x1a", 1);
        bytes_add_varint(&body, uid_bytes);
        memset(bytes_room(&body, uid_bytes), 'u', uid_bytes);
    }
    if (kind == BROKEN)
        memset(body.at, 0xff, body.len);
    const uint32_t head[2] = {0xced7230aU, (uint32_t)body.len};

    bytes_add(b, head, sizeof head);
    bytes_add(b, body.at, body.len);
    bytes_add(b, "\0\0\0", (4 - body.len % 4) % 4);
    free(body.at);
}

/* Which records differ: all from row `from` on, that are `every` apart. */
struct odd {
    enum kind kind;
    uint32_t from;
    uint32_t every; /* 0: one alone */
    uint32_t uid_bytes;
};

static struct data *write_data(uint32_t objects, uint32_t rows, const struct odd *odd)
{
    struct data *d = data_open(true, objects, rows, FEATURES);
    uint32_t at = 0;

    for (uint32_t o = 0; o < objects; o++) {
        struct bytes b = {.at = NULL};

        for (uint32_t row = 0; row < d->rows[o]; row++, at++) {
            bool differs = at >= odd->from &&
                           (odd->every ? (at - odd->from) % odd->every == 0 : at == odd->from);

            add_record(&b, o, row, differs ? odd->kind : LIKE, odd->uid_bytes);
        }
        scratch_file(&d->scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
    return d;
}

static bool read_lent(struct reading *r, const struct penstock_batch *b)
{
    float features[FEATURES];
    float label;

    if (b->epoch != r->epoch || b->position != r->position || b->run_count > 2 || b->features ||
        b->labels || b->data || b->len_bytes != 0 || b->type != PENSTOCK_FLOAT32) {
        snprintf(r->why, sizeof r->why, "the batch at position %" PRIu64 " is not right",
                 b->position);
        return false;
    }
    for (uint32_t k = 0; k < b->run_count; k++) {
        const uint8_t *record = b->runs[k].data;

        for (uint32_t i = 0; i < b->runs[k].rows; i++, record += b->stride_bytes) {
            memcpy(features, record + b->features_offset, sizeof features);
            memcpy(&label, record + b->labels_offset, sizeof label);
            if (!reading_row(r, features, &label))
                return false;
        }
    }
    r->batches++;
    return true;
}

struct got {
    uint32_t lent;
    uint32_t decoded;
    uint32_t lent_after; /* a batch that was decoded */
    int rc;
};

/* Reads all, with `hold` batches out; `plain` is the same stream, decoded, to compare states with:
 * NULL for none. */
static struct got read_all(const struct data *d, struct penstock *stream, struct penstock *plain,
                           struct how how, uint32_t hold)
{
    struct reading r = reading_of(d, how);
    const struct penstock_batch *held[2];
    uint32_t held_count = 0;
    struct got got = {.lent = 0};

    for (;;) {
        static char state[2][PENSTOCK_STATE_BYTES];
        const struct penstock_batch *batch;
        const struct penstock_batch *same;

        got.rc = penstock_next(stream, 0, -1, &batch);
        if (plain) {
            assert_int_equal(penstock_next(plain, 0, -1, &same), got.rc);
            assert_int_equal(penstock_get_state(stream, 0, NULL, state[0], sizeof state[0], NULL),
                             0);
            assert_int_equal(penstock_get_state(plain, 0, NULL, state[1], sizeof state[1], NULL),
                             0);
            assert_string_equal(state[0], state[1]);
            penstock_release(plain, same);
        }
        if (got.rc == PENSTOCK_EPOCH_END && reading_mark(&r, got.rc))
            continue;
        if (got.rc != PENSTOCK_OK)
            break;
        got.lent += batch->run_count > 0;
        got.decoded += batch->run_count == 0;
        got.lent_after += batch->run_count > 0 && got.decoded > 0;
        if (!(batch->run_count > 0 ? read_lent(&r, batch) : reading_batch(&r, batch)))
            break;
        if (held_count == hold && hold > 0)
            penstock_release(stream, held[--held_count]);
        if (hold > 0)
            held[held_count++] = batch;
        else
            penstock_release(stream, batch);
    }
    while (held_count > 0)
        penstock_release(stream, held[--held_count]);
    if (r.why[0])
        fail_msg("%s", r.why);
    return got;
}

static struct how lending(struct how how)
{
    how.batch_rows = how.batch_rows ? how.batch_rows : BATCH_ROWS;
    how.lend_records = true;
    return how;
}

static void test_records_that_are_alike_are_lent(void **state)
{
    (void)state;
    struct data *d = write_data(4, ROWS, &(struct odd){.kind = LIKE});

    for (uint32_t hold = 0; hold <= 2; hold++) {
        struct how how = lending((struct how){.epochs = 2, .decode_threads = 1 + hold});
        struct how decoding = how;

        decoding.lend_records = false;
        struct penstock *stream = open_data(d, how);
        struct penstock *plain = open_data(d, decoding);
        struct got got = read_all(d, stream, plain, how, hold);

        assert_int_equal(got.rc, PENSTOCK_END);
        assert_true(got.lent > 40);
        assert_int_equal(got.decoded, 0);
        penstock_close(&plain);
        penstock_close(&stream);
    }
    data_close(d);
}

/* One record, anywhere, that is good and not like the first: no row is lost, and batches before its
 * own were lent. */
static void test_an_odd_record_is_decoded_wherever_it_is(void **state)
{
    (void)state;
    /* 520: the batch that it is in began in the object before. */
    const uint32_t places[] = {0, 1, BATCH_ROWS - 1, BATCH_ROWS, 333, 520, 1200, 1206 - 1};

    for (enum kind kind = LONGER; kind <= UNPACKED; kind++) {
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            struct odd odd = {.kind = kind, .from = places[i], .uid_bytes = 9};
            struct data *d = write_data(2, 517, &odd); /* 517 + 689 rows */
            struct how how = lending((struct how){.decode_threads = 1 + (uint32_t)i % 3});
            struct how decoding = how;

            decoding.lend_records = false;
            struct penstock *stream = open_data(d, how);
            struct penstock *plain = open_data(d, decoding);
            struct got got = read_all(d, stream, plain, how, (uint32_t)i % 3);

            assert_int_equal(got.rc, PENSTOCK_END);
            assert_int_equal(got.lent + got.decoded, 21);
            assert_true(got.decoded > 0);
            if (places[i] >= 3 * BATCH_ROWS)
                assert_true(got.lent > 0); /* those found before it */
            if (places[i] == 0 && kind == UNPACKED)
                assert_int_equal(got.lent, 0);
            penstock_close(&plain);
            penstock_close(&stream);
            data_close(d);
        }
    }
}

/* Sizes that make up for each other within what is looked at at once, and many odd records. */
static void test_many_odd_records_are_decoded(void **state)
{
    (void)state;
    for (enum kind kind = LONGER; kind <= UNPACKED; kind++) {
        for (uint32_t every = 1; every <= 3; every++) {
            struct odd odd = {.kind = kind, .from = 130, .every = every, .uid_bytes = 30};
            struct data *d = write_data(3, ROWS, &odd);
            struct how how = lending((struct how){.decode_threads = every});
            struct penstock *stream = open_data(d, how);
            struct got got = read_all(d, stream, NULL, how, 2);

            assert_int_equal(got.rc, PENSTOCK_END);
            assert_int_equal(got.lent_after, 0);
            penstock_close(&stream);
            data_close(d);
        }
    }
}

/* A batch that would not fit in the ring: what it lends has to go back before it is whole. */
static void test_records_that_grow_long_do_not_fill_the_ring(void **state)
{
    (void)state;
    struct odd odd = {.kind = LONGER, .from = 70, .every = 1, .uid_bytes = 200000};
    struct data *d = write_data(1, 130, &odd); /* 12 MB, in a ring of 6.7 MB */

    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct how how = lending((struct how){.decode_threads = threads});
        struct penstock *stream = open_data(d, how);
        struct got got = read_all(d, stream, NULL, how, 0);

        assert_int_equal(got.rc, PENSTOCK_END);
        assert_int_equal(got.lent, 1);
        assert_int_equal(got.decoded, 2);
        penstock_close(&stream);
    }
    data_close(d);
}

static void test_a_bad_record_is_told_as_ever(void **state)
{
    (void)state;
    struct odd odd = {.kind = BROKEN, .from = 333};
    struct data *d = write_data(2, ROWS, &odd);
    struct penstock_error said[2];
    uint64_t batches[2];

    for (int lend = 0; lend < 2; lend++) {
        struct how how = lending((struct how){.decode_threads = 2});

        how.lend_records = lend == 1;
        struct penstock *stream = open_data(d, how);
        struct got got = read_all(d, stream, NULL, how, 0);

        assert_int_equal(got.rc, PENSTOCK_E_FORMAT);
        batches[lend] = got.lent + got.decoded;
        said[lend] = *penstock_last_error(stream, 0);
        penstock_close(&stream);
    }
    assert_string_equal(said[0].message, said[1].message);
    assert_int_equal(said[0].offset_bytes, said[1].offset_bytes);
    assert_int_equal(batches[0], batches[1]);
    data_close(d);
}

/* Where framed=true is refused, rows are decoded. */
static void test_what_does_not_go_with_it_is_decoded(void **state)
{
    (void)state;
    struct data *d = write_data(2, ROWS, &(struct odd){.kind = LIKE});
    const struct how ways[] = {
        {.bad_records = "skip"},
        {.last_batch = "pad"},
        {.last_batch = "drop"},
        {.shuffle_rows = 120},
        {.sample_to = 0.5},
        {.content_type = "application/x-recordio-protobuf;type=float64"},
        {.content_type = "application/x-recordio-protobuf;layout=sparse"},
        {.batch_rows = 15000}, /* of 148 bytes: more than a fourth of the ring */
    };

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct how how = lending(ways[i]);
        struct penstock *stream = open_data(d, how);
        const struct penstock_batch *batch;
        uint32_t batches = 0;
        int rc;

        while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK ||
               rc == PENSTOCK_EPOCH_END) {
            if (!batch)
                continue;
            assert_int_equal(batch->run_count, 0);
            assert_true(batch->data || batch->row_offsets);
            penstock_release(stream, batch);
            batches++;
        }
        assert_int_equal(rc, PENSTOCK_END);
        assert_true(batches > 0);
        penstock_close(&stream);
    }
    data_close(d);
}

/* A state is of a place in the data, and not of how rows come: it goes from one kind of stream to
 * the other, and those that lend go on doing so. */
static void test_states_go_both_ways(void **state)
{
    (void)state;
    struct data *d = write_data(3, ROWS, &(struct odd){.kind = LIKE});

    for (int lend = 0; lend < 2; lend++) {
        static char text[PENSTOCK_STATE_BYTES];
        struct how how = lending((struct how){.epochs = 1});
        const struct penstock_batch *batch;
        uint64_t position = 0;
        int rc;

        how.lend_records = lend == 0;
        struct penstock *first = open_data(d, how);

        for (int i = 0; i < 8; i++) {
            assert_int_equal(penstock_next(first, 0, -1, &batch), PENSTOCK_OK);
            penstock_release(first, batch);
        }
        assert_int_equal(penstock_get_state(first, 0, NULL, text, sizeof text, NULL), 0);
        penstock_close(&first);

        how.lend_records = lend == 1;
        const char *path = d->scratch.path;
        struct penstock_channel_config channel = how_channel(&how, true, &path, 1);
        struct penstock_config config = how_config(&how, &channel, 1);

        channel.resume = text;
        struct penstock *second = open_config(&config);

        while ((rc = penstock_next(second, 0, -1, &batch)) == PENSTOCK_OK) {
            if (position == 0)
                assert_int_equal(batch->position, 8 * BATCH_ROWS);
            position = batch->position + batch->rows;
            assert_int_equal(batch->run_count > 0, lend);
            penstock_release(second, batch);
        }
        assert_int_equal(rc, PENSTOCK_EPOCH_END);
        assert_int_equal(position, ROWS + ROWS * 4 / 3 + ROWS * 5 / 3);
        penstock_close(&second);
    }
    data_close(d);
}

/* ---- shares ---- */

static struct penstock *open_share(const struct data *d, struct how how, uint32_t index,
                                   uint32_t count)
{
    const char *path = d->scratch.path;
    struct penstock_channel_config channel = how_channel(&how, true, &path, 1);
    struct penstock_config config = how_config(&how, &channel, 1);

    channel.row_share_index = index;
    channel.row_share_count = count;
    return open_config(&config);
}

/* Row i of a batch that lends, or of one that does not. */
static void get_row(const struct penstock_batch *b, uint32_t i, float *row)
{
    const struct penstock_run *run = b->runs;

    if (b->run_count == 0) {
        memcpy(row, b->features + (size_t)i * FEATURES, FEATURES * sizeof *row);
        row[FEATURES] = b->labels[i];
        return;
    }
    if (i >= run->rows) {
        i -= run->rows;
        run++;
    }
    const uint8_t *record = (const uint8_t *)run->data + i * b->stride_bytes;

    memcpy(row, record + b->features_offset, FEATURES * sizeof *row);
    memcpy(row + FEATURES, record + b->labels_offset, sizeof *row);
}

static bool is_the_same(const struct penstock_batch *a, const struct penstock_batch *b)
{
    float rows[2][FEATURES + 1];
    bool same = a->rows == b->rows && a->position == b->position &&
                a->rows_elsewhere == b->rows_elsewhere && a->first_row == b->first_row;

    for (uint32_t i = 0; same && i < a->rows; i++) {
        get_row(a, i, rows[0]);
        get_row(b, i, rows[1]);
        same = memcmp(rows[0], rows[1], sizeof rows[0]) == 0;
    }
    return same;
}

/* Each share lends its own rows, and the last batch's, which may be none. */
static void test_shares_are_lent(void **state)
{
    (void)state;
    for (enum kind kind = LIKE; kind <= SWAPPED; kind++) {
        struct odd odd = {.kind = kind, .from = 700, .uid_bytes = 8};
        struct data *d = write_data(2, 517, &odd); /* 1206 rows: 6 in the last batch of 60 */

        for (uint32_t index = 0; index < 3; index++) {
            struct how how = lending((struct how){.epochs = 2, .decode_threads = 2});
            struct how decoding = how;
            uint32_t lent = 0;
            int rc;

            decoding.lend_records = false;
            struct penstock *stream = open_share(d, how, index, 3);
            struct penstock *plain = open_share(d, decoding, index, 3);

            do {
                const struct penstock_batch *a;
                const struct penstock_batch *b;

                rc = penstock_next(stream, 0, -1, &a);
                assert_int_equal(penstock_next(plain, 0, -1, &b), rc);
                if (rc == PENSTOCK_OK)
                    assert_true(is_the_same(a, b));
                if (a && a->rows == 0) /* nothing to lend: arrays of no rows */
                    assert_true(a->run_count == 0 && a->features && a->labels);
                lent += a && a->run_count > 0;
                penstock_release(stream, a);
                penstock_release(plain, b);
            } while (rc == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END);
            assert_int_equal(rc, PENSTOCK_END);
            assert_true(kind == LIKE ? lent >= 40 : lent > 5);
            penstock_close(&plain);
            penstock_close(&stream);
        }
        data_close(d);
    }
}

/* ---- pinning ---- */

struct pins {
    uint32_t pins;
    uint32_t unpins;
    size_t bytes; /* that are pinned */
};

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct pins *pins = cookie;
    (void)base;
    pins->pins++;
    pins->bytes += len_bytes;
    return 0;
}

static void unpin(void *cookie, void *base, size_t len_bytes)
{
    struct pins *pins = cookie;
    (void)base;
    pins->unpins++;
    pins->bytes -= len_bytes;
}

/* The ring as long as records are lent; what they are decoded to, once they are. */
static void test_memory_is_pinned_as_it_is_used(void **state)
{
    (void)state;
    for (int has_odd = 0; has_odd < 2; has_odd++) {
        struct odd odd = {.kind = has_odd ? LONGER : LIKE, .from = 500, .uid_bytes = 7};
        struct data *d = write_data(3, ROWS, &odd);
        struct how how = lending((struct how){.decode_threads = 2});
        const char *path = d->scratch.path;
        struct penstock_channel_config channel = how_channel(&how, true, &path, 1);
        struct penstock_config config = how_config(&how, &channel, 1);
        struct pins pins = {.pins = 0};
        const struct penstock_batch *batch;

        config.pin = pin;
        config.unpin = unpin;
        config.pin_cookie = &pins;
        struct penstock *stream = open_config(&config);
        bool pinned = true;

        while (penstock_next(stream, 0, -1, &batch) == PENSTOCK_OK) {
            pinned &= batch->pinned;
            penstock_release(stream, batch);
        }
        assert_true(pinned);
        assert_true(has_odd ? pins.pins > 1 : pins.pins == 1);
        penstock_close(&stream);
        assert_int_equal(pins.unpins, pins.pins);
        assert_int_equal(pins.bytes, 0);
        data_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_that_are_alike_are_lent),
        cmocka_unit_test(test_an_odd_record_is_decoded_wherever_it_is),
        cmocka_unit_test(test_many_odd_records_are_decoded),
        cmocka_unit_test(test_records_that_grow_long_do_not_fill_the_ring),
        cmocka_unit_test(test_a_bad_record_is_told_as_ever),
        cmocka_unit_test(test_what_does_not_go_with_it_is_decoded),
        cmocka_unit_test(test_states_go_both_ways),
        cmocka_unit_test(test_shares_are_lent),
        cmocka_unit_test(test_memory_is_pinned_as_it_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
