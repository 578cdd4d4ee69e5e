/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drive_text.h - rows of float32 features, or of sparse entries, as text that a test can
 * state: "y 1 w 0.5 g 7 x 2 3 t 'text'", sparse ones "y 1 e 0:2 5:3", a line each; then "!cause" if
 * the object ended with an error.
 */
#ifndef TESTS_DRIVE_TEXT_H
#define TESTS_DRIVE_TEXT_H

#include "tests/drive.h"

#include <inttypes.h>
#include <stdio.h>

struct drive_words {
    char *out;
    size_t room;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static inline void drive_say(struct drive_words *words,
                                                                   const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(words->out + words->len, words->room - words->len, format, args);
    va_end(args);
    words->len += (size_t)n;
    if (words->len >= words->room)
        abort();
}

static inline void drive_say_values(struct drive_words *words, const char *name,
                                    const float *values, size_t count)
{
    drive_say(words, "%s%s", words->len == 0 || words->out[words->len - 1] == '\n' ? "" : " ",
              name);
    for (size_t i = 0; i < count; i++)
        if (values[i] != values[i])
            drive_say(words, " nan");
        else
            drive_say(words, " %.9g", (double)values[i]);
}

/* One piece of r->more. */
static inline void drive_take(const uint8_t **more, void *out, size_t len)
{
    if (len > 0)
        memcpy(out, *more, len);
    *more += len;
}

static inline void drive_say_entries(struct drive_words *words, const uint8_t **more)
{
    uint32_t count;
    drive_take(more, &count, sizeof count);
    drive_say(words, "%se", words->len == 0 || words->out[words->len - 1] == '\n' ? "" : " ");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t column;
        float value;
        memcpy(&column, *more + i * sizeof column, sizeof column);
        memcpy(&value, *more + (count + i) * sizeof value, sizeof value);
        drive_say(words, " %" PRIu32 ":%.9g", column, (double)value);
    }
    *more += 2 * (size_t)count * sizeof(float);
}

static inline void drive_text(const struct drive_result *r, char *out, size_t room)
{
    struct drive_words words = {.out = out, .room = room};
    const uint8_t *more = r->more;
    size_t columns = drive_columns(r);
    size_t feature_dim = columns - r->shape.label_dim;
    out[0] = 0;
    for (size_t row = 0; row < r->rows; row++) {
        const float *values = r->values + row * columns;
        if (r->shape.label_dim > 0)
            drive_say_values(&words, "y", values + feature_dim, r->shape.label_dim);
        if (r->shape.weighted) {
            float weight;
            drive_take(&more, &weight, sizeof weight);
            drive_say_values(&words, "w", &weight, 1);
        }
        if (r->shape.grouped) {
            uint64_t group;
            drive_take(&more, &group, sizeof group);
            drive_say(&words, " g %" PRIu64, group);
        }
        if (r->shape.sparse)
            drive_say_entries(&words, &more);
        else
            drive_say_values(&words, "x", values, feature_dim);
        for (uint32_t i = 0; i < r->shape.text_dim; i++) {
            uint32_t len;
            drive_take(&more, &len, sizeof len);
            drive_say(&words, "%s'%.*s'", i == 0 ? " t " : " ", (int)len, (const char *)more);
            more += len;
        }
        drive_say(&words, "\n");
    }
    if (r->failed)
        drive_say(&words, "!%s", r->text);
}

#endif
