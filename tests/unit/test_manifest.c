/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_manifest.c - channels of manifests in files: items in order, each told apart,
 * whatever is skipped or held on to; and the plan that knows sizes later. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <zlib.h>

#include <cmocka.h>

#include "pipe/plan.h"
#include "tests/unit/stream_fixture.h"

#define LINES 24
#define ITEMS 3
#define VALUE_LINE 5 /* whose value is longer than a span */

static const char *const attributes[ITEMS] = {"n", "x-ref", "text"};

struct item {
    uint8_t *bytes;
    size_t len;
};

struct lines {
    struct scratch scratch;
    struct scratch_name manifest;
    struct item items[LINES][ITEMS];
};

static size_t object_bytes(uint32_t line)
{
    static const size_t sizes[] = {0, 1, 5000, 3 * MIB + 17};

    return sizes[line % 4];
}

static struct item make_item(size_t len, uint32_t seed)
{
    struct item item = {.bytes = malloc(len + 1), .len = len};

    assert_non_null(item.bytes);
    for (size_t i = 0; i < len; i++)
        item.bytes[i] = (uint8_t)('a' + (i * 2654435761u + seed * 97u) % 26);
    item.bytes[len] = '\0';
    return item;
}

/* Contents in gzip, for a channel that is inflated. */
static struct bytes zip(const struct item *item)
{
    struct bytes out = {.len = 0};
    z_stream z = {.next_in = item->bytes, .avail_in = (uInt)item->len};

    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, item->len);

    z.next_out = bytes_room(&out, room);
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = z.total_out;
    deflateEnd(&z);
    return out;
}

/* Lines of a number, a reference and a text; line 3 is blank. */
static struct lines *make_lines(bool zipped)
{
    struct lines *l = calloc(1, sizeof *l);
    struct bytes text = {.len = 0};
    char name[32], head[160];

    assert_non_null(l);
    l->scratch = scratch_open();
    for (uint32_t i = 0; i < LINES; i++) {
        struct item *items = l->items[i];

        items[0] = make_item(8, 0);
        items[0].len = (size_t)snprintf((char *)items[0].bytes, 8, "%u", i);
        items[1] = make_item(object_bytes(i), i);
        items[2] = make_item(i == VALUE_LINE ? 2 * MIB + 5 : i % 3, 100 + i);
        snprintf(name, sizeof name, "o%02u", i);
        struct bytes zip_bytes = zipped ? zip(&items[1]) : (struct bytes){.len = 0};

        scratch_file(&l->scratch, name, zipped ? zip_bytes.at : items[1].bytes,
                     zipped ? zip_bytes.len : items[1].len);
        free(zip_bytes.at);
        snprintf(head, sizeof head, "{\"x-ref\":\"%s/%s\",\"n\":%u,\"text\":\"", l->scratch.path,
                 name, i);
        bytes_add_text(&text, head);
        bytes_add(&text, items[2].bytes, items[2].len);
        bytes_add_text(&text, i == 2 ? "\"}\n \n" : "\"}\n");
    }
    scratch_file(&l->scratch, "m.jsonl", text.at, text.len);
    l->manifest = scratch_path(&l->scratch, "m.jsonl");
    free(text.at);
    return l;
}

static void free_lines(struct lines *l)
{
    for (uint32_t i = 0; i < LINES; i++)
        for (uint32_t k = 0; k < ITEMS; k++)
            free(l->items[i][k].bytes);
    scratch_close(&l->scratch);
    free(l);
}

static struct penstock *open_lines(const struct lines *l, struct how how, const char *compression)
{
    const char *uri = l->manifest.text;
    struct penstock_channel_config channel;
    struct penstock_config config;

    how.content_type = "application/octet-stream";
    channel = how_channel(&how, false, &uri, 1);
    channel.data_type = "augmented-manifest";
    channel.attribute_names = attributes;
    channel.attribute_count = ITEMS;
    channel.compression = compression;
    config = how_config(&how, &channel, 1);
    return open_config(&config);
}

/* Where the oracle stands. */
struct expected {
    const struct lines *lines;
    uint32_t line, item, epoch;
    uint64_t offset, position;
    bool zipped;
};

static void next_item(struct expected *e)
{
    e->offset = 0;
    e->item = (e->item + 1) % ITEMS;
    e->line += e->item == 0;
}

