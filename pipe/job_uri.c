/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_uri.c - a channel's URI: S3's https form becomes s3://, and what cannot be opened is
 * refused.
 *
 *     https://BUCKET.s3.REGION.amazonaws.com/KEY    https://s3.REGION.amazonaws.com/BUCKET/KEY
 *
 * also with s3-REGION, s3.dualstack.REGION, without a region, and with amazonaws.com.cn. The path
 * of a web address is percent-encoded (RFC 3986, 2.1); s3:// URIs are taken byte for byte.
 */
#include "pipe/job_parts.h"

#include "pipe/error.h"
#include "pipe/text.h"
#include "pipe/uri.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char https[] = "https://";

/* The length of what stands before the labels of S3 itself in `host` ("BUCKET." or ""), or -1 when
 * it is no host of S3. */
static long bucket_label(const char *host, size_t host_len)
{
    static const char *const ends[] = {".amazonaws.com", ".amazonaws.com.cn"};
    size_t len = 0;

    for (size_t i = 0; i < 2 && len == 0; i++) {
        size_t end_len = strlen(ends[i]);

        if (host_len > end_len && strncasecmp(host + host_len - end_len, ends[i], end_len) == 0)
            len = host_len - end_len;
    }
    /* The last label that is s3 or begins with s3-: a bucket's name may hold others. */
    for (size_t at = len; at-- > 0;) {
        bool starts = at == 0 || host[at - 1] == '.';
        bool is_s3 = len - at >= 2 && strncasecmp(host + at, "s3", 2) == 0 &&
                     (at + 2 == len || strchr(".-", host[at + 2]));

        if (starts && is_s3)
            return (long)at;
    }
    return -1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends `path`, decoded. False when it holds an escape that is none, or a NUL. */
static bool add_decoded(struct ps_text *out, const char *path)
{
    while (*path) {
        size_t plain = strcspn(path, "%");
        char byte;

        ps_text_add_bytes(out, path, plain);
        path += plain;
        if (!*path)
            break;
        if (hex_digit(path[1]) < 0 || hex_digit(path[2]) < 0)
            return false;
        byte = (char)(hex_digit(path[1]) * 16 + hex_digit(path[2]));
        if (byte == '\0')
            return false;
        ps_text_add_bytes(out, &byte, 1);
        path += 3;
    }
    return true;
}

static int from_https(struct ps_job_channel *channel, const char *field,
                      struct penstock_error *error)
{
    char plain[PS_PATH_BYTES_MAX + 1];
    struct ps_text out = ps_text_in(plain, sizeof plain);
    const char *host = channel->uri + sizeof https - 1;
    size_t host_len = strcspn(host, "/?#");
    const char *path = host + host_len;
    long bucket_len = bucket_label(host, host_len);

    if (bucket_len < 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%.200s' is no address of S3: write s3://bucket/prefix, and name "
                       "another server by its endpoint URL",
                       field, channel->uri);
    if (strpbrk(path, "?#"))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%.200s' has a '?' or '#': write s3://bucket/prefix", field,
                       channel->uri);
    if (*path == '/')
        path++;
    ps_text_add(&out, "s3://");
    if (bucket_len > 0) {
        ps_text_add_bytes(&out, host, (size_t)bucket_len - 1);
        ps_text_add(&out, "/");
    }
    if (!add_decoded(&out, path) || out.cut)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%.200s' is not percent-encoded, or too long: write s3://bucket/prefix",
                       field, channel->uri);
    return ps_job_copy(&channel->uri, plain, error);
}

int ps_job_check_uri(struct ps_job_channel *channel, struct penstock_error *error)
{
    char field[PS_FIELD_BYTES_MAX];
    struct penstock_error why;
    struct ps_uri uri;
    int rc = PENSTOCK_OK;

    ps_job_field_name(channel, PS_FIELD_URI, field);
    if (!channel->uri || !*channel->uri)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: is empty: write s3://bucket/prefix", field);
    if (channel->form == PS_FORM_API && strncmp(channel->uri, "s3://", 5) != 0 &&
        strncmp(channel->uri, https, sizeof https - 1) != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%.200s' does not begin with s3:// or https:// (the short form of a "
                       "job also takes files)",
                       field, channel->uri);
    if (channel->form == PS_FORM_API && ps_job_characters(channel->uri) > 1024)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: has %zu characters, at most 1024 may be",
                       field, ps_job_characters(channel->uri));
    if (strncasecmp(channel->uri, https, sizeof https - 1) == 0)
        rc = from_https(channel, field, error);
    if (rc != PENSTOCK_OK)
        return rc;
    if (ps_uri_parse(channel->uri, &uri, &why) != PENSTOCK_OK)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s: %s", field, why.message);
    if (channel->data_type != PS_DATA_PREFIX &&
        (!*uri.prefix || uri.prefix[strlen(uri.prefix) - 1] == '/'))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: '%s' names no object, but %s needs one: the manifest", field,
                       channel->uri, ps_data_type_name(channel->data_type));
    return PENSTOCK_OK;
}
