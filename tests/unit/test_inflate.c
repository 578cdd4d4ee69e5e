/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_inflate.c - the codecs: however the bytes are handed over, the contents are what
 * was compressed; what is truncated or corrupt is an error that names the place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/inflate_drive.h"

#include <lz4frame.h>
#include <stdio.h>
#include <zstd.h>

#define MIB ((size_t)1 << 20)
#define OBJECT_BYTES_MAX (2 * MIB)
#define PARTS_MAX 8

/* An object made of members or frames, and what it holds. */
struct object {
    enum fmt_codec codec;
    uint8_t *in;
    size_t in_bytes;
    uint8_t *contents;
    size_t contents_bytes;
    size_t part_ends[PARTS_MAX]; /* in[.. part_ends[i]) is a whole object too */
    size_t part_contents[PARTS_MAX];
    size_t parts;
};

static struct fmt_inflate *inflater;

static int set_up(void **state)
{
    (void)state;
    inflater =
        fmt_inflate_new(FMT_CODEC_AUTO, NULL, fmt_inflate_memory_bytes(FMT_CODEC_AUTO, 64 * MIB));
    return inflater ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fmt_inflate_free(inflater);
    return 0;
}

/* ---- making objects ---- */

/* Numbers with commas between them, and every 16th KiB of noise, so that a codec stores it. */
static void make_contents(uint8_t *out, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (i >> 10) % 16 == 15 ? (uint8_t)next_random(&seed)
                 : i % 5 == 4         ? ','
                                      : (uint8_t)('0' + next_random(&seed) % 10);
}

static struct object new_object(enum fmt_codec codec)
{
    struct object object = {.codec = codec};

    object.in = malloc(OBJECT_BYTES_MAX);
    object.contents = malloc(OBJECT_BYTES_MAX);
    assert_non_null(object.in);
    assert_non_null(object.contents);
    return object;
}

static void free_object(struct object *object)
{
    free(object->in);
    free(object->contents);
}

static void end_part(struct object *object, size_t in_bytes, size_t len)
{
    assert_true(object->parts < PARTS_MAX);
    object->in_bytes += in_bytes;
    object->contents_bytes += len;
    object->part_ends[object->parts] = object->in_bytes;
    object->part_contents[object->parts++] = object->contents_bytes;
}

enum gzip_flag { GZIP_NAME = 1, GZIP_EXTRA = 2, GZIP_COMMENT = 4, GZIP_HEAD_CRC = 8 };

/* Appends a member of `len` bytes of contents. */
static void add_gzip(struct object *object, size_t len, int level, int strategy, int flags)
{
    z_stream z = {.avail_in = (uInt)len};
    gz_header head = {.os = 3,
                      .name = flags & GZIP_NAME ? (Bytef *)(uintptr_t) "part-0001.csv" : NULL,
                      .extra = flags & GZIP_EXTRA ? (Bytef *)(uintptr_t) "BC\2\0\1\0" : NULL,
                      .extra_len = 6,
                      .comment = flags & GZIP_COMMENT ? (Bytef *)(uintptr_t) "made by hand" : NULL,
                      .hcrc = (flags & GZIP_HEAD_CRC) != 0};

    make_contents(object->contents + object->contents_bytes, len, (uint32_t)len + 1);
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 16 + MAX_WBITS, 9, strategy), Z_OK);
    assert_int_equal(deflateSetHeader(&z, &head), Z_OK);
    z.next_in = object->contents + object->contents_bytes;
    z.next_out = object->in + object->in_bytes;
    z.avail_out = (uInt)(OBJECT_BYTES_MAX - object->in_bytes);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    end_part(object, z.total_out, len);
}

static void add_lz4(struct object *object, size_t len, const LZ4F_preferences_t *preferences)
{
    uint8_t *contents = object->contents + object->contents_bytes;

    make_contents(contents, len, (uint32_t)len + 1);
    size_t in_bytes =
        LZ4F_compressFrame(object->in + object->in_bytes, OBJECT_BYTES_MAX - object->in_bytes,
                           contents, len, preferences);

    assert_false(LZ4F_isError(in_bytes));
    end_part(object, in_bytes, len);
}

