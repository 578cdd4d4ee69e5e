/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_verify.c - pipe/verify.c: what head passes of objects that are compared with a
 * checksum, part by part, without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/error.h"
#include "pipe/stream.h"
#include "pipe/verify.h"
#include "tests/chance.h"
#include "tests/unit/channel_fixture.h"

#define KIB ((uint64_t)1 << 10)
#define PART (64 * KIB)

/* The byte of an object at an offset. */
static uint8_t byte_at(const struct ps_object *object, uint64_t offset)
{
    return (uint8_t)((offset * 2654435761u >> 7) ^ (uint8_t)object->key[0]);
}

static uint64_t sum_of(enum fmt_crc_kind kind, const struct ps_object *object)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < object->size_bytes; i++) {
        uint8_t byte = byte_at(object, i);

        sum = fmt_crc(kind, sum, &byte, 1);
    }
    return sum;
}

/* A channel of S3 objects, of which no byte needs S3. */
static struct fixture *open_s3(enum ps_verify_mode mode)
{
    struct fixture *f = fixture_open(PART, 1);

    f->stream.verify = mode;
    f->ch->sources[0].uri.kind = PS_URI_S3;
    snprintf(f->ch->sources[0].uri.bucket, sizeof f->ch->sources[0].uri.bucket, "bucket");
    return f;
}

static void add_only(struct fixture *f, const char *key, uint64_t size_bytes)
{
    fixture_add(f, key, size_bytes);
    ps_plan_complete(f->ch->plan);
}

/* Something small in front, so that the next object is not the first of the stream. */
static void pass_first(struct fixture *f)
{
    fixture_add(f, "0first", 1);
    struct ps_part *part = ps_stream_claim(f->ch, 0);
    const struct ps_checksum sum = {.told = true,
                                    .has_sum = true,
                                    .kind = FMT_CRC64NVME,
                                    .sum = sum_of(FMT_CRC64NVME, part->object)};

    ps_verify_answer(part, 200, &sum);
    *ps_part_into(part) = byte_at(part->object, 0);
    ps_part_advance(part, 1);
    ps_part_complete(part);
}

static void answer(struct ps_part *part, enum fmt_crc_kind kind)
{
    const struct ps_checksum sum = {
        .told = true, .has_sum = true, .kind = kind, .sum = sum_of(kind, part->object)};

    ps_verify_answer(part, 200, &sum);
}

static void receive(struct ps_part *part, uint64_t len_bytes)
{
    uint8_t *into = ps_part_into(part);

    for (uint64_t i = 0; i < len_bytes; i++)
        into[i] = byte_at(part->object, part->object_offset + part->filled_bytes + i);
    ps_part_advance(part, len_bytes);
}

static void receive_rest(struct ps_part *part)
{
    while (ps_part_left_bytes(part) > 0)
        receive(part, 1 + below((uint32_t)ps_part_left_bytes(part)));
}

static void receive_rest_flipped(struct ps_part *part)
{
    uint64_t len_bytes = ps_part_left_bytes(part);
    uint8_t *into = ps_part_into(part);

    for (uint64_t i = 0; i < len_bytes; i++)
        into[i] = byte_at(part->object, part->object_offset + part->filled_bytes + i);
    into[below((uint32_t)len_bytes)] ^= (uint8_t)(1 << below(8));
    ps_part_advance(part, len_bytes);
}

/* Head as far as it goes, and whether it fails there. */
static uint64_t head(struct fixture *f, bool *failed)
{
    uint64_t pos = f->ch->head_pos;

    *failed = false;
    pthread_mutex_lock(&f->ch->lock);
    bool has_failed = f->ch->fetch_failed;

    pthread_mutex_unlock(&f->ch->lock);
    if (!has_failed)
        return pos;
    enum ps_head_answer answered = fixture_wait_head(f->ch, pos, &pos);

    while (answered == PS_HEAD_MOVED)
        answered = fixture_wait_head(f->ch, pos, &pos);
    *failed = answered == PS_HEAD_FAILED;
    return pos;
}

static void assert_head(struct fixture *f, uint64_t pos)
{
    bool failed;

    assert_int_equal(head(f, &failed), pos);
    assert_false(failed);
}

static void assert_failed_at(struct fixture *f, uint64_t pos, int rc, const char *words)
{
    bool failed;

    assert_int_equal(head(f, &failed), pos);
    assert_true(failed);
    assert_int_equal(f->ch->fetch_error.rc, rc);
    if (!strstr(f->ch->fetch_error.message, words))
        fail_msg("no \"%s\" in: %s", words, f->ch->fetch_error.message);
    assert_string_equal(f->ch->fetch_error.bucket, "bucket");
}

