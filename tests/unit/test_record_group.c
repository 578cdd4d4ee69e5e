/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_record_group.c - formats/record_group.c: the same groups however the bytes come,
 * and an error wherever they end too early.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/record_group.h"

#define STREAM_BYTES_MAX 65536
#define PAYLOADS_MAX 64
#define UNLIMITED SIZE_MAX

/* A stream, and the payloads that are in it. */
struct stream {
    uint8_t bytes[STREAM_BYTES_MAX];
    size_t len;
    struct {
        uint8_t bytes[2048];
        size_t len;
        size_t end; /* of its frames in the stream */
    } payloads[PAYLOADS_MAX];
    uint32_t count;
};

static void put_le32(struct stream *s, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        s->bytes[s->len++] = (uint8_t)(value >> 8 * i);
}

static void put_frame(struct stream *s, uint32_t flag, const void *payload, size_t len)
{
    put_le32(s, 0xced7230a);
    put_le32(s, flag << 29 | (uint32_t)len);
    memcpy(s->bytes + s->len, payload, len);
    s->len += len;
    while (s->len % 4 != 0)
        s->bytes[s->len++] = 0xee; /* pad bytes may have any value */
}

/* Appends a record of `parts` parts, and what is read of it to the payloads. */
static void put_record(struct stream *s, size_t len, uint32_t parts, bool magic_between)
{
    uint8_t *to = s->payloads[s->count].bytes;
    size_t to_len = 0;

    for (uint32_t p = 0; p < parts; p++) {
        uint32_t flag = parts == 1 ? 0 : p == 0 ? 1 : p + 1 == parts ? 3 : 2;
        size_t part_len = len / parts + (p < len % parts);
        size_t from = to_len + (p > 0 && magic_between ? 4 : 0);

        if (p > 0 && magic_between)
            memcpy(to + to_len, "\x0a\x23\xd7\xce", 4);
        for (size_t i = 0; i < part_len; i++)
            to[from + i] = (uint8_t)(s->count * 31 + i * 7 + p);
        put_frame(s, flag, to + from, part_len);
        to_len = from + part_len;
    }
    s->payloads[s->count].len = to_len;
    s->payloads[s->count++].end = s->len;
}

/* Lengths of every residue, empty ones, records in parts, and one that holds the magic. */
static struct stream *make_stream(uint32_t count, bool magic_between)
{
    struct stream *s = calloc(1, sizeof *s);

    assert_non_null(s);
    for (uint32_t i = 0; i < count; i++)
        put_record(s, i % 5 == 4 ? 0 : i * 13 % 90, i % 4 == 3 ? 2 + i % 3 : 1, magic_between);
    return s;
}

/* The group from payload `first` on is as it should be. */
static void check_group(const struct stream *s, const struct fmt_group *group, uint32_t first,
                        uint32_t item_count)
{
    const struct fmt_item *items = fmt_group_items(group);

    for (uint32_t i = 0; i < item_count; i++) {
        assert_int_equal(items[i].len_bytes, s->payloads[first + i].len);
        assert_memory_equal(items[i].data, s->payloads[first + i].bytes, items[i].len_bytes);
    }
}

/* Hands over [0, len) of the stream in runs that end at `cuts`, which begin with 0 and end with
 * len; each run lies in memory of its own. Returns how many groups came. */
static uint32_t take_runs(const struct stream *s, struct fmt_group *group, uint32_t item_count,
                          const size_t *cuts, size_t run_count)
{
    uint32_t groups = 0;

    for (size_t r = 0; r < run_count; r++) {
        size_t len = cuts[r + 1] - cuts[r];
        uint8_t *run = malloc(len ? len : 1);
        size_t at = 0;

        assert_non_null(run);
        memcpy(run, s->bytes + cuts[r], len);
        for (enum fmt_rc rc = FMT_OK; rc == FMT_OK;) {
            struct fmt_error error = {.text = ""};
            size_t used;

            rc = fmt_group_take(group, run + at, len - at, &used, &error);
            assert_in_range(rc, FMT_OK, FMT_MORE);
            at += used;
            if (rc == FMT_OK)
                check_group(s, group, groups++ * item_count, item_count);
        }
        assert_int_equal(at, len);
        free(run);
    }
    return groups;
}

static void test_groups_are_the_same_for_any_split(void **state)
{
    (void)state;
    for (uint32_t item_count = 1; item_count <= 4; item_count++) {
        struct stream *s = make_stream(12, item_count % 2 == 0);
        struct fmt_group *group = fmt_group_new(item_count, UNLIMITED, item_count % 2 == 0);
        struct fmt_error error = {.text = ""};

        assert_non_null(group);
        for (size_t cut = 0; cut <= s->len; cut++) {
            const size_t cuts[] = {0, cut, cut + (s->len - cut) / 3, s->len};

            assert_int_equal(take_runs(s, group, item_count, cuts, 3), 12 / item_count);
            assert_int_equal(fmt_group_end(group, &error), FMT_OK);
        }
        fmt_group_free(group);
        free(s);
    }
}

static void test_groups_are_the_same_byte_by_byte(void **state)
{
    (void)state;
    struct stream *s = make_stream(30, false);
    struct fmt_group *group = fmt_group_new(3, UNLIMITED, false);
    struct fmt_error error = {.text = ""};
    size_t *cuts = calloc(s->len + 1, sizeof *cuts);

    assert_non_null(cuts);
    for (size_t i = 0; i <= s->len; i++)
        cuts[i] = i;
    assert_int_equal(take_runs(s, group, 3, cuts, s->len), 10);
    assert_int_equal(fmt_group_end(group, &error), FMT_OK);
    fmt_group_free(group);
    free(cuts);
    free(s);
}