static void add_zstd(struct object *object, size_t len, int level, int window_log)
{
    uint8_t *contents = object->contents + object->contents_bytes;
    ZSTD_CCtx *context = ZSTD_createCCtx();

    make_contents(contents, len, (uint32_t)len + 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    /* Streamed, so that the frame has a window and not the contents' size. */
    ZSTD_inBuffer from = {.src = contents, .size = len};
    ZSTD_outBuffer to = {.dst = object->in + object->in_bytes,
                         .size = OBJECT_BYTES_MAX - object->in_bytes};

    assert_false(ZSTD_isError(ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    end_part(object, to.pos, len);
}

/* A skippable frame (both formats have the same). */
static void add_skippable(struct object *object, uint32_t len)
{
    uint8_t *at = object->in + object->in_bytes;
    const uint8_t head[8] = {0x53, 0x2a, 0x4d, 0x18, (uint8_t)len, (uint8_t)(len >> 8), 0, 0};

    memcpy(at, head, sizeof head);
    memset(at + sizeof head, 0xa5, len);
    end_part(object, sizeof head + len, 0);
}

static const LZ4F_preferences_t lz4_checked = {
    .frameInfo = {.blockSizeID = LZ4F_max64KB,
                  .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                  .blockChecksumFlag = LZ4F_blockChecksumEnabled}};
static const LZ4F_preferences_t lz4_independent = {
    .frameInfo = {.blockSizeID = LZ4F_max4MB, .blockMode = LZ4F_blockIndependent}};

/* Every kind, of `scale` bytes a part. */
static struct object make_object(size_t kind, size_t scale)
{
    struct object object = new_object(kind < 4   ? FMT_CODEC_GZIP
                                      : kind < 6 ? FMT_CODEC_LZ4
                                      : kind < 8 ? FMT_CODEC_ZSTD
                                                 : FMT_CODEC_NONE);

    switch (kind) {
    case 0:
        add_gzip(&object, scale, 6, Z_DEFAULT_STRATEGY, 0);
        break;
    case 1: /* stored and fixed blocks, empty members, every field of a head */
        add_gzip(&object, 0, 9, Z_DEFAULT_STRATEGY, GZIP_HEAD_CRC);
        add_gzip(&object, scale, 0, Z_DEFAULT_STRATEGY, GZIP_NAME | GZIP_EXTRA);
        add_gzip(&object, 1, 1, Z_FIXED, GZIP_COMMENT | GZIP_HEAD_CRC);
        add_gzip(&object, scale, 1, Z_FIXED, GZIP_NAME | GZIP_EXTRA | GZIP_COMMENT | GZIP_HEAD_CRC);
        add_gzip(&object, 0, 6, Z_DEFAULT_STRATEGY, 0);
        break;
    case 2: /* zero padding, and a member after it, as tapes have */
        add_gzip(&object, scale / 2, 6, Z_HUFFMAN_ONLY, 0);
        memset(object.in + object.in_bytes, 0, 512);
        end_part(&object, 512, 0);
        add_gzip(&object, scale / 2, 9, Z_DEFAULT_STRATEGY, 0);
        memset(object.in + object.in_bytes, 0, 3);
        end_part(&object, 3, 0);
        break;
    case 3:
        add_gzip(&object, 0, 6, Z_DEFAULT_STRATEGY, 0);
        break;
    case 4:
        add_lz4(&object, scale, &lz4_checked);
        add_skippable(&object, 100);
        add_lz4(&object, 0, NULL);
        add_lz4(&object, scale, NULL);
        break;
    case 5:
        add_lz4(&object, scale, &lz4_independent);
        break;
    case 6:
        add_skippable(&object, 40);
        add_zstd(&object, scale, 1, 0);
        add_zstd(&object, 0, 1, 0);
        add_zstd(&object, scale, 19, 17);
        add_skippable(&object, 1);
        break;
    case 7:
        add_zstd(&object, scale, 3, 0);
        break;
    default:
        make_contents(object.contents, scale, 1);
        memcpy(object.in, object.contents, scale);
        end_part(&object, scale, scale);
        break;
    }
    return object;
}

enum { KINDS = 9 };

/* ---- checking ---- */

static void check_contents(const struct object *object, piece_fn in_piece, piece_fn out_piece,
                           uint32_t seed)
{
    struct inflated got;

    drive_inflate(inflater, object->codec, object->in, object->in_bytes, in_piece, out_piece, seed,
                  &got);
    if (got.rc != FMT_INFLATE_END)
        fail_msg("codec %d: %s", (int)object->codec, got.error.text);
    assert_int_equal(got.len_bytes, object->contents_bytes);
    assert_memory_equal(got.bytes, object->contents, got.len_bytes);
    free(got.bytes);
}

static void test_inflate_any_split_same_contents(void **state)
{
    static const size_t scales[] = {1, 300, 70000, 900000};

    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
            struct object object = make_object(kind, scales[s]);

            check_contents(&object, piece_all, piece_all, 0);
            for (uint32_t seed = 1; seed < 4; seed++)
                check_contents(&object, piece_random, piece_random, seed);
            if (scales[s] <= 70000) { /* ISA-L's output costs 32 KiB of history a call */
                check_contents(&object, piece_one, piece_all, 0);
                if (scales[s] <= 300)
                    check_contents(&object, piece_all, piece_one, 0);
                if (scales[s] <= 300)
                    check_contents(&object, piece_one, piece_one, 0);
            }
            free_object(&object);
        }
}

/* What in[.. len) holds by itself: whole parts, or nothing whole. */
static bool ends_a_part(const struct object *object, size_t len, size_t *contents_bytes)
{
    for (size_t i = 0; i < object->parts; i++)
        if (object->part_ends[i] == len) {
            *contents_bytes = object->part_contents[i];
            return true;
        }
    return false;
}

static void test_inflate_truncated_anywhere_error(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS - 1; kind++) {
        struct object object = make_object(kind, 400);

        for (size_t len = 1; len < object.in_bytes; len++) {
            struct inflated got;
            size_t contents_bytes;
            bool padding = kind == 2 && ((len > object.part_ends[0] && len < object.part_ends[1]) ||
                                         len > object.part_ends[2]);

            drive_inflate(inflater, object.codec, object.in, len, piece_all,
                          len % 2 ? piece_all : piece_random, (uint32_t)len, &got);
            assert_true(got.len_bytes <= object.contents_bytes);
            assert_memory_equal(got.bytes, object.contents, got.len_bytes);
            if (ends_a_part(&object, len, &contents_bytes)) {
                assert_int_equal(got.rc, FMT_INFLATE_END);
                assert_int_equal(got.len_bytes, contents_bytes);
            } else if (padding) {
                assert_int_equal(got.rc, FMT_INFLATE_END);
            } else {
                assert_int_equal(got.rc, FMT_INFLATE_E_FORMAT);
                assert_non_null(strstr(got.error.text, "truncated: the object ends inside"));
            }
            free(got.bytes);
        }
        free_object(&object);
    }
}

/* Contents are right or the object is refused, whichever byte was damaged. */
static void test_inflate_any_byte_damaged_never_wrong(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS - 1; kind++) {
        struct object object = make_object(kind, 400);
        bool checked = kind < 5 || kind == 6 || kind == 7;

        for (size_t at = 0; at < object.in_bytes; at++) {
            struct inflated got;

            object.in[at] ^= (uint8_t)(1u << at % 8);
            drive_inflate(inflater, object.codec, object.in, object.in_bytes, piece_random,
                          piece_all, (uint32_t)at, &got);
            object.in[at] ^= (uint8_t)(1u << at % 8);
            /* A damaged length of a skippable frame may swallow what follows it. */
            if (got.rc == FMT_INFLATE_END && checked && kind != 4 && kind != 6) {
                assert_int_equal(got.len_bytes, object.contents_bytes);
                assert_memory_equal(got.bytes, object.contents, got.len_bytes);
            }
            free(got.bytes);
        }
        free_object(&object);
    }
}

