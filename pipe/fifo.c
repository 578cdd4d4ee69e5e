/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/fifo.c - see fifo.h. */
#include "pipe/fifo.h"

#include "pipe/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIFO_MODE 0644

static void path_of(const struct ps_fifos *fifos, uint64_t epoch, char *out)
{
    snprintf(out, PS_FIFO_PATH_BYTES, "%.*s%" PRIu64, PS_FIFO_PATH_BYTES - 24, fifos->stem, epoch);
}

static int make(struct ps_fifos *fifos, unsigned place, struct penstock_error *error)
{
    struct ps_fifo *fifo = &fifos->window[place];
    char path[PS_FIFO_PATH_BYTES];
    struct stat found;

    path_of(fifos, fifos->epoch + place, path);
    if (mkfifo(path, FIFO_MODE) != 0 && errno != EEXIST)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot make the FIFO %s", path);
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &found) != 0)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot use the FIFO %s", path);
    if (!S_ISFIFO(found.st_mode)) {
        close(fd);
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s is in the way of a FIFO: remove it, or choose another --base", path);
    }
    fifo->path_fd = fd;
    return PENSTOCK_OK;
}

/* Opens the FIFO for writing if somebody has it open for reading, by what is held of it: its name
 * may be gone. Without /proc only the name is left. True when that is done. */
static bool try_open(struct ps_fifos *fifos, unsigned place)
{
    struct ps_fifo *fifo = &fifos->window[place];
    char path[PS_FIFO_PATH_BYTES];

    if (fifo->fd >= 0)
        return true;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fifo->path_fd);
    fifo->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fifo->fd < 0 && errno == ENOENT) {
        path_of(fifos, fifos->epoch + place, path);
        fifo->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    return fifo->fd >= 0;
}

static void forget(struct ps_fifo *fifo)
{
    if (fifo->path_fd >= 0)
        close(fifo->path_fd);
    if (fifo->fd >= 0)
        close(fifo->fd);
    fifo->path_fd = fifo->fd = -1;
}

static void unlink_epoch(const struct ps_fifos *fifos, uint64_t epoch)
{
    char path[PS_FIFO_PATH_BYTES];

    path_of(fifos, epoch, path);
    unlink(path);
}

/* "<stem><decimal number>" of a later epoch than the window's, left by a run that was killed. */
static void remove_stale(const struct ps_fifos *fifos)
{
    char dir_path[PS_FIFO_PATH_BYTES];
    const char *name = strrchr(fifos->stem, '/') + 1;
    size_t name_len = strlen(name);
    const struct dirent *entry;

    snprintf(dir_path, sizeof dir_path, "%.*s", (int)(name - fifos->stem), fifos->stem);
    DIR *dir = opendir(dir_path);

    while (dir && (entry = readdir(dir)) != NULL) {
        struct stat found;
        char *end;

        if (strncmp(entry->d_name, name, name_len) != 0 || entry->d_name[name_len] < '0' ||
            entry->d_name[name_len] > '9')
            continue;
        if (strtoull(entry->d_name + name_len, &end, 10) < PS_FIFO_WINDOW || *end != 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISFIFO(found.st_mode))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

int ps_fifos_open(struct ps_fifos *fifos, const char *dir, const char *channel,
                  struct penstock_error *error)
{
    int len = snprintf(fifos->stem, sizeof fifos->stem, "%s/%s_", dir, channel);
    int rc = PENSTOCK_OK;

    fifos->epoch = 0;
    for (unsigned w = 0; w < PS_FIFO_WINDOW; w++)
        fifos->window[w] = (struct ps_fifo){.path_fd = -1, .fd = -1};
    if (len < 0 || len > PS_FIFO_PATH_BYTES - 24)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the path of channel %s is too long: %s",
                       channel, dir);
    remove_stale(fifos);
    for (unsigned w = 0; w < PS_FIFO_WINDOW && rc == PENSTOCK_OK; w++)
        rc = make(fifos, w, error);
    return rc;
}

void ps_fifos_close(struct ps_fifos *fifos)
{
    for (unsigned w = 0; w < PS_FIFO_WINDOW; w++)
        if (fifos->window[w].path_fd >= 0) {
            unlink_epoch(fifos, fifos->epoch + w);
            forget(&fifos->window[w]);
        }
}

/* The window's first `count` FIFOs are done with. */
static int move_on(struct ps_fifos *fifos, unsigned count, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    for (unsigned w = 0; w < count; w++)
        forget(&fifos->window[w]);
    memmove(fifos->window, fifos->window + count, (PS_FIFO_WINDOW - count) * sizeof *fifos->window);
    fifos->epoch += count;
    for (unsigned w = PS_FIFO_WINDOW - count; w < PS_FIFO_WINDOW; w++)
        fifos->window[w] = (struct ps_fifo){.path_fd = -1, .fd = -1};
    for (unsigned w = PS_FIFO_WINDOW - count; w < PS_FIFO_WINDOW && rc == PENSTOCK_OK; w++)
        rc = make(fifos, w, error);
    return rc;
}

int ps_fifos_take(struct ps_fifos *fifos, int *fd, uint64_t *epoch, struct penstock_error *error)
{
    unsigned place = 0;

    while (place < PS_FIFO_WINDOW && !try_open(fifos, place))
        place++;
    if (place == PS_FIFO_WINDOW)
        return PENSTOCK_AGAIN;
    /* Without its name a FIFO gets no new readers; who came just before is found now. */
    for (unsigned w = 0; w <= place; w++)
        unlink_epoch(fifos, fifos->epoch + w);
    for (unsigned w = 0; w < place; w++)
        if (try_open(fifos, w))
            place = w;
    *fd = fifos->window[place].fd;
    *epoch = fifos->epoch + place;
    fifos->window[place].fd = -1;
    int rc = move_on(fifos, place + 1, error);

    if (rc != PENSTOCK_OK)
        close(*fd);
    return rc;
}
