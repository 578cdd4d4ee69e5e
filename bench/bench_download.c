/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_download.c - see bench_download.h. */
#include "bench/bench_download.h"

#include "bench/bench_spans.h"
#include "pipe/stop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int fail_errno(struct penstock_error *error, const char *what, const char *path)
{
    snprintf(error->message, sizeof error->message, "cannot %s %s: %s", what, path,
             strerror(errno));
    return error->rc = PENSTOCK_E_SYSTEM;
}

int bench_directory_make(const char *wished, char *dir, size_t size, struct penstock_error *error)
{
    const char *tmp = getenv("TMPDIR");
    const char *where = wished ? wished : tmp && *tmp ? tmp : "/tmp";

    snprintf(dir, size, "%.400s/penstock-bench-XXXXXX", where);
    return mkdtemp(dir) ? PENSTOCK_OK : fail_errno(error, "make a directory in", where);
}

int bench_download_open(struct bench_download *d, const char *wished, struct penstock_error *error)
{
    *d = (struct bench_download){.fd = -1};
    return bench_directory_make(wished, d->dir, sizeof d->dir, error);
}

/* In the order of the stream; the key's extension tells how a file is compressed. */
static void name_file(const struct bench_download *d, uint32_t number, const char *key, char *out,
                      size_t size)
{
    const char *base = strrchr(key, '/');
    const char *dot = strrchr(base ? base : key, '.');

    snprintf(out, size, "%s/%08u%.16s", d->dir, number, dot ? dot : "");
}

static int write_span(void *cookie, const struct penstock_span *span, struct penstock_error *error)
{
    struct bench_download *d = cookie;
    char path[600];

    name_file(d, d->files, span->key, path, sizeof path);
    if (d->fd < 0)
        d->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (d->fd < 0)
        return fail_errno(error, "make", path);
    for (size_t done = 0; done < span->len_bytes;) {
        ssize_t wrote = write(d->fd, (const char *)span->data + done, span->len_bytes - done);

        if (wrote < 0 && errno != EINTR)
            return fail_errno(error, "write", path);
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    if (!span->ends_object)
        return PENSTOCK_OK;
    d->files++;
    int rc = close(d->fd);

    d->fd = -1;
    return rc == 0 ? PENSTOCK_OK : fail_errno(error, "write", path);
}

int bench_download(struct bench_download *d, const struct penstock_config *base,
                   const struct penstock_channel_config *decoded, struct penstock_error *error)
{
    struct penstock_channel_config channel = *decoded;
    struct penstock_counters counters = {0};
    double began = seconds();

    channel.content_type = "application/octet-stream";
    channel.compression = NULL;
    int rc = bench_spans(base, &channel, write_span, d, &counters, error);

    d->first_object_s = (double)counters.first_object_ns * 1e-9;
    d->first_connection_s =
        counters.first_connection_ns ? (double)counters.first_connection_ns * 1e-9 : NAN;
    d->took_s = seconds() - began;
    return rc;
}

static int read_files(const struct bench_download *d, char *block, uint64_t *bytes,
                      struct penstock_error *error)
{
    char path[600];
    DIR *files = opendir(d->dir);
    int rc = files ? PENSTOCK_OK : fail_errno(error, "read", d->dir);

    for (struct dirent *entry; rc == PENSTOCK_OK && (entry = readdir(files)) != NULL;) {
        ssize_t got = 0;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%.64s", d->dir, entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        while (fd >= 0 && (got = read(fd, block, READ_BYTES)) > 0)
            *bytes += (uint64_t)got;
        if (got < 0 || fd < 0)
            rc = fail_errno(error, "read", path);
        if (fd >= 0)
            close(fd);
    }
    if (files)
        closedir(files);
    return rc;
}

int bench_download_read(struct bench_download *d, uint32_t passes, uint64_t *bytes,
                        struct penstock_error *error)
{
    double began = seconds();
    char *block = malloc(READ_BYTES);
    int rc = block ? PENSTOCK_OK : fail_errno(error, "read", d->dir);

    *bytes = 0;
    for (uint32_t pass = 0; rc == PENSTOCK_OK && pass < passes && !ps_stop_signal(); pass++)
        rc = read_files(d, block, bytes, error);
    free(block);
    d->read_s = seconds() - began;
    return ps_stop_signal() ? PENSTOCK_E_STOPPED : rc;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat;
    (void)kind;
    (void)ftw;
    remove(path);
    return 0;
}

void bench_directory_remove(const char *dir)
{
    /* What somebody has mounted in it, and not unmounted, is not ours. */
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void bench_download_remove(struct bench_download *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    bench_directory_remove(d->dir);
}
