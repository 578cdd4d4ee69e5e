/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/references.c - see references.h. */
#include "pipe/references.h"

#include "pipe/engine.h"
#include "pipe/error.h"

#include <string.h>

/* The list of budgets is the stream's, and every channel's lister may lengthen it. */
static pthread_mutex_t budgets_lock = PTHREAD_MUTEX_INITIALIZER;

size_t ps_references_room(const struct ps_channel *ch)
{
    return ch->config.uri_count + (ch->data_type == PS_DATA_PREFIX ? 0 : PS_REFERENCE_BUCKETS_MAX);
}

static bool find_source(const struct ps_channel *ch, const struct ps_uri *uri, uint32_t *source_no)
{
    size_t count = ch->source_count + ch->reference_count;

    /* The newest first: lines next to each other mostly name one bucket. */
    for (size_t i = count; i > 0; i--)
        if (ch->sources[i - 1].uri.kind == PS_URI_S3 &&
            strcmp(ch->sources[i - 1].uri.bucket, uri->bucket) == 0) {
            *source_no = (uint32_t)(i - 1);
            return true;
        }
    return false;
}

static int add_source(struct ps_channel *ch, const struct ps_uri *uri, uint32_t *source_no,
                      struct penstock_error *error)
{
    struct ps_source *source = &ch->sources[ch->source_count + ch->reference_count];
    struct ps_uri bucket = {.kind = PS_URI_S3};

    if (ch->reference_count == PS_REFERENCE_BUCKETS_MAX)
        return ps_fail(error, PENSTOCK_E_FORMAT,
                       "it is in bucket %s: a channel's manifests may name objects in %d buckets",
                       uri->bucket, PS_REFERENCE_BUCKETS_MAX);
    memcpy(bucket.bucket, uri->bucket, sizeof bucket.bucket);
    *source_no = (uint32_t)(ch->source_count + ch->reference_count);
    int rc = ps_source_open(source, uri->bucket, &bucket, &ch->stream->account, error);

    if (rc == PENSTOCK_OK) {
        const char *authority = ps_s3_site_place(&source->site)->authority;

        pthread_mutex_lock(&budgets_lock);
        source->site.budget = ps_budget_find(&ch->stream->budgets, authority, uri->bucket);
        pthread_mutex_unlock(&budgets_lock);
        if (!source->site.budget)
            rc = ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    }
    if (rc == PENSTOCK_OK)
        rc = ps_session_attach(&ch->stream->sessions, &source->site, error);
    if (rc == PENSTOCK_OK)
        rc = ps_session_begin(&source->site, &ch->stream->stopping, error);
    if (rc == PENSTOCK_OK)
        ch->reference_count++;
    else
        ps_source_close(source);
    return rc == PENSTOCK_E_ARGUMENT ? error->rc = PENSTOCK_E_FORMAT : rc;
}

int ps_reference_read(struct ps_channel *ch, uint32_t uri_no, const char *text,
                      struct ps_object *item, struct penstock_error *error)
{
    enum ps_uri_kind kind = ch->sources[uri_no].uri.kind;
    struct ps_uri uri;

    if (ps_uri_parse(text, &uri, error) != PENSTOCK_OK)
        return error->rc = PENSTOCK_E_FORMAT;
    if (uri.kind != kind)
        return ps_fail(error, PENSTOCK_E_FORMAT, "'%.200s' is no %s as the manifest itself is",
                       text, kind == PS_URI_S3 ? "S3 URI (s3://BUCKET/KEY)" : "file");
    if (kind == PS_URI_S3 && !*uri.prefix)
        return ps_fail(error, PENSTOCK_E_FORMAT, "'%.200s' names a bucket and no object in it",
                       text);
    /* What follows the bucket, or the scheme of a file, is taken as it is. */
    item->key = text + strlen(text) - strlen(uri.prefix);
    item->uri_no = item->source_no = uri_no;
    if (kind == PS_URI_FILE || find_source(ch, &uri, &item->source_no))
        return PENSTOCK_OK;
    return add_source(ch, &uri, &item->source_no, error);
}