static void expect_error(enum fmt_codec codec, const void *in, size_t len, size_t offset,
                         const char *text)
{
    static const piece_fn pieces[] = {piece_all, piece_one, piece_random};

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct inflated got;

        drive_inflate(inflater, codec, in, len, pieces[i], piece_all, 7, &got);
        assert_int_equal(got.rc, FMT_INFLATE_E_FORMAT);
        assert_string_equal(got.error.text, text);
        assert_int_equal(got.error.offset_bytes, offset);
        free(got.bytes);
    }
}

/* Damages one byte, expects the error, and mends it. */
static void expect_damage(struct object *object, size_t at, size_t offset, const char *text)
{
    object->in[at] ^= 0x40;
    expect_error(object->codec, object->in, object->in_bytes, offset, text);
    object->in[at] ^= 0x40;
}

static void test_inflate_gzip_errors_named(void **state)
{
    struct object object = new_object(FMT_CODEC_GZIP);

    (void)state;
    add_gzip(&object, 500, 6, Z_DEFAULT_STRATEGY, GZIP_HEAD_CRC | GZIP_NAME);
    add_gzip(&object, 300, 6, Z_DEFAULT_STRATEGY, GZIP_HEAD_CRC);
    size_t first = object.part_ends[0];
    size_t end = object.in_bytes;

    expect_damage(&object, 0, 0, "gzip member 1: not gzip: the object does not begin with 1f 8b");
    expect_damage(&object, 2, 0, "gzip member 1: its method is not deflate");
    expect_damage(&object, 3, 0, "gzip member 1: its head has flags that are not defined");
    expect_damage(&object, 5, 0, "gzip member 1: its head's CRC-16 differs");
    expect_damage(&object, first - 8, 0, "gzip member 1: CRC-32 differs: its contents are corrupt");
    expect_damage(&object, first - 4, 0,
                  "gzip member 1: its contents are not as long as its trailer says");
    expect_damage(
        &object, first, first,
        "gzip member 2: what follows the member before it is neither another one nor zero "
        "padding");
    expect_damage(&object, end - 5, first,
                  "gzip member 2: CRC-32 differs: its contents are corrupt");
    expect_damage(&object, end - 1, first,
                  "gzip member 2: its contents are not as long as its trailer says");
    expect_error(FMT_CODEC_GZIP, object.in, first + 5, first,
                 "gzip member 2: truncated: the object ends inside its head");
    expect_error(FMT_CODEC_GZIP, object.in, end - 20, first,
                 "gzip member 2: truncated: the object ends inside its data");
    expect_error(FMT_CODEC_GZIP, object.in, end - 1, first,
                 "gzip member 2: truncated: the object ends inside its trailer");
    free_object(&object);
    expect_error(FMT_CODEC_GZIP, "\0\0\0", 3, 0,
                 "gzip member 1: not gzip: the object does not begin with 1f 8b");
}

