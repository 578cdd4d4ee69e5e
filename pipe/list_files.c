/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/list_files.c - see list_files.h.
 *
 * S3 sorts whole keys, so that "a-b" comes before "a/x": sorting each directory's entries with a
 * '/' after the names of directories gives the same order, one directory in memory at a time.
 */
#include "pipe/list_files.h"

#include "pipe/error.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64 /* deeper is a loop of symbolic links */

struct walk {
    const atomic_bool *stop;
    ps_file_fn take;
    void *cookie;
    struct penstock_error *error;
};

struct names {
    char **items; /* directories with a '/' at the end */
    size_t count;
    size_t room;
};

int ps_file_rc(int sys_errno)
{
    switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
        return PENSTOCK_E_NOT_FOUND;
    case EACCES:
    case EPERM:
        return PENSTOCK_E_DENIED;
    default:
        return PENSTOCK_E_SYSTEM;
    }
}

void ps_file_identity(const struct stat *status, char out[PS_FILE_IDENTITY_BYTES])
{
    snprintf(out, PS_FILE_IDENTITY_BYTES, "%llx.%09lx-%llx-%llx",
             (unsigned long long)status->st_mtim.tv_sec, (unsigned long)status->st_mtim.tv_nsec,
             (unsigned long long)status->st_size, (unsigned long long)status->st_ino);
}

static int walk_failed(const struct walk *walk, const char *what, const char *path, int sys_errno)
{
    int rc =
        ps_fail_errno(walk->error, ps_file_rc(sys_errno), sys_errno, "cannot %s %s", what, path);

    ps_error_object(walk->error, NULL, path, 0);
    return rc;
}

static int no_memory(const struct walk *walk)
{
    return ps_fail(walk->error, PENSTOCK_E_MEMORY, "out of memory while listing files");
}

static char *join(const char *directory, const char *name)
{
    size_t directory_bytes = strlen(directory);
    const char *slash = directory_bytes > 0 && directory[directory_bytes - 1] == '/' ? "" : "/";
    char *path = NULL;

    return asprintf(&path, "%s%s%s", directory, slash, name) < 0 ? NULL : path;
}

static int take_file(const struct walk *walk, const char *path, const struct stat *status)
{
    char identity[PS_FILE_IDENTITY_BYTES];

    ps_file_identity(status, identity);
    return walk->take(walk->cookie, path, identity, (uint64_t)status->st_size);
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

/* Appends `directory`/`name` if it is a file or a directory. */
static int add_name(const struct walk *walk, struct names *names, const char *directory,
                    const char *name)
{
    char *path = join(directory, name);
    struct stat status;

    if (!path)
        return no_memory(walk);
    if (stat(path, &status) != 0) {
        int rc = errno == ENOENT ? PENSTOCK_OK /* gone since readdir, or a dangling link */
                                 : walk_failed(walk, "look at", path, errno);

        free(path);
        return rc;
    }
    if (S_ISDIR(status.st_mode)) {
        char *with_slash = join(path, "");

        free(path);
        path = with_slash;
        if (!path)
            return no_memory(walk);
    } else if (!S_ISREG(status.st_mode)) {
        free(path);
        return PENSTOCK_OK;
    }
    if (names->count == names->room) {
        size_t room = names->room ? names->room * 2 : 64;
        char **items = realloc(names->items, room * sizeof *items);

        if (!items) {
            free(path);
            return no_memory(walk);
        }
        names->items = items;
        names->room = room;
    }
    names->items[names->count++] = path;
    return PENSTOCK_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(const struct walk *walk, const char *directory, struct names *names)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    int rc = PENSTOCK_OK;

    if (!dir)
        return walk_failed(walk, "list directory", directory, errno);
    while (rc == PENSTOCK_OK && (errno = 0, entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = add_name(walk, names, directory, entry->d_name);
    if (rc == PENSTOCK_OK && errno != 0)
        rc = walk_failed(walk, "list directory", directory, errno);
    closedir(dir);
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, by_bytes);
    return rc;
}

static int walk_directory(const struct walk *walk, const char *directory, unsigned depth)
{
    struct names names = {.count = 0};
    struct stat status;

    if (depth == DEPTH_MAX)
        return ps_fail(walk->error, PENSTOCK_E_SYSTEM,
                       "%s is more than %d directories deep: is there a loop of symbolic links?",
                       directory, DEPTH_MAX);
    int rc = read_names(walk, directory, &names);

    for (size_t i = 0; rc == PENSTOCK_OK && i < names.count; i++) {
        const char *path = names.items[i];

        if (atomic_load(walk->stop))
            rc = PENSTOCK_E_STOPPED;
        else if (path[strlen(path) - 1] == '/')
            rc = walk_directory(walk, path, depth + 1);
        else if (stat(path, &status) == 0)
            rc = take_file(walk, path, &status);
        else if (errno != ENOENT)
            rc = walk_failed(walk, "look at", path, errno);
    }
    free_names(&names);
    return rc;
}

int ps_list_files(const char *path, const atomic_bool *stop, ps_file_fn take, void *cookie,
                  struct penstock_error *error)
{
    struct walk walk = {.stop = stop, .take = take, .cookie = cookie, .error = error};
    struct stat status;

    if (stat(path, &status) != 0)
        return walk_failed(&walk, "open", path, errno);
    if (S_ISDIR(status.st_mode))
        return walk_directory(&walk, path, 0);
    return take_file(&walk, path, &status);
}
