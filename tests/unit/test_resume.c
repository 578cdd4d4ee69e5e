/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_resume.c - pipe/state.c: a stream is stopped behind every batch and every end of
 * an epoch, and goes on with the same bytes, and the same states, as one that was not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/fnv.h"
#include "tests/unit/shaping_fixture.h"

#include "tests/unit/compress.h"

enum { EVENTS_MAX = 1000 };

/* What penstock_next returned, and the state behind it. */
struct event {
    int rc;
    uint32_t epoch, rows, padded;
    uint64_t position;
    uint64_t hash;
    char state[PENSTOCK_STATE_BYTES];
};

struct events {
    struct event list[EVENTS_MAX];
    size_t count;
};

static struct events whole, rest;

static uint64_t hash_array(uint64_t hash, const void *array, size_t bytes)
{
    return array ? ps_fnv(hash, array, bytes) : ps_fnv(hash, "-", 1);
}

static uint64_t hash_batch(const struct penstock_batch *b)
{
    static const size_t sizes[] = {4, 8, 4, 1};
    size_t rows = b->rows + b->rows_padded;
    uint32_t entries = b->row_offsets ? b->row_offsets[rows] : 0;
    uint32_t text_bytes = b->text_offsets ? b->text_offsets[rows * b->text_dim] : 0;
    uint64_t hash = PS_FNV_BASIS;

    hash = hash_array(hash, b->data, rows * b->feature_dim * sizes[b->type]);
    hash = hash_array(hash, b->labels, rows * b->label_dim * sizeof(float));
    hash = hash_array(hash, b->weights, rows * sizeof *b->weights);
    hash = hash_array(hash, b->groups, rows * sizeof *b->groups);
    hash = hash_array(hash, b->row_offsets, (rows + 1) * sizeof *b->row_offsets);
    hash = hash_array(hash, b->columns, entries * sizeof *b->columns);
    hash = hash_array(hash, b->values, entries * sizeof *b->values);
    hash = hash_array(hash, b->text_offsets, (rows * b->text_dim + 1) * sizeof *b->text_offsets);
    hash = hash_array(hash, b->text, text_bytes);
    for (uint32_t i = 0; i < b->run_count; i++)
        hash = ps_fnv(hash, b->runs[i].data, b->runs[i].rows * b->stride_bytes);
    return ps_fnv(hash, &b->feature_dim, sizeof b->feature_dim);
}

static struct penstock *open_at(const char *path, struct how how, const char *state)
{
    struct penstock_channel_config channel = how_channel(&how, false, &path, 1);
    struct penstock_config config = how_config(&how, &channel, 1);

    channel.resume = state;
    return open_config(&config);
}

static void note_event(struct penstock *stream, const struct penstock_batch *batch, int rc,
                       struct events *to)
{
    struct event *event = &to->list[to->count++];
    struct penstock_error error;
    char state[PENSTOCK_STATE_BYTES];

    assert_true(to->count < EVENTS_MAX);
    *event = (struct event){.rc = rc};
    if (batch) {
        event->epoch = batch->epoch;
        event->rows = batch->rows;
        event->padded = batch->rows_padded;
        event->position = batch->position;
        event->hash = hash_batch(batch);
    }
    if (penstock_get_state(stream, 0, NULL, event->state, PENSTOCK_STATE_BYTES, &error) != 0)
        fail_msg("%s", error.message);
    if (!batch)
        return;
    assert_int_equal(penstock_get_state(stream, 0, batch, state, sizeof state, NULL), PENSTOCK_OK);
    assert_memory_equal(state, event->state, (size_t)(strstr(state, "\"offset\"") - state));
}

/* Reads to the end. */
static void read_events(struct penstock *stream, struct events *to)
{
    const struct penstock_batch *batch;
    int rc;

    to->count = 0;
    while ((rc = penstock_next(stream, 0, -1, &batch)) != PENSTOCK_END) {
        if (rc < 0)
            fail_msg("%s", penstock_last_error(stream, 0)->message);
        note_event(stream, batch, rc, to);
        penstock_release(stream, batch);
    }
}