static void check_span(struct expected *e, const struct penstock_span *span)
{
    const struct item *item = &e->lines->items[e->line][e->item];
    bool known = !(e->zipped && e->item == 1 && item->len > 0);

    assert_int_equal(span->line_no, e->line + 1 + (e->line > 2));
    assert_int_equal(span->attribute_no, e->item);
    assert_int_equal(span->uri_no, 0);
    assert_int_equal(span->epoch, e->epoch);
    assert_int_equal(span->position, e->position);
    assert_int_equal(span->object_offset, e->offset);
    if (known || span->object_bytes != 0)
        assert_int_equal(span->object_bytes, item->len);
    assert_in_range(span->len_bytes, item->len > 0, 1 << 20);
    assert_in_range(span->len_bytes, 0, item->len - e->offset);
    assert_memory_equal(span->data, item->bytes + e->offset, span->len_bytes);
    if (e->item != 1)
        assert_string_equal(span->key, attributes[e->item]);
    e->offset += span->len_bytes;
    e->position += span->len_bytes;
    assert_int_equal(span->ends_object, e->offset == item->len);
    if (span->ends_object)
        next_item(e);
}

static void check_epoch_end(struct expected *e)
{
    assert_int_equal(e->line, LINES);
    assert_int_equal(e->offset, 0);
    e->epoch++;
    e->line = e->item = 0;
    e->position = 0;
}

static void read_all(struct penstock *stream, struct expected *e, uint32_t epochs, uint32_t most)
{
    const struct penstock_span *held[64];
    const struct penstock_span *span;
    uint32_t count = 0;
    int rc;

    while ((rc = penstock_next_span(stream, 0, 10000, &span)) == PENSTOCK_OK ||
           rc == PENSTOCK_EPOCH_END) {
        if (rc == PENSTOCK_EPOCH_END) {
            check_epoch_end(e);
            continue;
        }
        check_span(e, span);
        held[count++] = span;
        if (count == most) /* all of them, the newest first */
            for (; count > 0; count--)
                penstock_release_span(stream, held[count - 1]);
    }
    if (rc != PENSTOCK_END)
        fail_msg("%s: %s", penstock_rc_name(rc), penstock_last_error(stream, 0)->message);
    assert_int_equal(e->epoch, epochs);
    while (count > 0)
        penstock_release_span(stream, held[--count]);
}

static void test_items_come_in_order_and_are_told_apart(void **state)
{
    struct penstock_counters counters;

    (void)state;
    for (int zipped = 0; zipped < 2; zipped++) {
        struct lines *l = make_lines(zipped != 0);

        for (uint32_t most = 1; most < 10; most += 8) {
            struct expected e = {.lines = l, .zipped = zipped != 0};
            struct penstock *stream =
                open_lines(l, (struct how){.epochs = 3}, zipped ? "gzip" : "none");

            read_all(stream, &e, 3, most);
            penstock_get_counters(stream, 0, &counters);
            assert_int_equal(counters.objects_listed, LINES * ITEMS);
            assert_int_equal(counters.objects_streamed, 3 * LINES * ITEMS);
            assert_int_equal(counters.lines_skipped, 0);
            penstock_close(&stream);
        }
        free_lines(l);
    }
}

/* Epochs are left after every number of spans: the next begins at its beginning. */
static void test_skipped_epochs_leave_nothing_behind(void **state)
{
    (void)state;
    for (int zipped = 0; zipped < 2; zipped++) {
        struct lines *l = make_lines(zipped != 0);
        struct expected e = {.lines = l, .zipped = zipped != 0};
        struct penstock *stream =
            open_lines(l, (struct how){.epochs = ENDLESS}, zipped ? "gzip" : "none");
        const struct penstock_span *span;

        for (uint32_t spans = 0; spans < 130; spans += spans < 30 ? 1 : 9) {
            for (uint32_t i = 0; i < spans; i++) {
                int rc = penstock_next_span(stream, 0, 10000, &span);

                if (rc == PENSTOCK_EPOCH_END) {
                    check_epoch_end(&e);
                    continue;
                }
                assert_int_equal(rc, PENSTOCK_OK);
                check_span(&e, span);
                penstock_release_span(stream, span);
            }
            assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
            e = (struct expected){.lines = l, .epoch = e.epoch + 1, .zipped = zipped != 0};
        }
        penstock_close(&stream);
        free_lines(l);
    }
}

/* Nothing is ever fetched of these, in epochs without end: neither the fetching nor an inflater may
 * run away, nor fall behind. */
