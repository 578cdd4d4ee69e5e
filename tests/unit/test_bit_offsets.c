/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_bit_offsets.c - every processor's way finds the same bits in the same places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "formats/bit_offsets.h"
#include "tests/arena.h"

enum { MASKS = 9, CANARY = 0x5a5a5a5a };

static const struct way {
    size_t (*offsets)(const uint64_t *masks, size_t count, uint32_t at, uint32_t *out);
    const char *needs;
} WAYS[] = {
    {fmt_bit_offsets, "any"},
    {fmt_bit_offsets_base, "any"},
#if defined(__x86_64__)
    {fmt_bit_offsets_bmi, "bmi"},
    {fmt_bit_offsets_avx512, "avx512f"},
#endif
};

static bool runs_here(const char *needs)
{
#if defined(__x86_64__)
    if (strcmp(needs, "bmi") == 0)
        return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
    if (strcmp(needs, "avx512f") == 0)
        return __builtin_cpu_supports("avx512f");
#endif
    return strcmp(needs, "any") == 0;
}

static void test_bit_offsets_are_those_of_a_plain_search(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 3000; round++) {
        uint64_t masks[MASKS];
        uint32_t expected[64 * MASKS];
        uint32_t got[64 * MASKS + FMT_OFFSETS_SLACK + 1];
        size_t count = below(MASKS + 1);
        uint32_t at = below(2) == 0 ? 64 * below(1000) : (uint32_t)1 << 30;
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            masks[i] = below(8) == 0 ? UINT64_MAX : 0;
            for (uint32_t bit = 0; bit < 64; bit++)
                masks[i] |= (uint64_t)(below(1 + round % 30) == 0) << bit;
            for (uint32_t bit = 0; bit < 64; bit++)
                if (masks[i] >> bit & 1)
                    expected[n++] = at + 64 * (uint32_t)i + bit;
        }
        for (size_t k = 0; k < sizeof WAYS / sizeof WAYS[0]; k++) {
            if (!runs_here(WAYS[k].needs))
                continue;
            got[n + FMT_OFFSETS_SLACK] = CANARY;
            assert_int_equal(WAYS[k].offsets(masks, count, at, got), n);
            assert_memory_equal(got, expected, n * sizeof(uint32_t));
            assert_int_equal(got[n + FMT_OFFSETS_SLACK], CANARY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bit_offsets_are_those_of_a_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
