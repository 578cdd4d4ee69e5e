/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/uri.c - what a channel's URI names. */
#include "pipe/uri.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "pipe/error.h"
#include "pipe/text.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Why `bucket` is no bucket name, or NULL. Today's rule is 3 to 63 lower-case letters, digits, dots
 * and hyphens; older buckets and other servers also have capitals, underscores and longer names
 * (botocore accepts [a-zA-Z0-9.\-_]{1,255}), so those pass too. */
static const char *bucket_fault(const char *bucket, size_t len)
{
    struct in_addr address;
    if (len < 3)
        return "is shorter than 3 characters";
    if (len > PS_BUCKET_BYTES_MAX)
        return "is longer than 255 characters";
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(bucket[i]) && !strchr(".-_", bucket[i]))
            return "may hold letters, digits, '.', '-' and '_' only";
    if (!is_alnum(bucket[0]) || !is_alnum(bucket[len - 1]))
        return "must begin and end with a letter or a digit";
    if (strstr(bucket, ".."))
        return "must not hold two dots in a row";
    if (inet_pton(AF_INET, bucket, &address) == 1)
        return "must not look like an IP address";
    return NULL;
}

/* Copies up to `end` into `out`, and returns what follows it; NULL if it is not there or too much.
 */
static const char *take_field(const char *text, const char *end, char *out, size_t size)
{
    size_t len = strcspn(text, end);

    if (!text[len] || len == 0 || len >= size)
        return NULL;
    memcpy(out, text, len);
    out[len] = '\0';
    return text + len + 1;
}

bool ps_access_point_read(const char *text, struct ps_access_point *out)
{
    static const char label[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    char word[16];

    memset(out, 0, sizeof *out);
    text = take_field(text, ":", word, sizeof word);
    if (!text || strcmp(word, "arn") != 0)
        return false;
    text = take_field(text, ":", out->partition, sizeof out->partition);
    text = text ? take_field(text, ":", word, sizeof word) : NULL;
    if (!text || strcmp(word, "s3") != 0)
        return false;
    text = take_field(text, ":", out->region, sizeof out->region);
    text = text ? take_field(text, ":", out->account, sizeof out->account) : NULL;
    text = text ? take_field(text, ":/", word, sizeof word) : NULL;
    return text && strcmp(word, "accesspoint") == 0 && strlen(text) >= 3 &&
           strspn(out->region, label) == strlen(out->region) &&
           strspn(out->partition, label) == strlen(out->partition) &&
           strspn(out->account, "0123456789") == 12 && strspn(text, label) == strlen(text) &&
           ps_text_copy(out->name, sizeof out->name, text);
}

/* How long the bucket's part of "arn:...:accesspoint/NAME/prefix" is. */
static size_t arn_len(const char *rest)
{
    static const char word[] = ":accesspoint/";
    const char *name = strstr(rest, word);

    if (name && (size_t)(name - rest) < strcspn(rest, "/"))
        return (size_t)(name - rest) + sizeof word - 1 + strcspn(name + sizeof word - 1, "/");
    return strcspn(rest, "/");
}

bool ps_bucket_is_dns(const char *bucket)
{
    size_t len = strlen(bucket);
    if (len < 3 || len > 63 || strpbrk(bucket, "_ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return false;
    return !strstr(bucket, ".-") && !strstr(bucket, "-.");
}

size_t ps_bucket_zone(const char *bucket, const char **zone)
{
    static const char *const ends[] = {"--x-s3", "--xa-s3"};
    size_t len = strlen(bucket);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end_len = strlen(ends[i]);

        if (len <= end_len || strcmp(bucket + len - end_len, ends[i]))
            continue;
        for (size_t at = len - end_len - 1; at > 2; at--)
            if (bucket[at - 1] == '-' && bucket[at - 2] == '-') {
                *zone = bucket + at;
                return len - end_len - at;
            }
    }
    return 0;
}

static int parse_s3(const char *text, const char *rest, struct ps_uri *out,
                    struct penstock_error *error)
{
    bool is_arn = strncmp(rest, "arn:", 4) == 0;
    size_t len = is_arn ? arn_len(rest) : strcspn(rest, "/");
    struct ps_access_point point;
    const char *fault = NULL;

    if (len == 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' names no bucket: write s3://bucket/prefix", text);
    if (len <= PS_BUCKET_BYTES_MAX) {
        memcpy(out->bucket, rest, len);
        out->bucket[len] = '\0';
    }
    if (is_arn && (len > PS_BUCKET_BYTES_MAX || !ps_access_point_read(out->bucket, &point)))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' names no access point of one region: write "
                       "s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix",
                       text);
    if (!is_arn)
        fault = bucket_fault(len <= PS_BUCKET_BYTES_MAX ? out->bucket : rest, len);
    if (fault)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "URI '%s': the bucket name '%.*s' %s", text,
                       (int)(len < 300 ? len : 300), rest, fault);
    rest += len;
    if (*rest == '/')
        rest++;
    if (strlen(rest) > PS_KEY_BYTES_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s': the prefix has %zu bytes, but no key has more than %d", text,
                       strlen(rest), PS_KEY_BYTES_MAX);
    out->kind = PS_URI_S3;
    ps_text_copy(out->prefix, sizeof out->prefix, rest);
    return PENSTOCK_OK;
}

static int parse_file(const char *path, struct ps_uri *out, struct penstock_error *error)
{
    if (strlen(path) > PS_PATH_BYTES_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "path '%.200s...' has %zu bytes, at most %d fit",
                       path, strlen(path), PS_PATH_BYTES_MAX);
    out->kind = PS_URI_FILE;
    ps_text_copy(out->prefix, sizeof out->prefix, path);
    return PENSTOCK_OK;
}

static int parse_pipe(const char *text, const char *path, struct ps_uri *out,
                      struct penstock_error *error)
{
    size_t len = strlen(path);

    if (path[len - 1] == '/')
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' names a directory: write pipe:///directory/channel for the FIFOs "
                       "/directory/channel_0, channel_1 and so on",
                       text);
    int rc = parse_file(path, out, error);

    out->kind = PS_URI_PIPE;
    return rc;
}

