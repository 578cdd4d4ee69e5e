/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/lister.c - see lister.h. */
#include "pipe/lister.h"

#include "formats/recordio_index.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/manifest.h"
#include "pipe/s3_list.h"
#include "pipe/sizer.h"
#include "pipe/whole_object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_BYTES_MAX ((uint64_t)1 << 30)
#define FILES_PER_NEWS 1000 /* as many as a page of S3's listing */

struct listing {
    struct ps_channel *ch;
    uint32_t source_no;
    uint64_t untold; /* files added since the others were told */
    struct penstock_error error;
};

void ps_lister_tell(struct ps_channel *ch)
{
    pthread_mutex_lock(&ch->lock);
    ps_channel_plan_grew(ch);
    pthread_mutex_unlock(&ch->lock);
    ps_engine_wake_io(ch->stream);
}

/* Whether the key ends in one of the suffixes, which commas part. */
static bool is_wanted(const char *suffixes, const char *key)
{
    size_t key_bytes = strlen(key);

    for (const char *suffix = suffixes; suffix;) {
        size_t len = strcspn(suffix, ",");

        if (len > 0 && len <= key_bytes && memcmp(key + key_bytes - len, suffix, len) == 0)
            return true;
        suffix = suffix[len] ? suffix + len + 1 : NULL;
    }
    return !suffixes;
}

/* Reads the index of an object, which has its name with another extension. */
static int read_index(struct listing *listing, const char *key, struct fmt_recordio_index *index)
{
    struct ps_channel *ch = listing->ch;
    struct fmt_error cause = {.text = ""};
    const char *slash = strrchr(key, '/');
    const char *dot = strrchr(slash ? slash : key, '.');
    char *name = NULL;
    uint8_t *text = NULL;
    size_t len_bytes = 0;

    if (asprintf(&name, "%.*s.idx", dot ? (int)(dot - key) : (int)strlen(key), key) < 0)
        return ps_fail(&listing->error, PENSTOCK_E_MEMORY, "out of memory while listing");
    int rc = ps_whole_object_read(ch, &ch->sources[listing->source_no], name, INDEX_BYTES_MAX,
                                  "the index", &text, &len_bytes, &listing->error);

    if (rc == PENSTOCK_OK &&
        fmt_recordio_index_read((const char *)text, len_bytes, index, &cause) != FMT_OK)
        rc = ps_fail(&listing->error, PENSTOCK_E_FORMAT, "channel %s: %s: %s", ch->name, name,
                     cause.text);
    free(text);
    free(name);
    return rc;
}

/* Adds this shard's share of the object, by its index. Indexes themselves are not read as records.
 */
static int add_share(struct listing *listing, const char *key, const char *etag,
                     uint64_t size_bytes)
{
    struct ps_channel *ch = listing->ch;
    struct fmt_recordio_index index;

    if (is_wanted(".idx,/", key) || size_bytes == 0)
        return PENSTOCK_OK;
    int rc = read_index(listing, key, &index);

    if (rc != PENSTOCK_OK)
        return rc;
    struct fmt_range range = fmt_recordio_index_share(&index, size_bytes, ch->config.shard_index,
                                                      ch->config.shard_count);
    bool fits = index.count == 0 || index.offsets[index.count - 1] < size_bytes;

    fmt_recordio_index_free(&index);
    if (!fits)
        return ps_fail(&listing->error, PENSTOCK_E_FORMAT,
                       "channel %s: the index of %s has records behind its end at byte %llu: it is "
                       "not of this object",
                       ch->name, key, (unsigned long long)size_bytes);
    const struct ps_slice slice = {range.from, range.to, range.to};

    rc = ps_plan_add_slice(ch->plan, listing->source_no, key, etag, size_bytes, &slice);
    return rc == PENSTOCK_OK ? rc : ps_fail(&listing->error, rc, "out of memory while listing");
}

static int add(struct listing *listing, const char *key, const char *etag, uint64_t size_bytes)
{
    if (!is_wanted(listing->ch->key_suffix, key))
        return PENSTOCK_OK;
    if (listing->ch->split == PS_SPLIT_INDEX)
        return add_share(listing, key, etag, size_bytes);
    int rc = ps_plan_add(listing->ch->plan, listing->source_no, key, etag, size_bytes);

    return rc == PENSTOCK_OK ? rc : ps_fail(&listing->error, rc, "out of memory while listing");
}

static int take_file(void *cookie, const char *path, const char *identity, uint64_t size_bytes)
{
    struct listing *listing = cookie;

    if (++listing->untold >= FILES_PER_NEWS) {
        listing->untold = 0;
        ps_lister_tell(listing->ch);
    }
    return add(listing, path, identity, size_bytes);
}

static int list_page(struct listing *listing, const struct ps_s3_page *page)
{
    int rc = PENSTOCK_OK;

    for (size_t i = 0; rc == PENSTOCK_OK && i < page->count; i++)
        rc = add(listing, page->objects[i].key, page->objects[i].etag, page->objects[i].size_bytes);
    ps_lister_tell(listing->ch);
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
    atomic_fetch_add(&ch->counts.retries[PS_CAUSE_OTHER], retries);
    ps_s3_page_free(&page);
    ps_s3_list_close(&lister);
    return rc == PENSTOCK_END ? PENSTOCK_OK : rc;
}

static int list_source(struct listing *listing, struct ps_source *source)
{
    if (source->uri.kind == PS_URI_S3)
        return list_s3(listing, source);
    return ps_list_files(source->uri.prefix, &listing->ch->stream->stopping, take_file, listing,
                         &listing->error);
}

/* ---- manifests ---- */

static int list_manifest(struct listing *listing, struct ps_source *source)
{
    struct ps_channel *ch = listing->ch;
    uint8_t *text = NULL;
    size_t len_bytes = 0;
    int rc = ps_whole_object_read(ch, source, source->uri.prefix, PS_MANIFEST_BYTES_MAX,
                                  "the manifest", &text, &len_bytes, &listing->error);

    if (rc == PENSTOCK_OK)
        rc = ps_manifest_read(ch, listing->source_no, text, len_bytes, &listing->error);
    free(text);
    return rc;
}

void *ps_lister_main(void *channel)
{
    struct listing listing = {.ch = channel};
    struct ps_channel *ch = channel;
    bool manifests = ch->data_type != PS_DATA_PREFIX;
    int rc = PENSTOCK_OK;

    for (size_t i = 0; rc == PENSTOCK_OK && i < ch->source_count; i++) {
        listing.source_no = (uint32_t)i;
        rc = ps_session_begin(&ch->sources[i].site, &ch->stream->stopping, &listing.error);
        if (rc == PENSTOCK_OK && i == 0)
            rc = ps_whole_object_for_format(ch, &listing.error);
        if (rc == PENSTOCK_OK)
            rc = manifests ? list_manifest(&listing, &ch->sources[i])
                           : list_source(&listing, &ch->sources[i]);
    }
    if (rc == PENSTOCK_OK) {
        ps_plan_complete(ch->plan);
        ps_lister_tell(ch);
        if (manifests)
            rc = ps_sizer_run(ch, &listing.error);
    }
    if (rc != PENSTOCK_OK)
        ps_plan_fail(ch->plan, &listing.error);
    ps_lister_tell(ch);
    return NULL;
}
