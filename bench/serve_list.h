/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_list.h - listings: scan a bucket, sort, cut pages out of the result.
 *
 * A listing without a token scans the directories below its prefix; the pages that follow are cut
 * out of that snapshot, so that paging through 100,000 keys costs one scan. Snapshots are kept for
 * the 16 (bucket, prefix) pairs used last. A token names the last key handed out, so it also works
 * on a later snapshot.
 *
 * Threads: any. Owner: whoever called serve_list_create.
 * Order: keys are in ascending order of their bytes, as S3 has it (UTF-8 binary order).
 */
#ifndef BENCH_SERVE_LIST_H
#define BENCH_SERVE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct serve_list; /* the snapshots */

/* One key of a page, or a common prefix. */
struct serve_list_item {
    const char *key; /* lent by the page */
    size_t key_len_bytes;
    bool is_prefix; /* common prefix: the fields below are 0 */
    uint64_t size_bytes;
    int64_t mtime_ns;
    uint64_t inode;
};

struct serve_list_query {
    const char *prefix; /* NUL-terminated, as keys cannot hold NUL */
    const char *delimiter;
    const char *after; /* first key is greater than this; "" from the start */
    bool after_prefix; /* `after` is a common prefix handed out: skip all that begins with it */
    bool backwards;    /* from the last key to the first, without a delimiter; `after` is before */
    bool use_snapshot; /* a continuation: an earlier scan will do */
    uint32_t max_keys;
};

struct serve_list_page {
    struct serve_list_item *items; /* max_keys at most */
    uint32_t item_count;
    bool truncated; /* more keys follow the last item */
    struct serve_snapshot *snapshot;
};

struct serve_list *serve_list_create(void);
void serve_list_destroy(struct serve_list *list);

/* Fills a page. Returns 0, or -1 with errno when the bucket cannot be scanned or memory ran out. */
int serve_list_page(struct serve_list *list, const char *bucket, int bucket_fd,
                    const struct serve_list_query *query, struct serve_list_page *page);

void serve_list_page_free(struct serve_list_page *page);

#endif
