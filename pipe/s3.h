/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3.h - where a bucket is, and signed requests for it.
 *
 *     ps_s3_account_load(config, &account, error)         once per handle: keys, region, endpoint
 *     ps_s3_site_init(&account, "bucket", &site, error)   once per bucket
 *     ps_s3_request_build(&site, &spec, time(NULL), &cache, &request, error)    once per attempt
 *
 * Sources: AWS, "Virtual hosting of general purpose buckets"; "Service-specific endpoints" in the
 * SDKs and Tools Reference Guide.
 *
 * Owner: the caller. A site lends its account and a request nothing. Threads: an account is read
 * only after it is made; a site is shared, and a place in it never changes once it is there; a
 * cache and a request belong to one thread at a time.
 */
#ifndef PIPE_S3_H
#define PIPE_S3_H

#include <stdatomic.h>
#include <time.h>

#include "pipe/budget.h"
#include "pipe/keyring.h"
#include "pipe/sigv4.h"
#include "pipe/uri.h"

#define PS_S3_USER_AGENT "penstock/" PENSTOCK_VERSION
#define PS_S3_HEADERS_MAX 16
#define PS_S3_LESSONS_MAX 4  /* of a request; each costs an attempt */
#define PS_S3_PLACES_MAX 4   /* of a bucket: three redirects */
#define PS_S3_TOKEN_MAX 4096 /* continuation token; AWS's have about 100 bytes */

struct ps_s3_answer;
struct ps_session;
struct ps_text;

struct ps_s3_account {
    struct ps_credentials credentials; /* read between ps_keyring_lock and _unlock */
    bool keys_later;                   /* somebody has to be asked for them, by the keyring */
    struct ps_keyring *keyring;        /* keeps them good; NULL: they stay as they are */
    struct ps_s3_identity {
        bool anonymous;
        char profile[128]; /* that the configuration names, or "" */
    } identity;
    bool requester_pays;
    bool no_sessions; /* directory buckets get requests signed with the account's own keys */
    enum { PS_S3_AUTO, PS_S3_PATH, PS_S3_VIRTUAL } addressing;
    char sse_key[45];      /* a customer's encryption key in base64; "" for none; secret */
    char sse_key_md5[25];  /* base64 */
    char bucket_owner[13]; /* account that every bucket has to belong to; "" for any */
    char region[64];
    bool region_given;        /* by configuration, environment or profile; else us-east-1 */
    char endpoint_url[512];   /* "" for AWS itself */
    char endpoint_origin[64]; /* what set it, for messages, e.g. "AWS_ENDPOINT_URL_S3" */
    char ca_bundle[4096];     /* $AWS_CA_BUNDLE, the profile's ca_bundle, $SSL_CERT_FILE; "" for the
                                 system's */
};

/* Loads keys, region and endpoint from `config`, the environment and the profile, in that order.
 * Asks nobody: keys that a service or a program gives are left to ps_s3_account_find_keys.
 * Returns PENSTOCK_OK, PENSTOCK_E_CREDENTIALS, PENSTOCK_E_ARGUMENT or PENSTOCK_E_MEMORY. */
int ps_s3_account_load(const struct penstock_config *config, struct ps_s3_account *out,
                       struct penstock_error *error);

/* Asks for the keys again where they came from, for ps_keyring_open. *stop ends it early. */
int ps_s3_account_find_keys(const struct ps_s3_account *account, const atomic_bool *stop,
                            struct ps_credentials *out, struct penstock_error *error);

/* Reads a customer's encryption key (SSE-C) from a file. Returns PENSTOCK_OK or
 * PENSTOCK_E_ARGUMENT. */
int ps_sse_key_read(const char *path, struct ps_s3_account *out, struct penstock_error *error);

/* Overwrites the secrets. */
void ps_s3_account_wipe(struct ps_s3_account *account);

/* Where requests for a bucket go, and for which region they are signed. */
struct ps_s3_place {
    bool tls;
    bool path_style;     /* bucket in the path, else in the host name */
    uint16_t port;       /* to connect to */
    char host[400];      /* to connect to: name or address, without brackets */
    char authority[416]; /* for the Host header: host[:port], the port only if unusual */
    char region[64];
};

/* A bucket. It stays the same while redirects move it from place to place: the first is where the
 * account's settings put it, the newest is where requests go, and older ones stay for those who
 * still have connections or requests there. */
