/* SPDX-License-Identifier: Apache-2.0 */
/* tests/record_notation.h - protobuf messages and RecordIO frames, legal or not, written down by
 * hand:
 *
 *     0a 1f           bytes, in lower-case hexadecimal
 *     ( ... )         the bytes inside, after their number as a varint
 *     'text'          characters
 *     F1.5 D2 V-3     a float32, a float64, a varint
 *
 * For tests only; aborts on a mistake in the notation.
 */
#ifndef TESTS_RECORD_NOTATION_H
#define TESTS_RECORD_NOTATION_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes under construction. */
struct bytes {
    uint8_t at[4096];
    size_t count;
};

static inline void put_bytes(struct bytes *out, const void *bytes, size_t count)
{
    if (count > sizeof(out->at) - out->count)
        abort();
    if (count > 0)
        memcpy(out->at + out->count, bytes, count);
    out->count += count;
}

static inline void put_byte(struct bytes *out, uint64_t byte)
{
    uint8_t low = (uint8_t)byte;
    put_bytes(out, &low, 1);
}

static inline void put_varint(struct bytes *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_byte(out, value | 0x80);
    put_byte(out, value);
}

/* A number after its letter. */
static inline const char *put_number(struct bytes *out, const char *text)
{
    char *end;
    if (*text == 'F') {
        float value = strtof(text + 1, &end);
        put_bytes(out, &value, sizeof(value));
    } else if (*text == 'D') {
        double value = strtod(text + 1, &end);
        put_bytes(out, &value, sizeof(value));
    } else {
        put_varint(out, (uint64_t)strtoll(text + 1, &end, 10));
    }
    return end;
}

/* Appends what the notation says, up to its end or the ')' that closes it; returns that place. */
static inline const char *put_notation(struct bytes *out, const char *text)
{
    while (*text != '\0' && *text != ')') {
        if (*text == ' ') {
            text++;
        } else if (*text == '(') {
            struct bytes inside = {.count = 0};
            text = put_notation(&inside, text + 1);
            if (*text++ != ')')
                abort();
            put_varint(out, inside.count);
            put_bytes(out, inside.at, inside.count);
        } else if (*text == '\'') {
            const char *end = strchr(text + 1, '\'');
            if (end == NULL)
                abort();
            put_bytes(out, text + 1, (size_t)(end - text - 1));
            text = end + 1;
        } else if (*text == 'F' || *text == 'D' || *text == 'V') {
            text = put_number(out, text);
        } else {
            char pair[3] = {text[0], text[1], '\0'};
            char *end;
            put_byte(out, strtoul(pair, &end, 16));
            if (end != pair + 2)
                abort();
            text += 2;
        }
    }
    return text;
}

/* A RecordIO frame, with a pad that is not zero. */
static inline void put_frame(struct bytes *out, uint32_t flag, const uint8_t *body, size_t count)
{
    uint32_t head[2] = {0xced7230a, flag << 29 | (uint32_t)count};
    put_bytes(out, head, sizeof(head));
    put_bytes(out, body, count);
    put_bytes(out, "   ", -count % 4);
}

/* A whole record with this body. */
static inline void put_record(struct bytes *out, const char *notation)
{
    struct bytes body = {.count = 0};
    put_notation(&body, notation);
    put_frame(out, 0, body.at, body.count);
}

#endif
