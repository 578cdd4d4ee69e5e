/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/scratch.h - a directory of a test's own, and files in it.
 *
 * Owner: the test; scratch_close removes everything. Threads: one.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char path[64];
};

struct scratch_name {
    char text[512];
};

static inline struct scratch scratch_open(void)
{
    struct scratch scratch = {"/tmp/penstock-test-XXXXXX"};

    assert_non_null(mkdtemp(scratch.path));
    return scratch;
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int kind,
                                     struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void scratch_close(const struct scratch *scratch)
{
    nftw(scratch->path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of `name` below the directory. */
static inline struct scratch_name scratch_path(const struct scratch *scratch, const char *name)
{
    struct scratch_name path;
    int len = snprintf(path.text, sizeof path.text, "%s/%s", scratch->path, name);

    assert_in_range(len, 0, sizeof path.text - 1);
    return path;
}

static inline void scratch_directory(const struct scratch *scratch, const char *name)
{
    assert_int_equal(mkdir(scratch_path(scratch, name).text, 0755), 0);
}

/* Writes a new file, or an old one anew. */
static inline void scratch_file(const struct scratch *scratch, const char *name, const void *bytes,
                                size_t len_bytes)
{
    int fd = open(scratch_path(scratch, name).text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    for (size_t done = 0; done < len_bytes;) {
        ssize_t wrote = write(fd, (const char *)bytes + done, len_bytes - done);

        assert_true(wrote > 0);
        done += (size_t)wrote;
    }
    assert_int_equal(close(fd), 0);
}

static inline void scratch_link(const struct scratch *scratch, const char *name, const char *target)
{
    assert_int_equal(symlink(target, scratch_path(scratch, name).text), 0);
}

#endif
