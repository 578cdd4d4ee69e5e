/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_store.c - buckets and objects as directories and files. */
#include "bench/serve_store.h"

#include "formats/mix.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A path below a bucket: a key, "/.folder" and a NUL. */
enum { PATH_BYTES = SERVE_KEY_MAX + sizeof SERVE_FOLDER_FILE + 1 };

static bool name_is(const char *name, size_t len_bytes, const char *other)
{
    return strlen(other) == len_bytes && memcmp(name, other, len_bytes) == 0;
}

bool serve_store_name_hidden(const char *name)
{
    return strncmp(name, SERVE_UPLOAD_PREFIX, sizeof SERVE_UPLOAD_PREFIX - 1) == 0;
}

/* Turns a key into the path of its file. Returns false for a key that no file can have. */
static bool key_to_path(const char *key, size_t key_len_bytes, char path[PATH_BYTES])
{
    size_t start = 0;

    if (key_len_bytes == 0 || key_len_bytes > SERVE_KEY_MAX || memchr(key, '\0', key_len_bytes))
        return false;
    memcpy(path, key, key_len_bytes);
    path[key_len_bytes] = '\0';
    if (serve_store_name_hidden(path))
        return false;
    while (start < key_len_bytes) {
        size_t len_bytes = strcspn(path + start, "/");

        if (len_bytes == 0 || name_is(path + start, len_bytes, ".") ||
            name_is(path + start, len_bytes, "..") ||
            name_is(path + start, len_bytes, SERVE_FOLDER_FILE))
            return false;
        start += len_bytes + 1;
    }
    if (key[key_len_bytes - 1] == '/')
        memcpy(path + key_len_bytes, SERVE_FOLDER_FILE, sizeof SERVE_FOLDER_FILE);
    return true;
}

int serve_store_open_bucket(int root_fd, const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

    if (name[0] == '\0' || name[0] == '.' || name[strspn(name, allowed)] != '\0') {
        errno = ENOENT;
        return -1;
    }
    return openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int serve_store_open_beneath(int bucket_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd;

    /* EAGAIN: a rename elsewhere raced with the walk, and the kernel could not prove the bound. */
    do {
        fd = (int)syscall(SYS_openat2, bucket_fd, path, &how, sizeof how);
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd;
}

int serve_store_open_key(int bucket_fd, const char *key, size_t key_len_bytes, struct stat *st)
{
    char path[PATH_BYTES];
    int fd;

    if (!key_to_path(key, key_len_bytes, path)) {
        errno = ENOENT;
        return -1;
    }
    /* O_NONBLOCK: a FIFO in the tree must not hold up the thread before it is found out. */
    fd = serve_store_open_beneath(bucket_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        if (errno == ENOTDIR || errno == EXDEV || errno == ELOOP || errno == ENAMETOOLONG ||
            errno == ENXIO)
            errno = ENOENT;
        return -1;
    }
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

/* ---- replacing and removing ---- */

/* Opens the directory that holds the last component of `path`, making directories on the way when
 * `make`. *name receives the last component. */
static int open_parent(int bucket_fd, char *path, bool make, const char **name)
{
    char *slash = strrchr(path, '/');

    if (!slash) {
        *name = path;
        return dup(bucket_fd);
    }
    *name = slash + 1;
    for (char *cut = strchr(path, '/'); make && cut; cut = strchr(cut + 1, '/')) {
        int fd;

        *cut = '\0';
        fd = serve_store_open_beneath(bucket_fd, path, O_PATH | O_DIRECTORY);
        if (fd >= 0)
            close(fd);
        else if (errno != ENOENT || mkdirat(bucket_fd, path, 0777) != 0) {
            if (errno != EEXIST)
                return -1;
        }
        *cut = '/';
    }
    *slash = '\0';
    return serve_store_open_beneath(bucket_fd, path, O_PATH | O_DIRECTORY);
}

int serve_store_upload_begin(struct serve_upload *upload, int bucket_fd)
{
    static atomic_uint serial;

    upload->bucket_fd = bucket_fd;
    snprintf(upload->name, sizeof upload->name, SERVE_UPLOAD_PREFIX "%ld.%u", (long)getpid(),
             atomic_fetch_add(&serial, 1));
    upload->fd =
        openat(bucket_fd, upload->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return upload->fd < 0 ? -1 : 0;
}

void serve_store_upload_abort(struct serve_upload *upload)
{
    if (upload->fd < 0)
        return;
    close(upload->fd);
    unlinkat(upload->bucket_fd, upload->name, 0);
    upload->fd = -1;
}

int serve_store_upload_commit(struct serve_upload *upload, const char *key, size_t key_len_bytes,
                              struct stat *st)
{
    char path[PATH_BYTES];
    const char *name;
    int parent_fd, failed;

    if (!key_to_path(key, key_len_bytes, path)) {
        serve_store_upload_abort(upload);
        errno = EINVAL;
        return -1;
    }
    parent_fd = open_parent(upload->bucket_fd, path, true, &name);
    failed = parent_fd < 0 || fstat(upload->fd, st) != 0 ||
             renameat(upload->bucket_fd, upload->name, parent_fd, name) != 0;
    if (failed) {
        int saved = errno;
        serve_store_upload_abort(upload);
        if (parent_fd >= 0)
            close(parent_fd);
        errno = saved;
        return -1;
    }
    close(parent_fd);
    close(upload->fd);
    upload->fd = -1;
    return 0;
}

int serve_store_delete(int bucket_fd, const char *key, size_t key_len_bytes)
{
    char path[PATH_BYTES];
    const char *name;
    int parent_fd, rc;

    if (!key_to_path(key, key_len_bytes, path))
        return 0;
    parent_fd = open_parent(bucket_fd, path, false, &name);
    if (parent_fd < 0)
        return errno == EACCES ? -1 : 0;
    rc = unlinkat(parent_fd, name, 0);
    if (rc != 0 && (errno == ENOENT || errno == EISDIR))
        rc = 0;
    close(parent_fd);
    return rc;
}

/* ---- entity tags ---- */

void serve_store_etag(uint64_t size_bytes, int64_t mtime_ns, uint64_t inode,
                      char etag[SERVE_ETAG_LEN + 1])
{
    uint64_t high = fmt_mix((uint64_t)mtime_ns + UINT64_C(0x9e3779b97f4a7c15));
    uint64_t low = fmt_mix(high ^ fmt_mix(inode + UINT64_C(0x9e3779b97f4a7c15)) ^ size_bytes);

    high = fmt_mix(high + low);
    snprintf(etag, SERVE_ETAG_LEN + 1, "\"%016" PRIx64 "%016" PRIx64 "\"", high, low);
}

int64_t serve_store_mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}
