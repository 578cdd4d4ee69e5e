/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/reactor.h - one I/O thread's window on the kernel: readiness of sockets, reads of files, a
 * wake-up.
 *
 * Two backends behind one table: io_uring and epoll. Many containers refuse io_uring, so epoll is
 * not a lesser path: the same tests run on both. Callbacks run inside wait(), on the owning thread.
 *
 * Owner: an I/O thread, which alone calls everything but wake(). wake() may be called from any
 * thread and from signal handlers. Units: milliseconds, bytes.
 */
#ifndef PIPE_REACTOR_H
#define PIPE_REACTOR_H

#include "pipe/penstock.h"

struct ps_reactor;
struct ps_watch;
struct ps_read;

enum { PS_READABLE = 1, PS_WRITABLE = 2 };

/* Readiness of one descriptor, level-triggered: called again while it lasts. Memory belongs to the
 * caller and must outlive the reactor or be cleared and kept until the next wait() has returned. */
struct ps_watch {
    int fd;          /* -1: not watched */
    unsigned wanted; /* PS_READABLE | PS_WRITABLE */
    void (*ready)(struct ps_watch *watch, unsigned events);
    void *cookie;
    void *armed;  /* private, down to next: the backend's outstanding poll */
    bool unarmed; /* there was no memory for it: tried again */
    struct ps_watch *next;
};

/* One read of a file at an offset. Memory belongs to the caller until `done` is called, which
 * happens exactly once for each read_at that returned. result: bytes read (0 = end of file) or
 * -errno. */
struct ps_read {
    int fd;
    uint8_t *into;
    size_t len_bytes;
    uint64_t offset_bytes;
    int64_t result;
    void (*done)(struct ps_read *read);
    void *cookie;
    struct ps_read *next; /* private */
};

/* A receive from a stream socket, straight to where the bytes belong. `into` is the kernel's until
 * `done` is called, which happens exactly once for each receive() that returned; to end it early,
 * shut the socket down. The socket is non-blocking and not watched meanwhile. The structure begins
 * zeroed but for the caller's fields, and can be used again; forget() it before the socket is
 * watched or closed, or the structure freed. */
struct ps_receive {
    int fd;
    uint8_t *into;
    size_t len_bytes;
    bool any; /* done as soon as something has come; else when all has */
    void (*progress)(struct ps_receive *receive, size_t more_bytes); /* in order; before done */
    void (*done)(struct ps_receive *receive,
                 int result); /* 0, -ENODATA at the stream's end, -errno */
    void *cookie;
    size_t got_bytes; /* private, down to active */
    struct ps_watch watch;
    void *reactor;
    bool active;
};

struct ps_reactor_ops {
    const char *name; /* "uring" or "epoll" */

    /* Returns NULL with errno set when the kernel (or a seccomp filter) refuses. */
    struct ps_reactor *(*open)(void);

    /* Waits for every outstanding read and receive (shut their sockets down first); on the owning
     * thread, before memory read into is freed. */
    void (*drain)(struct ps_reactor *reactor);

    /* Frees; from any thread, once the owner and whoever may call wake() are gone. */
    void (*close)(struct ps_reactor *reactor);

    /* Starts watching watch->fd for `wanted`, or changes what is wanted; 0 wanted clears. After a
     * clear the callback is not called any more, and the descriptor may be closed. */
    void (*watch)(struct ps_reactor *reactor, struct ps_watch *watch, int fd, unsigned wanted);

    void (*read_at)(struct ps_reactor *reactor, struct ps_read *read);

    void (*receive)(struct ps_reactor *reactor, struct ps_receive *receive);

    /* Lets go of the socket of a receive that has ended, or was never begun. */
    void (*forget)(struct ps_reactor *reactor, struct ps_receive *receive);

    /* Waits for events at most timeout_ms (negative: without limit) and calls their callbacks.
     * Returns early after wake(). Returns how many events there were, wakes included, or -errno. */
    int (*wait)(struct ps_reactor *reactor, int timeout_ms);

    void (*wake)(struct ps_reactor *reactor);
};

struct ps_reactor {
    const struct ps_reactor_ops *ops;
};

extern const struct ps_reactor_ops ps_reactor_uring;
extern const struct ps_reactor_ops ps_reactor_epoll;

/* For the backends: the watches that are to be armed once there is memory again. Adding one that is
 * on the list, and removing one that is not, change nothing. */
#define PS_UNARMED_MS 10 /* until the next try */
void ps_unarmed_add(struct ps_watch **list, struct ps_watch *watch);
void ps_unarmed_remove(struct ps_watch **list, struct ps_watch *watch);

/* Chooses the backend: "uring" and "epoll" as told, "auto" or NULL by probing: io_uring where the
 * kernel lets us, else epoll. `reason` receives one line saying why. Returns PENSTOCK_OK,
 * PENSTOCK_E_ARGUMENT for another name, PENSTOCK_E_SYSTEM when "uring" is demanded and refused. */
int ps_reactor_choose(const char *wish, const struct ps_reactor_ops **ops, char *reason,
                      size_t reason_bytes, struct penstock_error *error);

#endif
