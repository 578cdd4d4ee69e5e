/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/output.c - see trainer/output.h. */
#include "trainer/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const struct tr_output *output, int sys_errno, struct tr_error *error)
{
    return tr_fail(error, "cannot write %s: %s", output->path, strerror(sys_errno));
}

int tr_output_directory(const char *directory, struct tr_error *error)
{
    char path[PATH_MAX];
    struct stat status;
    if (snprintf(path, sizeof path, "%s", directory) >= (int)sizeof path)
        return tr_fail(error, "the directory name %.80s... is too long", directory);
    for (char *p = path + 1; *path && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        mkdir(path, 0777); /* what cannot be made shows below */
        *p = '/';
    }
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return tr_fail(error, "cannot make the directory %s: %s", path, strerror(errno));
    if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode))
        return tr_fail(error, "%s is not a directory", path);
    if (access(path, W_OK | X_OK) < 0)
        return tr_fail(error, "cannot write to the directory %s: %s", path, strerror(errno));
    return 0;
}

int tr_output_open(struct tr_output *output, const char *directory, const char *name,
                   struct tr_error *error)
{
    struct stat status;
    memset(output, 0, sizeof *output);
    int len = directory ? snprintf(output->path, sizeof output->path, "%s/%s", directory, name)
                        : snprintf(output->path, sizeof output->path, "%s", name);
    if (len >= (int)sizeof output->path)
        return tr_fail(error, "the file name %.80s... is too long", output->path);
    /* Known now, and not when other files have their names already. */
    if (lstat(output->path, &status) == 0 && S_ISDIR(status.st_mode))
        return failed(output, EISDIR, error);
    snprintf(output->temporary, sizeof output->temporary, "%s.%ld" TR_OUTPUT_SUFFIX, output->path,
             (long)getpid());
    unlink(output->temporary); /* left by a killed process of the same number */
    int fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    output->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!output->file) {
        int sys_errno = errno;
        if (fd >= 0)
            close(fd);
        else
            output->temporary[0] = '\0';
        tr_output_discard(output);
        return failed(output, sys_errno, error);
    }
    return 0;
}

int tr_output_sink(void *cookie, const void *bytes, size_t len_bytes)
{
    struct tr_output *output = cookie;
    if (output->sys_errno == 0 && fwrite(bytes, 1, len_bytes, output->file) != len_bytes)
        output->sys_errno = errno;
    return output->sys_errno == 0 ? 0 : -1;
}

void tr_output_flush(struct tr_output *output)
{
    if (output->sys_errno == 0 && fflush(output->file) != 0)
        output->sys_errno = errno;
    if (output->sys_errno == 0 && ferror(output->file))
        output->sys_errno = EIO; /* a write that went unnoticed; its reason is gone */
    if (output->sys_errno == 0 && fsync(fileno(output->file)) < 0)
        output->sys_errno = errno;
}

int tr_output_close(struct tr_output *output, struct tr_error *error)
{
    tr_output_flush(output);
    int sys_errno = output->sys_errno;
    if (fclose(output->file) != 0 && sys_errno == 0)
        sys_errno = errno;
    output->file = NULL;
    return sys_errno == 0 ? 0 : failed(output, sys_errno, error);
}

int tr_output_commit(struct tr_output *output, struct tr_error *error)
{
    if (rename(output->temporary, output->path) < 0)
        return failed(output, errno, error);
    output->temporary[0] = '\0';
    return 0;
}

void tr_output_discard(struct tr_output *output)
{
    if (output->file)
        fclose(output->file);
    output->file = NULL;
    if (output->temporary[0])
        unlink(output->temporary);
    output->temporary[0] = '\0';
}
