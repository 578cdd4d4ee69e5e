/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_scan.c - walks a bucket's directories and sorts the keys found. */
#include "bench/serve_scan.h"

#include "bench/serve_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    struct serve_scan *scan;
    int bucket_fd;
    const char *prefix;
    size_t prefix_len_bytes;
    char path[SERVE_KEY_MAX + NAME_MAX + 2]; /* of the entry at hand, below the bucket */
};

static bool grow(void **array, size_t *cap, size_t need, size_t item_bytes)
{
    size_t new_cap = *cap ? *cap : 64;
    void *grown;

    if (need <= *cap)
        return true;
    while (new_cap < need)
        new_cap *= 2;
    grown = realloc(*array, new_cap * item_bytes);
    if (!grown)
        return false;
    *array = grown;
    *cap = new_cap;
    return true;
}

static bool add_entry(struct walk *walk, size_t key_len_bytes, const struct stat *st)
{
    struct serve_scan *scan = walk->scan;
    struct serve_scan_entry *entry;

    if (!grow((void **)&scan->entries, &scan->entry_cap, scan->entry_count + 1,
              sizeof *scan->entries) ||
        !grow((void **)&scan->keys, &scan->keys_cap_bytes, scan->keys_len_bytes + key_len_bytes + 1,
              1))
        return false;
    entry = &scan->entries[scan->entry_count++];
    entry->key_offset_bytes = scan->keys_len_bytes;
    entry->key_len_bytes = key_len_bytes;
    entry->size_bytes = (uint64_t)st->st_size;
    entry->mtime_ns = serve_store_mtime_ns(st);
    entry->inode = st->st_ino;
    memcpy(scan->keys + scan->keys_len_bytes, walk->path, key_len_bytes);
    scan->keys[scan->keys_len_bytes + key_len_bytes] = '\0';
    scan->keys_len_bytes += key_len_bytes + 1;
    return true;
}

/* Whether the path at hand can be, or lead to, a key with the prefix. */
static bool fits_prefix(const struct walk *walk, size_t path_len_bytes, bool is_directory)
{
    size_t common =
        path_len_bytes < walk->prefix_len_bytes ? path_len_bytes : walk->prefix_len_bytes;

    if (memcmp(walk->path, walk->prefix, common) != 0)
        return false;
    return path_len_bytes >= walk->prefix_len_bytes ||
           (is_directory && walk->prefix[path_len_bytes] == '/');
}

