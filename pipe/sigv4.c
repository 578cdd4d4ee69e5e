/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/sigv4.c - sign a request for S3 with AWS Signature Version 4.
 *
 * SHA-256 through libcrypto's plain functions, which it calls deprecated: its newer interface
 * allocates memory for every digest, and every part of a stream is signed. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pipe/sigv4.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES SHA256_DIGEST_LENGTH
#define BLOCK_BYTES SHA256_CBLOCK
#define CANONICAL_BYTES_MAX (28 * 1024) /* path 3 KiB, query 16 KiB, headers 9 KiB */

static void sha256(const void *data, size_t len, unsigned char out[DIGEST_BYTES])
{
    SHA256_CTX hash;

    SHA256_Init(&hash);
    SHA256_Update(&hash, data, len);
    SHA256_Final(out, &hash);
    explicit_bzero(&hash, sizeof hash);
}

/* One half of an HMAC: the digest of the key, padded with `pad`, and of the data. */
static void hash_keyed(const unsigned char key[BLOCK_BYTES], unsigned char pad, const void *data,
                       size_t len, unsigned char out[DIGEST_BYTES])
{
    unsigned char block[BLOCK_BYTES];
    SHA256_CTX hash;

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = key[i] ^ pad;
    SHA256_Init(&hash);
    SHA256_Update(&hash, block, sizeof block);
    SHA256_Update(&hash, data, len);
    SHA256_Final(out, &hash);
    explicit_bzero(block, sizeof block);
    explicit_bzero(&hash, sizeof hash);
}

/* RFC 2104; `out` may be the key. */
static void hmac(const void *key, size_t key_len, const char *text, unsigned char out[DIGEST_BYTES])
{
    unsigned char whole_key[BLOCK_BYTES] = {0}, inner[DIGEST_BYTES];

    if (key_len > sizeof whole_key)
        sha256(key, key_len, whole_key);
    else
        memcpy(whole_key, key, key_len);
    hash_keyed(whole_key, 0x36, text, strlen(text), inner);
    hash_keyed(whole_key, 0x5c, inner, sizeof inner, out);
    explicit_bzero(whole_key, sizeof whole_key);
}

static void add_hex(struct ps_text *text, const unsigned char digest[DIGEST_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    char digits[2 * DIGEST_BYTES];

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        digits[2 * i] = hex[digest[i] >> 4];
        digits[2 * i + 1] = hex[digest[i] & 15];
    }
    ps_text_add_bytes(text, digits, sizeof digits);
}

/* Orders two raw strings as their percent-encoded forms: every encoded byte starts with '%', which
 * sorts before all bytes that are left as they are. */
static int compare_encoded(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    if (*a == *b)
        return 0;
    if (!*a || !*b)
        return *a ? 1 : -1;
    bool a_plain = ps_text_is_unreserved(*a), b_plain = ps_text_is_unreserved(*b);
    if (a_plain != b_plain)
        return a_plain ? 1 : -1;
    return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int compare_query(const void *left, const void *right)
{
    const struct ps_sigv4_pair *a = left, *b = right;
    int order = compare_encoded(a->name, b->name);
    return order ? order : compare_encoded(a->value, b->value);
}

void ps_sigv4_add_query(struct ps_text *text, const struct ps_sigv4_pair *pairs, size_t count)
{
    struct ps_sigv4_pair sorted[PS_SIGV4_PAIRS_MAX];
    if (count > PS_SIGV4_PAIRS_MAX) {
        text->cut = true;
        return;
    }
    if (count)
        memcpy(sorted, pairs, count * sizeof *pairs);
    qsort(sorted, count, sizeof *sorted, compare_query);
    for (size_t i = 0; i < count; i++) {
        if (i)
            ps_text_add(text, "&");
        ps_text_add_encoded(text, sorted[i].name, false);
        ps_text_add(text, "=");
        ps_text_add_encoded(text, sorted[i].value, false);
    }
}

bool ps_sigv4_date(time_t time, char out[17])
{
    struct tm utc;

    if (!gmtime_r(&time, &utc) || utc.tm_year < -1900 || utc.tm_year > 9999 - 1900)
        return false;
    const int pairs[] = {(utc.tm_year + 1900) / 100,
                         (utc.tm_year + 1900) % 100,
                         utc.tm_mon + 1,
                         utc.tm_mday,
                         -1 /* T */,
                         utc.tm_hour,
                         utc.tm_min,
                         utc.tm_sec};

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i] < 0) {
            *out++ = 'T';
            continue;
        }
        *out++ = (char)('0' + pairs[i] / 10);
        *out++ = (char)('0' + pairs[i] % 10);
    }
    memcpy(out, "Z", 2);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Appends a header's value without white space at its ends and with runs of spaces made one. */
static void add_trimmed(struct ps_text *text, const char *value)
{
    bool begun = false;

    for (;;) {
        size_t run = 0;

        while (is_blank(*value))
            value++;
        if (!*value)
            return;
        while (value[run] && !is_blank(value[run]))
            run++;
        if (begun)
            ps_text_add(text, " ");
        ps_text_add_bytes(text, value, run);
        value += run;
        begun = true;
    }
}