/* The listing may have come further in one than in the other. */
static void check_same(const struct event *was, const struct event *is, size_t k, size_t j)
{
    size_t place_bytes = (size_t)(strstr(was->state, "\"offset\"") - was->state);

    if (was->rc != is->rc || was->epoch != is->epoch || was->rows != is->rows ||
        was->padded != is->padded || was->position != is->position || was->hash != is->hash)
        fail_msg("stopped behind event %zu, event %zu is another one: epoch %u position %" PRIu64
                 " rows %u+%u, was epoch %u position %" PRIu64 " rows %u+%u\n%s",
                 k, j, is->epoch, is->position, is->rows, is->padded, was->epoch, was->position,
                 was->rows, was->padded, whole.list[k].state);
    if (strncmp(was->state, is->state, place_bytes) != 0)
        fail_msg("stopped behind event %zu, the state behind %zu is\n%s\nnot\n%s", k, j, is->state,
                 was->state);
}

/* Stops behind event k = first, first + step, ..., with so many threads. */
static void check_resume(const char *path, struct how how, size_t step)
{
    struct penstock *stream = open_at(path, how, NULL);

    read_events(stream, &whole);
    penstock_close(&stream);
    assert_true(whole.count > 1);
    for (size_t k = 0; k < whole.count; k += step) {
        how.decode_threads = settings[k % SETTINGS].threads;
        how.part_bytes = settings[k % SETTINGS].part_bytes;
        stream = open_at(path, how, whole.list[k].state);
        read_events(stream, &rest);
        penstock_close(&stream);
        if (rest.count != whole.count - k - 1)
            fail_msg("stopped behind event %zu of %zu, %zu came: %s", k, whole.count, rest.count,
                     whole.list[k].state);
        for (size_t j = 0; j < rest.count; j++)
            check_same(&whole.list[k + 1 + j], &rest.list[j], k, k + 1 + j);
    }
}

/* ---- what is streamed ---- */

static void test_records_go_on_behind_every_batch(void **state)
{
    struct data *records = data_open(true, 6, 60, 5);
    struct data *rows = data_open(false, 6, 60, 5);
    static const char *const types[] = {"application/x-recordio-protobuf",
                                        "application/x-recordio-protobuf;framed=true"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct how how = {.content_type = types[i], .batch_rows = 35, .epochs = 2};

        check_resume(records->scratch.path, how, 1);
        how.shuffle = true;
        how.seed = 7;
        check_resume(records->scratch.path, how, 1);
        how.shard_index = 1;
        how.shard_count = 2;
        check_resume(records->scratch.path, how, 1);
    }
    check_resume(rows->scratch.path,
                 (struct how){.shuffle = true, .seed = 3, .batch_rows = 20, .epochs = 3}, 3);
    check_resume(rows->scratch.path, (struct how){.batch_rows = 1}, 7);
    data_close(records);
    data_close(rows);
}

static void test_shaped_batches_go_on(void **state)
{
    static const char *const last[] = {"keep", "drop", "pad", "wrap"};
    static const uint64_t windows[] = {0, 100, 1000};
    struct corpus *bad = corpus_open(5, 60, 9, true);

    (void)state;
    for (size_t w = 0; w < 3; w++)
        for (size_t l = 0; l < 4; l++) {
            struct how how = {.shuffle_rows = windows[w],
                              .last_batch = last[l],
                              .batch_rows = 25,
                              .pad_label = -1,
                              .bad_records = "skip",
                              .shuffle = l % 2 == 1,
                              .seed = w + 1,
                              .epochs = 2};

            check_resume(bad->scratch.path, how, 1);
            how.sample_from = 0.2;
            how.sample_to = 0.9;
            check_resume(bad->scratch.path, how, 3);
        }
    corpus_close(bad);
}

/* Limits of bad records count what was bad before. */
static void test_limits_of_bad_records_go_on(void **state)
{
    struct corpus *bad = corpus_open(3, 100, 9, false);
    struct how how = {.bad_records = "skip", .batch_rows = 10};
    const struct penstock_batch *batch;

    (void)state;
    struct penstock *stream = open_at(bad->scratch.path, how, NULL);

    read_events(stream, &whole);
    penstock_close(&stream);
    how.bad_records_max = bad->bad - 1;
    for (size_t k = 0; k < whole.count / 2; k++) {
        int rc;

        stream = open_at(bad->scratch.path, how, whole.list[k].state);
        while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK)
            penstock_release(stream, batch);
        assert_int_equal(rc, PENSTOCK_E_FORMAT);
        assert_non_null(strstr(penstock_last_error(stream, 0)->message, "bad_records_max"));
        penstock_close(&stream);
    }
    corpus_close(bad);
}

