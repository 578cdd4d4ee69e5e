/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_groups.c - penstock_next_group over files and FIFOs: groups that lie in one span,
 * over several, over the ring's end and over objects; ends, skips and refusals.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/fifo_fixture.h"
#include "tests/unit/stream_fixture.h"

#include <signal.h>

#define PLAIN "application/octet-stream"
#define K 3

/* Item i of group g of epoch e: its length and its bytes tell which it is. */
static size_t item_len(uint32_t group, uint32_t item)
{
    static const size_t lens[] = {0, 1, 6, 1000, 70001, 2500000};

    return lens[(group * 7 + item * 5) % (group % 3 == 2 ? 6 : 5)];
}

static uint8_t item_byte(uint32_t group, uint32_t item, size_t at)
{
    return (uint8_t)((at * 2654435761u + group * 31 + item) >> 11);
}

static void add_item(struct bytes *b, uint32_t group, uint32_t item)
{
    size_t len = item_len(group, item);
    const uint32_t head[2] = {0xced7230a, (uint32_t)len};

    bytes_add(b, head, sizeof head);
    uint8_t *to = bytes_room(b, len);

    for (size_t i = 0; i < len; i++)
        to[i] = item_byte(group, item, i);
    bytes_add(b, "\0\0\0", (4 - len % 4) % 4);
}

/* Groups [first, first + count), as they lie in a stream. */
static struct bytes make_groups(uint32_t first, uint32_t count)
{
    struct bytes b = {.at = NULL};

    for (uint32_t g = first; g < first + count; g++)
        for (uint32_t i = 0; i < K; i++)
            add_item(&b, g, i);
    return b;
}

static struct penstock_groups *open_groups(struct penstock *stream)
{
    struct penstock_groups *groups;
    struct penstock_error error;

    if (penstock_groups_open(stream, 0, K, 0, &groups, &error) != PENSTOCK_OK)
        fail_msg("%s", error.message);
    return groups;
}

static void check_group(const struct penstock_group *group, uint32_t epoch, uint32_t position)
{
    assert_int_equal(group->epoch, epoch);
    assert_int_equal(group->position, position);
    assert_int_equal(group->item_count, K);
    for (uint32_t i = 0; i < K; i++) {
        const uint8_t *data = group->items[i].data;

        assert_int_equal(group->items[i].len_bytes, item_len(position, i));
        for (size_t at = 0; at < group->items[i].len_bytes; at += 61)
            if (data[at] != item_byte(position, i, at))
                fail_msg("group %u, item %u, byte %zu", position, i, at);
    }
}

/* Reads groups 0 .. count - 1 of an epoch. */
static void read_groups(struct penstock_groups *groups, uint32_t epoch, uint32_t count)
{
    for (uint32_t g = 0; g < count; g++) {
        const struct penstock_group *group;
        int rc = penstock_next_group(groups, -1, &group);

        if (rc != PENSTOCK_OK)
            fail_msg("group %u: %s", g, penstock_rc_name(rc));
        check_group(group, epoch, g);
    }
}

static void assert_next(struct penstock_groups *groups, int expected_rc)
{
    const struct penstock_group *group;

    assert_int_equal(penstock_next_group(groups, -1, &group), expected_rc);
    assert_null(group);
}

static struct penstock *open_uri(const char *uri, uint32_t epochs)
{
    return open_path(uri, false, (struct how){.epochs = epochs, .content_type = PLAIN});
}

static struct penstock *open_fifos(const struct writer *w, uint32_t epochs)
{
    char uri[128];

    snprintf(uri, sizeof uri, "pipe://%s/train", w->scratch.path);
    return open_uri(uri, epochs);
}

static void assert_refused(struct penstock *stream, size_t channel_no, uint32_t item_count,
                           unsigned flags, const char *part)
{
    struct penstock_groups *groups;
    struct penstock_error error;

    assert_int_equal(penstock_groups_open(stream, channel_no, item_count, flags, &groups, &error),
                     PENSTOCK_E_ARGUMENT);
    assert_null(groups);
    if (!strstr(error.message, part))
        fail_msg("no '%s' in: %s", part, error.message);
}

