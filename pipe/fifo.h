/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/fifo.h - the FIFOs of a Pipe mode channel: <dir>/<channel>_<epoch>, a window of them ahead
 * of the reader.
 *
 * Each epoch has a FIFO of its own, which loses its name as soon as a reader has it open: nobody
 * can come second, and no byte left unread reaches the next reader. Several epochs ahead exist, so
 * that a reader that skips one finds what it opens.
 *
 * Owner: one delivery. Threads: one.
 */
#ifndef PIPE_FIFO_H
#define PIPE_FIFO_H

#include "pipe/penstock.h"

enum { PS_FIFO_WINDOW = 8, PS_FIFO_PATH_BYTES = 4096 };

struct ps_fifo {
    int path_fd; /* the FIFO itself, whatever becomes of its name; -1: not made */
    int fd;      /* its end for writing, once it has a reader; else -1 */
};

struct ps_fifos {
    char stem[PS_FIFO_PATH_BYTES]; /* "<dir>/<channel>_" */
    uint64_t epoch;                /* of window[0] */
    struct ps_fifo window[PS_FIFO_WINDOW];
};

/* Makes the first FIFOs. FIFOs of an earlier run are used again or removed; anything else of such a
 * name is an error. Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT or PENSTOCK_E_SYSTEM. */
int ps_fifos_open(struct ps_fifos *fifos, const char *dir, const char *channel,
                  struct penstock_error *error);

/* Removes what is left of them; files not taken are closed. */
void ps_fifos_close(struct ps_fifos *fifos);

/* Looks for readers. Returns PENSTOCK_OK: *epoch is the lowest that has one (those before it were
 * skipped and are gone), *fd its end for writing, which does not block and is the caller's to
 * close; its name is gone, and the window has moved on. PENSTOCK_AGAIN: there is none. Else an
 * error. */
int ps_fifos_take(struct ps_fifos *fifos, int *fd, uint64_t *epoch, struct penstock_error *error);

/* The processes that have the FIFO open for reading, as far as /proc shows them. Fills up to `max`
 * of `pids`; returns how many there are. */
size_t ps_fifo_readers(int fd, int *pids, size_t max);

#endif
