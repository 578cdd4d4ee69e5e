/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_split.c - objects shared by bytes: every record comes once, whichever of several
 * streams it falls to, and a stream reads little more than its share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/record_write.h"
#include "formats/recordio_index.h"
#include "tests/tfrecord_writer.h"
#include "tests/unit/stream_fixture.h"

#define PROTOBUF "application/x-recordio-protobuf"
#define MAGIC (-1804698880.0f) /* its bits are RecordIO's magic number */

enum { FEATURES = 5, RECORDS_MAX = 40000 };

/* Objects whose records carry a label each, 0 .. count - 1. */
struct corpus {
    struct scratch scratch;
    uint32_t count;
    uint64_t bytes;
    uint64_t largest_bytes;
};

/* Five features, half of them the magic number, and a label; the frame as the SDK writes it. */
static void put_record(struct frames *object, uint32_t id, const float *features,
                       uint32_t feature_count)
{
    float label = (float)id;
    const struct fmt_record_entry entries[] = {
        {.type = FMT_FLOAT32, .values = features, .count = feature_count},
        {.is_label = true, .type = FMT_FLOAT32, .values = &label, .count = 1}};
    size_t len = fmt_record_bytes_max(entries, 2);
    uint8_t *out = malloc(len);

    assert_non_null(out);
    assert_int_equal(fmt_record_write(entries, 2, out, &len, NULL), FMT_OK);
    frames_put(object, out, len);
    free(out);
}

static void put_protobuf(struct frames *object, uint32_t id)
{
    float features[FEATURES];

    for (uint32_t i = 0; i < FEATURES; i++)
        features[i] = (id * 7 + i * 3) % 5 < 3 ? MAGIC : (float)i;
    put_record(object, id, features, FEATURES);
}

static void put_example(struct frames *object, uint32_t id)
{
    struct frames example = {0};
    float label = (float)id;
    uint8_t feature[8] = {0x12, 6, 0x0a, 4};

    memcpy(feature + 4, &label, 4);
    example_put(&example, "id", feature, 8);
    example_put(&example, "x", feature, 8);
    tfrecord_put(object, example.bytes, example.len_bytes);
    frames_free(&example);
}

static void add_object(struct corpus *c, const char *name, struct frames *object)
{
    scratch_file(&c->scratch, name, object->bytes, object->len_bytes);
    c->bytes += object->len_bytes;
    if (object->len_bytes > c->largest_bytes)
        c->largest_bytes = object->len_bytes;
    frames_free(object);
}

static void corpus_open(struct corpus *c, uint32_t objects, uint32_t records,
                        void (*put)(struct frames *, uint32_t))
{
    *c = (struct corpus){.scratch = scratch_open()};
    for (uint32_t o = 0; o < objects; o++) {
        struct frames object = {0};
        char name[16];

        snprintf(name, sizeof name, "%02u", o);
        for (uint32_t i = 0; i < records + o; i++)
            put(&object, c->count++);
        add_object(c, name, &object);
    }
}

/* Reads one shard and counts its records by their labels. Returns how the stream ended. */
static int read_shard(const struct corpus *c, struct how how, uint32_t *seen, uint64_t *received,
                      char message[2048])
{
    struct penstock *stream = open_path(c->scratch.path, true, how);
    struct penstock_counters counters;
    const struct penstock_batch *batch;
    int rc;

    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        for (uint32_t i = 0; rc == PENSTOCK_OK && i < batch->rows; i++) {
            assert_in_range((uint32_t)batch->labels[i], 0, RECORDS_MAX - 1);
            seen[(uint32_t)batch->labels[i]]++;
        }
        penstock_release(stream, batch);
    }
    penstock_get_counters(stream, 0, &counters);
    *received = counters.bytes_received;
    snprintf(message, 2048, "%s", penstock_last_error(stream, 0)->message);
    penstock_close(&stream);
    return rc;
}

