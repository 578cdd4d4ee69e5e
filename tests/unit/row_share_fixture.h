/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/row_share_fixture.h - what a stream without shares brings, row by row, and streams of
 * its shares that are read side by side and compared with it.
 */
#ifndef TESTS_UNIT_ROW_SHARE_FIXTURE_H
#define TESTS_UNIT_ROW_SHARE_FIXTURE_H

#include "tests/unit/stream_fixture.h"

enum { EVENTS_MAX = 2000, ROWS_MAX = 1 << 16, SHARES_MAX = 8 };

/* What penstock_next returned, and the state behind it. */
struct event {
    int rc;
    uint32_t epoch, rows, padded;
    uint64_t position;
    size_t first; /* of its rows, among all */
    char *state;  /* NULL: there is none */
};

struct whole {
    struct event events[EVENTS_MAX];
    size_t count;
    size_t ends[ROWS_MAX]; /* of rows, in bytes */
    size_t rows;
    struct bytes bytes;
};

static struct whole whole;

/* Of bad records and samples, in order, in one epoch: the position of each row that is delivered.
 */
static const uint32_t *row_positions;

/* What the shares that were read since a test set these to 0 had. */
static uint32_t shares_without_rows;
static uint64_t shares_decoded;

/* ---- rows ---- */

static inline void put_row(struct bytes *to, const struct penstock_batch *b, uint32_t i)
{
    static const size_t sizes[] = {4, 8, 4, 1};
    size_t row_bytes = b->feature_dim * sizes[b->type];

    if (b->data)
        bytes_add(to, (const char *)b->data + i * row_bytes, row_bytes);
    if (b->labels)
        bytes_add(to, b->labels + i * b->label_dim, b->label_dim * sizeof *b->labels);
    if (b->weights)
        bytes_add(to, b->weights + i, sizeof *b->weights);
    if (b->groups)
        bytes_add(to, b->groups + i, sizeof *b->groups);
    if (b->row_offsets) {
        uint32_t from = b->row_offsets[i];
        uint32_t entries = b->row_offsets[i + 1] - from;

        bytes_add(to, &entries, sizeof entries);
        bytes_add(to, b->columns + from, entries * sizeof *b->columns);
        bytes_add(to, b->values + from, entries * sizeof *b->values);
    }
    for (uint32_t t = i * b->text_dim; t < (i + 1) * b->text_dim; t++) {
        uint32_t len = b->text_offsets[t + 1] - b->text_offsets[t];

        bytes_add(to, &len, sizeof len);
        bytes_add(to, b->text + b->text_offsets[t], len);
    }
    for (uint32_t r = 0; r < b->run_count; i -= b->runs[r++].rows)
        if (i < b->runs[r].rows) {
            bytes_add(to, (const char *)b->runs[r].data + i * b->stride_bytes, b->stride_bytes);
            break;
        }
}

/* ---- without shares ---- */

static inline char *state_behind(struct penstock *stream, const struct penstock_batch *batch)
{
    char state[PENSTOCK_STATE_BYTES];

    if (penstock_get_state(stream, 0, batch, state, sizeof state, NULL) != PENSTOCK_OK)
        return NULL;
    return strdup(state);
}

