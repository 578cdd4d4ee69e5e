/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_site.c - where a bucket is: endpoint URL, or AWS's own host names. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipe/error.h"
#include "pipe/s3.h"

static int endpoint_fault(const struct ps_s3_account *account, const char *fault,
                          struct penstock_error *error)
{
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "the endpoint URL '%s' (from %s) %s: write http[s]://host[:port]",
                   account->endpoint_url, account->endpoint_origin, fault);
}

/* Cuts host and port out of "host:port" or "[v6]:port". Returns what is wrong, or NULL. */
static const char *parse_authority(const char *text, size_t len, struct ps_s3_place *out)
{
    const char *end = text + len, *host = text, *host_end, *port;
    bool bracketed = len && *text == '[';

    if (memchr(text, '@', len))
        return "holds a user name";
    if (bracketed) {
        host++;
        host_end = memchr(text, ']', len);
        if (!host_end)
            return "has an unclosed '['";
        port = host_end + 1;
    } else {
        host_end = memchr(text, ':', len);
        port = host_end = host_end ? host_end : end;
    }
    size_t host_len = (size_t)(host_end - host);
    if (!host_len)
        return "names no host";
    if (host_len > PS_BUCKET_BYTES_MAX)
        return "has too long a host name";
    memcpy(out->host, host, host_len);
    out->host[host_len] = '\0';
    if (out->host[strspn(out->host, bracketed ? "0123456789abcdefABCDEF:."
                                              : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                                                "YZ0123456789-._")])
        return "has a host with characters that cannot be in one";
    if (port < end && *port != ':')
        return "has something other than a port after the host";
    out->port = out->tls ? 443 : 80;
    if (port < end) {
        char *stop;
        unsigned long number = strtoul(port + 1, &stop, 10);
        if (port[1] < '0' || port[1] > '9' || stop != end || number < 1 || number > 65535)
            return "has a port that is no number from 1 to 65535";
        out->port = (uint16_t)number;
    }
    return NULL;
}

static void set_authority(struct ps_s3_place *place)
{
    struct ps_text text = ps_text_in(place->authority, sizeof place->authority);
    bool v6 = strchr(place->host, ':') != NULL;
    ps_text_addf(&text, "%s%s%s", v6 ? "[" : "", place->host, v6 ? "]" : "");
    if (place->port != (place->tls ? 443 : 80))
        ps_text_addf(&text, ":%u", (unsigned)place->port);
}

const char *ps_s3_place_read(struct ps_s3_place *place, const char *url, size_t *len)
{
    const char *authority = url;
    const char *fault;

    place->tls = !strncasecmp(url, "https://", 8);
    if (!place->tls && strncasecmp(url, "http://", 7))
        return "does not begin with http:// or https://";
    authority += place->tls ? 8 : 7;
    *len = strcspn(authority, "/?#");
    fault = parse_authority(authority, *len, place);
    *len += (size_t)(authority - url);
    if (!fault)
        set_authority(place);
    return fault;
}

static int from_endpoint(const struct ps_s3_account *account, const char *bucket,
                         struct ps_s3_place *out, struct penstock_error *error)
{
    const char *url = account->endpoint_url;
    size_t len = 0;
    const char *fault = ps_s3_place_read(out, url, &len);

    if (!fault && url[len] && strcmp(url + len, "/"))
        fault = "has a path, which is not supported";
    if (fault)
        return endpoint_fault(account, fault, error);
    if (strncmp(bucket, "arn:", 4) == 0)
        return ps_fail(
            error, PENSTOCK_E_ARGUMENT,
            "an access point (%s) is reached at AWS itself, not at the endpoint URL '%s' "
            "(from %s)",
            bucket, url, account->endpoint_origin);
    out->path_style = account->addressing != PS_S3_VIRTUAL;
    if (out->path_style)
        return PENSTOCK_OK;
    if (!ps_bucket_is_dns(bucket) || strlen(bucket) + strlen(out->host) + 2 > sizeof out->host)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "bucket '%s' cannot stand in a host name: use addressing style path",
                       bucket);
    memmove(out->host + strlen(bucket) + 1, out->host, strlen(out->host) + 1);
    memcpy(out->host, bucket, strlen(bucket));
    out->host[strlen(bucket)] = '.';
    set_authority(out);
    return PENSTOCK_OK;
}

/* A directory bucket has a host in its zone, whatever addressing is wished for. */
static bool place_in_zone(struct ps_s3_place *out, const char *bucket)
{
    struct ps_text host = ps_text_in(out->host, sizeof out->host);
    const char *zone;
    size_t zone_len = ps_bucket_zone(bucket, &zone);

    if (!zone_len || !ps_bucket_is_dns(bucket) || strchr(bucket, '.'))
        return false;
    out->path_style = false;
    ps_text_addf(&host, "%s.s3express-%.*s.%s.amazonaws.com%s", bucket, (int)zone_len, zone,
                 out->region, strncmp(out->region, "cn-", 3) ? "" : ".cn");
    set_authority(out);
    return true;
}

/* A certificate for *.s3.eu-west-1.amazonaws.com covers one label: a bucket with dots has to go
 * into the path. */
void ps_s3_place_aws(struct ps_s3_place *out, const char *bucket, bool path_style)
{
    struct ps_text host = ps_text_in(out->host, sizeof out->host);
    struct ps_access_point point;
    bool is_point = ps_access_point_read(bucket, &point);

    if (is_point) /* it is where its ARN says */
        ps_text_copy(out->region, sizeof out->region, point.region);
    const char *china = strncmp(out->region, "cn-", 3) ? "" : ".cn";

    out->tls = true;
    out->port = 443;
    if (place_in_zone(out, bucket))
        return;
    if (is_point) {
        out->path_style = false;
        ps_text_addf(&host, "%s-%s.s3-accesspoint.%s.amazonaws.com%s", point.name, point.account,
                     out->region, china);
        set_authority(out);
        return;
    }
    out->path_style = path_style || !ps_bucket_is_dns(bucket) || strchr(bucket, '.');
    if (!out->path_style)
        ps_text_addf(&host, "%s.", bucket);
    ps_text_addf(&host, "s3.%s.amazonaws.com%s", out->region, china);
    set_authority(out);
}

int ps_s3_site_init(const struct ps_s3_account *account, const char *bucket, struct ps_s3_site *out,
                    struct penstock_error *error)
{
    struct ps_s3_place *place = &out->places[0];
    const char *zone;
    int rc = PENSTOCK_OK;

    memset(out, 0, sizeof *out);
    out->account = account;
    if (!ps_text_copy(out->bucket, sizeof out->bucket, bucket))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the bucket's name is too long: '%s'", bucket);
    ps_text_copy(place->region, sizeof place->region, account->region);
    out->directory = ps_bucket_zone(bucket, &zone) > 0;
    if (*account->endpoint_url)
        rc = from_endpoint(account, out->bucket, place, error);
    else
        ps_s3_place_aws(place, out->bucket, account->addressing == PS_S3_PATH);
    if (rc == PENSTOCK_OK && *account->sse_key && !place->tls)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "a customer's encryption key goes over https only, not to %s", place->host);
    return rc;
}

const struct ps_s3_place *ps_s3_site_place(const struct ps_s3_site *site)
{
    return &site->places[atomic_load_explicit(&site->place_no, memory_order_acquire)];
}

void ps_s3_place_origin(const struct ps_s3_place *place, char *out, size_t size)
{
    struct ps_text text = ps_text_in(out, size);
    ps_text_addf(&text, "http%s://%s", place->tls ? "s" : "", place->authority);
}