static bool stat_entry(const struct walk *walk, int dir_fd, const char *name, struct stat *st)
{
    int fd;
    bool ok;

    if (fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (!S_ISLNK(st->st_mode))
        return true;
    fd = serve_store_open_beneath(walk->bucket_fd, walk->path, O_PATH);
    if (fd < 0)
        return false;
    ok = fstat(fd, st) == 0 && S_ISREG(st->st_mode);
    close(fd);
    return ok;
}

static bool walk_directory(struct walk *walk, int dir_fd, size_t path_len_bytes);

/* Handles one directory entry. Returns false when memory ran out. */
static bool visit(struct walk *walk, int dir_fd, size_t parent_len_bytes, const struct dirent *item)
{
    size_t name_len_bytes = strlen(item->d_name);
    size_t path_len_bytes = parent_len_bytes + name_len_bytes;
    bool maybe_directory = item->d_type == DT_DIR || item->d_type == DT_UNKNOWN;
    bool is_folder_file = strcmp(item->d_name, SERVE_FOLDER_FILE) == 0;
    struct stat st;

    if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0 ||
        (parent_len_bytes == 0 && (is_folder_file || serve_store_name_hidden(item->d_name))))
        return true;
    memcpy(walk->path + parent_len_bytes, item->d_name, name_len_bytes + 1);
    if (is_folder_file)
        path_len_bytes = parent_len_bytes; /* the key is "dir/" */
    if (path_len_bytes > SERVE_KEY_MAX || !fits_prefix(walk, path_len_bytes, maybe_directory) ||
        !stat_entry(walk, dir_fd, item->d_name, &st))
        return true;
    if (S_ISREG(st.st_mode))
        return path_len_bytes < walk->prefix_len_bytes || add_entry(walk, path_len_bytes, &st);
    if (S_ISDIR(st.st_mode) && !is_folder_file && path_len_bytes < SERVE_KEY_MAX) {
        int fd = openat(dir_fd, item->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        walk->path[path_len_bytes] = '/';
        return fd < 0 || walk_directory(walk, fd, path_len_bytes + 1);
    }
    return true;
}

/* Takes dir_fd. Recursion is bounded: each level adds two bytes to a path of SERVE_KEY_MAX. */
static bool walk_directory(struct walk *walk, int dir_fd, size_t path_len_bytes)
{
    DIR *dir = fdopendir(dir_fd);
    struct dirent *item;
    bool ok = true;

    if (!dir) {
        close(dir_fd);
        return errno != ENOMEM;
    }
    while (ok && (item = readdir(dir)) != NULL)
        ok = visit(walk, dir_fd, path_len_bytes, item);
    closedir(dir);
    return ok;
}

static int compare_keys(const char *a, size_t a_len_bytes, const char *b, size_t b_len_bytes)
{
    size_t common = a_len_bytes < b_len_bytes ? a_len_bytes : b_len_bytes;
    int order = memcmp(a, b, common);

    return order ? order : (a_len_bytes > b_len_bytes) - (a_len_bytes < b_len_bytes);
}

static int compare_entries(const void *a, const void *b, void *keys)
{
    const struct serve_scan_entry *left = a, *right = b;
    const char *base = keys;

    return compare_keys(base + left->key_offset_bytes, left->key_len_bytes,
                        base + right->key_offset_bytes, right->key_len_bytes);
}

/* Opens the deepest directory that holds every key with the prefix and puts its path, with a final
 * slash, into walk->path. Returns -1 with ENOENT when no key can have the prefix. */
static int open_start(struct walk *walk, size_t *path_len_bytes)
{
    const char *slash = strrchr(walk->prefix, '/');
    size_t len_bytes = slash ? (size_t)(slash - walk->prefix) : 0;

    *path_len_bytes = 0;
    if (!slash)
        return openat(walk->bucket_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    errno = ENOENT;
    if (len_bytes == 0 || len_bytes > SERVE_KEY_MAX)
        return -1;
    memcpy(walk->path, walk->prefix, len_bytes);
    walk->path[len_bytes] = '\0';
    for (const char *part = walk->path; part; part = strchr(part, '/')) {
        size_t part_len_bytes;

        part += *part == '/';
        part_len_bytes = strcspn(part, "/");
        if (part_len_bytes == 0 || (part_len_bytes <= 2 && memcmp(part, "..", part_len_bytes) == 0))
            return -1;
    }
    *path_len_bytes = len_bytes + 1;
    return serve_store_open_beneath(walk->bucket_fd, walk->path, O_RDONLY | O_DIRECTORY);
}

int serve_scan(struct serve_scan *scan, int bucket_fd, const char *prefix)
{
    struct walk walk = {
        .scan = scan, .bucket_fd = bucket_fd, .prefix = prefix, .prefix_len_bytes = strlen(prefix)};
    size_t path_len_bytes;
    int fd;

    *scan = (struct serve_scan){0};
    fd = open_start(&walk, &path_len_bytes);
    if (fd < 0)
        return 0;
    if (path_len_bytes > 0)
        walk.path[path_len_bytes - 1] = '/';
    if (!walk_directory(&walk, fd, path_len_bytes)) {
        serve_scan_free(scan);
        errno = ENOMEM;
        return -1;
    }
    if (scan->entry_count > 0)
        qsort_r(scan->entries, scan->entry_count, sizeof *scan->entries, compare_entries,
                scan->keys);
    return 0;
}

void serve_scan_free(struct serve_scan *scan)
{
    free(scan->entries);
    free(scan->keys);
    *scan = (struct serve_scan){0};
}

size_t serve_scan_lower_bound(const struct serve_scan *scan, const char *key, size_t key_len_bytes)
{
    size_t low = 0, high = scan->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct serve_scan_entry *entry = &scan->entries[middle];

        if (compare_keys(scan->keys + entry->key_offset_bytes, entry->key_len_bytes, key,
                         key_len_bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t serve_scan_past_prefix(const struct serve_scan *scan, size_t from, const char *prefix,
                              size_t prefix_len_bytes)
{
    size_t low = from, high = scan->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct serve_scan_entry *entry = &scan->entries[middle];
        const char *key = scan->keys + entry->key_offset_bytes;

        if (entry->key_len_bytes >= prefix_len_bytes && memcmp(key, prefix, prefix_len_bytes) == 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