static void test_inflate_frames_errors_named(void **state)
{
    struct object object = new_object(FMT_CODEC_LZ4);

    (void)state;
    add_lz4(&object, 500, &lz4_checked);
    add_lz4(&object, 300, &lz4_checked);
    size_t first = object.part_ends[0];

    expect_damage(&object, 0, 0, "not lz4: the object does not begin with a frame");
    expect_damage(&object, first, first, "what follows lz4 frame 1 is not another one");
    expect_damage(&object, object.in_bytes - 1, first,
                  "lz4 frame 2: corrupt: contentChecksum_invalid");
    expect_error(FMT_CODEC_LZ4, object.in, first - 3, 0,
                 "lz4 frame 1: truncated: the object ends inside it");
    free_object(&object);

    object = new_object(FMT_CODEC_ZSTD);
    add_zstd(&object, 500, 3, 0);
    add_zstd(&object, 300, 3, 0);
    first = object.part_ends[0];
    expect_damage(&object, 0, 0, "not zstd: the object does not begin with a frame");
    expect_damage(&object, first, first, "what follows zstd frame 1 is not another one");
    expect_damage(&object, object.in_bytes - 1, first,
                  "zstd frame 2: corrupt: Restored data doesn't match checksum");
    expect_error(FMT_CODEC_ZSTD, object.in, first + 2, first,
                 "zstd frame 2: truncated: the object ends inside it");
    free_object(&object);
}

