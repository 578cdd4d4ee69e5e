/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_shards.c - temporary files, one buffer, renames. */
#include "pipe/pack_shards.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/text.h"

#define BUFFER_BYTES ((size_t)1 << 20)
#define NAME_BYTES 256

struct ps_pack_shards {
    const char *directory; /* the caller's strings */
    const char *prefix;
    const char *extension;
    uint64_t count;
    uint64_t begun; /* temporary files made: 0 .. begun - 1 */
    bool published;
    int dir_fd;
    int fd; /* of the current shard, or -1 */
    uint64_t bytes;
    uint8_t *buffer;
    size_t cap;
    size_t len;
};

/* As the SDK: as many digits as the number of shards has. */
static void shard_name(const struct ps_pack_shards *s, uint64_t shard_no, bool temporary,
                       char name[NAME_BYTES])
{
    struct ps_text text = ps_text_in(name, NAME_BYTES);
    int digits = snprintf(NULL, 0, "%llu", (unsigned long long)s->count);
    ps_text_addf(&text, "%s%s_%0*llu.%s", temporary ? "." : "", s->prefix, digits,
                 (unsigned long long)shard_no, s->extension);
    if (temporary)
        ps_text_addf(&text, ".%ld.tmp", (long)getpid());
}

/* Whether a file is a shard of this prefix and extension, of any set. */
static bool is_shard(const struct ps_pack_shards *s, const char *name)
{
    size_t len = strlen(s->prefix);
    if (strncmp(name, s->prefix, len) != 0 || name[len] != '_')
        return false;
    name += len + 1;
    len = strspn(name, "0123456789");
    return len > 0 && name[len] == '.' && strcmp(name + len + 1, s->extension) == 0;
}

static bool is_in_new_set(const struct ps_pack_shards *s, const char *name)
{
    char ours[NAME_BYTES];
    uint64_t number = strtoull(name + strlen(s->prefix) + 1, NULL, 10);
    if (number >= s->count)
        return false;
    shard_name(s, number, false, ours);
    return strcmp(name, ours) == 0;
}

static int make_directories(const char *path, struct penstock_error *error)
{
    char partial[4096];
    if (!ps_text_copy(partial, sizeof(partial), path))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the name of the output directory is too long");
    for (char *p = partial + 1; partial[0] != 0; p++) {
        char here = *p;
        if (here != '/' && here != 0)
            continue;
        *p = 0;
        if (mkdir(partial, 0777) != 0 && errno != EEXIST)
            return ps_fail_errno(error, ps_file_rc(errno), errno, "cannot make directory %s",
                                 partial);
        *p = here;
        if (here == 0)
            break;
    }
    return PENSTOCK_OK;
}

/* Calls `each` for every shard of this prefix in the directory until it returns non-zero. */
static int for_each_shard(struct ps_pack_shards *s,
                          int (*each)(struct ps_pack_shards *, const char *,
                                      struct penstock_error *),
                          struct penstock_error *error)
{
    int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int rc = PENSTOCK_OK;
    if (stream == NULL) {
        rc = ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot list %s", s->directory);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    while (rc == PENSTOCK_OK && (entry = readdir(stream)) != NULL)
        if (is_shard(s, entry->d_name))
            rc = each(s, entry->d_name, error);
    closedir(stream);
    return rc;
}

static int refuse_shard(struct ps_pack_shards *s, const char *name, struct penstock_error *error)
{
    return ps_fail(error, PENSTOCK_E_ARGUMENT,
                   "%s/%s exists: choose another --output or --prefix, or replace the old shards "
                   "with --force",
                   s->directory, name);
}

static int remove_if_stale(struct ps_pack_shards *s, const char *name, struct penstock_error *error)
{
    if (is_in_new_set(s, name) || unlinkat(s->dir_fd, name, 0) == 0)
        return PENSTOCK_OK;
    return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot remove the old %s/%s",
                         s->directory, name);
}

