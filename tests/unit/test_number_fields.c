/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_number_fields.c - many fields at once: every processor's way gives the bits that
 * strtof gives, and stops at the same field.
 *
 *     build/release/tests/unit/test_number_fields [COUNT]
 *
 * COUNT numbers (default 600,000) of every shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/number_fields_x86.h"
#include "tests/arena.h"
#include "tests/number_texts.h"

/* Bytes in front of the text, which conversions may read. */
enum { FIELDS = 100, LEAD_BYTES = 40 };

static uint64_t number_count = 600000;

static const struct way {
    const char *name;
    size_t (*convert)(const struct fmt_number_fields *f);
} WAYS[] = {
    {"any", fmt_number_fields},
    {"base", fmt_number_fields_base},
#if defined(__x86_64__)
    {"avx2", fmt_number_fields_avx2},
    {"avx512", fmt_number_fields_avx512},
#endif
};

static bool runs_here(const char *name)
{
#if defined(__x86_64__)
    if (strcmp(name, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
    if (strcmp(name, "avx512") == 0)
        return fmt_number_has_avx512();
#endif
    return true;
}

/* Fields between guard pages, and what they are worth. */
struct fields {
    uint32_t starts[FIELDS + FMT_FIELDS_SLACK];
    uint32_t ends[FIELDS + FMT_FIELDS_SLACK];
    float values[FIELDS + FMT_FIELDS_SLACK];
    float expected[FIELDS];
    char text[FIELDS * (TEXT_BYTES + 1)];
    size_t len;
    size_t count;
    size_t good; /* fields before the first that is no number */
};

static void put_field(struct fields *f, const char *text)
{
    size_t len = strlen(text);
    if (f->count > 0)
        f->text[f->len++] = (char)",;:1"[below(4)]; /* a digit in front is not part of it */
    f->starts[f->count] = (uint32_t)f->len;
    memcpy(f->text + f->len, text, len);
    f->len += len;
    f->ends[f->count++] = (uint32_t)f->len;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void check(struct fields *f)
{
    size_t lead = below(4) == 0 ? 0 : LEAD_BYTES;
    uint8_t *at = below(2) == 0 ? arena : arena + ARENA_BYTES - lead - f->len;
    assert_true(lead + f->len <= ARENA_BYTES);
    memset(at, '7', lead);
    memcpy(at + lead, f->text, f->len);
    for (size_t k = 0; k < sizeof WAYS / sizeof WAYS[0]; k++) {
        const struct fmt_number_fields fields = {
            .in = at,
            .base = at + lead,
            .starts = f->starts,
            .ends = f->ends,
            .count = f->count,
            .values = f->values,
            .blank = 0.25f,
            .blank_is_good = true,
        };
        if (!runs_here(WAYS[k].name))
            continue;
        memset(f->values, 0x55, sizeof f->values);
        size_t good = WAYS[k].convert(&fields);
        if (good != f->good)
            fail_msg("%s: %zu good fields, not %zu, of '%.*s'", WAYS[k].name, good, f->good,
                     (int)f->len, f->text);
        for (size_t i = 0; i < good; i++)
            if (bits_of(f->values[i]) != bits_of(f->expected[i]))
                fail_msg("%s: field %zu, '%.*s': got %a, strtof says %a", WAYS[k].name, i,
                         (int)(f->ends[i] - f->starts[i]), f->text + f->starts[i],
                         (double)f->values[i], (double)f->expected[i]);
    }
}

static void test_number_fields_equal_strtof(void **state)
{
    static struct fields f;
    (void)state;
    for (uint64_t round = 0; round < number_count / FIELDS; round++) {
        f.len = 0;
        f.count = 0;
        while (f.count < FIELDS) {
            char text[TEXT_BYTES];
            text_of_shape(text, sizeof text, (uint32_t)(round % TEXT_SHAPES));
            f.expected[f.count] = strtof(text, NULL);
            put_field(&f, text);
        }
        f.good = f.count;
        check(&f);
    }
}

/* Without exponents, which would make all of them take one way. */
static void test_number_fields_near_ties_equal_strtof(void **state)
{
    static struct fields f;
    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        f.len = 0;
        f.count = 0;
        while (f.count < FIELDS) {
            char text[TEXT_BYTES];
            /* One near a tie among others, or too many would not fit. */
            do
                text_short_tie(text, sizeof text);
            while (strchr(text, 'e') != NULL);
            if (f.count % 8 != round % 8)
                snprintf(text, sizeof text, "%.*f", (int)below(22), below(1000000) / 7e4);
            f.expected[f.count] = strtof(text, NULL);
            put_field(&f, text);
        }
        f.good = f.count;
        check(&f);
    }
}

/* Digits, a point and a sign anywhere in up to 34 bytes: what is a number and what is none. */
static void test_number_fields_all_places_of_point_and_sign(void **state)
{
    static struct fields f;
    (void)state;
    for (size_t len = 1; len <= 34; len++) {
        for (size_t point = 0; point <= len; point++) {
            for (uint32_t sign = 0; sign < 3; sign++) {
                size_t odd = below(8);
                f.len = 0;
                f.count = 0;
                f.good = 8;
                for (size_t i = 0; i < 8; i++) {
                    char text[40];
                    for (size_t k = 0; k < len; k++)
                        text[k] = (char)('0' + below(10));
                    if (point < len)
                        text[point] = '.';
                    if (sign > 0)
                        text[0] = '-';
                    if (sign == 2 && i == odd) /* at another place as well */
                        text[below((uint32_t)len)] = "-.+y: \xb1/"[below(8)];
                    text[len] = 0;
                    char *end;
                    f.expected[i] = strtof(text, &end);
                    const char *first = text;
                    while (*first == ' ')
                        first++;
                    if (*first == 0)
                        f.expected[i] = 0.25f;
                    else if ((end == text || end[strspn(end, " ")] != 0) && f.good == 8)
                        f.good = i;
                    put_field(&f, text);
                }
                check(&f);
            }
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_fields_equal_strtof),
        cmocka_unit_test(test_number_fields_near_ties_equal_strtof),
        cmocka_unit_test(test_number_fields_all_places_of_point_and_sign),
    };
    if (argc > 1)
        number_count = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, arena_make, NULL);
}
