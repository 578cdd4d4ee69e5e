/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pipe_open.c - see pipe_open.h. The directory is watched before it is looked at, so that a
 * FIFO made in between is seen either way. */
#include "pipe/pipe_open.h"

#include "pipe/clock.h"
#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often is looked where nothing tells of a new FIFO; and where something should, in case it
 * does not: some network file systems know of their own changes only. */
#define LOOK_MS 5
#define LOOK_WATCHED_MS 1000
#define TELL_NS (30 * PS_NS_PER_S)
#define PIPE_BYTES (1 << 20) /* the most that a process without privileges may ask for */

void ps_pipe_watch_open(struct ps_pipe_watch *watch, struct ps_channel *channel, int wake_fd)
{
    *watch = (struct ps_pipe_watch){.channel = channel,
                                    .wake_fd = wake_fd,
                                    .inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
}

void ps_pipe_watch_close(struct ps_pipe_watch *watch)
{
    if (watch->inotify_fd >= 0)
        close(watch->inotify_fd);
    watch->inotify_fd = -1;
}

static const char *base_of(const struct ps_pipe_watch *watch)
{
    return watch->channel->sources[0].uri.prefix;
}

/* Begins to watch the directory, which may not exist yet. */
static void watch_directory(struct ps_pipe_watch *watch)
{
    char directory[PS_PATH_BYTES_MAX + 1];

    if (watch->inotify_fd < 0 || watch->watching)
        return;
    ps_text_copy(directory, sizeof directory, base_of(watch));
    char *slash = strrchr(directory, '/');

    slash[slash == directory] = '\0';
    watch->watching =
        inotify_add_watch(watch->inotify_fd, directory, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0;
}

/* Forgets what was told: the directory is looked at next. */
static void drain(struct ps_pipe_watch *watch)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    for (;;) {
        ssize_t len = read(watch->inotify_fd, events, sizeof events);

        if (len <= 0)
            return;
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);

            /* The directory went away; another may take its place. */
            if (event->mask & IN_IGNORED)
                watch->watching = false;
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
}

void ps_pipe_poll(int fd, int wake_fd, int timeout_ms)
{
    struct pollfd waits[] = {{.fd = wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    uint64_t woken;

    /* Errors and interruptions: the caller looks again. */
    if (poll(waits, 2, timeout_ms) > 0 && waits[0].revents != 0)
        (void)!read(wake_fd, &woken, sizeof woken);
}

static bool holds_something(const char *directory)
{
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    bool found = false;

    if (!entries)
        return false;
    while (!found && (entry = readdir(entries)))
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return found;
}

/* There is no FIFO, but the data is there as files: nobody will ever make one. */
static int check_file_mode(const struct ps_pipe_watch *watch, const char *path,
                           struct penstock_error *error)
{
    const char *base = base_of(watch);

    if (!holds_something(base))
        return PENSTOCK_OK;
    int rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "channel %s is a File mode channel: there is no FIFO %s, but a directory %s "
                     "with files. Read it as file://%s, or give the channel the input mode Pipe",
                     watch->channel->name, path, base, base);

    ps_error_object(error, NULL, base, 0);
    return rc;
}

static const char *kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return "a regular file";
    return S_ISDIR(mode) ? "a directory" : "something else";
}

static int system_failed(const struct ps_pipe_watch *watch, const char *path, int sys_errno,
                         struct penstock_error *error)
{
    int rc = ps_fail_errno(error, ps_file_rc(sys_errno), sys_errno,
                           "channel %s: cannot open FIFO %s", watch->channel->name, path);

    ps_error_object(error, NULL, path, 0);
    return rc;
}

/* The descriptor is a FIFO's, or an error. */
static int check_fifo(const struct ps_pipe_watch *watch, const char *path, int fd,
                      struct penstock_error *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return system_failed(watch, path, errno, error);
    if (S_ISFIFO(status.st_mode)) {
        /* Refusal only costs speed. */
        fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
        return PENSTOCK_OK;
    }
    int rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "channel %s: %s is not a FIFO but %s: is another channel called like that, or "
                     "is this one a File mode channel?",
                     watch->channel->name, path, kind_of(status.st_mode));

    ps_error_object(error, NULL, path, 0);
    return rc;
}

/* Opens it if it is there. *fd is -1 if it is not. */
static int try_open(const struct ps_pipe_watch *watch, const char *path, int *fd,
                    struct penstock_error *error)
{
    do {
        *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (*fd < 0 && errno == EINTR);
    if (*fd < 0)
        return errno == ENOENT ? check_file_mode(watch, path, error)
                               : system_failed(watch, path, errno, error);
    int rc = check_fifo(watch, path, *fd, error);

    if (rc != PENSTOCK_OK)
        close(*fd);
    return rc;
}

static void wait_news(struct ps_pipe_watch *watch)
{
    ps_pipe_poll(watch->watching ? watch->inotify_fd : -1, watch->wake_fd,
                 watch->watching ? LOOK_WATCHED_MS : LOOK_MS);
    if (watch->watching)
        drain(watch);
}

int ps_pipe_open(struct ps_pipe_watch *watch, uint32_t epoch, char *path, size_t size, int *fd,
                 struct penstock_error *error)
{
    struct penstock *stream = watch->channel->stream;
    struct ps_text text = ps_text_in(path, size);
    uint64_t since_ns = ps_now_ns();
    uint64_t told_ns = since_ns;

    ps_text_addf(&text, "%s_%u", base_of(watch), epoch);
    while (!atomic_load(&stream->stopping)) {
        watch_directory(watch);
        int rc = try_open(watch, path, fd, error);

        if (rc != PENSTOCK_OK || *fd >= 0)
            return rc;
        wait_news(watch);
        uint64_t now_ns = ps_now_ns();

        if (now_ns - told_ns >= TELL_NS) {
            told_ns = now_ns;
            ps_engine_log(stream, 1,
                          "channel %s: waiting since %llu s for FIFO %s, which is not there",
                          watch->channel->name,
                          (unsigned long long)((now_ns - since_ns) / PS_NS_PER_S), path);
        }
    }
    return ps_fail(error, PENSTOCK_E_STOPPED, "channel %s: the stream was stopped",
                   watch->channel->name);
}
