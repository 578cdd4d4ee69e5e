/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_scan.h - the keys of a bucket that begin with a prefix, sorted.
 *
 * Threads: one scan belongs to one thread; a finished one may be read by any.
 * Owner: whoever called serve_scan; serve_scan_free frees it.
 */
#ifndef BENCH_SERVE_SCAN_H
#define BENCH_SERVE_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct serve_scan_entry {
    size_t key_offset_bytes; /* in serve_scan.keys; NUL-terminated there */
    size_t key_len_bytes;
    uint64_t size_bytes;
    int64_t mtime_ns;
    uint64_t inode;
};

struct serve_scan {
    struct serve_scan_entry *entries;
    size_t entry_count;
    size_t entry_cap;
    char *keys;
    size_t keys_len_bytes;
    size_t keys_cap_bytes;
};

/* Scans the directories that can hold keys with `prefix`. Symbolic links to files inside the bucket
 * count as files; links to directories are not descended into. What cannot be read is left out.
 * Returns 0, or -1 with errno when memory ran out. */
int serve_scan(struct serve_scan *scan, int bucket_fd, const char *prefix);

void serve_scan_free(struct serve_scan *scan);

/* Index of the first entry whose key is >= `key`. */
size_t serve_scan_lower_bound(const struct serve_scan *scan, const char *key, size_t key_len_bytes);

/* Index of the first entry at or after `from` whose key does not begin with `prefix`, given that
 * the entries that do, if any, start at `from`. */
size_t serve_scan_past_prefix(const struct serve_scan *scan, size_t from, const char *prefix,
                              size_t prefix_len_bytes);

#endif