static void test_groups_through_fifos(void **state)
{
    (void)state;
    struct bytes b = make_groups(0, 200);
    struct writer w = writer_of(b.at, b.len, 3);

    assert_true(b.len > 40 * MIB); /* laps of a ring of 16 */
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, 3);
    struct penstock_groups *groups = open_groups(stream);

    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        read_groups(groups, epoch, 200);
        assert_next(groups, PENSTOCK_EPOCH_END);
    }
    assert_next(groups, PENSTOCK_END);
    penstock_groups_close(&groups);
    penstock_close(&stream);
    writer_end(&w);
    free(b.at);
}

/* Files may end between the records of a group, and not inside one. */
static void test_groups_go_on_over_objects(void **state)
{
    (void)state;
    struct scratch scratch = scratch_open();
    struct bytes b = make_groups(0, 20);
    struct bytes first = {.at = NULL};

    add_item(&first, 0, 0); /* one record of group 0 */
    scratch_file(&scratch, "a", b.at, first.len);
    scratch_file(&scratch, "b", b.at + first.len, b.len - first.len);
    struct penstock *stream = open_uri(scratch.path, 2);
    struct penstock_groups *groups = open_groups(stream);

    read_groups(groups, 0, 20);
    assert_next(groups, PENSTOCK_EPOCH_END);
    read_groups(groups, 1, 20);
    assert_next(groups, PENSTOCK_EPOCH_END);
    assert_next(groups, PENSTOCK_END);
    penstock_groups_close(&groups);
    penstock_close(&stream);

    scratch_file(&scratch, "b", b.at + first.len, b.len - first.len - 9);
    scratch_file(&scratch, "c", b.at + b.len - 9, 9);
    stream = open_uri(scratch.path, 1);
    groups = open_groups(stream);
    read_groups(groups, 0, 19);
    assert_next(groups, PENSTOCK_E_FORMAT);
    const struct penstock_error *error = penstock_last_error(stream, 0);

    assert_non_null(strstr(error->key, "/b"));
    assert_non_null(strstr(error->message, "inside record 3 of a group of 3"));
    assert_next(groups, PENSTOCK_E_FORMAT);
    penstock_groups_close(&groups);
    penstock_close(&stream);
    scratch_close(&scratch);
    free(first.at);
    free(b.at);
}

static void assert_cut(size_t len, uint32_t whole, uint64_t offset, const char *part)
{
    struct bytes b = make_groups(0, 5);
    struct writer w = writer_of(b.at, len, 1);

    writer_start(&w);
    struct penstock *stream = open_fifos(&w, 1);
    struct penstock_groups *groups = open_groups(stream);

    read_groups(groups, 0, whole);
    assert_next(groups, PENSTOCK_E_FORMAT);
    const struct penstock_error *error = penstock_last_error(stream, 0);

    assert_string_equal(error->key, fifo_path(&w, 0).text);
    assert_int_equal(error->offset_bytes, offset);
    if (!strstr(error->message, part) || !strstr(error->message, error->key))
        fail_msg("no '%s' in: %s", part, error->message);
    penstock_groups_close(&groups);
    penstock_close(&stream);
    writer_end(&w);
    free(b.at);
}

static void test_a_fifo_that_ends_inside_a_group_is_an_error(void **state)
{
    (void)state;
    struct bytes b = make_groups(0, 2);
    struct bytes two = {.at = NULL};

    add_item(&two, 2, 0);
    size_t second = b.len + two.len;

    add_item(&two, 2, 1);
    assert_cut(b.len + two.len, 2, b.len, "after 2 of the 3 records of a group");
    assert_cut(b.len + two.len - 1, 2, second, "inside record 2 of a group of 3");
    assert_cut(second + 7, 2, second, "inside record 2 of a group of 3");
    free(b.at);
    free(two.at);
}

