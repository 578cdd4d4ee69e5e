/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/shaping_fixture.h - CSV with bad records, and a plain model of what has to come of it:
 * the list of all records, of which those that are bad or not in the sample are taken out, that is
 * permuted and cut into batches.
 */
#ifndef TESTS_UNIT_SHAPING_FIXTURE_H
#define TESTS_UNIT_SHAPING_FIXTURE_H

#include "pipe/shaping.h"
#include "tests/unit/stream_fixture.h"

enum { FEATURES = 3, RECORDS_MAX = 20000, BAD_RECORDS_MAX = 64 };

struct record {
    uint32_t object;
    uint32_t row;
    uint64_t offset;
    uint64_t len; /* 0: it takes the rest of the object */
    bool bad;
};

struct corpus {
    struct scratch scratch;
    uint32_t objects;
    struct record records[RECORDS_MAX];
    uint32_t count;
    uint32_t bad;
    uint64_t bad_bytes;
    uint32_t bad_objects;
};

/* One record in `every` is bad, in one of several ways; 0: none. torn: some objects end in a quote
 * that is not closed. */
static inline struct corpus *corpus_open(uint32_t objects, uint32_t rows, uint32_t every, bool torn)
{
    static const char *const bad_lines[] = {"1,2,x,4\n", "7\n", "1,2,3,4,5\n", "0,1,-,2\r\n",
                                            "\"1\",2,3,\"no\nnumber\"\n"};
    struct corpus *c = calloc(1, sizeof *c);
    uint32_t salt = every;

    assert_non_null(c);
    c->scratch = scratch_open();
    c->objects = objects;
    for (uint32_t o = 0; o < objects; o++) {
        struct bytes b = {.at = NULL};
        uint32_t bad_before = c->bad;
        uint32_t object_rows = rows + o % 5 * rows / 4;

        for (uint32_t row = 0; row < object_rows; row++) {
            struct record *r = &c->records[c->count++];

            assert_true(c->count < RECORDS_MAX);
            salt = salt * 1664525u + 1013904223u;
            *r = (struct record){.object = o, .row = row, .offset = b.len};
            r->bad = every > 0 && c->count > 1 && (salt >> 8) % every == 0;
            if (r->bad)
                bytes_add_text(&b, bad_lines[(salt >> 4) % 5]);
            else
                bytes_add_csv(&b, o, row, FEATURES);
            r->len = b.len - r->offset;
            c->bad += r->bad;
            c->bad_bytes += r->bad ? r->len : 0;
        }
        if (torn && o % 3 == 1) {
            c->records[c->count++] =
                (struct record){.object = o, .row = object_rows, .offset = b.len, .bad = true};
            uint64_t from = b.len;

            bytes_add_text(&b, "4,\"5,6,7\n1,2,3,4\n1,2,3,4\n");
            c->bad++;
            c->bad_bytes += b.len - from;
        }
        c->bad_objects += c->bad > bad_before;
        scratch_file(&c->scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
    return c;
}

static inline void corpus_close(struct corpus *c)
{
    scratch_close(&c->scratch);
    free(c);
}

/* ---- the model ---- */

struct expected {
    uint32_t ids[RECORDS_MAX * 2];   /* indices of records, in the order of delivery */
    uint64_t positions[RECORDS_MAX]; /* of the batches */
    uint32_t count;
    uint32_t batches;
    uint32_t padded; /* rows of the last batch that are not real */
};

static inline uint32_t batch_rows_of(const struct how *how)
{
    return how->batch_rows ? how->batch_rows : 100;
}

static inline bool is_sampled(const struct corpus *c, const struct how *how, const struct record *r)
{
    struct ps_shaping shaping = {
        .samples = true,
        .sample_seed = how->sample_seed,
        .sample_from = (uint64_t)(how->sample_from * 9007199254740992.0),
        .sample_to = (uint64_t)((how->sample_to > 0 ? how->sample_to : 1) * 9007199254740992.0)};
    struct scratch_name path = scratch_path(&c->scratch, data_name(r->object).text);

    return ps_sample_has(&shaping, ps_sample_object(&shaping, path.text), r->row);
}

/* Permutes in windows; a short window keeps the order of its places. */
static inline void model_shuffle(uint32_t *ids, uint32_t count, const struct how *how,
                                 uint32_t epoch)
{
    uint32_t n = batch_rows_of(how);
    uint32_t window = (uint32_t)(how->shuffle_rows + n - 1) / n * n;
    uint32_t *places = malloc(window * sizeof *places);

    assert_non_null(places);
    for (uint32_t block = 0; block * window < count; block++) {
        uint64_t key = ps_permute_key(ps_permute_key(how->seed, epoch), block);
        uint32_t rows = count - block * window < window ? count - block * window : window;
        uint32_t to = block * window;

        memset(places, 0xff, window * sizeof *places);
        for (uint32_t i = 0; i < rows; i++)
            places[ps_permute(i, window, key)] = ids[block * window + i];
        for (uint32_t p = 0; p < window; p++)
            if (places[p] != UINT32_MAX)
                ids[to++] = places[p];
    }
    free(places);
}

static inline void model(const struct corpus *c, const struct how *how, uint32_t epoch,
                         struct expected *e)
{
    uint32_t n = batch_rows_of(how);
    uint32_t window = (uint32_t)(how->shuffle_rows + n - 1) / n * n;
    uint32_t first = 0;
    bool samples = how->sample_from > 0 || how->sample_to > 0;

    memset(e, 0, sizeof *e);
    for (uint32_t i = 0; i < c->count; i++)
        if (!c->records[i].bad && (!samples || is_sampled(c, how, &c->records[i])))
            e->ids[e->count++] = i;
    for (uint32_t i = 0; i < e->count; i += n) {
        if (window > 0 && i % window == 0)
            first = e->ids[i];
        e->positions[e->batches++] = window > 0 ? first + i % window : e->ids[i];
    }
    if (window > 0)
        model_shuffle(e->ids, e->count, how, epoch);
    const char *last = how->last_batch ? how->last_batch : "keep";
    uint32_t rest = e->count % n;

    if (rest == 0)
        return;
    if (strcmp(last, "drop") == 0) {
        e->count -= rest;
        e->batches--;
    } else if (strcmp(last, "keep") != 0) {
        uint32_t whole = e->count;

        e->padded = n - rest;
        for (uint32_t i = 0; i < e->padded; i++)
            e->ids[e->count++] = strcmp(last, "pad") == 0 ? UINT32_MAX : e->ids[i % whole];
    }
}

/* ---- reading ---- */

static inline void check_row(const struct corpus *c, const struct how *how, uint32_t id,
                             const float *features, float label)
{
    if (id == UINT32_MAX) {
        assert_true(label == how->pad_label);
        for (uint32_t i = 0; i < FEATURES; i++)
            assert_true(features[i] == 0);
        return;
    }
    const struct record *r = &c->records[id];

    if (label != (float)r->object || features[0] != (float)r->row)
        fail_msg("object %u row %u expected, %.0f/%.0f came", r->object, r->row, (double)label,
                 (double)features[0]);
    for (uint32_t i = 0; i < FEATURES; i++)
        assert_true(features[i] == data_value(r->object, r->row, i));
}

static inline void check_batch(const struct corpus *c, const struct how *how, uint32_t epoch,
                               const struct expected *e, uint32_t no,
                               const struct penstock_batch *b)
{
    uint32_t n = batch_rows_of(how);
    uint32_t left = e->count - no * n;
    uint32_t rows = left < n ? left : n;
    uint32_t padded = no + 1 == e->batches ? e->padded : 0;

    assert_int_equal(b->epoch, epoch);
    assert_int_equal(b->rows + b->rows_padded, rows);
    assert_int_equal(b->rows_padded, padded);
    assert_int_equal(b->position, e->positions[no]);
    assert_ptr_equal((const char *)b->base + b->len_bytes, b->labels + rows);
    for (uint32_t i = 0; i < rows; i++)
        check_row(c, how, e->ids[no * n + i], b->features + i * FEATURES, b->labels[i]);
}

static struct expected expected; /* too large for a stack */

static inline void check_stream(const struct corpus *c, struct penstock *stream,
                                const struct how *how)
{
    const struct penstock_batch *batch;
    uint32_t epochs = how->epochs ? how->epochs : 1;

    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        model(c, how, epoch, &expected);
        for (uint32_t no = 0; no < expected.batches; no++) {
            int rc = penstock_next(stream, 0, -1, &batch);

            if (rc != PENSTOCK_OK)
                fail_msg("%s at batch %u: %s", penstock_rc_name(rc), no,
                         penstock_last_error(stream, 0)->message);
            check_batch(c, how, epoch, &expected, no, batch);
            penstock_release(stream, batch);
        }
        assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_EPOCH_END);
    }
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_END);
}