int ps_pack_shards_open(const char *directory, const char *prefix, const char *extension,
                        uint64_t count, bool force, struct ps_pack_shards **opened,
                        struct penstock_error *error)
{
    struct ps_pack_shards *s = calloc(1, sizeof(*s));
    *opened = s;
    if (s == NULL || (s->buffer = malloc(BUFFER_BYTES)) == NULL)
        return ps_fail(error, PENSTOCK_E_MEMORY, "no memory to write %s", directory);
    s->directory = directory;
    s->prefix = prefix;
    s->extension = extension;
    s->count = count;
    s->cap = BUFFER_BYTES;
    s->dir_fd = -1;
    s->fd = -1;
    int rc = make_directories(directory, error);
    if (rc != PENSTOCK_OK)
        return rc;
    s->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return ps_fail_errno(error, ps_file_rc(errno), errno, "cannot open directory %s",
                             directory);
    return force ? PENSTOCK_OK : for_each_shard(s, refuse_shard, error);
}

static int fail_write(const struct ps_pack_shards *s, int sys_errno, struct penstock_error *error)
{
    char name[NAME_BYTES];
    shard_name(s, s->begun - 1, false, name);
    return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno, "cannot write %s/%s", s->directory,
                         name);
}

static int flush(struct ps_pack_shards *s, struct penstock_error *error)
{
    size_t done = 0;
    while (done < s->len) {
        ssize_t n = write(s->fd, s->buffer + done, s->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_write(s, errno, error);
        done += (size_t)n;
    }
    s->bytes += s->len;
    s->len = 0;
    return PENSTOCK_OK;
}

static int end_shard(struct ps_pack_shards *s, struct penstock_error *error)
{
    if (s->fd < 0)
        return PENSTOCK_OK;
    int rc = flush(s, error);
    if (rc == PENSTOCK_OK && fsync(s->fd) != 0)
        rc = fail_write(s, errno, error);
    if (close(s->fd) != 0 && rc == PENSTOCK_OK)
        rc = fail_write(s, errno, error);
    s->fd = -1;
    return rc;
}

int ps_pack_shards_begin(struct ps_pack_shards *s, struct penstock_error *error)
{
    char name[NAME_BYTES];
    int rc = end_shard(s, error);
    if (rc != PENSTOCK_OK)
        return rc;
    shard_name(s, s->begun, true, name);
    s->fd = openat(s->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (s->fd < 0)
        return ps_fail_errno(error, ps_file_rc(errno), errno, "cannot make %s/%s", s->directory,
                             name);
    s->begun++;
    return PENSTOCK_OK;
}

int ps_pack_shards_reserve(struct ps_pack_shards *s, size_t len, uint8_t **room,
                           struct penstock_error *error)
{
    if (s->cap - s->len < len) {
        int rc = flush(s, error);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    if (s->cap < len) {
        uint8_t *bigger = realloc(s->buffer, len);
        if (bigger == NULL)
            return ps_fail(error, PENSTOCK_E_MEMORY, "no memory for a row of %zu bytes", len);
        s->buffer = bigger;
        s->cap = len;
    }
    *room = s->buffer + s->len;
    return PENSTOCK_OK;
}

void ps_pack_shards_add(struct ps_pack_shards *s, size_t len)
{
    s->len += len;
}

uint64_t ps_pack_shards_bytes(const struct ps_pack_shards *s)
{
    return s->bytes;
}

int ps_pack_shards_publish(struct ps_pack_shards *s, struct penstock_error *error)
{
    char from[NAME_BYTES];
    char to[NAME_BYTES];
    int rc = end_shard(s, error);
    for (uint64_t i = 0; rc == PENSTOCK_OK && i < s->begun; i++) {
        shard_name(s, i, true, from);
        shard_name(s, i, false, to);
        if (renameat(s->dir_fd, from, s->dir_fd, to) == 0)
            continue;
        rc = ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot rename %s to %s in %s", from,
                           to, s->directory);
        /* Part of a set is worse than none. */
        for (uint64_t k = 0; k < i; k++) {
            shard_name(s, k, false, to);
            unlinkat(s->dir_fd, to, 0);
        }
    }
    if (rc != PENSTOCK_OK)
        return rc;
    s->published = true;
    return for_each_shard(s, remove_if_stale, error);
}

void ps_pack_shards_close(struct ps_pack_shards *s)
{
    char name[NAME_BYTES];
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    for (uint64_t i = 0; !s->published && i < s->begun; i++) {
        shard_name(s, i, true, name);
        unlinkat(s->dir_fd, name, 0);
    }
    if (s->dir_fd >= 0)
        close(s->dir_fd);
    free(s->buffer);
    free(s);
}
