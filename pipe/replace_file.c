/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/replace_file.c - see replace_file.h. */
#include "pipe/replace_file.h"

#include "pipe/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int ps_write_whole(int fd, const void *bytes, size_t len_bytes)
{
    const char *next = bytes;

    while (len_bytes > 0) {
        ssize_t written = write(fd, next, len_bytes);

        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            next += written;
            len_bytes -= (size_t)written;
        }
    }
    return 0;
}

int ps_replace_file(const char *path, const void *bytes, size_t len_bytes,
                    struct penstock_error *error)
{
    char fresh[PATH_MAX];
    int len = snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = -1;
    int sys_errno = ENAMETOOLONG;

    if (len > 0 && (size_t)len < sizeof fresh) {
        fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        sys_errno = fd < 0 ? errno : ps_write_whole(fd, bytes, len_bytes);
    }
    if (fd >= 0 && close(fd) != 0 && sys_errno == 0)
        sys_errno = errno;
    if (sys_errno == 0 && rename(fresh, path) != 0)
        sys_errno = errno;
    if (sys_errno == 0)
        return PENSTOCK_OK;
    if (fd >= 0)
        unlink(fresh);
    return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno, "cannot write %s", path);
}