static inline void check(const struct corpus *c, struct how how)
{
    struct penstock *stream = open_path(c->scratch.path, false, how);

    check_stream(c, stream, &how);
    penstock_close(&stream);
}

/* Numbers of threads, and sizes of parts. */
static const struct {
    uint32_t threads;
    size_t part_bytes;
} settings[] = {{1, 0}, {2, 64 << 10}, {4, 100001}};
enum { SETTINGS = sizeof settings / sizeof *settings };

static inline void check_setting(const struct corpus *c, struct how how, size_t i)
{
    how.decode_threads = settings[i % SETTINGS].threads;
    how.part_bytes = settings[i % SETTINGS].part_bytes;
    check(c, how);
}

static inline void check_all(const struct corpus *c, struct how how)
{
    for (size_t i = 0; i < SETTINGS; i++)
        check_setting(c, how, i);
}

/* Reads to the error, which has to be PENSTOCK_E_FORMAT; *rows are those that came before it. */
static inline struct penstock_error read_to_error(const struct corpus *c, struct how how,
                                                  uint64_t *rows)
{
    struct penstock *stream = open_path(c->scratch.path, false, how);
    const struct penstock_batch *batch;
    struct penstock_error error;
    int rc;

    *rows = 0;
    model(c, &how, 0, &expected);
    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK) {
        check_batch(c, &how, 0, &expected, (uint32_t)(*rows / batch_rows_of(&how)), batch);
        *rows += batch->rows;
        penstock_release(stream, batch);
    }
    assert_int_equal(rc, PENSTOCK_E_FORMAT);
    error = *penstock_last_error(stream, 0);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_FORMAT);
    penstock_close(&stream);
    return error;
}

#endif