/* All shards together: every record once in each epoch. */
static void check_shards(const struct corpus *c, struct how how, uint32_t shard_count)
{
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    uint32_t epochs = how.epochs ? how.epochs : 1;

    assert_non_null(seen);
    how.split_objects = "bytes";
    how.shard_count = shard_count;
    for (how.shard_index = 0; how.shard_index < shard_count; how.shard_index++) {
        char message[2048];
        uint64_t received;
        int rc = read_shard(c, how, seen, &received, message);

        if (rc != PENSTOCK_END)
            fail_msg("shard %u of %u: %s", how.shard_index, shard_count, message);
    }
    for (uint32_t i = 0; i < c->count; i++)
        if (seen[i] != epochs)
            fail_msg("%u shards: record %u came %u times", shard_count, i, seen[i]);
    free(seen);
}

static void test_shards_of_recordio_have_every_record_once(void **state)
{
    struct corpus c;

    (void)state;
    corpus_open(&c, 3, 200, put_protobuf);
    for (uint32_t shard_count = 1; shard_count <= 40; shard_count += 1 + shard_count / 4)
        check_shards(&c, (struct how){.content_type = PROTOBUF, .batch_rows = 33}, shard_count);
    check_shards(
        &c, (struct how){.content_type = PROTOBUF, .shuffle = true, .seed = 5, .epochs = 2}, 5);
    scratch_close(&c.scratch);
}

static void test_shards_of_tfrecord_have_every_record_once(void **state)
{
    static const char content_type[] = "application/x-tfrecord;example=x;label=id";
    struct corpus c;

    (void)state;
    corpus_open(&c, 2, 300, put_example);
    for (uint32_t shard_count = 1; shard_count <= 40; shard_count += 1 + shard_count / 4)
        check_shards(&c, (struct how){.content_type = content_type}, shard_count);
    scratch_close(&c.scratch);
}

/* More shards than bytes in an object, and ranges in which no record begins. */
static void test_more_shards_than_records_are_empty(void **state)
{
    struct corpus c;

    (void)state;
    corpus_open(&c, 2, 1, put_protobuf);
    check_shards(&c, (struct how){.content_type = PROTOBUF}, 30);
    scratch_close(&c.scratch);
}

/* Several laps of the ring, parts that end anywhere, a record that crosses the ring's end. */
static void test_a_shard_reads_its_share_and_two_percent(void **state)
{
    enum { WIDE = 2000, RECORDS = 8500, SHARDS = 4 };
    struct corpus c = {.scratch = scratch_open()};
    struct frames object = {0};
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    float features[WIDE];
    char message[2048];

    (void)state;
    assert_non_null(seen);
    for (uint32_t i = 0; i < WIDE; i++)
        features[i] = i % 3 == 0 ? MAGIC : (float)i;
    for (uint32_t i = 0; i < RECORDS; i++)
        put_record(&object, i, features, WIDE);
    add_object(&c, "large", &object);
    assert_true(c.bytes > 64 * MIB);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct how how = {.content_type = PROTOBUF,
                          .split_objects = "bytes",
                          .shard_index = shard,
                          .shard_count = SHARDS};
        uint64_t received;
        int rc = read_shard(&c, how, seen, &received, message);

        if (rc != PENSTOCK_END)
            fail_msg("shard %u: %s", shard, message);
        assert_true(received <= c.bytes / SHARDS + c.bytes / 50);
        assert_true(received >= c.bytes / SHARDS);
    }
    for (uint32_t i = 0; i < RECORDS; i++)
        assert_int_equal(seen[i], 1);
    free(seen);
    scratch_close(&c.scratch);
}

/* The magic number before other numbers is the head of a frame of half a GiB. */
static void test_heads_of_endless_frames_do_not_mislead(void **state)
{
    enum { WIDE = 784, RECORDS = 2600 };
    struct corpus c = {.scratch = scratch_open()};
    struct frames object = {0};
    float features[WIDE];

    (void)state;
    for (uint32_t i = 0; i < WIDE; i++)
        features[i] = i % 3 == 0 ? MAGIC : 0.5f + (float)i;
    for (; c.count < RECORDS; c.count++)
        put_record(&object, c.count, features, WIDE);
    add_object(&c, "floats", &object);
    for (uint32_t shard_count = 3; shard_count < 7; shard_count++)
        check_shards(&c, (struct how){.content_type = PROTOBUF}, shard_count);
    scratch_close(&c.scratch);
}