/* Lines of which the first one tells what others do not. */
static void write_lines(const struct scratch *scratch, const char *const first[3],
                        const char *const *lines, size_t line_count)
{
    for (uint32_t o = 0; o < 3; o++) {
        struct bytes b = {.at = NULL};

        for (uint32_t row = 0; row < 40 + o * 9; row++)
            bytes_add_text(&b, row == 0 ? first[o] : lines[(row + o) % line_count]);
        scratch_file(scratch, data_name(o).text, b.at, b.len);
        free(b.at);
    }
}

static void test_what_the_first_record_told_is_kept(void **state)
{
    static const char *const first_svm[] = {"1 0:1 3:2\n", "0 2:1\n", "1 1:5\n"};
    static const char *const svm[] = {"1 1:2 9:1\n", "0 4:0.5\n", "# no row\n1 3:1\n"};
    static const char *const first_json[] = {"{\"features\":[1,2],\"label\":3}\n",
                                             "{\"features\":[4,5],\"label\":6,\"weight\":2}\n",
                                             "{\"features\":[4,5],\"label\":6,\"weight\":3}\n"};
    static const char *const json[] = {"{\"features\":[7,8],\"label\":9}\n",
                                       "{\"label\":1,\"features\":[2,3],\"weight\":4}\n"};
    struct scratch scratch = scratch_open();

    (void)state;
    write_lines(&scratch, first_svm, svm, 3);
    check_resume(scratch.path,
                 (struct how){.content_type = "text/libsvm", .batch_rows = 17, .epochs = 2}, 1);
    check_resume(scratch.path,
                 (struct how){.content_type = "text/libsvm", .batch_rows = 17, .shuffle_rows = 50},
                 1);
    write_lines(&scratch, first_json, json, 2);
    check_resume(scratch.path,
                 (struct how){.content_type = "application/jsonlines", .batch_rows = 17}, 1);
    scratch_close(&scratch);
}

static void test_compressed_and_headed_objects_go_on(void **state)
{
    struct scratch scratch = scratch_open();
    struct data *records = data_open(true, 3, 40, 3);
    struct bytes csv = {.at = NULL};

    (void)state;
    bytes_add_text(&csv, "label,a,b\n");
    for (uint32_t row = 0; row < 300; row++)
        bytes_add_csv(&csv, 1, row, 2);
    struct compressed packed = compress_parts(FMT_CODEC_GZIP, csv.at, csv.len, 2);

    scratch_file(&scratch, "a.gz", packed.bytes, packed.len_bytes);
    scratch_file(&scratch, "b.gz", packed.bytes, packed.len_bytes);
    check_resume(
        scratch.path,
        (struct how){.content_type = "text/csv;header=auto;columns=a,b;label_columns=label",
                     .compression = "gzip",
                     .batch_rows = 45,
                     .epochs = 2},
        1);
    for (uint32_t shard = 0; shard < 3; shard++)
        check_resume(records->scratch.path,
                     (struct how){.content_type = "application/x-recordio-protobuf",
                                  .split_objects = "bytes",
                                  .shard_index = shard,
                                  .shard_count = 3,
                                  .batch_rows = 11},
                     1);
    free(packed.bytes);
    free(csv.at);
    data_close(records);
    scratch_close(&scratch);
}

/* ---- what is not fetched ---- */

static void test_objects_before_are_not_fetched(void **state)
{
    struct data *d = data_open(true, 8, 50, 4);
    struct how how = {.content_type = "application/x-recordio-protobuf", .batch_rows = 50};
    struct penstock *stream = open_at(d->scratch.path, how, NULL);
    struct penstock_counters counters;

    (void)state;
    read_events(stream, &whole);
    penstock_close(&stream);
    stream = open_at(d->scratch.path, how, whole.list[whole.count - 2].state);
    read_events(stream, &rest);
    penstock_get_counters(stream, 0, &counters);
    assert_int_equal(counters.get_requests, 1);
    assert_true(counters.records <= 50);
    penstock_close(&stream);
    data_close(d);
}

