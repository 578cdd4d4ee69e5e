/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_request.c - build and sign a request for an object or a bucket. */
#include <string.h>

#include "pipe/error.h"
#include "pipe/session.h"

#define SESSION_MODE "x-amz-create-session-mode"
#define SSE "x-amz-server-side-encryption-customer-"

/* A header on its way into a request: `name` as it is sent, `lower` as it is signed. */
struct header {
    const char *name;
    const char *lower;
    const char *value;
};

struct header_set {
    struct header headers[PS_S3_HEADERS_MAX];
    size_t count;
};

static void add_header(struct header_set *set, const char *name, const char *lower,
                       const char *value)
{
    set->headers[set->count++] = (struct header){name, lower, value};
}

/* An entity tag comes from a server: one with a line break would smuggle in a header. */
static bool is_header_value(const char *value)
{
    for (; *value; value++)
        if ((unsigned char)*value < 0x20 || *value == 0x7f)
            return false;
    return true;
}

/* Writes scheme, authority, path and query, and sets *path and *query to encoded copies for the
 * signer: the path is cut from the URL after the '?' is in its place. */
static bool build_url(const struct ps_s3_site *site, const struct ps_s3_request_spec *spec,
                      struct ps_s3_request *out, char *path, size_t path_size, size_t *query_at)
{
    struct ps_text url = ps_text_in(out->url_bytes, sizeof out->url_bytes);
    struct ps_text copy = ps_text_in(path, path_size);
    const struct ps_s3_place *place = out->sent.place;

    ps_text_add(&url, place->tls ? "https://" : "http://");
    ps_text_add(&url, place->authority);
    out->url = out->url_bytes;
    out->target = out->url_bytes + url.len;
    if (place->path_style) {
        ps_text_add(&url, "/");
        ps_text_add(&url, site->bucket);
    }
    if (spec->key || !place->path_style)
        ps_text_add(&url, "/");
    if (spec->key)
        ps_text_add_encoded(&url, spec->key, true);
    ps_text_add(&copy, out->target);
    if (spec->query_count)
        ps_text_add(&url, "?");
    *query_at = url.len;
    ps_sigv4_add_query(&url, spec->query, spec->query_count);
    return !url.cut && !copy.cut;
}

static bool sign(const struct ps_s3_site *site, const struct ps_keys *keys,
                 const struct ps_s3_place *place, const struct ps_s3_request_spec *spec, time_t now,
                 const char *path, const char *query, const struct header_set *set,
                 struct ps_sigv4_cache *cache, char *authorization, size_t size)
{
    struct ps_sigv4_pair pairs[PS_S3_HEADERS_MAX];
    for (size_t i = 0; i < set->count; i++)
        pairs[i] = (struct ps_sigv4_pair){set->headers[i].lower, set->headers[i].value};
    const struct ps_sigv4_request request = {
        .method = spec->method,
        .path = path,
        .query = query,
        .headers = pairs,
        .header_count = set->count,
        .payload_sha256 = PS_SIGV4_EMPTY_SHA256,
        .region = place->region,
        .service = site->directory ? "s3express" : "s3",
        .access_key_id = keys->access_key_id,
        .secret_access_key = keys->secret_access_key,
        .time = now,
    };
    return ps_sigv4_authorization(&request, cache, authorization, size);
}

static bool write_headers(const struct header_set *set, struct ps_s3_request *out)
{
    struct ps_text text = ps_text_in(out->header_bytes, sizeof out->header_bytes);
    for (size_t i = 0; i < set->count; i++) {
        out->headers[i] = text.bytes + text.len;
        ps_text_add(&text, set->headers[i].name);
        ps_text_add(&text, ": ");
        ps_text_add(&text, set->headers[i].value);
        ps_text_add_bytes(&text, "", 1);
    }
    out->header_count = set->count;
    return !text.cut;
}

