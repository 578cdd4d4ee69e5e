/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_list.c - snapshots of listings, and pages cut out of them. */
#include "bench/serve_list.h"

#include "bench/serve_scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_SLOTS = 16 };

/* One scan, shared by the pages cut out of it and by the slot that keeps it. */
struct serve_snapshot {
    struct serve_scan scan;
    struct serve_list *list;
    unsigned user_count; /* guarded by list->mutex */
};

struct slot {
    char *name; /* "bucket/prefix" */
    struct serve_snapshot *snapshot;
    uint64_t used_at;
};

struct serve_list {
    pthread_mutex_t mutex; /* guards all that follows; not held while scanning */
    struct slot slots[SNAPSHOT_SLOTS];
    uint64_t clock;
};

struct serve_list *serve_list_create(void)
{
    struct serve_list *list = calloc(1, sizeof *list);

    if (list)
        pthread_mutex_init(&list->mutex, NULL);
    return list;
}

/* Gives one use of a snapshot back; the mutex is held. */
static void drop(struct serve_snapshot *snapshot)
{
    if (--snapshot->user_count > 0)
        return;
    serve_scan_free(&snapshot->scan);
    free(snapshot);
}

static void clear_slot(struct slot *slot)
{
    if (slot->snapshot)
        drop(slot->snapshot);
    free(slot->name);
    *slot = (struct slot){0};
}

void serve_list_destroy(struct serve_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < SNAPSHOT_SLOTS; i++)
        clear_slot(&list->slots[i]);
    pthread_mutex_destroy(&list->mutex);
    free(list);
}

static struct serve_snapshot *find(struct serve_list *list, const char *name)
{
    struct serve_snapshot *found = NULL;

    pthread_mutex_lock(&list->mutex);
    for (size_t i = 0; i < SNAPSHOT_SLOTS && !found; i++) {
        struct slot *slot = &list->slots[i];
        if (!slot->name || strcmp(slot->name, name) != 0)
            continue;
        slot->used_at = ++list->clock;
        found = slot->snapshot;
        found->user_count++;
    }
    pthread_mutex_unlock(&list->mutex);
    return found;
}

/* Puts a snapshot in the slot of its name, or in the one not used for longest. Takes `name`. */
static void keep(struct serve_list *list, char *name, struct serve_snapshot *snapshot)
{
    struct slot *victim = &list->slots[0];

    pthread_mutex_lock(&list->mutex);
    for (size_t i = 0; i < SNAPSHOT_SLOTS; i++) {
        struct slot *slot = &list->slots[i];
        if (slot->name && strcmp(slot->name, name) == 0) {
            victim = slot;
            break;
        }
        if (slot->used_at < victim->used_at)
            victim = slot;
    }
    clear_slot(victim);
    victim->name = name;
    victim->snapshot = snapshot;
    victim->used_at = ++list->clock;
    snapshot->user_count++;
    pthread_mutex_unlock(&list->mutex);
}

static struct serve_snapshot *take_snapshot(struct serve_list *list, const char *bucket,
                                            int bucket_fd, const struct serve_list_query *query)
{
    size_t name_bytes = strlen(bucket) + strlen(query->prefix) + 2;
    char *name = malloc(name_bytes);
    struct serve_snapshot *snapshot = NULL;

    if (!name)
        return NULL;
    snprintf(name, name_bytes, "%s/%s", bucket, query->prefix);
    if (query->use_snapshot)
        snapshot = find(list, name);
    if (snapshot) {
        free(name);
        return snapshot;
    }
    snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot || serve_scan(&snapshot->scan, bucket_fd, query->prefix) != 0) {
        free(snapshot);
        free(name);
        return NULL;
    }
    snapshot->list = list;
    snapshot->user_count = 1;
    keep(list, name, snapshot);
    return snapshot;
}

/* The part of a key up to and with the first delimiter after the prefix; 0 when there is none. */
static size_t common_prefix_len(const struct serve_list_query *query, const char *key)
{
    size_t delimiter_len_bytes = strlen(query->delimiter);
    const char *found;

    if (delimiter_len_bytes == 0)
        return 0;
    found = strstr(key + strlen(query->prefix), query->delimiter);
    return found ? (size_t)(found - key) + delimiter_len_bytes : 0;
}

static size_t first_index(const struct serve_scan *scan, const struct serve_list_query *query)
{
    size_t after_len_bytes = strlen(query->after);
    size_t i;

    if (after_len_bytes == 0)
        return 0;
    i = serve_scan_lower_bound(scan, query->after, after_len_bytes);
    if (query->after_prefix)
        return serve_scan_past_prefix(scan, i, query->after, after_len_bytes);
    if (i < scan->entry_count && scan->entries[i].key_len_bytes == after_len_bytes &&
        memcmp(scan->keys + scan->entries[i].key_offset_bytes, query->after, after_len_bytes) == 0)
        i++;
    return i;
}

static void fill_item(struct serve_list_item *item, const struct serve_scan *scan,
                      const struct serve_scan_entry *entry)
{
    item->key = scan->keys + entry->key_offset_bytes;
    item->key_len_bytes = entry->key_len_bytes;
    item->size_bytes = entry->size_bytes;
    item->mtime_ns = entry->mtime_ns;
    item->inode = entry->inode;
}

static void cut_page_backwards(const struct serve_scan *scan, const struct serve_list_query *query,
                               struct serve_list_page *page)
{
    size_t after_len_bytes = strlen(query->after);
    size_t i = after_len_bytes ? serve_scan_lower_bound(scan, query->after, after_len_bytes)
                               : scan->entry_count;

    while (i > 0 && page->item_count < query->max_keys)
        fill_item(&page->items[page->item_count++], scan, &scan->entries[--i]);
    page->truncated = query->max_keys > 0 && i > 0;
}

static void cut_page(const struct serve_scan *scan, const struct serve_list_query *query,
                     struct serve_list_page *page)
{
    size_t i = first_index(scan, query);

    while (i < scan->entry_count && page->item_count < query->max_keys) {
        const struct serve_scan_entry *entry = &scan->entries[i];
        struct serve_list_item *item = &page->items[page->item_count++];
        size_t common_len_bytes;

        item->key = scan->keys + entry->key_offset_bytes;
        common_len_bytes = common_prefix_len(query, item->key);
        if (common_len_bytes > 0) {
            item->key_len_bytes = common_len_bytes;
            item->is_prefix = true;
            i = serve_scan_past_prefix(scan, i, item->key, common_len_bytes);
            continue;
        }
        fill_item(item, scan, entry);
        i++;
    }
    page->truncated = query->max_keys > 0 && i < scan->entry_count;
}

int serve_list_page(struct serve_list *list, const char *bucket, int bucket_fd,
                    const struct serve_list_query *query, struct serve_list_page *page)
{
    *page = (struct serve_list_page){0};
    page->items = calloc((size_t)query->max_keys + 1, sizeof *page->items);
    page->snapshot = page->items ? take_snapshot(list, bucket, bucket_fd, query) : NULL;
    if (!page->snapshot) {
        serve_list_page_free(page);
        errno = ENOMEM;
        return -1;
    }
    if (query->backwards)
        cut_page_backwards(&page->snapshot->scan, query, page);
    else
        cut_page(&page->snapshot->scan, query, page);
    return 0;
}

void serve_list_page_free(struct serve_list_page *page)
{
    if (page->snapshot) {
        struct serve_list *list = page->snapshot->list;

        pthread_mutex_lock(&list->mutex);
        drop(page->snapshot);
        pthread_mutex_unlock(&list->mutex);
    }
    free(page->items);
    *page = (struct serve_list_page){0};
}
