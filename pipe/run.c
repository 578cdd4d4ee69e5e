/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/run.c - see run.h. */
#include "pipe/run.h"

#include "pipe/delivery.h"
#include "pipe/download.h"
#include "pipe/error.h"
#include "pipe/metrics.h"
#include "pipe/replace_file.h"
#include "pipe/supervisor.h"
#include "pipe/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* CreateTrainingJob's FailureReason holds as much. */
#define FAILURE_BYTES_MAX 1024

struct run {
    const struct ps_run_config *config;
    struct ps_supervisor supervisor;
    struct ps_metrics *metrics; /* NULL: nobody asked for them */
    struct penstock *stream;    /* of the phase: downloads, then deliveries */
    struct penstock_channel_config stream_channels[PS_RUN_CHANNELS_MAX];
    const struct ps_run_channel *channels[PS_RUN_CHANNELS_MAX]; /* of the phase */
    size_t channel_count;
    struct ps_download downloads[PS_RUN_CHANNELS_MAX];
    struct ps_delivery deliveries[PS_RUN_CHANNELS_MAX];
    bool noted[PS_RUN_CHANNELS_MAX]; /* deliveries whose failure has been said */
    bool failed;
};

/* ---- messages ---- */

static void say(const struct run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct run *run, const char *format, ...)
{
    char line[2560];
    va_list args;
    int len = snprintf(line, sizeof line, "%s: ", run->config->program);

    va_start(args, format);
    len += vsnprintf(line + len, sizeof line - (size_t)len - 1, format, args);
    va_end(args);
    if ((size_t)len > sizeof line - 2)
        len = (int)sizeof line - 2;
    line[len] = '\n';
    /* One write a line: other threads, and the command, say things too. */
    if (write(STDERR_FILENO, line, (size_t)len + 1) < 0)
        return;
}

static void log_line(void *cookie, int level, const char *line)
{
    const struct run *run = cookie;

    if (level > 0 || run->config->verbose)
        say(run, "%s", line);
}

static void told(void *cookie)
{
    struct run *run = cookie;

    ps_supervisor_tell(&run->supervisor);
}

/* The job has failed for this reason. The first one counts. */
static void fail(struct run *run, const struct penstock_error *why)
{
    char text[FAILURE_BYTES_MAX + 1];
    struct penstock_error error;

    say(run, "%s", why->message);
    if (run->failed)
        return;
    run->failed = true;
    ps_text_copy(text, sizeof text, why->message);
    if (ps_replace_file(run->config->failure_path, text, strlen(text), &error) != PENSTOCK_OK)
        say(run, "%s", error.message);
}

/* ---- streams ---- */

/* Opens the channels of one mode. False when there are none, or after a failure. */
static bool open_stream(struct run *run, bool file_mode)
{
    struct penstock_config config = run->config->stream;
    const char *names[PS_RUN_CHANNELS_MAX];
    struct penstock_error error;

    run->channel_count = 0;
    for (size_t c = 0; c < run->config->channel_count; c++) {
        const struct ps_run_channel *channel = &run->config->channels[c];

        if (channel->file_mode != file_mode)
            continue;
        run->stream_channels[run->channel_count] = channel->config;
        run->stream_channels[run->channel_count].content_type = "application/octet-stream";
        run->stream_channels[run->channel_count].epochs = file_mode ? 1 : 0;
        run->stream_channels[run->channel_count].empty_objects = file_mode;
        run->channels[run->channel_count++] = channel;
    }
    if (run->channel_count == 0)
        return false;
    config.channels = run->stream_channels;
    config.channel_count = run->channel_count;
    config.log = log_line;
    config.log_cookie = run;
    if (penstock_open(&config, &run->stream, &error) != PENSTOCK_OK) {
        fail(run, &error);
        return false;
    }
    for (size_t c = 0; c < run->channel_count; c++)
        names[c] = run->channels[c]->config.name;
    ps_metrics_watch(run->metrics, run->stream, names, run->channel_count);
    return true;
}

static void close_stream(struct run *run)
{
    ps_metrics_watch(run->metrics, NULL, NULL, 0);
    penstock_close(&run->stream);
}