static void test_an_epoch_can_be_left(void **state)
{
    (void)state;
    struct bytes b = make_groups(0, 100);
    struct writer w = writer_of(b.at, b.len, 4);
    static const uint32_t stops[] = {0, 1, 17, 100};

    w.pause_ms = 3;
    writer_start(&w);
    struct penstock *stream = open_fifos(&w, 4);
    struct penstock_groups *groups = open_groups(stream);

    for (uint32_t epoch = 0; epoch < 4; epoch++) {
        read_groups(groups, epoch, stops[epoch]);
        assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
    }
    assert_next(groups, PENSTOCK_END);
    penstock_groups_close(&groups);
    penstock_close(&stream);
    writer_end(&w);
    free(b.at);
}

static void test_a_wait_ends_in_time_and_goes_on(void **state)
{
    (void)state;
    struct bytes b = make_groups(0, 2);
    struct writer w = writer_of(b.at, b.len, 1);
    const struct penstock_group *group;
    struct penstock *stream = open_fifos(&w, 1);
    struct penstock_groups *groups = open_groups(stream);

    assert_int_equal(penstock_next_group(groups, 0, &group), PENSTOCK_AGAIN);
    assert_int_equal(penstock_next_group(groups, 10, &group), PENSTOCK_AGAIN);
    writer_start(&w);
    read_groups(groups, 0, 2);
    assert_next(groups, PENSTOCK_EPOCH_END);
    penstock_groups_close(&groups);
    assert_null(groups);
    penstock_groups_close(&groups);
    penstock_close(&stream);
    writer_end(&w);
    free(b.at);
}

/* ---- lines of an augmented manifest ---- */

static size_t file_len(uint32_t line)
{
    static const size_t lens[] = {0, 1, 100000, 1048576, 1048577, 3000000};

    return lens[line % 6];
}

/* Line i: the bytes of file i, as item (i, 0), the number i, and the bytes of the next file. */
static void write_lines(const struct scratch *scratch, uint32_t lines)
{
    struct bytes text = {.at = NULL};
    char line[256];

    for (uint32_t i = 0; i < lines; i++) {
        struct bytes b = {.at = NULL};
        uint8_t *to = bytes_room(&b, file_len(i) + 1);

        snprintf(line, sizeof line, "file-%u", i);
        for (size_t at = 0; at < file_len(i); at++)
            to[at] = item_byte(i, 0, at);
        scratch_file(scratch, line, to, file_len(i));
        free(b.at);
        snprintf(line, sizeof line,
                 "{\"number\": %u, \"file-ref\": \"%s/file-%u\", \"next-ref\": \"%s/file-%u\"}\n",
                 i, scratch->path, i, scratch->path, (i + 1) % lines);
        bytes_add_text(&text, line);
    }
    scratch_file(scratch, "manifest", text.at, text.len);
    free(text.at);
}

static struct penstock *open_lines(const struct scratch *scratch, uint32_t epochs)
{
    static const char *const names[] = {"file-ref", "number", "next-ref"};
    struct scratch_name manifest = scratch_path(scratch, "manifest");
    struct how how = {.epochs = epochs, .content_type = PLAIN};
    const char *uri = manifest.text;
    struct penstock_channel_config channel = how_channel(&how, false, &uri, 1);

    channel.data_type = "augmented-manifest";
    channel.attribute_names = names;
    channel.attribute_count = 3;
    const struct penstock_config config = how_config(&how, &channel, 1);

    return open_config(&config);
}

static void check_file(const struct penstock_item *item, uint32_t file)
{
    const uint8_t *data = item->data;

    assert_int_equal(item->len_bytes, file_len(file));
    for (size_t at = 0; at < file_len(file); at += 61)
        if (data[at] != item_byte(file, 0, at))
            fail_msg("file %u, byte %zu", file, at);
}