static void test_epochs_without_anything_to_fetch(void **state)
{
    static const char *const texts[] = {"{\"a\":\"v\",\"a-ref\":\"%s/empty\"}\n",
                                        "{\"a\":\"v\",\"a-ref\":\"w\"}\n"};
    static const char *const names[2][2] = {{"a", "a-ref"}, {"a", "a"}};
    struct scratch scratch = scratch_open();
    struct scratch_name manifest = scratch_path(&scratch, "m");
    char text[200];

    (void)state;
    scratch_file(&scratch, "empty", "", 0);
    for (int round = 0; round < 4; round++) {
        bool values = round % 2 != 0;
        struct how how = {.epochs = ENDLESS, .content_type = "application/octet-stream"};
        const char *uri = manifest.text;
        struct penstock_channel_config channel = how_channel(&how, false, &uri, 1);
        struct penstock_config config = how_config(&how, &channel, 1);
        const struct penstock_span *span;
        struct penstock *stream;

        int len = snprintf(text, sizeof text, texts[values], scratch.path);

        scratch_file(&scratch, "m", text, (size_t)len);
        channel.data_type = "augmented-manifest";
        channel.attribute_names = names[values];
        channel.attribute_count = values ? 1 : 2;
        channel.compression = round > 1 ? "gzip" : "none";
        stream = open_config(&config);
        for (uint32_t epoch = 0; epoch < 300; epoch++) {
            assert_int_equal(penstock_next_span(stream, 0, 10000, &span), PENSTOCK_OK);
            assert_int_equal(span->epoch, epoch);
            assert_int_equal(span->len_bytes, 1);
            assert_memory_equal(span->data, "v", 1);
            penstock_release_span(stream, span);
            if (epoch % 7 == 3) {
                assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
                continue;
            }
            if (!values) {
                assert_int_equal(penstock_next_span(stream, 0, 10000, &span), PENSTOCK_OK);
                assert_int_equal(span->len_bytes, 0);
                assert_true(span->ends_object);
                penstock_release_span(stream, span);
            }
            assert_int_equal(penstock_next_span(stream, 0, 10000, &span), PENSTOCK_EPOCH_END);
        }
        penstock_close(&stream);
    }
    scratch_close(&scratch);
}

/* Lines of which some have no bytes to fetch, shuffled, one host's share of three, epochs left
 * anywhere: what was not asked for in one epoch is in another, where the share has other lines. */
static void test_shuffled_shares_and_epochs_left_anywhere(void **state)
{
    enum { COUNT = 600, SHARES = 3, EPOCHS = 60 };
    struct scratch scratch = scratch_open();
    struct scratch_name manifest = scratch_path(&scratch, "m.jsonl");
    const char *uri = manifest.text;
    struct how how = {.epochs = ENDLESS,
                      .shuffle = true,
                      .seed = 77,
                      .shard_index = 1,
                      .shard_count = SHARES,
                      .content_type = "application/octet-stream"};
    struct penstock_channel_config channel = how_channel(&how, false, &uri, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct bytes text = {.len = 0};
    uint32_t random = 12345;
    char name[200];

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "o%u", i);
        scratch_file(&scratch, name, name, i % 4 == 0 ? 0 : strlen(name));
        snprintf(name, sizeof name, "{\"x-ref\":\"%s/o%u\",\"n\":%u,\"text\":\"\"}\n", scratch.path,
                 i, i);
        bytes_add_text(&text, name);
    }
    scratch_file(&scratch, "m.jsonl", text.at, text.len);
    free(text.at);
    channel.data_type = "augmented-manifest";
    channel.attribute_names = attributes;
    channel.attribute_count = ITEMS;
    struct penstock *stream = open_config(&config);

    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint64_t key = ps_permute_key(how.seed, epoch);
        uint32_t most = (random = random * 1664525u + 1013904223u) >> 22;
        const struct penstock_span *span;
        uint32_t at = 0;

        for (; at < most && at < COUNT / SHARES * ITEMS; at++) {
            uint64_t line = ps_permute(at / ITEMS * SHARES + 1, COUNT, key);
            size_t len =
                (size_t)snprintf(name, sizeof name, at % ITEMS == 0 ? "%u" : "o%u", (unsigned)line);

            len = at % ITEMS == 2 || (at % ITEMS == 1 && line % 4 == 0) ? 0 : len;
            assert_int_equal(penstock_next_span(stream, 0, 10000, &span), PENSTOCK_OK);
            assert_int_equal(span->epoch, epoch);
            assert_int_equal(span->line_no, line + 1);
            assert_int_equal(span->attribute_no, at % ITEMS);
            assert_int_equal(span->len_bytes, len);
            assert_memory_equal(span->data, name, len);
            penstock_release_span(stream, span);
        }
        if (at == COUNT / SHARES * ITEMS)
            assert_int_equal(penstock_next_span(stream, 0, 10000, &span), PENSTOCK_EPOCH_END);
        else
            assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
    }
    penstock_close(&stream);
    scratch_close(&scratch);
}

