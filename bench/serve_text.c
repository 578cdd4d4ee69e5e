/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_text.c - a growing run of bytes. */
#include "bench/serve_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more_bytes` and a NUL. */
static bool reserve(struct serve_text *text, size_t more_bytes)
{
    size_t cap_bytes = text->cap_bytes ? text->cap_bytes : 256;
    char *data;

    if (text->failed)
        return false;
    if (text->cap_bytes - text->len_bytes > more_bytes)
        return true;
    while (cap_bytes - text->len_bytes <= more_bytes)
        cap_bytes *= 2;
    data = realloc(text->data, cap_bytes);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->cap_bytes = cap_bytes;
    return true;
}

void serve_text_add(struct serve_text *text, const char *bytes, size_t len_bytes)
{
    if (!reserve(text, len_bytes))
        return;
    if (len_bytes > 0)
        memcpy(text->data + text->len_bytes, bytes, len_bytes);
    text->len_bytes += len_bytes;
    text->data[text->len_bytes] = '\0';
}

void serve_text_str(struct serve_text *text, const char *string)
{
    serve_text_add(text, string, strlen(string));
}

void serve_text_format(struct serve_text *text, const char *format, ...)
{
    va_list args;
    int len_bytes;

    va_start(args, format);
    len_bytes = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len_bytes < 0) {
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)len_bytes))
        return;
    va_start(args, format);
    vsnprintf(text->data + text->len_bytes, (size_t)len_bytes + 1, format, args);
    va_end(args);
    text->len_bytes += (size_t)len_bytes;
}

void serve_text_xml(struct serve_text *text, const char *bytes, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '&')
            serve_text_str(text, "&amp;");
        else if (c == '<')
            serve_text_str(text, "&lt;");
        else if (c == '>')
            serve_text_str(text, "&gt;");
        else if (c == '"')
            serve_text_str(text, "&quot;");
        else if (c < 0x20)
            serve_text_format(text, "&#x%X;", (unsigned)c);
        else
            serve_text_add(text, bytes + i, 1);
    }
}

static bool unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void serve_text_url(struct serve_text *text, const char *bytes, size_t len_bytes, const char *keep)
{
    static const char digits[] = "0123456789ABCDEF";
    bool space_is_plus = strchr(keep, '+') != NULL;

    if (!reserve(text, 3 * len_bytes))
        return;
    for (size_t i = 0; i < len_bytes; i++) {
        unsigned char c = (unsigned char)bytes[i];
        char *out = text->data + text->len_bytes;

        if (unreserved(c) || (c == '/' && strchr(keep, '/'))) {
            out[0] = (char)c;
            text->len_bytes += 1;
        } else if (c == ' ' && space_is_plus) {
            out[0] = '+';
            text->len_bytes += 1;
        } else {
            out[0] = '%';
            out[1] = digits[c >> 4];
            out[2] = digits[c & 15];
            text->len_bytes += 3;
        }
    }
    text->data[text->len_bytes] = '\0';
}

void serve_text_free(struct serve_text *text)
{
    free(text->data);
    *text = (struct serve_text){0};
}