/* Nor are the bytes of the object that lie before, however large it is. */
static void test_bytes_before_are_not_fetched(void **state)
{
    struct data *d = data_open(true, 1, 8000, 30);
    static const uint64_t windows[] = {0, 1000};

    (void)state;
    for (size_t w = 0; w < 2; w++) {
        struct how how = {.content_type = "application/x-recordio-protobuf",
                          .batch_rows = 100,
                          .shuffle_rows = windows[w]};
        struct penstock *stream = open_at(d->scratch.path, how, NULL);
        struct penstock_counters counters;

        read_events(stream, &whole);
        penstock_close(&stream);
        stream = open_at(d->scratch.path, how, whole.list[69].state);
        read_events(stream, &rest);
        penstock_get_counters(stream, 0, &counters);
        assert_true(counters.bytes_received < d->offsets[0][8000] / 2);
        penstock_close(&stream);
    }
    data_close(d);
}

/* ---- what is refused ---- */

/* A state of the middle of d's stream. */
static void state_of(const struct data *d, struct how how, char *text)
{
    struct penstock *stream = open_at(d->scratch.path, how, NULL);
    const struct penstock_batch *batch;

    for (int i = 0; i < 4; i++) {
        assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
        penstock_release(stream, batch);
    }
    assert_int_equal(penstock_get_state(stream, 0, NULL, text, PENSTOCK_STATE_BYTES, NULL), 0);
    assert_int_equal(penstock_get_state(stream, 0, NULL, text, 100, NULL), PENSTOCK_E_ARGUMENT);
    assert_int_equal(penstock_get_state(stream, 1, NULL, text, 100, NULL), PENSTOCK_E_ARGUMENT);
    penstock_close(&stream);
}

static void check_refused(const char *path, struct how how, const char *state, const char *words)
{
    struct penstock_channel_config channel = how_channel(&how, false, &path, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock_error error;
    struct penstock *stream;

    channel.resume = state;
    if (penstock_open(&config, &stream, &error) != PENSTOCK_E_ARGUMENT)
        fail_msg("\"%s\" was not refused: %s", words, state);
    if (!strstr(error.message, words))
        fail_msg("\"%s\" lacks \"%s\"", error.message, words);
}

static void test_other_settings_are_refused_by_name(void **state)
{
    static const struct {
        struct how how;
        const char *words;
    } cases[] = {
        {{.seed = 2, .shuffle = true}, "with seed \"1\", and this one has \"2\""},
        {{.seed = 1}, "with shuffle \"true\""},
        {{.seed = 1, .shuffle = true, .batch_rows = 30}, "with batch_rows \"100\""},
        {{.seed = 1, .shuffle = true, .content_type = "text/csv;label_size=2"}, "content_type"},
        {{.seed = 1, .shuffle = true, .compression = "gzip"}, "compression"},
        {{.seed = 1, .shuffle = true, .shard_count = 2}, "shard_count"},
        {{.seed = 1, .shuffle = true, .shuffle_rows = 200}, "shuffle_rows"},
        {{.seed = 1, .shuffle = true, .last_batch = "pad"}, "last_batch"},
        {{.seed = 1, .shuffle = true, .bad_records = "skip"}, "bad_records"},
        {{.seed = 1, .shuffle = true, .sample_to = 0.5}, "sample_to"},
        {{.seed = 1, .shuffle = true, .feature_dim = 3}, "feature_dim"},
        {{.seed = 1, .shuffle = true, .content_type = "application/octet-stream"}, "plain bytes"},
    };
    struct data *d = data_open(false, 6, 200, 3);
    char text[PENSTOCK_STATE_BYTES];

    (void)state;
    state_of(d, (struct how){.seed = 1, .shuffle = true}, text);
    assert_true(strlen(text) < 1500);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(d->scratch.path, cases[i].how, text, cases[i].words);
    data_close(d);
}

/* Writes over the first `from` in the text something of the same length. */
static void edit(char *text, const char *from, const char *to)
{
    char *at = strstr(text, from);

    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
}

static void test_damaged_states_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        {"\"penstock_state\":1", "\"penstock_state\":2", "penstock_state is 2"},
        {"\"penstock_state\"", "\"penstock_stale\"", "no state of a penstock stream"},
        {"\"epoch\":0", "\"epoch\":x", "no state of a penstock stream"},
        {"\"epoch\":0", "\"epodh\":0", "field epoch is missing"},
        {"\"data\":\"", "\"data\":7", "no state"},
        {"\"settings\"", "\"settinks\"", "settings"},
        {"\"batch_rows\"", "\"batch_cows\"", "batch_rows"},
        {"\"learnt\":[4]", "\"learnt\":{ }", "learnt"},
    };
    struct data *d = data_open(false, 6, 200, 3);
    char good[PENSTOCK_STATE_BYTES];

    (void)state;
    state_of(d, (struct how){.seed = 1}, good);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[PENSTOCK_STATE_BYTES];

        memcpy(text, good, sizeof text);
        edit(text, cases[i].from, cases[i].to);
        check_refused(d->scratch.path, (struct how){.seed = 1}, text, cases[i].words);
    }
    for (size_t len = 0; len < strlen(good); len += 7) { /* a text that was cut off */
        char text[PENSTOCK_STATE_BYTES];

        memcpy(text, good, len);
        text[len] = '\0';
        check_refused(d->scratch.path, (struct how){.seed = 1}, text, "no state");
    }
    data_close(d);
}