static void report(const struct run *run, size_t c)
{
    struct penstock_counters counters;

    if (!run->config->verbose)
        return;
    penstock_get_counters(run->stream, c, &counters);
    say(run,
        "channel %s: %" PRIu64 " objects, %" PRIu64 " bytes, %" PRIu64 " requests, %" PRIu64
        " retries, %" PRIu64 " connections, first byte after %.1f ms, %s",
        run->channels[c]->config.name, counters.objects_streamed, counters.bytes_received,
        counters.get_requests, counters.retries, counters.connections,
        (double)counters.first_byte_ns / 1e6, counters.io_backend);
}

/* ---- File mode ---- */

static bool start_downloads(struct run *run, char (*dirs)[4096])
{
    struct penstock_error error;

    for (size_t c = 0; c < run->channel_count; c++) {
        const struct ps_run_channel *channel = run->channels[c];

        snprintf(dirs[c], sizeof dirs[c], "%s/%s", run->config->data_dir, channel->config.name);
        if (channel->fast_file)
            say(run, "channel %s: FastFile is delivered as File, downloaded before the start",
                channel->config.name);
        const struct ps_download_config config = {.stream = run->stream,
                                                  .channel_no = c,
                                                  .channel = channel->config.name,
                                                  .bucket = channel->bucket,
                                                  .prefix = channel->prefix,
                                                  .dir = dirs[c],
                                                  .told = told,
                                                  .cookie = run};

        if (ps_download_start(&run->downloads[c], &config, &error) != PENSTOCK_OK) {
            fail(run, &error);
            return false;
        }
    }
    return true;
}

/* Whether there is nothing left to wait for. */
static bool downloads_ended(struct run *run)
{
    bool ended = true;

    for (size_t c = 0; c < run->channel_count; c++) {
        int state = atomic_load(&run->downloads[c].state);

        if (state == PS_DOWNLOAD_FAILED)
            return true;
        ended &= state == PS_DOWNLOAD_DONE;
    }
    return ended || run->supervisor.signal != 0;
}

static void download(struct run *run)
{
    char(*dirs)[4096] = calloc(PS_RUN_CHANNELS_MAX, sizeof *dirs);

    if (dirs && open_stream(run, true)) {
        if (start_downloads(run, dirs))
            while (!downloads_ended(run))
                ps_supervisor_wait(&run->supervisor);
        for (size_t c = 0; c < run->channel_count; c++)
            if (atomic_load(&run->downloads[c].state) == PS_DOWNLOAD_FAILED)
                fail(run, &run->downloads[c].error);
        penstock_stop(run->stream);
        for (size_t c = 0; c < run->channel_count; c++) {
            ps_download_finish(&run->downloads[c]);
            report(run, c);
        }
        close_stream(run);
    }
    free(dirs);
}

/* ---- Pipe mode ---- */

static bool start_deliveries(struct run *run)
{
    struct penstock_error error;

    for (size_t c = 0; c < run->channel_count; c++) {
        const struct ps_run_channel *channel = run->channels[c];
        const struct ps_delivery_config config = {.stream = run->stream,
                                                  .channel_no = c,
                                                  .channel = channel->config.name,
                                                  .dir = run->config->data_dir,
                                                  .wrap_recordio = channel->wrap_recordio,
                                                  .count_recordio = channel->count_recordio,
                                                  .write_status = run->config->write_status,
                                                  .no_splice = run->config->no_splice,
                                                  .log = log_line,
                                                  .told = told,
                                                  .cookie = run};

        if (ps_delivery_start(&run->deliveries[c], &config, &error) != PENSTOCK_OK) {
            fail(run, &error);
            return false;
        }
    }
    return true;
}

/* How many deliveries are in this state. */
static size_t count_in(struct run *run, enum ps_delivery_state state)
{
    size_t count = 0;

    for (size_t c = 0; c < run->channel_count; c++)
        count += atomic_load(&run->deliveries[c].state) == (int)state;
    return count;
}

