/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/make_path.c - see make_path.h. */
#include "pipe/make_path.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* A directory that is there already may be read-only, or behind a link. */
static int make_directory(const char *path, struct penstock_error *error)
{
    struct stat status;
    int sys_errno = 0;

    if (mkdir(path, 0755) == 0)
        return PENSTOCK_OK;
    sys_errno = errno;
    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? PENSTOCK_OK
                                       : ps_fail(error, PENSTOCK_E_SYSTEM,
                                                 "%s is in the way: it is no directory", path);
    if (lstat(path, &status) == 0)
        return ps_fail(error, PENSTOCK_E_SYSTEM,
                       "%s is in the way: it is a link to something that is not there", path);
    return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno, "cannot make directory %s", path);
}

int ps_make_path(const char *path, struct penstock_error *error)
{
    char partial[PATH_MAX];
    int rc = PENSTOCK_OK;

    if (!ps_text_copy(partial, sizeof partial, path))
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%.200s... is too long for a path", path);
    for (char *slash = strchr(partial + 1, '/'); slash && rc == PENSTOCK_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = make_directory(partial, error);
        *slash = '/';
    }
    return rc == PENSTOCK_OK ? make_directory(partial, error) : rc;
}