/* Records of which three are more than can be looked at: an error, and none is lost unnoticed. */
static void test_records_too_long_to_be_told_are_an_error(void **state)
{
    enum { WIDE = 225000, RECORDS = 17, SHARDS = 3 };
    struct corpus c = {.scratch = scratch_open()};
    struct frames object = {0};
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    float *features = calloc(WIDE, sizeof *features);
    uint32_t errors = 0;

    (void)state;
    assert_true(seen && features);
    for (uint32_t i = 0; i < RECORDS; i++)
        put_record(&object, i, features, WIDE);
    add_object(&c, "long", &object);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        struct how how = {.content_type = PROTOBUF,
                          .batch_rows = 1,
                          .split_objects = "bytes",
                          .shard_index = shard,
                          .shard_count = SHARDS};
        char message[2048];
        uint64_t received;
        int rc = read_shard(&c, how, seen, &received, message);

        if (rc != PENSTOCK_END) {
            assert_int_equal(rc, PENSTOCK_E_FORMAT);
            assert_non_null(strstr(message, "split_objects"));
            errors++;
        }
    }
    assert_int_equal(errors, SHARDS - 1);
    free(features);
    free(seen);
    scratch_close(&c.scratch);
}

/* A payload that is full of empty frames: no range can begin in it, and none does unnoticed. */
static void test_payloads_of_frames_are_an_error_where_they_mislead(void **state)
{
    enum { WIDE = 3000 };
    struct corpus c = {.scratch = scratch_open()};
    struct frames object = {0};
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    float features[WIDE];
    char message[2048];
    uint64_t received;

    (void)state;
    assert_non_null(seen);
    for (uint32_t i = 0; i < WIDE; i++)
        features[i] = i % 2 == 0 ? MAGIC : 0;
    for (uint32_t i = 0; i < 3; i++)
        put_record(&object, i, features, WIDE);
    add_object(&c, "frames", &object);
    struct how how = {.content_type = PROTOBUF, .split_objects = "bytes", .shard_count = 2};

    assert_int_equal(read_shard(&c, how, seen, &received, message), PENSTOCK_E_FORMAT);
    assert_non_null(strstr(message, "runs into another shard's range"));
    assert_non_null(strstr(message, "split_objects"));
    scratch_close(&c.scratch);
    free(seen);
}

/* Damage at the place where a range begins: the records around it come once, with policy skip. */
static void test_damage_where_a_range_begins_is_skipped(void **state)
{
    struct corpus c = {.scratch = scratch_open()};
    struct frames object = {0};
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    size_t starts[101];
    char message[2048];

    (void)state;
    assert_non_null(seen);
    for (uint32_t i = 0; i <= 100; i++) {
        starts[i] = object.len_bytes;
        put_protobuf(&object, i);
    }
    size_t middle = object.len_bytes / 2;
    uint32_t bad = 0;

    while (starts[bad + 1] <= middle)
        bad++;
    object.bytes[starts[bad] + 1] ^= 0xff;
    add_object(&c, "damaged", &object);
    for (uint32_t shard = 0; shard < 2; shard++) {
        struct how how = {.content_type = PROTOBUF,
                          .split_objects = "bytes",
                          .bad_records = "skip",
                          .shard_index = shard,
                          .shard_count = 2};
        uint64_t received;
        int rc = read_shard(&c, how, seen, &received, message);

        if (rc != PENSTOCK_END)
            fail_msg("shard %u: %s", shard, message);
    }
    for (uint32_t i = 0; i <= 100; i++)
        assert_int_equal(seen[i], i != bad);
    free(seen);
    scratch_close(&c.scratch);
}

