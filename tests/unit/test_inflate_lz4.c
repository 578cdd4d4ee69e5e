/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_inflate_lz4.c - lz4 frames of independent blocks, which are found and inflated
 * several at once: liblz4's contents and verdict, whatever the blocks, the steps and the team.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/inflate_drive.h"

enum { CONTENTS = 3 << 20, ROOM = 4 << 20 };

static uint8_t contents[CONTENTS];
static uint8_t object[ROOM];
static struct fmt_inflate *inflater;

static int set_up(void **state)
{
    uint32_t seed = 1;

    (void)state;
    /* Digits and commas, and now and then 16 KiB of noise, which is stored. */
    for (size_t i = 0; i < sizeof contents; i++)
        contents[i] = (i >> 14) % 8 == 7 ? (uint8_t)next_random(&seed)
                      : i % 5 == 4       ? ','
                                         : (uint8_t)('0' + next_random(&seed) % 10);
    inflater = fmt_inflate_new(FMT_CODEC_LZ4, NULL, fmt_inflate_memory_bytes(FMT_CODEC_LZ4, 0));
    return inflater ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fmt_inflate_free(inflater);
    return 0;
}

/* A frame whose blocks are full but where it is flushed, every `flush_bytes`. */
static size_t make_frame(const LZ4F_frameInfo_t *info, size_t len, size_t flush_bytes, uint8_t *out,
                         size_t room)
{
    LZ4F_preferences_t preferences = {.frameInfo = *info};
    LZ4F_cctx *context;
    size_t at, end = 0;

    if (info->contentSize > 0)
        preferences.frameInfo.contentSize = len;
    assert_false(LZ4F_isError(LZ4F_createCompressionContext(&context, LZ4F_VERSION)));
    end = LZ4F_compressBegin(context, out, room, &preferences);
    for (at = 0; at < len; at += flush_bytes) {
        size_t some = least_size(flush_bytes, len - at);

        end += LZ4F_compressUpdate(context, out + end, room - end, contents + at, some, NULL);
        end += LZ4F_flush(context, out + end, room - end, NULL);
    }
    end += LZ4F_compressEnd(context, out + end, room - end, NULL);
    assert_true(end < room);
    LZ4F_freeCompressionContext(context);
    return end;
}

static void expect_contents(size_t in_bytes, size_t len, piece_fn in_piece, piece_fn out_piece,
                            uint32_t seed)
{
    for (int alone = 0; alone < 2; alone++) {
        struct inflated got;

        fmt_inflate_share(inflater, alone ? NULL : &backward_team);
        drive_inflate(inflater, FMT_CODEC_LZ4, object, in_bytes, in_piece, out_piece, seed, &got);
        if (got.rc != FMT_INFLATE_END)
            fail_msg("%s", got.error.text);
        assert_int_equal(got.len_bytes, len);
        assert_memory_equal(got.bytes, contents, len);
        free(got.bytes);
    }
}