/* A manifest of records: objects twice, in no order, an empty one between. */
static void test_records_by_manifest(void **state)
{
    struct data *d = data_open(false, 4, 50, 3);
    struct scratch_name manifest = scratch_path(&d->scratch, "m.json");
    const char *uri = manifest.text;
    struct how how = {.epochs = 2, .batch_rows = 10};
    struct penstock_channel_config channel = how_channel(&how, false, &uri, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    static const uint32_t order[] = {3, 1, 1, 0, 2};
    struct bytes text = {.len = 0};
    struct penstock *stream;
    uint32_t at = 0, row = 0;
    int rc;

    (void)state;
    scratch_file(&d->scratch, "empty", "", 0);
    bytes_add_text(&text, "[{\"prefix\":\"file://");
    bytes_add_text(&text, d->scratch.path);
    bytes_add_text(&text, "/\"},\"empty\"");
    for (size_t i = 0; i < 5; i++) {
        bytes_add_text(&text, ",\"");
        bytes_add_text(&text, data_name(order[i]).text);
        bytes_add_text(&text, "\"");
    }
    bytes_add_text(&text, "]");
    scratch_file(&d->scratch, "m.json", text.at, text.len);
    free(text.at);
    channel.data_type = "manifest";
    stream = open_config(&config);
    for (uint32_t epoch = 0; epoch < 2;) {
        const struct penstock_batch *batch;

        rc = penstock_next(stream, 0, 10000, &batch);
        if (rc == PENSTOCK_EPOCH_END) {
            assert_int_equal(at, 5);
            at = 0;
            epoch++;
            continue;
        }
        if (rc != PENSTOCK_OK)
            fail_msg("%s", penstock_last_error(stream, 0)->message);
        for (uint32_t r = 0; r < batch->rows; r++) {
            assert_int_equal(batch->labels[r], order[at]);
            assert_int_equal(batch->features[r * batch->feature_dim], row);
            if (++row == d->rows[order[at]]) {
                row = 0;
                at++;
            }
        }
        penstock_release(stream, batch);
    }
    penstock_close(&stream);
    data_close(d);
}

static void test_augmented_manifests_are_plain_bytes(void **state)
{
    struct how how = {.epochs = 1};
    const char *uri = "/nowhere";
    struct penstock_channel_config channel = how_channel(&how, false, &uri, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock_error error;
    struct penstock *stream;

    (void)state;
    channel.data_type = "augmented-manifest";
    channel.attribute_names = attributes;
    channel.attribute_count = ITEMS;
    assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "application/x-image, not text/csv"));
}

/* ---- the plan ---- */

static struct ps_plan *plan_of(uint64_t units, uint32_t items, bool empty_items)
{
    const struct ps_plan_config config = {
        .shard_count = 1, .epochs = 2, .unit_items = items, .empty_items = empty_items};
    struct ps_plan *plan = ps_plan_new(&config);

    for (uint64_t u = 0; u < units; u++) {
        struct ps_object unit[ITEMS];
        char key[24];

        snprintf(key, sizeof key, "%u", (unsigned)u);
        for (uint32_t i = 0; i < items; i++)
            unit[i] = i == 1 ? (struct ps_object){.state = PS_OBJECT_VALUE,
                                                  .key = "value",
                                                  .value = (const uint8_t *)key,
                                                  .size_bytes = strlen(key)}
                             : (struct ps_object){.state = PS_OBJECT_UNSIZED, .key = key};
        assert_int_equal(ps_plan_add_unit(plan, unit), PENSTOCK_OK);
    }
    return plan;
}

static enum ps_plan_answer at(struct ps_plan *plan, uint64_t index, const struct ps_object **object)
{
    const struct ps_cursor cursor = {.index = index};

    return ps_plan_at(plan, &cursor, object);
}

