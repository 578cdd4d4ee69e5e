/* SPDX-License-Identifier: Apache-2.0 */
/* tests/record_check.h - runs one object of recordio-protobuf through the decoder in every way:
 * whole, in every split, truncated at every byte, at the edges of readable memory. For cmocka
 * tests.
 */
#ifndef TESTS_RECORD_CHECK_H
#define TESTS_RECORD_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/arena.h"
#include "tests/record_reference.h"

/* What the channel wants of its records, for all that follows. */
static struct fmt_options channel = {.ops = &fmt_recordio_protobuf};

/* Sets it by parameters: ";type=int32;label=y", or "". */
static inline void channel_set(const char *parameters)
{
    char content_type[600];
    struct fmt_error error = {.text = ""};
    (void)snprintf(content_type, sizeof(content_type), "application/x-recordio-protobuf%s",
                   parameters);
    fmt_options_free(&channel);
    if (fmt_options_parse(content_type, &channel, &error) != FMT_OK)
        fail_msg("%s: %s", content_type, error.text);
}

/* Decodes a copy of in[len] that touches one end of the arena. */
static inline void run(const uint8_t *in, size_t len, uint32_t rows_max, size_t (*step)(void *),
                       void *cookie, struct drive_result *result)
{
    struct drive drive = {.options = channel, .rows_max = rows_max, .step = step, .cookie = cookie};
    assert_true(len <= ARENA_BYTES);
    uint8_t *at = below(4) == 0 ? arena : arena + ARENA_BYTES - len;
    memcpy(at, in, len);
    drive_run(&drive, at, len, result);
}

static inline void expect_same(const char *name, const char *what, size_t where,
                               const struct drive_result *got, const struct drive_result *expected)
{
    if (!drive_result_equal(got, expected))
        fail_msg("%s, %s %zu: %zu rows, error '%s' at %zu; expected %zu rows, %s at %zu", name,
                 what, where, got->rows, got->text, got->error_offset_bytes, expected->rows,
                 expected->failed ? "an error" : "no error", expected->error_offset_bytes);
}

/* Whole, byte by byte, in two pieces; by one row and by many. */
static inline void check_splits(const char *name, const uint8_t *in, size_t len,
                                const struct drive_result *expected)
{
    struct drive_result got;
    for (uint32_t rows_max = 1; rows_max <= 1000; rows_max *= 10) {
        run(in, len, rows_max, step_all, NULL, &got);
        expect_same(name, "whole, rows_max", rows_max, &got, expected);
        drive_result_free(&got);
        run(in, len, rows_max, step_one, NULL, &got);
        expect_same(name, "byte by byte, rows_max", rows_max, &got, expected);
        drive_result_free(&got);
    }
    for (size_t split = 1; split < len; split += 1 + len / 500) {
        size_t first = split;
        run(in, len, 1000, step_split, &first, &got);
        expect_same(name, "split at", split, &got, expected);
        drive_result_free(&got);
    }
}

/* An object cut short gives rows that the whole one gives, then an error, unless it ends between
 * records. */
static inline void check_truncations(const char *name, const uint8_t *in, size_t len,
                                     const struct drive_result *whole)
{
    for (size_t end = 1; end < len; end += 1 + len / 2000) {
        struct drive_result got;
        struct drive_result expected;
        record_reference(&channel, in, end, &expected);
        run(in, end, 1000, step_all, NULL, &got);
        expect_same(name, "truncated at", end, &got, &expected);
        assert_true(got.rows <= whole->rows);
        if (got.rows > 0)
            assert_memory_equal(got.values, whole->values,
                                got.rows * drive_columns(&got) * sizeof(float));
        if (got.failed && strstr(got.text, "truncated") == NULL)
            fail_msg("%s, truncated at %zu: error '%s'", name, end, got.text);
        drive_result_free(&got);
        drive_result_free(&expected);
    }
}

/* Changes, drops or inserts one of the bytes. */
static inline void damage(uint8_t *bytes, size_t *count, size_t count_max)
{
    uint8_t *at = bytes + below((uint32_t)*count);
    switch (below(6)) {
    case 0:
        *at = (uint8_t)(*at ^ 1u << below(8));
        break;
    case 1:
        *at = (uint8_t)below(256);
        break;
    case 2:
        *at = (uint8_t)(*at + below(5) - 2);
        break;
    case 3: /* drop a byte */
        memmove(at, at + 1, (size_t)(bytes + --*count - at));
        break;
    case 4: /* insert one */
        if (*count < count_max)
            memmove(at + 1, at, (size_t)(bytes + (*count)++ - at));
        break;
    default: /* 0x80 and 0xff make varints long */
        *at = below(2) == 0 ? 0x80 : 0xff;
        break;
    }
}

#endif