static inline void read_whole(struct penstock *stream)
{
    const struct penstock_batch *b;
    int rc;

    whole.count = whole.rows = whole.bytes.len = 0;
    while ((rc = penstock_next(stream, 0, -1, &b)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        struct event *event = &whole.events[whole.count++];

        assert_true(whole.count < EVENTS_MAX);
        *event = (struct event){.rc = rc, .first = whole.rows, .state = state_behind(stream, b)};
        if (!b)
            continue;
        assert_int_equal(b->first_row, 0);
        assert_int_equal(b->rows_elsewhere, 0);
        event->epoch = b->epoch;
        event->rows = b->rows;
        event->padded = b->rows_padded;
        event->position = b->position;
        for (uint32_t i = 0; i < b->rows + b->rows_padded; i++) {
            assert_true(whole.rows < ROWS_MAX);
            put_row(&whole.bytes, b, i);
            whole.ends[whole.rows++] = whole.bytes.len;
        }
        penstock_release(stream, b);
    }
    if (rc != PENSTOCK_END)
        fail_msg("%s", penstock_last_error(stream, 0)->message);
}

static inline void forget_whole(void)
{
    for (size_t k = 0; k < whole.count; k++)
        free(whole.events[k].state);
    free(whole.bytes.at);
    whole.bytes = (struct bytes){.at = NULL};
    whole.count = 0;
}

/* ---- shares ---- */

static inline uint32_t how_batch_rows(const struct how *how)
{
    return how->batch_rows ? how->batch_rows : 100;
}

static inline void check_lies_in(const struct penstock_batch *b, const void *array, size_t bytes)
{
    if (array)
        assert_in_range((uintptr_t)array + bytes, (uintptr_t)b->base,
                        (uintptr_t)b->base + b->len_bytes);
}

/* All arrays are in the slot's first len_bytes, those of no rows, too. */
static inline void check_arrays(const struct penstock_batch *b)
{
    static const size_t sizes[] = {4, 8, 4, 1};
    size_t rows = (size_t)b->rows + b->rows_padded;

    if (b->run_count > 0 || b->stride_bytes > 0)
        return;
    check_lies_in(b, b->data, rows * b->feature_dim * sizes[b->type]);
    check_lies_in(b, b->labels, rows * b->label_dim * sizeof *b->labels);
    check_lies_in(b, b->weights, rows * sizeof *b->weights);
    check_lies_in(b, b->groups, rows * sizeof *b->groups);
    if (b->row_offsets) {
        assert_int_equal(b->row_offsets[0], 0);
        check_lies_in(b, b->columns, b->row_offsets[rows] * sizeof *b->columns);
        check_lies_in(b, b->values, b->row_offsets[rows] * sizeof *b->values);
    }
    if (b->text_offsets) {
        assert_int_equal(b->text_offsets[0], 0);
        check_lies_in(b, b->text, b->text_offsets[rows * b->text_dim]);
    }
}

static inline void check_share_rows(const struct penstock_batch *b, const struct event *event,
                                    uint32_t from)
{
    static struct bytes row;

    for (uint32_t i = 0; i < b->rows + b->rows_padded; i++) {
        size_t no = event->first + from + i;
        size_t at = no > 0 ? whole.ends[no - 1] : 0;

        row.len = 0;
        put_row(&row, b, i);
        if (row.len != whole.ends[no] - at || memcmp(row.at, whole.bytes.at + at, row.len) != 0)
            fail_msg("epoch %u, position %" PRIu64 ", row %u of the share from %u: another row",
                     event->epoch, event->position, i, from);
    }
    free(row.at);
    row = (struct bytes){.at = NULL};
}

static inline void check_position(const struct penstock_batch *b, const struct event *event,
                                  const struct how *how, uint32_t from)
{
    bool gaps = how->bad_records || how->sample_from > 0 || how->sample_to > 0;

    if (b->rows == 0)
        assert_int_equal(b->position, event->position);
    else if (!gaps || how->shuffle_rows > 0)
        assert_int_equal(b->position, event->position + from);
    else if (row_positions)
        assert_int_equal(b->position, row_positions[event->first + from]);
}

static inline void check_share(const struct penstock_batch *b, const struct event *event,
                               const struct how *how, uint32_t share, uint32_t count)
{
    uint32_t most = how_batch_rows(how) / count;
    uint32_t from = most * share;
    uint32_t left = event->rows > from ? event->rows - from : 0;
    uint32_t rows = left < most ? left : most;

    assert_int_equal(b->epoch, event->epoch);
    assert_int_equal(b->first_row, from);
    assert_int_equal(b->rows, rows);
    assert_int_equal(b->rows_elsewhere, event->rows - rows);
    assert_int_equal(b->rows_padded, event->padded > 0 ? most - rows : 0);
    check_position(b, event, how, from);
    shares_without_rows += rows == 0;
    check_arrays(b);
    check_share_rows(b, event, from);
}

/* The bytes behind "offset" are where chunks happened to end, and how far the listing is. */
static inline void check_state(struct penstock *stream, const struct penstock_batch *batch,
                               const char *wanted)
{
    char *state = state_behind(stream, batch);

    if (!wanted) {
        assert_null(state);
        return;
    }
    size_t place_bytes = (size_t)(strstr(wanted, "\"offset\"") - wanted);

    assert_non_null(state);
    if (strncmp(state, wanted, place_bytes) != 0)
        fail_msg("the state is\n%s\nnot\n%s", state, wanted);
    assert_null(strstr(state, "row_share"));
    free(state);
}

static const uint32_t share_threads[] = {1, 2, 4};

/* Share `share` of `count`, from a state or NULL. */
static inline struct penstock *open_share(const char *path, struct how how, uint32_t share,
                                          uint32_t count, const char *state)
{
    struct penstock_channel_config channel;
    struct penstock_config config;

    how.row_share_index = share;
    how.row_share_count = count;
    if (how.decode_threads == 0)
        how.decode_threads = share_threads[(share + count / 2) % 3];
    channel = how_channel(&how, false, &path, 1);
    channel.resume = state;
    config = how_config(&how, &channel, 1);
    return open_config(&config);
}

/* Reads all shares side by side, from event `first` on to the end. */
static inline void check_streams(struct penstock *const *streams, struct how how, uint32_t count,
                                 size_t first)
{
    const struct penstock_batch *batch;
    struct penstock_counters counters;

    for (size_t k = first; k <= whole.count; k++)
        for (uint32_t s = 0; s < count; s++) {
            int rc = penstock_next(streams[s], 0, -1, &batch);
            int wanted = k < whole.count ? whole.events[k].rc : PENSTOCK_END;

            if (rc != wanted)
                fail_msg("share %u of %u, event %zu: %s, not %s: %s", s, count, k,
                         penstock_rc_name(rc), penstock_rc_name(wanted),
                         penstock_last_error(streams[s], 0)->message);
            if (k == whole.count)
                continue;
            if (batch)
                check_share(batch, &whole.events[k], &how, s, count);
            check_state(streams[s], batch, whole.events[k].state);
            penstock_release(streams[s], batch);
        }
    for (uint32_t s = 0; s < count; s++) {
        penstock_get_counters(streams[s], 0, &counters);
        shares_decoded += counters.records;
    }
}

static inline void check_count(const char *path, struct how how, uint32_t count, const char *state,
                               size_t first)
{
    struct penstock *streams[SHARES_MAX];

    for (uint32_t s = 0; s < count; s++)
        streams[s] = open_share(path, how, s, count, state);
    check_streams(streams, how, count, first);
    for (uint32_t s = 0; s < count; s++)
        penstock_close(&streams[s]);
}

/* From `from_count` to `to_count` shares, twice as many each time. */
static inline void check_counts(const char *path, struct how how, uint32_t from_count,
                                uint32_t to_count)
{
    struct penstock *stream = open_share(path, how, 0, 1, NULL);

    read_whole(stream);
    penstock_close(&stream);
    assert_true(whole.count > 0);
    for (uint32_t count = from_count; count <= to_count; count *= 2)
        check_count(path, how, count, NULL, 0);
    forget_whole();
}

static inline void check_shares(const char *path, struct how how)
{
    check_counts(path, how, 2, SHARES_MAX);
}

#endif