static const LZ4F_frameInfo_t frames[] = {
    {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
    {.blockSizeID = LZ4F_max64KB,
     .blockMode = LZ4F_blockIndependent,
     .blockChecksumFlag = LZ4F_blockChecksumEnabled,
     .contentChecksumFlag = LZ4F_contentChecksumEnabled,
     .contentSize = 1},
    {.blockSizeID = LZ4F_max256KB,
     .blockMode = LZ4F_blockIndependent,
     .contentChecksumFlag = LZ4F_contentChecksumEnabled},
    {.blockSizeID = LZ4F_max1MB, .blockMode = LZ4F_blockIndependent, .contentSize = 1},
    {.blockSizeID = LZ4F_max4MB,
     .blockMode = LZ4F_blockIndependent,
     .blockChecksumFlag = LZ4F_blockChecksumEnabled},
};
enum { FRAMES = sizeof frames / sizeof *frames };

static void test_any_blocks_in_any_steps(void **state)
{
    static const size_t lengths[] = {0, 1, 65535, 65536, 65537, 400000, CONTENTS};
    static const size_t flushes[] = {CONTENTS, 1 << 16, 100000, 7777};

    (void)state;
    for (size_t f = 0; f < FRAMES; f++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            for (size_t u = 0; u < sizeof flushes / sizeof *flushes; u++) {
                size_t in_bytes =
                    make_frame(&frames[f], lengths[l], flushes[u], object, sizeof object);

                expect_contents(in_bytes, lengths[l], piece_all, piece_all, 0);
                if (lengths[l] <= 400000)
                    expect_contents(in_bytes, lengths[l], piece_random, piece_random, 1);
                if (lengths[l] <= 65537)
                    expect_contents(in_bytes, lengths[l], piece_one, piece_all, 0);
            }
}

/* Frames of every kind one behind the other. */
static void test_frames_follow_each_other(void **state)
{
    LZ4F_frameInfo_t linked = {.blockSizeID = LZ4F_max64KB};
    struct inflated got;
    size_t end = 0, each = 150000;

    (void)state;
    for (size_t f = 0; f <= FRAMES; f++)
        end += make_frame(f < FRAMES ? &frames[f] : &linked, each, 70000, object + end,
                          sizeof object - end);
    for (uint32_t seed = 0; seed < 3; seed++) {
        fmt_inflate_share(inflater, &backward_team);
        drive_inflate(inflater, FMT_CODEC_LZ4, object, end, seed ? piece_random : piece_all,
                      piece_all, seed, &got);
        if (got.rc != FMT_INFLATE_END)
            fail_msg("%s", got.error.text);
        assert_int_equal(got.len_bytes, (FRAMES + 1) * each);
        for (size_t f = 0; f <= FRAMES; f++)
            assert_memory_equal(got.bytes + f * each, contents, each);
        free(got.bytes);
    }
}

/* A frame is left in its midst, as when an epoch is skipped; the next one tells no size. */
static void test_what_was_left_is_forgotten(void **state)
{
    (void)state;
    for (int independent = 0; independent < 2; independent++) {
        LZ4F_frameInfo_t told = {.blockSizeID = LZ4F_max64KB,
                                 .blockMode =
                                     independent ? LZ4F_blockIndependent : LZ4F_blockLinked,
                                 .contentSize = 1};
        LZ4F_frameInfo_t untold = {.blockSizeID = LZ4F_max64KB};
        static uint8_t out[1 << 17];
        struct fmt_error error;

        for (size_t len = 0; len < 100; len++) {
            make_frame(&told, 1000, 1000, object, sizeof object);
            struct fmt_inflate_step step = {
                .in = object, .in_bytes = len, .out = out, .out_bytes = sizeof out};

            fmt_inflate_start(inflater, FMT_CODEC_LZ4);
            assert_int_equal(fmt_inflate_run(inflater, &step, &error), FMT_INFLATE_IN);
            expect_contents(make_frame(&untold, 900, 1000, object, sizeof object), 900, piece_all,
                            piece_all, 0);
        }
    }
}

/* liblz4 and this one take the same objects, and find the same in them. */
static void expect_like_liblz4(size_t in_bytes, uint32_t seed)
{
    struct inflated got, expected;

    lz4_inflate(object, in_bytes, &expected);
    fmt_inflate_share(inflater, seed % 2 ? &backward_team : NULL);
    drive_inflate(inflater, FMT_CODEC_LZ4, object, in_bytes, seed % 3 ? piece_all : piece_random,
                  piece_all, seed, &got);
    assert_int_equal(got.rc == FMT_INFLATE_END, expected.rc == FMT_INFLATE_END);
    if (got.rc == FMT_INFLATE_END) {
        assert_int_equal(got.len_bytes, expected.len_bytes);
        assert_memory_equal(got.bytes, expected.bytes, got.len_bytes);
    }
    free(got.bytes);
    free(expected.bytes);
}

static void test_any_byte_damaged_or_missing(void **state)
{
    (void)state;
    for (size_t f = 0; f < FRAMES; f++) {
        size_t in_bytes = make_frame(&frames[f], 2000, 300, object, sizeof object);

        for (size_t at = 0; at < in_bytes; at++) {
            for (unsigned bit = 0; bit < 8; bit += 1 + (unsigned)at % 3) {
                object[at] ^= (uint8_t)(1u << bit);
                expect_like_liblz4(in_bytes, (uint32_t)at + bit);
                object[at] ^= (uint8_t)(1u << bit);
            }
            expect_like_liblz4(at, (uint32_t)at);
        }
    }
}

static void expect_error(size_t in_bytes, const char *text)
{
    for (int team = 0; team < 2; team++) {
        struct inflated got;

        fmt_inflate_share(inflater, team ? &backward_team : NULL);
        drive_inflate(inflater, FMT_CODEC_LZ4, object, in_bytes, piece_all, piece_all, 0, &got);
        assert_int_equal(got.rc, FMT_INFLATE_E_FORMAT);
        assert_string_equal(got.error.text, text);
        assert_int_equal(got.error.offset_bytes, 0);
        free(got.bytes);
    }
}

static void test_errors_are_named(void **state)
{
    size_t in_bytes = make_frame(&frames[1], 200000, CONTENTS, object, sizeof object);

    (void)state;
    object[in_bytes - 1] ^= 1;
    expect_error(in_bytes, "lz4 frame 1: corrupt: contentChecksum_invalid");
    object[in_bytes - 1] ^= 1;
    object[in_bytes / 2] ^= 1;
    expect_error(in_bytes, "lz4 frame 1: corrupt: blockChecksum_invalid");
    expect_error(in_bytes - 9, "lz4 frame 1: corrupt: blockChecksum_invalid");
    object[in_bytes / 2] ^= 1;
    expect_error(in_bytes - 9, "lz4 frame 1: truncated: the object ends inside it");
    object[14] ^= 1; /* the head's checksum */
    expect_error(in_bytes, "lz4 frame 1: corrupt: headerChecksum_invalid");
    object[14] ^= 1;
    object[17] = 0x7f; /* the first block's size */
    expect_error(in_bytes, "lz4 frame 1: corrupt: maxBlockSize_invalid");
    in_bytes = make_frame(&frames[3], 200000, CONTENTS, object, sizeof object);
    memmove(object + 15 + 4, object + in_bytes - 4, 4); /* the end comes at once */
    memset(object + 15, 0, 4);
    expect_error(19, "lz4 frame 1: corrupt: frameSize_wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_blocks_in_any_steps),
        cmocka_unit_test(test_frames_follow_each_other),
        cmocka_unit_test(test_what_was_left_is_forgotten),
        cmocka_unit_test(test_any_byte_damaged_or_missing),
        cmocka_unit_test(test_errors_are_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