/* Numbers that the format cannot have found in a first record end the stream, and nothing else. */
static void test_what_was_learnt_is_checked(void **state)
{
    struct data *d = data_open(false, 6, 200, 3);
    const struct penstock_batch *batch;
    char text[PENSTOCK_STATE_BYTES];

    (void)state;
    state_of(d, (struct how){.seed = 1}, text);
    edit(text, "\"learnt\":[4]", "\"learnt\":[9]");
    struct penstock *stream = open_at(d->scratch.path, (struct how){.seed = 1}, text);

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, "field learnt"));
    penstock_close(&stream);
    data_close(d);
}

static void check_changed(const struct data *d, const char *text, const char *words)
{
    const struct penstock_batch *batch;
    struct penstock *stream = open_at(d->scratch.path, (struct how){.seed = 1}, text);
    const char *path = d->scratch.path;

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_CHANGED);
    if (!strstr(penstock_last_error(stream, 0)->message, words))
        fail_msg("\"%s\" lacks \"%s\"", penstock_last_error(stream, 0)->message, words);
    penstock_close(&stream);

    struct penstock_channel_config channel = how_channel(&(struct how){.seed = 1}, false, &path, 1);
    struct penstock_config config = how_config(&(struct how){.seed = 1}, &channel, 1);

    channel.resume = text;
    channel.resume_changed_data = true;
    stream = open_config(&config);
    read_events(stream, &rest);
    penstock_close(&stream);
}

static void test_changed_data_are_refused(void **state)
{
    struct data *d = data_open(false, 6, 200, 3);
    char text[PENSTOCK_STATE_BYTES];

    (void)state;
    struct penstock *stream = open_at(d->scratch.path, (struct how){.seed = 1}, NULL);

    read_events(stream, &whole);
    penstock_close(&stream);
    memcpy(text, whole.list[whole.count - 3].state, sizeof text);
    scratch_file(&d->scratch, "part-900", "1,2,3,4\n", 8);
    check_changed(d, text, "7 objects are listed, there were 6");
    scratch_file(&d->scratch, "part-900", "", 0);
    scratch_file(&d->scratch, "part-001", "1,2,3,4\n", 8);
    check_changed(d, text, "field data");
    for (uint32_t o = 0; o < 6; o++)
        scratch_file(&d->scratch, data_name(o).text, "1,2,3,4\n", 8);
    check_changed(d, text, "field data");
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_go_on_behind_every_batch),
        cmocka_unit_test(test_shaped_batches_go_on),
        cmocka_unit_test(test_limits_of_bad_records_go_on),
        cmocka_unit_test(test_what_the_first_record_told_is_kept),
        cmocka_unit_test(test_compressed_and_headed_objects_go_on),
        cmocka_unit_test(test_objects_before_are_not_fetched),
        cmocka_unit_test(test_bytes_before_are_not_fetched),
        cmocka_unit_test(test_other_settings_are_refused_by_name),
        cmocka_unit_test(test_damaged_states_are_refused),
        cmocka_unit_test(test_what_was_learnt_is_checked),
        cmocka_unit_test(test_changed_data_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