static void assert_counts(struct fixture *f, uint64_t verified, uint64_t unverified)
{
    assert_int_equal(f->ch->counts.objects_verified, verified);
    assert_int_equal(f->ch->counts.objects_unverified, unverified);
}

/* ---- whole objects ---- */

static void test_whole_object_is_held_until_it_is_compared(void **state)
{
    (void)state;
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++) {
        struct fixture *f = open_s3(PS_VERIFY_AUTO);

        pass_first(f);
        add_only(f, "a", PART);
        struct ps_part *part = ps_stream_claim(f->ch, 0);

        assert_true(ps_verify_part_is_whole(part));
        answer(part, (enum fmt_crc_kind)kind);
        receive(part, PART / 2);
        assert_head(f, 1);
        receive_rest(part);
        assert_head(f, 1);
        assert_false(ps_verify_again(part));
        ps_part_complete(part);
        assert_head(f, 1 + PART);
        assert_counts(f, 2, 0);
        assert_int_equal(f->ch->counts.bytes_verified, 1 + PART);
        fixture_close(f);
    }
}

/* Somebody waits for the stream's first bytes. */
static void test_first_object_is_shown_up_to_its_last_byte(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_AUTO);

    (void)state;
    add_only(f, "a", PART);
    struct ps_part *part = ps_stream_claim(f->ch, 0);
    uint64_t pos;

    answer(part, FMT_CRC32C);
    receive(part, 1000);
    assert_int_equal(fixture_wait_head(f->ch, 0, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, 1000);
    receive_rest(part);
    assert_int_equal(fixture_wait_head(f->ch, 1000, &pos), PS_HEAD_MOVED);
    assert_int_equal(pos, PART - 1);
    ps_part_complete(part);
    assert_head(f, PART);
    assert_counts(f, 1, 0);
    fixture_close(f);

    f = open_s3(PS_VERIFY_AUTO);
    add_only(f, "a", PART);
    part = ps_stream_claim(f->ch, 0);
    answer(part, FMT_CRC32C);
    receive_rest_flipped(part);
    assert_false(ps_verify_again(part));
    ps_part_complete(part);
    assert_failed_at(f, PART - 1, PENSTOCK_E_CORRUPT, "s3://bucket/a is corrupt: its 65536 bytes");
    fixture_close(f);
}

static void test_flipped_bit_is_fetched_again_once(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct fixture *f = open_s3(PS_VERIFY_ALWAYS);

        pass_first(f);
        add_only(f, "key", PART);
        struct ps_part *part = ps_stream_claim(f->ch, 0);

        answer(part, FMT_CRC64NVME);
        receive_rest_flipped(part);
        assert_true(ps_verify_again(part));
        assert_int_equal(ps_part_left_bytes(part), PART);
        assert_head(f, 1);
        answer(part, FMT_CRC64NVME);
        if (again == 0)
            receive_rest(part);
        else
            receive_rest_flipped(part);
        assert_false(ps_verify_again(part));
        ps_part_complete(part);
        if (again == 0) {
            assert_head(f, 1 + PART);
            assert_counts(f, 2, 0);
        } else {
            assert_failed_at(f, 1, PENSTOCK_E_CORRUPT, "also when they are fetched again");
            assert_counts(f, 1, 0);
            assert_string_equal(f->ch->fetch_error.key, "key");
        }
        fixture_close(f);
    }
}

static void test_error_names_both_sums(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_AUTO);
    const struct ps_checksum sum = {
        .told = true, .has_sum = true, .kind = FMT_CRC32, .sum = 0xcbf43926};

    (void)state;
    add_only(f, "a", 10);
    struct ps_part *part = ps_stream_claim(f->ch, 0);

    ps_verify_answer(part, 200, &sum);
    memcpy(ps_part_into(part), "123456780\n", 10);
    ps_part_advance(part, 10);
    ps_part_complete(part);
    assert_failed_at(f, 9, PENSTOCK_E_CORRUPT,
                     "the CRC32 checksum MdPMHg==, and S3 keeps y/Q5Jg==");
    fixture_close(f);
}