struct ps_s3_site {
    const struct ps_s3_account *account;
    char bucket[PS_BUCKET_BYTES_MAX + 1];
    struct ps_budget *budget;   /* of retries; shared by the sites of the bucket; NULL: unlimited */
    bool directory;             /* a directory bucket, of S3 Express One Zone */
    struct ps_session *session; /* signs its requests; shared by its sites; NULL: the account does
                                 */
    struct ps_s3_place places[PS_S3_PLACES_MAX];
    atomic_uint place_no;        /* the newest one's */
    atomic_llong clock_offset_s; /* the server's clock less this machine's */
};

/* What a request was made with. */
struct ps_s3_sent {
    const struct ps_s3_place *place; /* where it went to */
    int64_t clock_offset_s;          /* of the time it was signed for */
};

/* Finds out where `bucket` is. `account` is lent until the site is no longer used. Returns
 * PENSTOCK_OK or PENSTOCK_E_ARGUMENT. */
int ps_s3_site_init(const struct ps_s3_account *account, const char *bucket, struct ps_s3_site *out,
                    struct penstock_error *error);

/* Where requests go now. The place outlives the next one. */
const struct ps_s3_place *ps_s3_site_place(const struct ps_s3_site *site);

/* Learns from a failed request, at `now`, where the bucket is or what time it is there. True if it
 * should be asked again at once: what it was made with is out of date. A bucket's region counts for
 * all requests from then on. A Location is followed only where a signed request may be shown: at
 * AWS to another host of AWS's, else on the endpoint's own host, and never by another scheme. */
bool ps_s3_learn(struct ps_s3_site *site, const struct ps_s3_sent *sent, int http_status,
                 const struct ps_s3_answer *said, time_t now);

/* Adds ": " and why a redirect to a region (may be "") or Location (may be "") is not followed, if
 * `from` is where requests still go. False if there is nothing to say. */
bool ps_s3_redirect_fault(const struct ps_s3_site *site, const struct ps_s3_place *from,
                          const char *region, const char *location, struct ps_text *text);

/* For s3_learn.c. Reads "http[s]://host[:port]" at the start of `url` into the place; *len receives
 * its length. Returns what is wrong with it, or NULL. */
const char *ps_s3_place_read(struct ps_s3_place *place, const char *url, size_t *len);

/* For s3_learn.c. AWS's own host for the bucket in the place's region, or for an access point. */
void ps_s3_place_aws(struct ps_s3_place *place, const char *bucket, bool path_style);

/* "https://host[:port]", for messages. */
void ps_s3_place_origin(const struct ps_s3_place *place, char *out, size_t size);

struct ps_s3_request_spec {
    const struct ps_s3_place *place;   /* of the site; NULL: where requests go now */
    const char *method;                /* "GET" or "HEAD" */
    const char *key;                   /* raw bytes, at most PS_KEY_BYTES_MAX; NULL: the bucket */
    const struct ps_sigv4_pair *query; /* raw, in any order; NULL if none */
    size_t query_count;
    bool ranged;          /* ask for bytes first .. last, both included */
    uint64_t first, last; /* used if ranged */
    const char *if_match; /* entity tag with its quotes, or NULL */
    bool checksum;        /* ask for the object's checksum */
    bool create_session;  /* CreateSession, to read; signed with the account's keys */
};

/* A request, ready to send: `headers` are all of it, so a client must add nothing but what it needs
 * for itself (curl: Accept) and must send `url` as it is (CURLOPT_PATH_AS_IS). Pointers lead into
 * the struct: do not copy it. */
struct ps_s3_request {
    struct ps_s3_sent sent;
    const char *url;                        /* scheme://authority and target */
    const char *target;                     /* path?query, for a request line */
    const char *headers[PS_S3_HEADERS_MAX]; /* "Name: value": Host, User-Agent, ... */
    size_t header_count;
    char url_bytes[16 * 1024];
    char header_bytes[PS_TOKEN_MAX + 3 * 1024];
};

/* Builds and signs a request; `now` is this machine's time. `cache` is zeroed before its first use.
 * Returns PENSTOCK_OK or PENSTOCK_E_ARGUMENT. */
int ps_s3_request_build(const struct ps_s3_site *site, const struct ps_s3_request_spec *spec,
                        time_t now, struct ps_sigv4_cache *cache, struct ps_s3_request *out,
                        struct penstock_error *error);

#endif
