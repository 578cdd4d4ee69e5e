/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/http_head.c - see http_head.h. */
#include "pipe/http_head.h"

#include <string.h>
#include <strings.h>

/* A line, or a part of one; not terminated. */
struct slice {
    const char *at;
    size_t len;
};

static bool is_word(struct slice slice, const char *word)
{
    return slice.len == strlen(word) && strncasecmp(slice.at, word, slice.len) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110, 5.6.2: what a field name is made of. */
static bool is_token_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static struct slice trim(struct slice slice)
{
    while (slice.len > 0 && (*slice.at == ' ' || *slice.at == '\t'))
        slice.at++, slice.len--;
    while (slice.len > 0 && (slice.at[slice.len - 1] == ' ' || slice.at[slice.len - 1] == '\t'))
        slice.len--;
    return slice;
}

static void copy(struct slice slice, char *out, size_t size)
{
    size_t len = slice.len < size ? slice.len : size - 1;

    memcpy(out, slice.at, len);
    out[len] = '\0';
}

/* Whether there are control bytes behind the first `from`. */
static bool has_control(struct slice line, size_t from)
{
    for (size_t i = from; i < line.len; i++)
        if ((unsigned char)line.at[i] < 0x20 ? line.at[i] != '\t' : line.at[i] == 0x7f)
            return true;
    return false;
}

/* HTTP/1.x SP 3DIGIT [SP reason] */
static bool parse_status_line(struct slice line, struct ps_http_head *head)
{
    const char *at = line.at;

    if (line.len < 12 || memcmp(at, "HTTP/1.", 7) != 0 || !is_digit(at[7]) || at[8] != ' ' ||
        !is_digit(at[9]) || !is_digit(at[10]) || !is_digit(at[11]) ||
        (line.len > 12 && at[12] != ' ') || has_control(line, 12))
        return false;
    head->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
    head->keep_alive = at[7] != '0';
    return head->status >= 100;
}

static bool parse_length(struct slice value, struct ps_http_head *head)
{
    int64_t length = 0;

    if (value.len == 0 || head->content_length >= 0)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!is_digit(value.at[i]) || __builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, value.at[i] - '0', &length))
            return false;
    head->content_length = length;
    return true;
}

/* Whether the word is an element of the comma-separated list. */
static bool has_option(struct slice list, const char *word)
{
    while (list.len > 0) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.at) : list.len;

        if (is_word(trim((struct slice){list.at, len}), word))
            return true;
        len += comma ? 1 : 0;
        list.at += len;
        list.len -= len;
    }
    return false;
}

static bool take_field(struct slice name, struct slice value, struct ps_http_head *head,
                       bool *closes)
{
    if (is_word(name, "content-length"))
        return parse_length(value, head);
    if (is_word(name, "transfer-encoding")) {
        if (head->chunked || !is_word(value, "chunked"))
            return false;
        head->chunked = true;
    } else if (is_word(name, "connection")) {
        if (has_option(value, "close"))
            *closes = true;
        else if (has_option(value, "keep-alive"))
            head->keep_alive = true;
    } else if (is_word(name, "content-range")) {
        head->has_range = ps_content_range_parse(value.at, value.len, &head->range);
    } else if (is_word(name, "etag")) {
        /* A part of one would look like another one. */
        if (value.len < sizeof head->etag)
            copy(value, head->etag, sizeof head->etag);
    } else if (is_word(name, "retry-after")) {
        copy(value, head->retry_after, sizeof head->retry_after);
    } else if (is_word(name, "x-amz-request-id")) {
        copy(value, head->request_id, sizeof head->request_id);
    } else if (is_word(name, "x-amz-bucket-region")) {
        copy(value, head->region, sizeof head->region);
    } else if (is_word(name, "location")) {
        copy(value, head->location, sizeof head->location);
    } else if (is_word(name, "date")) {
        copy(value, head->date, sizeof head->date);
    } else {
        ps_checksum_take(&head->checksum, name.at, name.len, value.at, value.len);
    }
    return true;
}

static bool parse_field(struct slice line, struct ps_http_head *head, bool *closes)
{
    size_t name_len = 0;

    while (name_len < line.len && is_token_char(line.at[name_len]))
        name_len++;
    if (name_len == 0 || name_len == line.len || line.at[name_len] != ':')
        return false;
    if (has_control(line, name_len))
        return false;
    return take_field((struct slice){line.at, name_len},
                      trim((struct slice){line.at + name_len + 1, line.len - name_len - 1}), head,
                      closes);
}

