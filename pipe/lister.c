/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/lister.c - see lister.h. */
#include "pipe/lister.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/s3_list.h"

#define FILES_PER_NEWS 1000 /* as many as a page of S3's listing */

struct listing {
    struct ps_channel *ch;
    uint32_t source_no;
    uint64_t untold; /* files added since the others were told */
    struct penstock_error error;
};

/* The plan has grown, or is complete: I/O threads look again, too. */
static void tell(struct ps_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    ps_channel_plan_grew(ch);
    pthread_mutex_unlock(&ch->lock);
    ps_engine_wake_io(ch->stream);
}

static int add(struct listing *listing, const char *key, const char *etag, uint64_t size_bytes)
{
    int rc = ps_plan_add(listing->ch->plan, listing->source_no, key, etag, size_bytes);

    return rc == PENSTOCK_OK ? rc : ps_fail(&listing->error, rc, "out of memory while listing");
}

static int take_file(void *cookie, const char *path, const char *identity, uint64_t size_bytes)
{
    struct listing *listing = cookie;

    if (++listing->untold >= FILES_PER_NEWS) {
        listing->untold = 0;
        tell(listing->ch);
    }
    return add(listing, path, identity, size_bytes);
}

static int list_page(struct listing *listing, const struct ps_s3_page *page)
{
    int rc = PENSTOCK_OK;

    for (size_t i = 0; rc == PENSTOCK_OK && i < page->count; i++)
        rc = add(listing, page->objects[i].key, page->objects[i].etag, page->objects[i].size_bytes);
    tell(listing->ch);
    return rc;
}

static int list_s3(struct listing *listing, struct ps_source *source)
{
    struct ps_channel *ch = listing->ch;
    struct ps_s3_lister *lister = NULL;
    struct ps_s3_page page = {.count = 0};
    uint64_t requests = 0;
    uint64_t retries = 0;
    int rc = ps_s3_list_open(&source->site, source->uri.prefix, &ch->stream->stopping, 0, &lister,
                             &listing->error);

    while (rc == PENSTOCK_OK) {
        rc = ps_s3_list_next(lister, &page, &listing->error);
        if (rc == PENSTOCK_OK)
            rc = list_page(listing, &page);
    }
    if (lister)
        ps_s3_list_counters(lister, &requests, &retries);
    atomic_fetch_add(&ch->counts.list_requests, requests);
    atomic_fetch_add(&ch->counts.retries, retries);
    ps_s3_page_free(&page);
    ps_s3_list_close(&lister);
    return rc == PENSTOCK_END ? PENSTOCK_OK : rc;
}

void *ps_lister_main(void *channel)
{
    struct listing listing = {.ch = channel};
    struct ps_channel *ch = channel;
    int rc = PENSTOCK_OK;

    for (size_t i = 0; rc == PENSTOCK_OK && i < ch->source_count; i++) {
        struct ps_source *source = &ch->sources[i];

        listing.source_no = (uint32_t)i;
        rc = source->uri.kind == PS_URI_S3
                 ? list_s3(&listing, source)
                 : ps_list_files(source->uri.prefix, &ch->stream->stopping, take_file, &listing,
                                 &listing.error);
    }
    if (rc == PENSTOCK_OK)
        ps_plan_complete(ch->plan);
    else
        ps_plan_fail(ch->plan, &listing.error);
    tell(ch);
    return NULL;
}