/* "https://bucket.s3.eu-west-1.amazonaws.com/key" and "https://s3.eu-west-1.amazonaws.com/bucket/
 * key" are what a browser shows: say how to write them. */
static int refuse_http(const char *text, const char *rest, struct penstock_error *error)
{
    size_t host_len = strcspn(rest, "/:");
    const char *host_end = rest + host_len;
    const char *key = rest + strcspn(rest, "/");
    const char *label = strstr(rest, ".s3.");
    const char *amazon = strstr(rest, ".amazonaws.com");

    if (!label)
        label = strstr(rest, ".s3-");
    if (*key == '/')
        key++;
    if (amazon && amazon < host_end && label && label < host_end)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "URI '%s' is a web address: write s3://%.*s/%s",
                       text, (int)(label - rest), rest, key);
    if (amazon && amazon < host_end && (!strncmp(rest, "s3.", 3) || !strncmp(rest, "s3-", 3)))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "URI '%s' is a web address: write s3://%s", text,
                       key);
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "URI '%s' is a web address: write s3://bucket/prefix, and name another server "
                   "than AWS by the endpoint URL (AWS_ENDPOINT_URL_S3)",
                   text);
}

int ps_uri_parse(const char *text, struct ps_uri *out, struct penstock_error *error)
{
    memset(out, 0, sizeof *out);
    if (!text || !*text)
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "a channel's URI is empty: write s3://bucket/prefix, file:///path or a path");
    if (!strncasecmp(text, "s3://", 5))
        return parse_s3(text, text + 5, out, error);
    if (!strncasecmp(text, "file:///", 8))
        return parse_file(text + 7, out, error);
    if (!strncasecmp(text, "file:", 5))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' is not a local file: write file:///absolute/path, or a plain path",
                       text);
    if (!strncasecmp(text, "pipe:///", 8))
        return parse_pipe(text, text + 7, out, error);
    if (!strncasecmp(text, "pipe:", 5))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' names no FIFOs: write pipe:///absolute/path for /absolute/path_0, "
                       "path_1 and so on",
                       text);
    if (!strncasecmp(text, "https://", 8) || !strncasecmp(text, "http://", 7))
        return refuse_http(text, strstr(text, "://") + 3, error);
    if (!strncasecmp(text, "s3:", 3) || !strncasecmp(text, "s3a:", 4) ||
        !strncasecmp(text, "s3n:", 4) || !strncmp(text, "arn:", 4))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' is not understood: write s3://bucket/prefix", text);
    if (strstr(text, "://") && strcspn(text, "/:") < strcspn(text, "/"))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "URI '%s' has an unknown scheme: s3://, file:/// and pipe:/// are known "
                       "(for a path, write ./%s)",
                       text, text);
    return parse_file(text, out, error);
}