static void test_without_a_checksum(void **state)
{
    static const struct ps_checksum composite = {.told = true,
                                                 .composite = true,
                                                 .has_sum = true,
                                                 .kind = FMT_CRC32},
                                    hash = {.told = true}, nothing = {.told = false};
    const struct {
        enum ps_verify_mode mode;
        const struct ps_checksum *sum;
        bool passes;
    } cases[] = {
        {PS_VERIFY_AUTO, &nothing, true}, {PS_VERIFY_AUTO, &composite, true},
        {PS_VERIFY_AUTO, &hash, true},    {PS_VERIFY_ALWAYS, &composite, true},
        {PS_VERIFY_ALWAYS, &hash, true},  {PS_VERIFY_ALWAYS, &nothing, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = open_s3(cases[i].mode);

        pass_first(f);
        add_only(f, "a", PART);
        struct ps_part *part = ps_stream_claim(f->ch, 0);

        ps_verify_answer(part, 200, cases[i].sum);
        receive_rest_flipped(part);
        assert_false(ps_verify_again(part));
        ps_part_complete(part);
        if (cases[i].passes) {
            assert_head(f, 1 + PART);
            assert_counts(f, 1, 1);
        } else {
            assert_failed_at(f, 1, PENSTOCK_E_ARGUMENT, "s3://bucket/a has no checksum");
        }
        fixture_close(f);
    }
}

/* The head of a ranged answer may have the sum of an uploaded part. */
static void test_ranged_answers_tell_nothing(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_AUTO);
    const struct ps_checksum wrong = {.told = true, .has_sum = true, .kind = FMT_CRC32, .sum = 1};

    (void)state;
    pass_first(f);
    add_only(f, "a", PART);
    struct ps_part *part = ps_stream_claim(f->ch, 0);

    ps_verify_answer(part, 206, &wrong);
    receive_rest(part);
    ps_part_complete(part);
    assert_head(f, 1 + PART);
    assert_counts(f, 1, 1);
    fixture_close(f);
}

static void test_off_looks_at_nothing(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_OFF);
    const struct ps_checksum wrong = {.told = true, .has_sum = true, .kind = FMT_CRC32, .sum = 1};

    (void)state;
    add_only(f, "a", PART);
    struct ps_part *part = ps_stream_claim(f->ch, 0);

    assert_null(part->object_sum);
    ps_verify_answer(part, 200, &wrong);
    receive_rest_flipped(part);
    assert_false(ps_verify_again(part));
    ps_part_complete(part);
    assert_head(f, PART);
    assert_counts(f, 0, 0);
    fixture_close(f);
}

/* ---- objects of several parts ---- */

enum { PARTS = 5 };

/* The request for the checksum and the parts of an object of five. */
static struct ps_part *claim_five(struct fixture *f, struct ps_part *parts[PARTS])
{
    add_only(f, "long", PARTS * PART - 100);
    struct ps_part *asks = ps_stream_claim(f->ch, 0);

    assert_true(asks->asks);
    assert_int_equal(asks->len_bytes, 0);
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = ps_stream_claim(f->ch, 0);
        assert_int_equal(parts[i]->object_offset, i * PART);
        assert_false(parts[i]->asks);
    }
    assert_null(ps_stream_claim(f->ch, 0));
    return asks;
}

static void test_auto_does_not_ask(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_AUTO);

    (void)state;
    add_only(f, "long", 2 * PART);
    for (int i = 0; i < 2; i++) {
        struct ps_part *part = ps_stream_claim(f->ch, 0);

        assert_int_equal(part->len_bytes, PART);
        assert_null(part->object_sum);
        receive_rest(part);
        ps_part_complete(part);
    }
    assert_head(f, 2 * PART);
    assert_counts(f, 0, 1);
    fixture_close(f);
}

/* Whatever was guessed, and whenever the answer comes. */
static void test_parts_are_combined_in_any_order(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct fixture *f = open_s3(PS_VERIFY_ALWAYS);
        struct ps_part *parts[PARTS];
        struct ps_part *asks = claim_five(f, parts);
        uint32_t answer_at = below(150); /* some parts are complete by then */
        bool answered = false;

        for (uint32_t step = 0; step < 2000; step++) {
            struct ps_part *part = parts[below(PARTS)];

            if (step >= answer_at && !answered) {
                assert_head(f, 0);
                answer(asks, (enum fmt_crc_kind)(round % FMT_CRC_KINDS));
                assert_false(ps_verify_again(asks));
                ps_part_complete(asks);
                answered = true;
            }
            if (part->done)
                continue;
            receive(part, 1 + below((uint32_t)ps_part_left_bytes(part)));
            if (ps_part_left_bytes(part) > 0)
                continue;
            assert_false(ps_verify_again(part));
            ps_part_complete(part);
        }
        assert_head(f, PARTS * PART - 100);
        assert_counts(f, 1, 0);
        fixture_close(f);
    }
}

static void test_flipped_bit_in_any_part_ends_the_stream(void **state)
{
    (void)state;
    for (size_t bad = 0; bad < PARTS; bad++) {
        struct fixture *f = open_s3(PS_VERIFY_ALWAYS);
        struct ps_part *parts[PARTS];
        struct ps_part *asks = claim_five(f, parts);

        answer(asks, FMT_CRC32C);
        ps_part_complete(asks);
        for (size_t i = PARTS; i-- > 0;) {
            if (i == bad)
                receive_rest_flipped(parts[i]);
            else
                receive_rest(parts[i]);
            assert_false(ps_verify_again(parts[i]));
            ps_part_complete(parts[i]);
        }
        /* The last part was claimed before the answer came, so it is held whole. */
        assert_failed_at(f, (PARTS - 1) * PART, PENSTOCK_E_CORRUPT, "s3://bucket/long is corrupt");
        assert_null(ps_stream_claim(f->ch, 0));
        assert_counts(f, 0, 0);
        fixture_close(f);
    }
}