/* Reads the first `count` of `lines` lines. */
static void read_lines(struct penstock_groups *groups, uint32_t epoch, uint32_t lines,
                       uint32_t count)
{
    for (uint32_t line = 0; line < count; line++) {
        const struct penstock_group *group;
        char number[16];
        int rc = penstock_next_group(groups, -1, &group);

        if (rc != PENSTOCK_OK)
            fail_msg("line %u: %s", line, penstock_rc_name(rc));
        size_t number_len = (size_t)snprintf(number, sizeof number, "%u", line);

        assert_int_equal(group->item_count, 3);
        assert_int_equal(group->epoch, epoch);
        assert_int_equal(group->position, line);
        assert_int_equal(group->line_no, line + 1);
        check_file(&group->items[0], line);
        assert_int_equal(group->items[1].len_bytes, number_len);
        assert_memory_equal(group->items[1].data, number, number_len);
        check_file(&group->items[2], (line + 1) % lines);
    }
}

static void test_lines_come_whole_and_can_be_left(void **state)
{
    (void)state;
    struct scratch scratch = scratch_open();
    static const uint32_t stops[] = {40, 0, 7, 40};
    struct penstock_groups *groups;
    struct penstock_error error;

    write_lines(&scratch, 40);
    struct penstock *stream = open_lines(&scratch, 4);

    assert_refused(stream, 0, 2, 0, "have 3 attributes each");
    assert_refused(stream, 0, 3, PENSTOCK_GROUPS_DMLC, "and no records");
    assert_int_equal(penstock_groups_open(stream, 0, 3, 0, &groups, &error), PENSTOCK_OK);
    for (uint32_t epoch = 0; epoch < 4; epoch++) {
        read_lines(groups, epoch, 40, stops[epoch]);
        if (stops[epoch] == 40)
            assert_next(groups, PENSTOCK_EPOCH_END);
        else
            assert_int_equal(penstock_skip_epoch(stream, 0), PENSTOCK_OK);
    }
    assert_next(groups, PENSTOCK_END);
    penstock_groups_close(&groups);
    penstock_close(&stream);
    scratch_close(&scratch);
}

static void test_a_line_longer_than_its_memory_is_an_error(void **state)
{
    (void)state;
    static const size_t len = 9 * MIB; /* of 16, of which a group may take a fourth */
    struct scratch scratch = scratch_open();
    uint8_t *bytes = calloc(1, len);
    struct penstock_groups *groups;
    struct penstock_error error;

    assert_non_null(bytes);
    write_lines(&scratch, 3);
    scratch_file(&scratch, "file-2", bytes, len);
    struct penstock *stream = open_lines(&scratch, 1);

    assert_int_equal(penstock_groups_open(stream, 0, 3, 0, &groups, &error), PENSTOCK_OK);
    read_lines(groups, 0, 3, 1);
    assert_next(groups, PENSTOCK_E_MEMORY);
    assert_non_null(strstr(penstock_last_error(stream, 0)->message, "raise the memory limit"));
    penstock_groups_close(&groups);
    penstock_close(&stream);
    free(bytes);
    scratch_close(&scratch);
}

static void test_what_cannot_be_grouped_is_refused(void **state)
{
    (void)state;
    struct penstock *stream = open_uri("/nowhere", 1);

    assert_refused(stream, 1, K, 0, "there is no channel 1");
    assert_refused(stream, 0, 0, 0, "groups of 0 records");
    assert_refused(stream, 0, 65537, 0, "groups of 65537 records");
    assert_refused(stream, 0, K, 2, "flags 0x2");
    penstock_close(&stream);
    stream = open_path("/nowhere", false, (struct how){.epochs = 1});
    assert_refused(stream, 0, K, 0, "holds records of one content type");
    penstock_close(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_through_fifos),
        cmocka_unit_test(test_groups_go_on_over_objects),
        cmocka_unit_test(test_a_fifo_that_ends_inside_a_group_is_an_error),
        cmocka_unit_test(test_an_epoch_can_be_left),
        cmocka_unit_test(test_a_wait_ends_in_time_and_goes_on),
        cmocka_unit_test(test_lines_come_whole_and_can_be_left),
        cmocka_unit_test(test_a_line_longer_than_its_memory_is_an_error),
        cmocka_unit_test(test_what_cannot_be_grouped_is_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