/* Notes which deliveries have failed, each once. True when one has. */
static bool check_deliveries(struct run *run)
{
    for (size_t c = 0; c < run->channel_count; c++)
        if (!run->noted[c] && atomic_load(&run->deliveries[c].state) == PS_DELIVERY_FAILED) {
            run->noted[c] = true;
            fail(run, &run->deliveries[c].error);
        }
    return run->failed;
}

/* The command starts when the first bytes of every channel are there: readers have time-outs, and a
 * job whose data cannot be read need not start. */
static bool wait_first_bytes(struct run *run)
{
    while (count_in(run, PS_DELIVERY_STARTING) > 0 && !check_deliveries(run) &&
           run->supervisor.signal == 0)
        ps_supervisor_wait(&run->supervisor);
    return !check_deliveries(run) && run->supervisor.signal == 0;
}

/* Looks after the command until it has ended. */
static int supervise(struct run *run)
{
    struct ps_supervisor *supervisor = &run->supervisor;
    struct penstock_error error;
    bool told_to_end = false;
    int rc = ps_supervisor_start(supervisor, run->config->argv, run->config->environment, &error);

    if (rc != PENSTOCK_OK) {
        fail(run, &error);
        return rc == PENSTOCK_E_NOT_FOUND ? 127 : 126;
    }
    while (!supervisor->child_ended) {
        ps_supervisor_wait(supervisor);
        if (!told_to_end && !supervisor->child_ended && check_deliveries(run)) {
            told_to_end = true;
            ps_supervisor_end_child(supervisor);
        }
    }
    int code = ps_supervisor_exit_code(supervisor);

    return run->failed ? EXIT_FAILURE : code;
}

/* Delivers until told to end; then epochs that are being read are finished, within the grace. A
 * channel that failed keeps its reader waiting, and the others go on. */
static int serve(struct run *run)
{
    struct ps_supervisor *supervisor = &run->supervisor;

    while (supervisor->signal == 0) {
        check_deliveries(run);
        ps_supervisor_wait(supervisor);
    }
    for (size_t c = 0; c < run->channel_count; c++)
        ps_delivery_drain(&run->deliveries[c]);
    while (!supervisor->grace_is_over && count_in(run, PS_DELIVERY_READY) > 0)
        ps_supervisor_wait(supervisor);
    if (count_in(run, PS_DELIVERY_READY) > 0)
        say(run, "ending although epochs are being read: their readers see a short epoch");
    return run->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int deliver(struct run *run)
{
    bool pipes = open_stream(run, false);
    int code = EXIT_FAILURE;

    if (pipes && !start_deliveries(run))
        run->failed = true;
    if (!run->failed && (!run->config->argv || wait_first_bytes(run)))
        code = run->config->argv ? supervise(run) : serve(run);
    else if (run->supervisor.signal != 0)
        code = 128 + run->supervisor.signal;
    if (!pipes)
        return code;
    penstock_stop(run->stream);
    for (size_t c = 0; c < run->channel_count; c++) {
        ps_delivery_stop(&run->deliveries[c]);
        report(run, c);
    }
    close_stream(run);
    return code;
}

static bool open_metrics(struct run *run)
{
    struct penstock_error error;

    if (!run->config->metrics)
        return true;
    if (ps_metrics_open(run->config->metrics, &run->metrics, &error) != PENSTOCK_OK) {
        fail(run, &error);
        return false;
    }
    if (ps_metrics_port(run->metrics) > 0)
        say(run, "metrics at port %u", ps_metrics_port(run->metrics));
    return true;
}

int ps_run(const struct ps_run_config *config)
{
    struct run *run = calloc(1, sizeof *run);
    struct penstock_error error;
    int code = EXIT_FAILURE;

    if (!run)
        return EXIT_FAILURE;
    run->config = config;
    unlink(config->failure_path); /* of an earlier run in this tree */
    if (ps_supervisor_open(&run->supervisor, config->grace_s, &error) != PENSTOCK_OK) {
        fail(run, &error);
    } else if (open_metrics(run)) {
        download(run);
        if (run->supervisor.signal != 0)
            code = 128 + run->supervisor.signal;
        else if (!run->failed)
            code = deliver(run);
    }
    ps_metrics_close(run->metrics);
    ps_supervisor_close(&run->supervisor);
    free(run);
    return code;
}