/* Length of the head at `in`, or 0 while its empty line has not come. */
static size_t find_end(const char *in, size_t len, size_t *scanned)
{
    static const char end[] = "\r\n\r\n";
    size_t from = *scanned > 3 ? *scanned - 3 : 0;
    const char *found = memmem(in + from, len - from, end, sizeof end - 1);

    *scanned = len;
    return found ? (size_t)(found - in) + sizeof end - 1 : 0;
}

static bool parse_lines(const char *in, size_t len, struct ps_http_head *head)
{
    bool first = true;
    bool closes = false; /* said once, it counts */

    /* Each line ends in CRLF; the last is empty. */
    for (size_t at = 0; at + 2 < len;) {
        const char *line_feed = memchr(in + at, '\n', len - at);
        size_t line_len = (size_t)(line_feed - (in + at));

        if (line_len == 0 || line_feed[-1] != '\r')
            return false;
        struct slice line = {in + at, line_len - 1};

        if (first ? !parse_status_line(line, head) : !parse_field(line, head, &closes))
            return false;
        first = false;
        at += line_len + 1;
    }
    head->keep_alive = head->keep_alive && !closes;
    return !first && !(head->chunked && head->content_length >= 0);
}

enum ps_http_rc ps_http_head_parse(const char *in, size_t len, size_t *scanned,
                                   struct ps_http_head *head)
{
    static const char start[] = "HTTP/1.";
    size_t known = len < sizeof start - 1 ? len : sizeof start - 1;

    if (memcmp(in, start, known) != 0)
        return PS_HTTP_BAD; /* not HTTP: do not wait for an empty line that may never come */
    size_t head_bytes = find_end(in, len, scanned);

    if (head_bytes == 0)
        return len < PS_HTTP_HEAD_BYTES_MAX ? PS_HTTP_MORE : PS_HTTP_BAD;
    *head = (struct ps_http_head){.len_bytes = head_bytes, .content_length = -1};
    if (head_bytes > PS_HTTP_HEAD_BYTES_MAX || !parse_lines(in, head_bytes, head))
        return PS_HTTP_BAD;
    return PS_HTTP_OK;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads "HEX[;extension] CRLF" at *at. */
static enum ps_http_rc take_chunk_size(const char *in, size_t len, size_t *at, size_t *size)
{
    const char *line_feed = memchr(in + *at, '\n', len - *at);
    size_t digits = 0;

    if (!line_feed)
        return len - *at < 256 ? PS_HTTP_MORE : PS_HTTP_BAD;
    *size = 0;
    for (; hex_digit(in[*at]) >= 0; ++*at) {
        if (++digits > 8)
            return PS_HTTP_BAD;
        *size = *size << 4 | (size_t)hex_digit(in[*at]);
    }
    if (digits == 0 || line_feed[-1] != '\r')
        return PS_HTTP_BAD;
    *at = (size_t)(line_feed - in) + 1;
    return PS_HTTP_OK;
}

/* Walks the chunks; moves their bytes together if `out` is given, which may be `in`. */
static enum ps_http_rc walk_chunks(const char *in, size_t len, char *out, size_t *body_bytes,
                                   size_t *taken_bytes)
{
    size_t at = 0;

    for (*body_bytes = 0;;) {
        size_t size;
        enum ps_http_rc rc = take_chunk_size(in, len, &at, &size);

        if (rc != PS_HTTP_OK)
            return rc;
        if (size == 0)
            break;
        if (len - at < size + 2)
            return PS_HTTP_MORE;
        if (in[at + size] != '\r' || in[at + size + 1] != '\n')
            return PS_HTTP_BAD;
        if (out)
            memmove(out + *body_bytes, in + at, size);
        *body_bytes += size;
        at += size + 2;
    }
    /* Trailer fields, if any, end in an empty line. */
    if (len - at >= 2 && in[at] == '\r' && in[at + 1] == '\n') {
        *taken_bytes = at + 2;
        return PS_HTTP_OK;
    }
    const char *end = memmem(in + at, len - at, "\r\n\r\n", 4);

    if (!end)
        return PS_HTTP_MORE;
    *taken_bytes = (size_t)(end - in) + 4;
    return PS_HTTP_OK;
}

enum ps_http_rc ps_http_unchunk(char *in, size_t len, size_t *body_bytes, size_t *taken_bytes)
{
    enum ps_http_rc rc = walk_chunks(in, len, NULL, body_bytes, taken_bytes);
    size_t again_bytes;

    return rc == PS_HTTP_OK ? walk_chunks(in, len, in, body_bytes, &again_bytes) : rc;
}
