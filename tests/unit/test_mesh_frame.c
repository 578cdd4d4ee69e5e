/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_mesh_frame.c - what ranks send each other: bytes as they were, the same after
 * reading and writing, and nothing of what is cut or changed taken for whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trainer/mesh_frame.h"

static const struct tr_hello hello = {
    .version = TR_MESH_VERSION,
    .purpose = TR_PURPOSE_DATA,
    .rank = 3,
    .count = 256,
    .token = UINT64_C(0x0123456789abcdef),
    .port = 40000,
    .job = "a job of sixty-four bytes, which is as long as a job's name gets",
    .host = "host-b",
};
static const struct tr_place place = {
    .token = 77, .family = 6, .address = {0xfd, 1, 2, 3}, .port = 65535, .host = "host-c"};

static struct tr_frame frame_of(enum tr_frame_type type, const uint8_t *payload, size_t len_bytes)
{
    return (struct tr_frame){type, (uint16_t)len_bytes, 12, payload};
}

/* Another version of the program may be at the other end: these bytes stay. */
static void the_bytes_of_a_hello_are_fixed(void **state)
{
    static const uint8_t expected[] = "PSTK\x01\x00\x31\x00\x0c\0\0\0\0\0\0\0"
                                      "penstock ranks\0"
                                      "\x01\0\0\0"
                                      "\x00"
                                      "\x02\0\0\0\x04\0\0\0"
                                      "\0\0\0\0\0\0\0\0"
                                      "\x39\x30"
                                      "\x03job\x06host-b";
    struct tr_hello small = {.version = 1, .rank = 2, .count = 4, .port = 12345, .job = "job"};
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    (void)state;
    memcpy(small.host, hello.host, sizeof small.host);
    struct tr_frame frame = frame_of(TR_FRAME_HELLO, payload, tr_hello_write(&small, payload));
    assert_int_equal(tr_frame_write(bytes, &frame), sizeof expected - 1);
    assert_memory_equal(bytes, expected, sizeof expected - 1);
}

static void what_is_written_reads_the_same(void **state)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    struct tr_hello a;
    struct tr_place b;
    struct tr_head head = {{9, 1000, 2, 1}, 3, UINT64_C(1) << 40};
    struct tr_head c;
    (void)state;
    struct tr_frame frame = frame_of(TR_FRAME_HELLO, payload, tr_hello_write(&hello, payload));
    assert_int_equal(tr_hello_read(&frame, &a), 0);
    assert_memory_equal(&a, &hello, sizeof a);
    frame = frame_of(TR_FRAME_TABLE, payload, tr_place_write(&place, payload));
    assert_int_equal(tr_place_read(&frame, &b), 0);
    assert_memory_equal(b.address, place.address, 16);
    assert_string_equal(b.host, place.host);
    assert_int_equal(b.port, place.port);
    assert_int_equal(b.token, place.token);
    tr_head_write(&head, bytes);
    assert_int_equal(tr_head_read(bytes, &c), 0);
    assert_int_equal(c.call.number, 9);
    assert_int_equal(c.call.size_bytes, 1000);
    assert_int_equal(c.part, 3);
    assert_true(c.len_bytes == UINT64_C(1) << 40);
}

/* Memory of the exact size, so that a sanitizer sees a byte too many. */
static ssize_t read_cut(const uint8_t *bytes, size_t len_bytes)
{
    uint8_t *copy = malloc(len_bytes ? len_bytes : 1);
    struct tr_frame frame;
    struct tr_hello read;
    memcpy(copy, bytes, len_bytes);
    ssize_t rc = tr_frame_read(copy, len_bytes, &frame);
    if (rc > 0 && tr_hello_read(&frame, &read) < 0)
        rc = -2;
    free(copy);
    return rc;
}

static void what_is_cut_is_not_taken(void **state)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    struct tr_hello read;
    struct tr_place b;
    (void)state;
    struct tr_frame frame = frame_of(TR_FRAME_HELLO, payload, tr_hello_write(&hello, payload));
    size_t all = tr_frame_write(bytes, &frame);
    for (size_t cut = 0; cut < all; cut++)
        assert_int_equal(read_cut(bytes, cut), 0);
    assert_int_equal(read_cut(bytes, all), all);
    for (uint16_t cut = 0; cut < frame.len_bytes; cut++) {
        struct tr_frame part = frame_of(TR_FRAME_HELLO, payload, cut);
        assert_int_equal(tr_hello_read(&part, &read), -1);
    }
    frame.len_bytes++; /* a byte too many */
    payload[frame.len_bytes - 1] = 0;
    assert_int_equal(tr_hello_read(&frame, &read), -1);
    size_t len_bytes = tr_place_write(&place, payload);
    for (size_t cut = 0; cut < len_bytes; cut++) {
        frame = frame_of(TR_FRAME_TABLE, payload, cut);
        assert_int_equal(tr_place_read(&frame, &b), -1);
    }
}

static void what_is_no_frame_is_refused_by_its_first_bytes(void **state)
{
    static const struct {
        size_t at;
        uint8_t byte;
    } changes[] = {{0, 'p'}, {3, 'k'}, {4, 0}, {4, 9}, {5, 1}, {7, 5}};
    uint8_t bytes[TR_FRAME_BYTES_MAX] = {0};
    const struct tr_frame frame = {.type = TR_FRAME_BEAT};
    struct tr_frame read;
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        tr_frame_write(bytes, &frame);
        assert_int_equal(tr_frame_read(bytes, TR_FRAME_HEADER_BYTES, &read), 16);
        bytes[changes[i].at] = changes[i].byte;
        assert_int_equal(tr_frame_read(bytes, TR_FRAME_HEADER_BYTES, &read), -1);
    }
}

/* Names and reasons reach a terminal. */
static void texts_are_cleaned_and_cut(void **state)
{
    static const uint8_t payload[] = "a\x1b[1m\nb\x7f\xc3\xa9";
    struct tr_frame frame = frame_of(TR_FRAME_LEAVE, payload, sizeof payload - 1);
    char text[16];
    char little[4];
    (void)state;
    tr_frame_text(&frame, text, sizeof text);
    assert_string_equal(text, "a?[1m?b?\xc3\xa9");
    tr_frame_text(&frame, little, sizeof little);
    assert_string_equal(little, "a?[");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_of_a_hello_are_fixed),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(what_is_cut_is_not_taken),
        cmocka_unit_test(what_is_no_frame_is_refused_by_its_first_bytes),
        cmocka_unit_test(texts_are_cleaned_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