/* Head stands before a part that is held; the failure must be told there, not further on. */
static void test_failure_of_a_held_part_is_told(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_ALWAYS);
    struct ps_part *parts[PARTS];
    struct ps_part *asks = claim_five(f, parts);
    struct penstock_error error;

    (void)state;
    answer(asks, FMT_CRC64NVME);
    ps_part_complete(asks);
    receive_rest(parts[0]);
    ps_part_complete(parts[0]);
    receive(parts[1], 1000);
    ps_fail(&error, PENSTOCK_E_NETWORK, "gone");
    ps_error_object(&error, "bucket", "long", PART + 1000);
    ps_part_fail(parts[1], &error);
    assert_failed_at(f, PART, PENSTOCK_E_NETWORK, "gone");
    fixture_close(f);
}

static void test_long_object_without_a_checksum(void **state)
{
    static const struct ps_checksum composite = {.told = true, .composite = true},
                                    nothing = {.told = false};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture *f = open_s3(PS_VERIFY_ALWAYS);
        struct ps_part *parts[PARTS];
        struct ps_part *asks = claim_five(f, parts);

        receive(parts[0], 5000);
        ps_verify_answer(asks, 200, i == 0 ? &composite : &nothing);
        ps_part_complete(asks);
        if (i == 1) {
            assert_failed_at(f, 0, PENSTOCK_E_ARGUMENT, "s3://bucket/long has no checksum");
            fixture_close(f);
            continue;
        }
        assert_head(f, 5000);
        for (size_t p = 0; p < PARTS; p++) {
            receive_rest(parts[p]);
            ps_part_complete(parts[p]);
        }
        assert_head(f, PARTS * PART - 100);
        assert_counts(f, 0, 1);
        fixture_close(f);
    }
}

/* More objects than there are places for their sums, each with an algorithm of its own. */
static void test_places_are_used_again(void **state)
{
    struct fixture *f = open_s3(PS_VERIFY_ALWAYS);
    enum { OBJECTS = 2500 };
    uint64_t pos = 0;

    (void)state;
    for (int i = 0; i < OBJECTS; i++) {
        char key[16];

        snprintf(key, sizeof key, "%c%04d", 'a' + i % 26, i);
        fixture_add(f, key, 1 + below(100));
    }
    ps_plan_complete(f->ch->plan);
    for (int i = 0; i < OBJECTS; i += 50) {
        struct ps_part *parts[50];

        for (int k = 0; k < 50; k++) {
            parts[k] = ps_stream_claim(f->ch, 0);
            answer(parts[k], (enum fmt_crc_kind)below(FMT_CRC_KINDS));
        }
        for (int k = 50; k-- > 0;) {
            pos += parts[k]->len_bytes;
            receive_rest(parts[k]);
            ps_part_complete(parts[k]);
        }
        assert_head(f, pos);
        f->ch->released_pos = pos;
    }
    assert_counts(f, OBJECTS, 0);
    fixture_close(f);
}

static void test_files_have_no_checksums(void **state)
{
    struct fixture *f = fixture_open(PART, 1);

    (void)state;
    f->stream.verify = PS_VERIFY_ALWAYS;
    add_only(f, "a", 3 * PART);
    struct ps_part *part = ps_stream_claim(f->ch, 0);

    assert_false(part->asks);
    assert_null(part->object_sum);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_object_is_held_until_it_is_compared),
        cmocka_unit_test(test_first_object_is_shown_up_to_its_last_byte),
        cmocka_unit_test(test_flipped_bit_is_fetched_again_once),
        cmocka_unit_test(test_error_names_both_sums),
        cmocka_unit_test(test_without_a_checksum),
        cmocka_unit_test(test_ranged_answers_tell_nothing),
        cmocka_unit_test(test_off_looks_at_nothing),
        cmocka_unit_test(test_auto_does_not_ask),
        cmocka_unit_test(test_parts_are_combined_in_any_order),
        cmocka_unit_test(test_flipped_bit_in_any_part_ends_the_stream),
        cmocka_unit_test(test_failure_of_a_held_part_is_told),
        cmocka_unit_test(test_long_object_without_a_checksum),
        cmocka_unit_test(test_places_are_used_again),
        cmocka_unit_test(test_files_have_no_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
