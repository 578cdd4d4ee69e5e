/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pipe_open.h - wait for a FIFO to appear, and open it.
 *
 * Owner: the caller. Threads: one.
 */
#ifndef PIPE_PIPE_OPEN_H
#define PIPE_PIPE_OPEN_H

#include "pipe/channel.h"

/* What waits, and what is told of it. */
struct ps_pipe_watch {
    struct ps_channel *channel;
    int wake_fd;    /* an eventfd: written to when the stream stops */
    int inotify_fd; /* -1: there is none, so that the directory is looked at now and then */
    bool watching;  /* the directory of the FIFOs */
};

void ps_pipe_watch_open(struct ps_pipe_watch *watch, struct ps_channel *channel, int wake_fd);
void ps_pipe_watch_close(struct ps_pipe_watch *watch);

/* Opens the FIFO of `epoch` for reading, without blocking; waits for it as long as it takes, and
 * logs that now and then. *fd receives the descriptor and path[size] its path. Returns PENSTOCK_OK,
 * PENSTOCK_E_STOPPED, or an error: what is there is no FIFO, the channel is a directory (File
 * mode), or the system refused. */
int ps_pipe_open(struct ps_pipe_watch *watch, uint32_t epoch, char *path, size_t size, int *fd,
                 struct penstock_error *error);

/* Waits until `fd` (-1: none) has bytes or lost its writer, or somebody woke the thread, for at
 * most timeout_ms. */
void ps_pipe_poll(int fd, int wake_fd, int timeout_ms);

#endif