/* An index file for the object whose records begin at starts[count]. */
static void add_index(const struct corpus *c, const char *name, const size_t *starts, size_t count)
{
    struct frames text = {0};

    for (size_t i = count; i-- > 0;) { /* in any order, as im2rec.py's are */
        char line[FMT_RECORDIO_INDEX_LINE_BYTES];

        frames_put(&text, line, fmt_recordio_index_line(i * 7, starts[i], line));
    }
    scratch_file(&c->scratch, name, text.bytes, text.len_bytes);
    frames_free(&text);
}

/* Two objects with their indexes; payloads of frames do not matter here. */
static void test_shards_by_index_have_equal_numbers_of_records(void **state)
{
    enum { WIDE = 300, RECORDS = 50 };
    struct corpus c = {.scratch = scratch_open()};
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    char message[2048];

    (void)state;
    assert_non_null(seen);
    for (uint32_t o = 0; o < 2; o++) {
        struct frames object = {0};
        size_t starts[RECORDS];
        float features[WIDE];

        for (uint32_t i = 0; i < WIDE; i++)
            features[i] = i % 2 == 0 ? MAGIC : 0;
        for (uint32_t i = 0; i < RECORDS; i++) {
            starts[i] = object.len_bytes;
            put_record(&object, c.count++, features, WIDE);
        }
        add_index(&c, o == 0 ? "a.b.idx" : "b.idx", starts, RECORDS);
        add_object(&c, o == 0 ? "a.b.rec" : "b", &object);
    }
    for (uint32_t shards = 2; shards < 60; shards += shards) {
        uint64_t all_bytes = 0;

        memset(seen, 0, RECORDS_MAX * sizeof *seen);
        for (uint32_t shard = 0; shard < shards; shard++) {
            struct how how = {.content_type = PROTOBUF,
                              .split_objects = "index",
                              .shard_index = shard,
                              .shard_count = shards};
            uint64_t received;
            int rc = read_shard(&c, how, seen, &received, message);

            if (rc != PENSTOCK_END)
                fail_msg("shard %u of %u: %s", shard, shards, message);
            all_bytes += received;
        }
        for (uint32_t i = 0; i < c.count; i++)
            assert_int_equal(seen[i], 1);
        assert_true(all_bytes == c.bytes);
    }
    free(seen);
    scratch_close(&c.scratch);
}

static void test_indexes_that_are_wrong_say_so(void **state)
{
    static const struct wrong {
        const char *text;
        int rc;
        const char *error;
    } cases[] = {
        {NULL, PENSTOCK_E_NOT_FOUND, "cannot open the index"},
        {"0\tx\n", PENSTOCK_E_FORMAT, "a.idx: line 1 of the index is not KEY, tab, OFFSET"},
        {"0\t0\n1\t4000\n", PENSTOCK_E_FORMAT, "has records behind its end"},
        {"0\t0\n1\t4\n", PENSTOCK_E_FORMAT, "the index is not of this object"},
    };
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);

    (void)state;
    assert_non_null(seen);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct corpus c = {.scratch = scratch_open()};
        struct frames object = {0};
        char message[2048];
        uint64_t received;

        put_protobuf(&object, 0);
        put_protobuf(&object, 1);
        add_object(&c, "a.rec", &object);
        if (cases[i].text)
            scratch_file(&c.scratch, "a.idx", cases[i].text, strlen(cases[i].text));
        struct how how = {.content_type = PROTOBUF, .split_objects = "index", .shard_count = 2};

        assert_int_equal(read_shard(&c, how, seen, &received, message), cases[i].rc);
        if (!strstr(message, cases[i].error))
            fail_msg("%s: %s", cases[i].error, message);
        scratch_close(&c.scratch);
    }
    free(seen);
}

