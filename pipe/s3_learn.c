/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_learn.c - what a failed request tells of the bucket's place and of the server's clock.
 *
 * Sources: AWS, "Request redirection and the REST API"; botocore's S3RegionRedirector.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipe/s3_xml.h"

#define SKEW_S_LEAST 240 /* less is within what S3 allows (15 min) with a good margin */

/* Redirects are rare: one lock for all sites. */
static pthread_mutex_t move_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- where the bucket is ---- */

static bool is_redirect(int http_status)
{
    return http_status == 301 || http_status == 302 || http_status == 307 || http_status == 308;
}

/* The region is put into a host name. */
static bool is_region(const char *text)
{
    return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

/* Most answers name the region: only another one counts. */
static bool is_other_region(const struct ps_s3_place *from, const char *region)
{
    return is_region(region) && strcmp(region, from->region) != 0;
}

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && !strcasecmp(text + len - end_len, end);
}

/* AWS also redirects to names like "s3-gztb4pa9sq": regions have two hyphens at least. */
static bool is_aws_region(const char *text)
{
    const char *hyphen = strchr(text, '-');

    return is_region(text) && hyphen && strchr(hyphen + 1, '-');
}

/* "s3.eu-west-1.amazonaws.com", "s3-eu-west-1...", "s3.dualstack.eu-west-1...": the region, if
 * there is one. */
static void take_region(struct ps_s3_place *place, const char *host)
{
    char region[sizeof place->region];
    size_t len;

    if (strncmp(host, "s3.", 3) && strncmp(host, "s3-", 3))
        return;
    host += 3;
    if (!strncmp(host, "dualstack.", 10))
        host += 10;
    len = strcspn(host, ".");
    if (len == 0 || len >= sizeof region)
        return;
    memcpy(region, host, len);
    region[len] = '\0';
    if (is_aws_region(region))
        ps_text_copy(place->region, sizeof place->region, region);
}

/* Where a Location leads, as far as a signed request may go there. Returns why not, or NULL. */
static const char *follow(const struct ps_s3_site *site, const struct ps_s3_place *from,
                          const char *location, struct ps_s3_place *out)
{
    size_t bucket_len = strlen(site->bucket), len;
    const char *fault = ps_s3_place_read(out, location, &len);

    if (fault)
        return "is no web address";
    if (out->tls != from->tls)
        return "has another scheme";
    if (*site->account->endpoint_url)
        return strcasecmp(out->host, from->host) ? "is another host" : NULL;
    if (out->port != from->port ||
        (!ends_in(out->host, ".amazonaws.com") && !ends_in(out->host, ".amazonaws.com.cn")))
        return "is not AWS";
    out->path_style =
        strncasecmp(out->host, site->bucket, bucket_len) || out->host[bucket_len] != '.';
    take_region(out, out->path_style ? out->host : out->host + bucket_len + 1);
    return NULL;
}

/* The place that the answer names. Returns why there is none, or NULL. */
static const char *find_next(const struct ps_s3_site *site, const struct ps_s3_place *from,
                             const char *region, const char *location, struct ps_s3_place *out)
{
    *out = *from;
    if (!is_other_region(from, region))
        return *location ? follow(site, from, location, out) : "is not named";
    ps_text_copy(out->region, sizeof out->region, region);
    if (!*site->account->endpoint_url) {
        *out->host = '\0';
        ps_s3_place_aws(out, site->bucket, site->account->addressing == PS_S3_PATH);
    }
    return NULL;
}

static bool is_same(const struct ps_s3_place *a, const struct ps_s3_place *b)
{
    return a->path_style == b->path_style && !strcasecmp(a->authority, b->authority) &&
           !strcmp(a->region, b->region);
}

static bool was_there(const struct ps_s3_site *site, unsigned count,
                      const struct ps_s3_place *place)
{
    for (unsigned i = 0; i < count; i++)
        if (is_same(&site->places[i], place))
            return true;
    return false;
}

static bool learn_place(struct ps_s3_site *site, const struct ps_s3_place *from, int http_status,
                        const struct ps_s3_answer *said)
{
    struct ps_s3_place next;
    bool moved = false;

    /* 400 and 403 are how S3 says that the request was signed for another region. */
    if (!is_redirect(http_status) &&
        !((http_status == 400 || http_status == 403) && is_other_region(from, said->region)))
        return false;
    pthread_mutex_lock(&move_lock);
    unsigned count = atomic_load(&site->place_no) + 1;

    if (&site->places[count - 1] != from) {
        moved = true; /* by someone else's answer: ask there */
    } else if (count < PS_S3_PLACES_MAX &&
               !find_next(site, from, said->region, said->location, &next) &&
               !was_there(site, count, &next)) {
        site->places[count] = next;
        atomic_store_explicit(&site->place_no, count, memory_order_release);
        moved = true;
    }
    pthread_mutex_unlock(&move_lock);
    return moved;
}

bool ps_s3_redirect_fault(const struct ps_s3_site *site, const struct ps_s3_place *from,
                          const char *region, const char *location, struct ps_text *text)
{
    struct ps_s3_place next;
    const char *fault = find_next(site, from, region, location, &next);
    unsigned count = atomic_load(&site->place_no) + 1;

    if (&site->places[count - 1] != from)
        return false;
    if (!fault && count > 1)
        ps_text_addf(text,
                     ": redirects go in a circle: region %s at %s was named before, and names "
                     "region %s at %s now: set AWS_REGION to where the bucket is",
                     from->region, from->authority, next.region, next.authority);
    else if (!fault && is_same(&next, from))
        ps_text_add(text, ": the server redirects to itself");
    else if (fault && *location)
        ps_text_addf(text,
                     ": the server redirects to %.200s, which %s: a signed request is not sent "
                     "there",
                     location, fault);
    else
        return false;
    return true;
}

/* ---- what time it is there ---- */

static bool signs(const struct ps_s3_account *account)
{
    ps_keyring_lock(account->keyring);
    bool anonymous = account->credentials.anonymous;
    ps_keyring_unlock(account->keyring);
    return !anonymous;
}

static bool learn_clock(struct ps_s3_site *site, const struct ps_s3_sent *sent, int http_status,
                        const struct ps_s3_answer *said, time_t now)
{
    int64_t offset_s = (int64_t)said->server_time - now;

    /* A HEAD request's answer has no code to tell. */
    if (http_status != 403 && strcmp(said->code, "RequestTimeTooSkewed") &&
        strcmp(said->code, "RequestExpired"))
        return false;
    if (!said->server_time || llabs(offset_s - sent->clock_offset_s) < SKEW_S_LEAST ||
        !signs(site->account))
        return false;
    atomic_store_explicit(&site->clock_offset_s, offset_s, memory_order_relaxed);
    return true;
}

bool ps_s3_learn(struct ps_s3_site *site, const struct ps_s3_sent *sent, int http_status,
                 const struct ps_s3_answer *said, time_t now)
{
    return sent->place && (learn_place(site, sent->place, http_status, said) ||
                           learn_clock(site, sent, http_status, said, now));
}