static bool ask(struct ps_plan *plan, uint64_t index)
{
    const struct ps_cursor cursor = {.index = index};
    const struct ps_object *object;
    bool unsized;

    assert_int_equal(ps_plan_ask(plan, &cursor, &object, &unsized), PS_PLAN_OBJECT);
    return unsized;
}

static void test_a_unit_is_known_as_a_whole(void **state)
{
    struct ps_plan *plan = plan_of(1000, ITEMS, true);
    const struct ps_cursor first = {.index = 0}, third = {.index = 2}, last = {.index = 2997};
    const struct ps_object *object;
    struct penstock_error error = {.rc = PENSTOCK_E_DENIED};

    (void)state;
    assert_int_equal(at(plan, 0, &object), PS_PLAN_WAIT);
    ps_plan_complete(plan);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(at(plan, i, &object), PS_PLAN_WAIT);
    assert_true(ask(plan, 0));
    assert_false(ask(plan, 0)); /* it has been asked for */
    assert_false(ask(plan, 1)); /* a value */
    assert_true(ask(plan, 2));
    assert_int_equal(ps_plan_size(plan, &third, 0, "e2"), PENSTOCK_OK);
    assert_int_equal(at(plan, 2, &object), PS_PLAN_WAIT);
    assert_int_equal(ps_plan_size(plan, &first, 7, "e0"), PENSTOCK_OK);
    assert_int_equal(at(plan, 2, &object), PS_PLAN_OBJECT);
    assert_int_equal(object->state, PS_OBJECT_LISTED); /* an item of no bytes */
    assert_int_equal(ps_object_ring_bytes(object), 0);
    assert_int_equal(at(plan, 1, &object), PS_PLAN_OBJECT);
    assert_memory_equal(object->value, "0", 1);
    assert_int_equal(ps_object_ring_bytes(object), 0);
    assert_int_equal(at(plan, 0, &object), PS_PLAN_OBJECT);
    assert_int_equal(ps_object_ring_bytes(object), 7);
    assert_string_equal(object->etag, "e0");
    assert_int_equal(at(plan, 3, &object), PS_PLAN_WAIT);
    assert_int_equal(at(plan, 3000, &object), PS_PLAN_EPOCH_END);

    assert_true(ask(plan, 2997));
    assert_true(ps_plan_leave_out(plan, &last));
    assert_false(ps_plan_leave_out(plan, &last));
    for (uint64_t i = 2997; i < 3000; i++) {
        assert_int_equal(at(plan, i, &object), PS_PLAN_OBJECT);
        assert_int_equal(object->state, PS_OBJECT_LEFT_OUT);
        assert_false(ask(plan, i));
    }
    assert_int_equal(ps_plan_count(plan), 2997);
    assert_int_equal(ps_plan_unsized(plan), 2 * 998);
    ps_plan_fail(plan, &error);
    assert_int_equal(at(plan, 0, &object), PS_PLAN_OBJECT);
    assert_int_equal(at(plan, 3, &object), PS_PLAN_FAILED);
    ps_plan_free(plan);
}

static void test_empty_objects_of_a_manifest_are_left_out(void **state)
{
    struct ps_plan *plan = plan_of(2, 1, false);
    const struct ps_cursor first = {.index = 0}, second = {.index = 1};
    const struct ps_object *object;

    (void)state;
    ps_plan_complete(plan);
    assert_true(ask(plan, 0) && ask(plan, 1));
    assert_int_equal(ps_plan_size(plan, &first, 0, "e"), PENSTOCK_OK);
    assert_int_equal(at(plan, 0, &object), PS_PLAN_OBJECT);
    assert_int_equal(object->state, PS_OBJECT_LEFT_OUT);
    assert_int_equal(ps_plan_count(plan), 1);
    assert_int_equal(ps_plan_size(plan, &second, 0, "e"), PENSTOCK_OK);
    assert_int_equal(ps_plan_count(plan), 0);
    ps_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_in_order_and_are_told_apart),
        cmocka_unit_test(test_skipped_epochs_leave_nothing_behind),
        cmocka_unit_test(test_epochs_without_anything_to_fetch),
        cmocka_unit_test(test_shuffled_shares_and_epochs_left_anywhere),
        cmocka_unit_test(test_records_by_manifest),
        cmocka_unit_test(test_augmented_manifests_are_plain_bytes),
        cmocka_unit_test(test_a_unit_is_known_as_a_whole),
        cmocka_unit_test(test_empty_objects_of_a_manifest_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