/* What goes with split_objects, and what does not. */
static void test_channels_that_cannot_be_split_say_why(void **state)
{
    static const struct bad {
        struct how how;
        const char *verify;
        const char *error;
    } cases[] = {
        {{.content_type = "text/csv"}, NULL, "of text/csv no record can be told"},
        {{.content_type = "application/octet-stream"}, NULL, "of plain bytes no record"},
        {{.content_type = PROTOBUF, .compression = "auto"}, NULL, "not for compressed objects"},
        {{.content_type = PROTOBUF}, "always", "leave out verify=always"},
        {{.content_type = PROTOBUF, .sample_to = 0.5}, NULL, "leave out one of the two"},
        {{.content_type = PROTOBUF, .split_objects = "records"}, NULL, "use off, bytes or index"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct how how = cases[i].how;
        const char *path = "/tmp";
        struct penstock *stream;
        struct penstock_error error;

        how.shard_count = 2;
        how.split_objects = how.split_objects ? how.split_objects : "bytes";
        struct penstock_channel_config channel = how_channel(&how, true, &path, 1);
        struct penstock_config config = how_config(&how, &channel, 1);

        config.verify = cases[i].verify;
        assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
        if (!strstr(error.message, cases[i].error))
            fail_msg("%s: %s", cases[i].error, error.message);
    }
}

/* An index and a list beside the records. */
static void test_keys_with_other_suffixes_are_left_out(void **state)
{
    static const char *const suffixes[] = {".rec", ".pbr,.rec", "c", "nothing,2.rec,1.rec"};
    struct corpus c = {.scratch = scratch_open()};
    uint32_t *seen = calloc(RECORDS_MAX, sizeof *seen);
    char message[2048];
    uint64_t received;

    (void)state;
    assert_non_null(seen);
    for (uint32_t o = 0; o < 2; o++) {
        struct frames object = {0};

        for (uint32_t i = 0; i < 10; i++)
            put_protobuf(&object, c.count++);
        add_object(&c, o == 0 ? "1.rec" : "2.rec", &object);
    }
    scratch_file(&c.scratch, "1.idx", "0\t0\n1\t80\n", 9);
    scratch_file(&c.scratch, "1.rec.lst", "0\t1.0\ta.jpg\n", 12);
    for (uint32_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        struct how how = {.content_type = PROTOBUF, .key_suffix = suffixes[i]};

        assert_int_equal(read_shard(&c, how, seen, &received, message), PENSTOCK_END);
        for (uint32_t k = 0; k < c.count; k++)
            assert_int_equal(seen[k], i + 1);
    }
    assert_int_equal(
        read_shard(&c, (struct how){.content_type = PROTOBUF}, seen, &received, message),
        PENSTOCK_E_FORMAT);
    assert_non_null(strstr(message, "1.idx, record at byte 0: "));
    assert_non_null(strstr(message, "as key_suffix"));
    struct how none = {.content_type = PROTOBUF, .key_suffix = ".tfrecord,"};

    assert_int_equal(read_shard(&c, none, seen, &received, message), PENSTOCK_E_EMPTY);
    assert_non_null(strstr(message, "whose key ends in .tfrecord,"));
    free(seen);
    scratch_close(&c.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_of_recordio_have_every_record_once),
        cmocka_unit_test(test_shards_of_tfrecord_have_every_record_once),
        cmocka_unit_test(test_more_shards_than_records_are_empty),
        cmocka_unit_test(test_a_shard_reads_its_share_and_two_percent),
        cmocka_unit_test(test_heads_of_endless_frames_do_not_mislead),
        cmocka_unit_test(test_records_too_long_to_be_told_are_an_error),
        cmocka_unit_test(test_payloads_of_frames_are_an_error_where_they_mislead),
        cmocka_unit_test(test_damage_where_a_range_begins_is_skipped),
        cmocka_unit_test(test_shards_by_index_have_equal_numbers_of_records),
        cmocka_unit_test(test_indexes_that_are_wrong_say_so),
        cmocka_unit_test(test_channels_that_cannot_be_split_say_why),
        cmocka_unit_test(test_keys_with_other_suffixes_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