static int build(const struct ps_s3_site *site, const struct ps_s3_request_spec *spec, time_t now,
                 struct ps_sigv4_cache *cache, struct ps_s3_request *out,
                 struct penstock_error *error)
{
    const struct ps_session *session = spec->create_session ? NULL : site->session;
    const struct ps_credentials *credentials = ps_session_credentials(site, session);
    const char *token_name = session ? "x-amz-s3session-token" : "x-amz-security-token";
    char path[3 * PS_KEY_BYTES_MAX + PS_BUCKET_BYTES_MAX + 8];
    char date[17], range[64], authorization[512];
    struct ps_text range_text = ps_text_in(range, sizeof range);
    struct header_set set = {.count = 0};
    size_t query_at;

    if (spec->key && strlen(spec->key) > PS_KEY_BYTES_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "key '%.100s...' has more than %d bytes",
                       spec->key, PS_KEY_BYTES_MAX);
    if (spec->if_match && !is_header_value(spec->if_match))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "the entity tag of key '%s' holds a control character", spec->key);
    out->sent.place = spec->place ? spec->place : ps_s3_site_place(site);
    out->sent.clock_offset_s = atomic_load_explicit(&site->clock_offset_s, memory_order_relaxed);
    now += (time_t)out->sent.clock_offset_s;
    if (!build_url(site, spec, out, path, sizeof path, &query_at) || !ps_sigv4_date(now, date))
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "a request for bucket %s is too long, or the clock is wrong", site->bucket);

    add_header(&set, "Host", "host", out->sent.place->authority);
    if (spec->ranged) {
        ps_text_add(&range_text, "bytes=");
        ps_text_add_u64(&range_text, spec->first);
        ps_text_add(&range_text, "-");
        ps_text_add_u64(&range_text, spec->last);
        add_header(&set, "Range", "range", range);
    }
    if (spec->if_match)
        add_header(&set, "If-Match", "if-match", spec->if_match);
    if (spec->checksum)
        add_header(&set, "x-amz-checksum-mode", "x-amz-checksum-mode", "ENABLED");
    if (*site->account->sse_key && spec->key) {
        add_header(&set, SSE "algorithm", SSE "algorithm", "AES256");
        add_header(&set, SSE "key", SSE "key", site->account->sse_key);
        add_header(&set, SSE "key-MD5", SSE "key-md5", site->account->sse_key_md5);
    }
    if (site->account->requester_pays)
        add_header(&set, "x-amz-request-payer", "x-amz-request-payer", "requester");
    if (*site->account->bucket_owner)
        add_header(&set, "x-amz-expected-bucket-owner", "x-amz-expected-bucket-owner",
                   site->account->bucket_owner);
    if (!credentials->anonymous) {
        add_header(&set, "x-amz-content-sha256", "x-amz-content-sha256", PS_SIGV4_EMPTY_SHA256);
        add_header(&set, "x-amz-date", "x-amz-date", date);
        if (spec->create_session)
            add_header(&set, SESSION_MODE, SESSION_MODE, "ReadOnly");
        if (*credentials->keys.session_token)
            add_header(&set, token_name, token_name, credentials->keys.session_token);
        if (!sign(site, &credentials->keys, out->sent.place, spec, now, path, out->url + query_at,
                  &set, cache, authorization, sizeof authorization))
            return ps_fail(error, PENSTOCK_E_ARGUMENT, "a request for bucket %s cannot be signed",
                           site->bucket);
        add_header(&set, "Authorization", "authorization", authorization);
    }
    add_header(&set, "User-Agent", "user-agent", PS_S3_USER_AGENT);
    if (!write_headers(&set, out))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the headers of a request are too long");
    return PENSTOCK_OK;
}

int ps_s3_request_build(const struct ps_s3_site *site, const struct ps_s3_request_spec *spec,
                        time_t now, struct ps_sigv4_cache *cache, struct ps_s3_request *out,
                        struct penstock_error *error)
{
    struct ps_keyring *keyring = ps_session_keyring(site, spec->create_session);

    ps_keyring_lock(keyring);
    int rc = build(site, spec, now, cache, out, error);

    ps_keyring_unlock(keyring);
    return rc;
}