static void test_whole_groups_are_lent_in_place(void **state)
{
    (void)state;
    struct stream *s = make_stream(2, false);
    struct fmt_group *group = fmt_group_new(2, UNLIMITED, false);
    struct fmt_error error = {.text = ""};
    size_t used;

    assert_int_equal(fmt_group_take(group, s->bytes, s->len, &used, &error), FMT_OK);
    assert_int_equal(used, s->len);
    assert_ptr_equal(fmt_group_items(group)[0].data, s->bytes + 8);
    assert_ptr_equal(fmt_group_items(group)[1].data, s->bytes + s->payloads[0].end + 8);
    fmt_group_free(group);
    free(s);
}

/* Of groups of 3, every end but those after 3, 6, ... records is an error that says where. */
static void test_an_end_inside_a_group_is_an_error(void **state)
{
    (void)state;
    struct stream *s = make_stream(9, false);
    struct fmt_group *group = fmt_group_new(3, UNLIMITED, false);

    for (size_t len = 0; len <= s->len; len++) {
        const size_t cuts[] = {0, len / 2, len};
        struct fmt_error error = {.text = ""};
        uint32_t whole = 0;
        char part[80];

        while (whole < 9 && s->payloads[whole].end <= len)
            whole++;
        size_t at = whole > 0 ? s->payloads[whole - 1].end : 0;
        size_t group_at = whole >= 3 ? s->payloads[whole / 3 * 3 - 1].end : 0;

        assert_int_equal(take_runs(s, group, 3, cuts, 2), whole / 3);
        assert_int_equal(fmt_group_is_inside_record(group), at != len);
        if (at == len && whole % 3 == 0) {
            assert_int_equal(fmt_group_end(group, &error), FMT_OK);
            continue;
        }
        assert_int_equal(fmt_group_end(group, &error), FMT_E_FORMAT);
        assert_int_equal(error.offset_bytes, at == len ? group_at : at);
        if (at == len)
            snprintf(part, sizeof part, "after %u of the 3 records", whole % 3);
        else
            snprintf(part, sizeof part, "inside record %u of a group of 3", whole % 3 + 1);
        if (!strstr(error.text, part))
            fail_msg("%zu bytes: no '%s' in '%s'", len, part, error.text);
    }
    fmt_group_free(group);
    free(s);
}

/* Changes four bytes at `at` and takes all: the error's offset is that of the frame. */
static void assert_corrupt(size_t at, uint32_t word, size_t offset, const char *part, size_t cut)
{
    struct stream *s = make_stream(6, false);
    struct fmt_group *group = fmt_group_new(3, UNLIMITED, false);
    struct fmt_error error = {.text = ""};
    size_t len = s->len;
    size_t used = 0;
    size_t done = 0;
    enum fmt_rc rc = FMT_MORE;

    s->len = at;
    put_le32(s, word);
    while (rc >= FMT_OK && done < len) {
        size_t end = done < cut ? cut : len;

        rc = fmt_group_take(group, s->bytes + done, end - done, &used, &error);
        done += used;
    }
    assert_int_equal(rc, FMT_E_FORMAT);
    assert_int_equal(error.offset_bytes, offset);
    if (!strstr(error.text, part))
        fail_msg("no '%s' in '%s'", part, error.text);
    fmt_group_free(group);
    free(s);
}

static void test_corrupt_frames_are_found_at_their_place(void **state)
{
    (void)state;
    struct stream *s = make_stream(6, false);
    size_t fourth = s->payloads[2].end; /* begins the second group; it is of several parts */
    size_t second = s->payloads[0].end;
    size_t fifth = s->payloads[3].end;

    free(s);
    for (size_t cut = 1; cut < fifth; cut++) {
        assert_corrupt(0, 0xced7230b, 0, "bad magic", cut);
        assert_corrupt(second, 0, second, "bad magic 0x00000000", cut);
        assert_corrupt(second + 4, 5u << 29, second, "flag 5 is not defined", cut);
        assert_corrupt(second + 4, 3u << 29, second, "its first part is missing", cut);
        assert_corrupt(fourth, 1, fourth, "bad magic 0x00000001", cut);
    }
}

static void test_a_group_is_no_longer_than_allowed(void **state)
{
    (void)state;
    struct stream *s = make_stream(4, false);
    size_t len = s->payloads[1].end;
    struct fmt_group *enough = fmt_group_new(2, s->len - len > len ? s->len - len : len, false);
    struct fmt_group *small = fmt_group_new(2, len - 1, false);
    const size_t cuts[] = {0, 7, s->len};
    struct fmt_error error = {.text = ""};
    size_t used;

    assert_int_equal(take_runs(s, enough, 2, cuts, 2), 2);
    assert_int_equal(fmt_group_take(small, s->bytes, s->len, &used, &error), FMT_E_FORMAT);
    assert_non_null(strstr(error.text, "takes more than"));
    fmt_group_free(enough);
    fmt_group_free(small);
    /* What a head announces is not believed with memory: half a GiB is refused at its head. */
    s->len = 0;
    put_frame(s, 0, "", 0);
    s->bytes[7] = 0x1f;
    small = fmt_group_new(1, 1 << 20, false);
    assert_int_equal(fmt_group_take(small, s->bytes, 8, &used, &error), FMT_E_FORMAT);
    fmt_group_free(small);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_are_the_same_for_any_split),
        cmocka_unit_test(test_groups_are_the_same_byte_by_byte),
        cmocka_unit_test(test_whole_groups_are_lent_in_place),
        cmocka_unit_test(test_an_end_inside_a_group_is_an_error),
        cmocka_unit_test(test_corrupt_frames_are_found_at_their_place),
        cmocka_unit_test(test_a_group_is_no_longer_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