/* Sorts `headers` by name and keeps the order of equal ones. At most 16: insertion sort. */
static void sort_headers(struct ps_sigv4_pair *headers, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct ps_sigv4_pair moved = headers[i];
        size_t at = i;
        for (; at && strcmp(headers[at - 1].name, moved.name) > 0; at--)
            headers[at] = headers[at - 1];
        headers[at] = moved;
    }
}

static void add_signed_names(struct ps_text *text, const struct ps_sigv4_pair *sorted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i && !strcmp(sorted[i].name, sorted[i - 1].name))
            continue;
        if (i)
            ps_text_add(text, ";");
        ps_text_add(text, sorted[i].name);
    }
}

static void add_line(struct ps_text *text, const char *line)
{
    ps_text_add(text, line);
    ps_text_add(text, "\n");
}

/* Step 1: the digest of the canonical request. */
static bool canonical_digest(const struct ps_sigv4_request *request,
                             const struct ps_sigv4_pair *sorted, unsigned char digest[DIGEST_BYTES])
{
    char bytes[CANONICAL_BYTES_MAX];
    struct ps_text text = ps_text_in(bytes, sizeof bytes);

    add_line(&text, request->method);
    add_line(&text, request->path);
    add_line(&text, request->query);
    for (size_t i = 0; i < request->header_count; i++) {
        if (i && !strcmp(sorted[i].name, sorted[i - 1].name)) {
            text.len--; /* the newline of the header that this one continues */
            ps_text_add(&text, ",");
        } else {
            ps_text_add(&text, sorted[i].name);
            ps_text_add(&text, ":");
        }
        add_trimmed(&text, sorted[i].value);
        ps_text_add(&text, "\n");
    }
    ps_text_add(&text, "\n");
    add_signed_names(&text, sorted, request->header_count);
    ps_text_add(&text, "\n");
    ps_text_add(&text, request->payload_sha256);
    sha256(bytes, text.len, digest);
    explicit_bzero(bytes, text.len); /* it held the session token */
    return !text.cut;
}

/* Step 3: the signing key, from the cache if the secret and the scope are the same as last time. */
static bool derive_key(const struct ps_sigv4_request *request, const char *scope,
                       struct ps_sigv4_cache *cache)
{
    unsigned char digest[DIGEST_BYTES], key[DIGEST_BYTES];
    char seed[512], date[9];
    struct ps_text text = ps_text_in(seed, sizeof seed);

    sha256(request->secret_access_key, strlen(request->secret_access_key), digest);
    if (!strcmp(cache->scope, scope) && !memcmp(cache->secret_digest, digest, sizeof digest))
        return true;
    memcpy(date, scope, 8);
    date[8] = '\0';
    ps_text_addf(&text, "AWS4%s", request->secret_access_key);
    hmac(seed, text.len, date, key);
    hmac(key, sizeof key, request->region, key);
    hmac(key, sizeof key, request->service, key);
    hmac(key, sizeof key, "aws4_request", key);
    if (!text.cut) {
        ps_text_copy(cache->scope, sizeof cache->scope, scope);
        memcpy(cache->secret_digest, digest, sizeof digest);
        memcpy(cache->signing_key, key, sizeof key);
    }
    explicit_bzero(seed, sizeof seed);
    explicit_bzero(key, sizeof key);
    return !text.cut;
}

bool ps_sigv4_authorization(const struct ps_sigv4_request *request, struct ps_sigv4_cache *cache,
                            char *out, size_t size)
{
    struct ps_sigv4_pair sorted[PS_SIGV4_PAIRS_MAX];
    unsigned char digest[DIGEST_BYTES];
    char date[17], scope_bytes[sizeof cache->scope], to_sign_bytes[256];
    struct ps_text scope = ps_text_in(scope_bytes, sizeof scope_bytes);
    struct ps_text to_sign = ps_text_in(to_sign_bytes, sizeof to_sign_bytes);
    struct ps_text result = ps_text_in(out, size);

    if (request->header_count > PS_SIGV4_PAIRS_MAX || !ps_sigv4_date(request->time, date))
        return false;
    if (request->header_count)
        memcpy(sorted, request->headers, request->header_count * sizeof *sorted);
    sort_headers(sorted, request->header_count);
    if (!canonical_digest(request, sorted, digest))
        return false;

    ps_text_add_bytes(&scope, date, 8);
    ps_text_add(&scope, "/");
    ps_text_add(&scope, request->region);
    ps_text_add(&scope, "/");
    ps_text_add(&scope, request->service);
    ps_text_add(&scope, "/aws4_request");
    add_line(&to_sign, "AWS4-HMAC-SHA256");
    add_line(&to_sign, date);
    add_line(&to_sign, scope.bytes);
    add_hex(&to_sign, digest);
    if (scope.cut || to_sign.cut || !derive_key(request, scope.bytes, cache))
        return false;
    hmac(cache->signing_key, sizeof cache->signing_key, to_sign.bytes, digest);

    ps_text_add(&result, "AWS4-HMAC-SHA256 Credential=");
    ps_text_add(&result, request->access_key_id);
    ps_text_add(&result, "/");
    ps_text_add(&result, scope.bytes);
    ps_text_add(&result, ", SignedHeaders=");
    add_signed_names(&result, sorted, request->header_count);
    ps_text_add(&result, ", Signature=");
    add_hex(&result, digest);
    return !result.cut;
}