/* 64 MiB of budget allow a window of 8 MiB, 256 MiB one of 32 MiB. */
static void test_inflate_zstd_window_beyond_memory_refused(void **state)
{
    struct object object = new_object(FMT_CODEC_ZSTD);
    struct fmt_inflate *roomy =
        fmt_inflate_new(FMT_CODEC_ZSTD, NULL, fmt_inflate_memory_bytes(FMT_CODEC_ZSTD, 256 * MIB));
    struct inflated got;

    (void)state;
    add_zstd(&object, 1000, 3, 24);
    expect_error(FMT_CODEC_ZSTD, object.in, object.in_bytes, 0,
                 "zstd frame 1: its window is larger than this memory limit allows: raise the "
                 "memory limit");
    drive_inflate(roomy, FMT_CODEC_ZSTD, object.in, object.in_bytes, piece_all, piece_all, 0, &got);
    assert_int_equal(got.rc, FMT_INFLATE_END);
    free(got.bytes);
    fmt_inflate_free(roomy);
    free_object(&object);
}

/* An object left in its middle, by an error too, does not touch the next. */
static void test_inflate_start_forgets_the_object_before(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS - 1; kind++) {
        struct object object = make_object(kind, 3000);
        struct inflated got;

        drive_inflate(inflater, object.codec, object.in, object.in_bytes / 2, piece_all, piece_all,
                      0, &got);
        free(got.bytes);
        check_contents(&object, piece_random, piece_random, 3);
        free_object(&object);
    }
}

static void test_codec_of_key_extension_any_case(void **state)
{
    (void)state;
    assert_int_equal(fmt_codec_of_key("a/b.csv.gz"), FMT_CODEC_GZIP);
    assert_int_equal(fmt_codec_of_key("a.b/B.GZIP"), FMT_CODEC_GZIP);
    assert_int_equal(fmt_codec_of_key("b.lz4"), FMT_CODEC_LZ4);
    assert_int_equal(fmt_codec_of_key("b.zst"), FMT_CODEC_ZSTD);
    assert_int_equal(fmt_codec_of_key("b.zstd"), FMT_CODEC_ZSTD);
    assert_int_equal(fmt_codec_of_key("b.csv"), FMT_CODEC_NONE);
    assert_int_equal(fmt_codec_of_key("gz"), FMT_CODEC_NONE);
    assert_int_equal(fmt_codec_of_key("b.gz/c"), FMT_CODEC_NONE);
    assert_int_equal(fmt_codec_of_key(""), FMT_CODEC_NONE);
}

static void test_codec_parse_names(void **state)
{
    enum fmt_codec codec = FMT_CODEC_NONE;

    (void)state;
    assert_true(fmt_codec_parse("zstd", &codec));
    assert_int_equal(codec, FMT_CODEC_ZSTD);
    assert_true(fmt_codec_parse("auto", &codec));
    assert_int_equal(codec, FMT_CODEC_AUTO);
    assert_false(fmt_codec_parse("Gzip", &codec));
    assert_false(fmt_codec_parse("", &codec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inflate_any_split_same_contents),
        cmocka_unit_test(test_inflate_truncated_anywhere_error),
        cmocka_unit_test(test_inflate_any_byte_damaged_never_wrong),
        cmocka_unit_test(test_inflate_gzip_errors_named),
        cmocka_unit_test(test_inflate_frames_errors_named),
        cmocka_unit_test(test_inflate_zstd_window_beyond_memory_refused),
        cmocka_unit_test(test_inflate_start_forgets_the_object_before),
        cmocka_unit_test(test_codec_of_key_extension_any_case),
        cmocka_unit_test(test_codec_parse_names),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
