/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/checksum.c - see checksum.h. */
#include "pipe/checksum.h"

#include <string.h>
#include <strings.h>

static const char prefix[] = "x-amz-checksum-";
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool is_word(const char *at, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(at, word, len) == 0;
}

/* Exactly the base64 of size_bytes bytes, as a number. */
static bool decode(const char *text, size_t len, size_t size_bytes, uint64_t *sum)
{
    size_t digits = (8 * size_bytes + 5) / 6;
    size_t left_bits = 6 * digits - 8 * size_bytes;
    uint64_t number = 0;

    if (len != (size_bytes + 2) / 3 * 4)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *digit = text[i] != '\0' ? strchr(base64, text[i]) : NULL;

        if (i >= digits ? text[i] != '=' : !digit)
            return false;
        if (i < digits - 1)
            number = number << 6 | (uint64_t)(digit - base64);
        else if (i == digits - 1)
            number = number << (6 - left_bits) | (uint64_t)(digit - base64) >> left_bits;
    }
    *sum = number;
    return true;
}

static void take_sum(struct ps_checksum *checksum, enum fmt_crc_kind kind, const char *value,
                     size_t len)
{
    uint64_t sum;

    if (checksum->has_sum || !decode(value, len, fmt_crc_bytes(kind), &sum))
        return;
    checksum->has_sum = true;
    checksum->kind = kind;
    checksum->sum = sum;
}

void ps_checksum_take(struct ps_checksum *checksum, const char *name, size_t name_len,
                      const char *value, size_t value_len)
{
    size_t prefix_len = sizeof prefix - 1;

    if (name_len < prefix_len || strncasecmp(name, prefix, prefix_len) != 0)
        return;
    name += prefix_len;
    name_len -= prefix_len;
    if (is_word(name, name_len, "type")) {
        checksum->composite |= !is_word(value, value_len, "FULL_OBJECT");
        return;
    }
    checksum->told = true;
    checksum->composite |= memchr(value, '-', value_len) != NULL;
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++)
        if (is_word(name, name_len, fmt_crc_name((enum fmt_crc_kind)kind)))
            take_sum(checksum, (enum fmt_crc_kind)kind, value, value_len);
}
