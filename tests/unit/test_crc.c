/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_crc.c - checksums: published vectors, other people's values, and every way that
 * this machine knows against the definition, input between pages that must not be touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "formats/crc.h"
#include "formats/crc_x86.h"
#include "tests/arena.h"
#include "tests/golden/crc.h"

enum { LEN_MAX = 4096 };

/* The definition: one bit at a time, of the polynomial as it is written, not mirrored. */
static uint64_t reference(enum fmt_crc_kind kind, const uint8_t *in, size_t len_bytes)
{
    static const uint64_t polynomials[] = {0x04c11db7, 0x1edc6f41, 0xad93d23594c93659};
    unsigned bits = kind == FMT_CRC64NVME ? 64 : 32;
    uint64_t ones = bits == 64 ? UINT64_MAX : 0xffffffff;
    uint64_t state = ones;
    uint64_t sum = 0;

    for (size_t i = 0; i < len_bytes; i++)
        for (int bit = 0; bit < 8; bit++) {
            uint64_t out = state >> (bits - 1) & 1;

            state = state << 1 & ones;
            if (out != (in[i] >> bit & 1))
                state ^= polynomials[kind];
        }
    for (unsigned bit = 0; bit < bits; bit++)
        sum |= (state >> bit & 1) << (bits - 1 - bit);
    return sum ^ ones;
}

/* As make_crc.py. */
static uint8_t *golden_data(size_t len_bytes)
{
    uint8_t *out = malloc(len_bytes + 1);
    uint64_t state = 1;

    assert_non_null(out);
    for (size_t i = 0; i < len_bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(state >> 56);
    }
    return out;
}

static void fill_arena(void)
{
    for (size_t i = 0; i < ARENA_BYTES; i++)
        arena[i] = (uint8_t)below(256);
}

static uint64_t sum_of(enum fmt_crc_kind kind, const char *text)
{
    return fmt_crc(kind, 0, (const uint8_t *)text, strlen(text));
}

static void check_values(void **state)
{
    (void)state;
    assert_int_equal(sum_of(FMT_CRC32, "123456789"), 0xcbf43926);
    assert_int_equal(sum_of(FMT_CRC32C, "123456789"), 0xe3069283);
    assert_true(sum_of(FMT_CRC64NVME, "123456789") == 0xae8b14860a799888);
}

/* RFC 3720, appendix B.4; its bytes are in the order of the wire. */
static void rfc_3720(void **state)
{
    uint8_t in[48];
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

    (void)state;
    memset(in, 0, sizeof in);
    assert_int_equal(fmt_crc(FMT_CRC32C, 0, in, 32), 0x8a9136aa);
    memset(in, 0xff, sizeof in);
    assert_int_equal(fmt_crc(FMT_CRC32C, 0, in, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        in[i] = i;
    assert_int_equal(fmt_crc(FMT_CRC32C, 0, in, 32), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        in[i] = (uint8_t)(31 - i);
    assert_int_equal(fmt_crc(FMT_CRC32C, 0, in, 32), 0x113fdb5c);
    assert_int_equal(fmt_crc(FMT_CRC32C, 0, read_command, 48), 0xd9963a56);
}

static void others_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof crc_golden / sizeof *crc_golden; i++) {
        size_t len_bytes = crc_golden[i].len_bytes;
        uint8_t *in = golden_data(len_bytes);

        for (int kind = 0; kind < FMT_CRC_KINDS; kind++) {
            assert_true(fmt_crc((enum fmt_crc_kind)kind, 0, in, len_bytes) ==
                        crc_golden[i].sums[kind]);
            assert_true(fmt_crc_plainly((enum fmt_crc_kind)kind, 0, in, len_bytes) ==
                        crc_golden[i].sums[kind]);
        }
        free(in);
    }
}

static void tables_are_the_definition(void **state)
{
    (void)state;
    fill_arena();
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++)
        for (size_t len = 0; len < 200; len++)
            assert_true(fmt_crc_plainly((enum fmt_crc_kind)kind, 0, arena + len, len) ==
                        reference((enum fmt_crc_kind)kind, arena + len, len));
}

static void zlib_agrees(void **state)
{
    (void)state;
    fill_arena();
    for (size_t len = 0; len <= LEN_MAX; len++)
        assert_int_equal(fmt_crc(FMT_CRC32, 0, arena + len, len), crc32(0, arena + len, (uInt)len));
}

/* Every length, at both ends of readable memory, and so at every alignment. */
static void every_length(void **state)
{
    (void)state;
    fill_arena();
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++)
        for (size_t len = 0; len <= LEN_MAX; len++) {
            const uint8_t *last = arena + ARENA_BYTES - len;

            assert_true(fmt_crc((enum fmt_crc_kind)kind, 7, last, len) ==
                        fmt_crc_plainly((enum fmt_crc_kind)kind, 7, last, len));
            assert_true(fmt_crc((enum fmt_crc_kind)kind, 0, arena, len) ==
                        fmt_crc_plainly((enum fmt_crc_kind)kind, 0, arena, len));
        }
}

