/* SPDX-License-Identifier: Apache-2.0 */
/* tests/record_walk_check.h - whatever the walker accepts, protobuf-c accepts with the same result,
 * number by number in every type. For tests and fuzz targets only; aborts when memory runs out.
 */
#ifndef TESTS_RECORD_WALK_CHECK_H
#define TESTS_RECORD_WALK_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "formats/record_numbers.h"

enum walk_check { WALK_REFUSED, WALK_AGREES, WALK_DIFFERS };

/* Both parsers' numbers in a type; false when they differ. Where the walker finds varints that are
 * too long, protobuf-c has found none: it has refused the record. *good: they are well-formed. */
static inline bool walk_same_numbers(const struct fmt_record_value *a,
                                     const struct fmt_record_value *b, enum fmt_feature_type type,
                                     bool *good)
{
    size_t count = (size_t)a->value_count;
    size_t size = count * fmt_feature_bytes(type);
    uint8_t *from_a = malloc(size + 1); /* malloc(0) may be NULL */
    uint8_t *from_b = malloc(size + 1);
    uint64_t unfit_a = 0;
    uint64_t unfit_b = 0;
    if (from_a == NULL || from_b == NULL)
        abort();
    enum fmt_numbers_rc rc_a = fmt_record_numbers(a, type, from_a, &unfit_a);
    bool same = true;
    *good = rc_a != FMT_NUMBERS_MALFORMED;
    if (*good && b != NULL) {
        enum fmt_numbers_rc rc_b = fmt_record_numbers(b, type, from_b, &unfit_b);
        same = rc_a == rc_b &&
               (rc_a == FMT_NUMBERS_OK ? memcmp(from_a, from_b, size) == 0 : unfit_a == unfit_b);
    }
    free(from_a);
    free(from_b);
    return same;
}

static inline bool walk_same_keys(const struct fmt_record_value *a,
                                  const struct fmt_record_value *b, bool *good)
{
    size_t count = (size_t)a->key_count;
    uint32_t *from_a = malloc(count * sizeof(*from_a) + 1);
    uint32_t *from_b = malloc(count * sizeof(*from_b) + 1);
    uint64_t most_a;
    uint64_t most_b;
    if (from_a == NULL || from_b == NULL)
        abort();
    *good = fmt_record_keys(a, from_a, &most_a);
    bool same = true;
    if (*good && b != NULL)
        same = fmt_record_keys(b, from_b, &most_b) && most_a == most_b &&
               memcmp(from_a, from_b, count * sizeof(*from_a)) == 0;
    free(from_a);
    free(from_b);
    return same;
}

/* b == NULL: only whether the walker's value is well-formed. */
static inline bool walk_same_value(const struct fmt_record_value *a,
                                   const struct fmt_record_value *b, bool *good)
{
    *good = true;
    if (b != NULL && (a->kind != b->kind || a->value_count != b->value_count))
        return false;
    if (a->kind == FMT_RECORD_BYTES)
        return b == NULL ||
               (a->values_bytes == b->values_bytes &&
                (a->values_bytes == 0 || memcmp(a->values, b->values, a->values_bytes) == 0));
    if (a->kind != FMT_RECORD_TENSOR)
        return true;
    if (b != NULL && (a->type != b->type || a->key_count != b->key_count ||
                      a->has_shape != b->has_shape || a->shape_product != b->shape_product))
        return false;
    for (int type = FMT_F32; *good && type <= FMT_U8; type++)
        if (!walk_same_numbers(a, b, (enum fmt_feature_type)type, good))
            return false;
    return !*good || walk_same_keys(a, b, good);
}

static inline enum walk_check walk_check(const uint8_t *body, size_t len,
                                         const struct fmt_record_query *query)
{
    static struct fmt_record_value walked[FMT_RECORD_WANTED_MAX];
    static struct fmt_record_value unpacked[FMT_RECORD_WANTED_MAX];
    void *message;
    if (fmt_record_walk(body, len, query, walked) == FMT_RECORD_REFUSED)
        return WALK_REFUSED;
    bool parsed = fmt_record_unpack(body, len, query, unpacked, &message) == FMT_RECORD_PARSED;
    bool same = true;
    bool all_good = true;
    for (uint32_t i = 0; same && i < query->count; i++) {
        bool good;
        same = walk_same_value(&walked[i], parsed ? &unpacked[i] : NULL, &good);
        all_good = all_good && good;
    }
    fmt_record_free(message);
    return same && parsed == all_good ? WALK_AGREES : WALK_DIFFERS;
}

#endif
