/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/fifo_readers.c - who reads a FIFO, from /proc: for messages, never for decisions. */
#include "pipe/fifo.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether a file that is open as `name` in the directory /proc/PID/fd is `wanted`, for reading. */
static bool is_reader(int fd_dir, const char *name, const struct stat *wanted)
{
    struct stat found;

    /* The link's own mode says how the file is open: proc(5), /proc/pid/fd. */
    return fstatat(fd_dir, name, &found, 0) == 0 && found.st_ino == wanted->st_ino &&
           found.st_dev == wanted->st_dev &&
           fstatat(fd_dir, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && (found.st_mode & S_IRUSR);
}

static bool process_reads(int proc, const char *pid, const struct stat *wanted)
{
    char path[32];
    const struct dirent *entry;
    bool reads = false;

    snprintf(path, sizeof path, "%.16s/fd", pid);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (!reads && (entry = readdir(dir)) != NULL)
        reads = entry->d_name[0] != '.' && is_reader(fd, entry->d_name, wanted);
    closedir(dir);
    return reads;
}

size_t ps_fifo_readers(int fd, int *pids, size_t max)
{
    struct stat wanted;
    const struct dirent *entry;
    size_t count = 0;

    if (fstat(fd, &wanted) != 0)
        return 0;
    DIR *proc = opendir("/proc");

    while (proc && (entry = readdir(proc)) != NULL) {
        int pid = (int)strtol(entry->d_name, NULL, 10);

        if (pid <= 0 || pid == getpid() || !process_reads(dirfd(proc), entry->d_name, &wanted))
            continue;
        if (count < max)
            pids[count] = pid;
        count++;
    }
    if (proc)
        closedir(proc);
    return count;
}
