/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/text.c - bounded strings: copy, append, percent-encode. */
#include "pipe/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The longest length <= len at which `text` can be cut without splitting a UTF-8 sequence. Bytes
 * that are no UTF-8 are cut anywhere: at most three bytes are given up. */
static size_t utf8_cut(const char *text, size_t len)
{
    for (size_t back = 0; back < 4 && back < len; back++) {
        if (((unsigned char)text[len - back] & 0xC0) != 0x80)
            return len - back;
    }
    return len;
}

bool ps_text_copy(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);
    bool fits = len < size;
    if (!fits)
        len = utf8_cut(text, size - 1);
    memcpy(out, text, len);
    out[len] = '\0';
    return fits;
}

struct ps_text ps_text_in(char *bytes, size_t size)
{
    bytes[0] = '\0';
    return (struct ps_text){.bytes = bytes, .size = size};
}

void ps_text_add_bytes(struct ps_text *text, const char *more, size_t len)
{
    size_t room = text->size - 1 - text->len;
    if (len > room) {
        len = room;
        text->cut = true;
    }
    memcpy(text->bytes + text->len, more, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

void ps_text_add(struct ps_text *text, const char *more)
{
    ps_text_add_bytes(text, more, strlen(more));
}

void ps_text_add_u64(struct ps_text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    ps_text_add_bytes(text, digits + at, sizeof digits - at);
}

void ps_text_addf(struct ps_text *text, const char *format, ...)
{
    size_t room = text->size - text->len;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->bytes + text->len, room, format, args);
    va_end(args);
    if (len < 0) {
        text->cut = true;
        text->bytes[text->len] = '\0';
    } else if ((size_t)len >= room) {
        text->cut = true;
        text->len = text->size - 1;
    } else {
        text->len += (size_t)len;
    }
}

bool ps_text_is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void ps_text_add_encoded(struct ps_text *text, const char *raw, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";

    while (*raw) {
        size_t run = 0;

        while (ps_text_is_unreserved(raw[run]) || (raw[run] == '/' && keep_slash))
            run++;
        ps_text_add_bytes(text, raw, run);
        raw += run;
        if (*raw) {
            unsigned char c = (unsigned char)*raw++;
            char code[3] = {'%', hex[c >> 4], hex[c & 15]};

            ps_text_add_bytes(text, code, sizeof code);
        }
    }
}
