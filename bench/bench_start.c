/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_start.c - penstock bench start: how soon there is something to train on, in Pipe mode
 * and in File mode, which downloads all of it first. In turn, so that both meet the same weather.
 */
#include "bench/bench_commands.h"

#include "pipe/stop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct download {
    char dir[512];
    int fd; /* of the file being written, or -1 */
    uint32_t files;
    double took_s;
    double first_object_s, first_connection_s; /* of the download itself */
};

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

/* In the order of the stream; the key's extension tells how a file is compressed. */
static void name_file(const struct download *d, uint32_t number, const char *key, char *out,
                      size_t size)
{
    const char *base = strrchr(key, '/');
    const char *dot = strrchr(base ? base : key, '.');

    snprintf(out, size, "%s/%08u%.16s", d->dir, number, dot ? dot : "");
}

static int write_span(struct download *d, const struct penstock_span *span,
                      struct penstock_error *error)
{
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

static int copy(struct download *d, struct penstock *stream, struct penstock_error *error)
{
    const struct penstock_span *span;
    int rc;

    while ((rc = penstock_next_span(stream, 0, -1, &span)) >= 0 && rc != PENSTOCK_END) {
        if (rc != PENSTOCK_OK)
            continue;
        rc = write_span(d, span, error);
        penstock_release_span(stream, span);
        if (rc != PENSTOCK_OK)
            return rc;
    }
    if (rc < 0)
        *error = *penstock_last_error(stream, 0);
    return rc < 0 ? rc : PENSTOCK_OK;
}

static int download(struct download *d, const struct penstock_config *base,
                    const struct penstock_channel_config *decoded, struct penstock_error *error)
{
    struct penstock_channel_config channel = *decoded;
    struct penstock_config config = *base;
    struct penstock_counters counters;
    struct penstock *stream;
    double began = seconds();

    channel.content_type = "application/octet-stream";
    channel.compression = NULL;
    channel.epochs = 1;
    config.channels = &channel;
    int rc = penstock_open(&config, &stream, error);

    if (rc != PENSTOCK_OK)
        return rc;
    ps_stop_watch(stream);
    rc = copy(d, stream, error);
    penstock_get_counters(stream, 0, &counters);
    d->first_object_s = (double)counters.first_object_ns * 1e-9;
    d->first_connection_s =
        counters.first_connection_ns ? (double)counters.first_connection_ns * 1e-9 : NAN;
    ps_stop_watch(NULL);
    penstock_close(&stream);
    d->took_s = seconds() - began;
    return ps_stop_signal() ? PENSTOCK_E_STOPPED : rc;
}

/* All that is in the directory is ours: it was made for this. */
static void remove_files(struct download *d)
{
    DIR *files = opendir(d->dir);

    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    for (struct dirent *entry; files && (entry = readdir(files)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(files), entry->d_name, 0);
    if (files)
        closedir(files);
    rmdir(d->dir);
}

/* Then what comes from the files, later by what the download took. */
static int run_file(struct bench_result *result, struct bench_variant *variant,
                    struct bench_plan *plan, struct penstock_channel_config *channel,
                    struct download *d, struct penstock_error *error)
{
    const char *uri = d->dir;
    int rc = download(d, plan->config, channel, error);

    if (rc != PENSTOCK_OK)
        return rc;
    channel->uris = &uri;
    channel->uri_count = 1;
    channel->data_type = NULL;
    channel->shuffle = false; /* the files are in the order that was asked for */
    channel->shard_count = 1;
    channel->shard_index = 0;
    rc = bench_add_run(result, variant, plan, error);
    if (rc != PENSTOCK_OK)
        return rc;
    double *figures = variant->runs[variant->run_count - 1].figures;

    for (int f = BENCH_FIRST_BYTE; f <= BENCH_FIRST_BATCH; f++)
        figures[f] += d->took_s;
    figures[BENCH_FIRST_OBJECT] = d->first_object_s;
    figures[BENCH_FIRST_CONNECTION] = d->first_connection_s;
    figures[BENCH_DOWNLOAD] = d->took_s;
    return PENSTOCK_OK;
}

static int run_file_mode(struct bench_result *result, struct bench_plan *plan, uint32_t repeat,
                         struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config *channel =
        (struct penstock_channel_config *)(uintptr_t)plan->config->channels;
    const char *tmp = getenv("TMPDIR");
    struct download d = {.fd = -1};

    snprintf(d.dir, sizeof d.dir, "%.400s/penstock-bench-XXXXXX",
             o->dir        ? o->dir
             : tmp && *tmp ? tmp
                           : "/tmp");
    if (!mkdtemp(d.dir))
        return fail_errno(error, "make a directory in", o->dir ? o->dir : "/tmp");
    bench_options_channel(o, repeat, channel);
    int rc =
        run_file(result, &result->variants[result->variant_count - 1], plan, channel, &d, error);

    remove_files(&d);
    return rc;
}

int bench_start(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config channel;
    struct penstock_config config = o->stream.config;
    struct bench_plan plan = {.config = &config, .first_batch_only = true, .quiet = o->quiet};
    bool pipe = !o->modes || strncmp(o->modes, "pipe", 4) == 0;
    bool file = !o->modes || strstr(o->modes, "file") != NULL;
    int rc = PENSTOCK_OK;

    if ((pipe && !bench_result_add(result, "pipe")) ||
        (file && !bench_result_add(result, "file"))) {
        snprintf(error->message, sizeof error->message, "out of memory");
        return error->rc = PENSTOCK_E_MEMORY;
    }
    config.channels = &channel;
    config.channel_count = 1;
    for (uint32_t repeat = 0; rc == PENSTOCK_OK && repeat < o->repeats; repeat++) {
        bench_options_channel(o, repeat, &channel);
        snprintf(plan.what, sizeof plan.what, "repeat %u of %u", repeat + 1, o->repeats);
        if (pipe)
            rc = bench_add_run(result, &result->variants[0], &plan, error);
        if (rc == PENSTOCK_OK && file)
            rc = run_file_mode(result, &plan, repeat, error);
    }
    return rc;
}