static void every_alignment(void **state)
{
    (void)state;
    fill_arena();
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++)
        for (size_t at = 0; at < 128; at++)
            for (size_t len = 250; len < 400; len += 1 + below(5))
                assert_true(fmt_crc((enum fmt_crc_kind)kind, 0, arena + at, len) ==
                            fmt_crc_plainly((enum fmt_crc_kind)kind, 0, arena + at, len));
}

#if defined(__x86_64__)
typedef size_t fold_function(const struct fmt_crc_folds *folds, uint64_t state, const uint8_t *in,
                             size_t len_bytes, uint8_t out[16]);

static struct fmt_crc_fold fold_by(enum fmt_crc_kind kind, unsigned distance)
{
    return (struct fmt_crc_fold){
        {fmt_crc_power(kind, distance + 63), fmt_crc_power(kind, distance - 1)}};
}

/* The 16 bytes stand for what was folded: nothing is inverted here, so begin and end with ones. */
static void check_fold(fold_function *fold, size_t least_bytes)
{
    for (int k = 0; k < FMT_CRC_KINDS; k++) {
        enum fmt_crc_kind kind = (enum fmt_crc_kind)k;
        uint64_t ones = kind == FMT_CRC64NVME ? UINT64_MAX : 0xffffffff;
        const struct fmt_crc_folds folds = {fold_by(kind, 128), fold_by(kind, 512),
                                            fold_by(kind, 1024), fold_by(kind, 2048)};

        for (size_t len = least_bytes; len <= LEN_MAX; len++) {
            const uint8_t *in = arena + ARENA_BYTES - len;
            uint8_t folded[16];
            size_t done = fold(&folds, ones, in, len, folded);
            uint64_t sum = fmt_crc_plainly(kind, ones, folded, sizeof folded);

            assert_int_equal(done, len / 16 * 16);
            assert_true(sum == fmt_crc_plainly(kind, 0, in, done));
        }
    }
}

/* Also the way that this machine would not choose. */
static void every_way(void **state)
{
    (void)state;
    fill_arena();
    if (fmt_has_clmul())
        check_fold(fmt_crc_fold_clmul, FMT_CRC_CLMUL_BYTES);
    if (fmt_has_clmul_avx512())
        check_fold(fmt_crc_fold_avx512, FMT_CRC_AVX512_BYTES);
}
#else
static void every_way(void **state)
{
    (void)state;
}
#endif

static void split_anywhere(void **state)
{
    (void)state;
    fill_arena();
    for (int k = 0; k < FMT_CRC_KINDS; k++) {
        enum fmt_crc_kind kind = (enum fmt_crc_kind)k;
        uint64_t whole = fmt_crc(kind, 0, arena, LEN_MAX);

        for (size_t cut = 0; cut <= LEN_MAX; cut += 1 + below(7)) {
            uint64_t a = fmt_crc(kind, 0, arena, cut);
            uint64_t b = fmt_crc(kind, 0, arena + cut, LEN_MAX - cut);

            assert_true(fmt_crc(kind, a, arena + cut, LEN_MAX - cut) == whole);
            assert_true(fmt_crc_combine(kind, a, b, LEN_MAX - cut) == whole);
        }
    }
}

/* Lengths that nothing in memory has: zeros appended, by halves. */
static void combine_far(void **state)
{
    (void)state;
    for (int k = 0; k < FMT_CRC_KINDS; k++) {
        enum fmt_crc_kind kind = (enum fmt_crc_kind)k;
        static const uint8_t zeros[1024];
        uint64_t start = fmt_crc(kind, 0, (const uint8_t *)"penstock", 8);
        uint64_t zeros_sum = fmt_crc(kind, 0, zeros, sizeof zeros);
        uint64_t len = sizeof zeros;

        assert_true(fmt_crc_combine(kind, start, 0, 0) == start);
        for (; len < (uint64_t)1 << 60; len *= 2) {
            uint64_t once = fmt_crc_combine(kind, start, zeros_sum, len);
            uint64_t twice = fmt_crc_combine(kind, once, zeros_sum, len);

            zeros_sum = fmt_crc_combine(kind, zeros_sum, zeros_sum, len);
            assert_true(fmt_crc_combine(kind, start, zeros_sum, 2 * len) == twice);
        }
    }
}

/* The point of it all. */
static void every_flipped_bit(void **state)
{
    (void)state;
    fill_arena();
    for (int k = 0; k < FMT_CRC_KINDS; k++) {
        enum fmt_crc_kind kind = (enum fmt_crc_kind)k;
        uint64_t sum = fmt_crc(kind, 0, arena, 777);

        for (size_t bit = 0; bit < 777 * 8; bit++) {
            arena[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(fmt_crc(kind, 0, arena, 777) != sum);
            arena[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),      cmocka_unit_test(rfc_3720),
        cmocka_unit_test(others_values),     cmocka_unit_test(tables_are_the_definition),
        cmocka_unit_test(zlib_agrees),       cmocka_unit_test(every_length),
        cmocka_unit_test(every_alignment),   cmocka_unit_test(every_way),
        cmocka_unit_test(split_anywhere),    cmocka_unit_test(combine_far),
        cmocka_unit_test(every_flipped_bit),
    };
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
