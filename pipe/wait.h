/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/wait.h - how long a channel's threads wait for each other: the clock is read only by a
 * thread that really blocks.
 *
 * Owner: the channel. Threads: any that holds the channel's lock. Units: nanoseconds.
 */
#ifndef PIPE_WAIT_H
#define PIPE_WAIT_H

#include "pipe/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

enum ps_wait_kind {
    PS_WAIT_ROOM,       /* I/O threads, for ring space */
    PS_WAIT_BYTES,      /* framer or consumer of plain bytes, for bytes */
    PS_WAIT_DECODERS,   /* framer, for chunks to be taken or done */
    PS_WAIT_SLOT,       /* framer, or who places rows, for a batch slot or the taking of an event */
    PS_WAIT_CHUNKS,     /* decoders, for chunks, or their turn to place rows */
    PS_WAIT_INFLATE_IN, /* inflater, for bytes */
    PS_WAIT_INFLATE_OUT, /* inflater, for room */
    PS_WAITS
};

/* Those who wait now have had their start taken off `ns`, so that a look at it in the middle of a
 * wait counts what has passed of it. */
struct ps_wait {
    uint64_t ns;
    uint32_t waiting;
};

static inline void ps_wait_begin(struct ps_wait *wait)
{
    wait->ns -= ps_now_ns();
    wait->waiting++;
}

static inline void ps_wait_end(struct ps_wait *wait)
{
    wait->ns += ps_now_ns();
    wait->waiting--;
}

static inline uint64_t ps_wait_ns(const struct ps_wait *wait)
{
    return wait->ns + wait->waiting * ps_now_ns();
}

/* pthread_cond_wait, or _timedwait with a deadline, counted. Returns whether the deadline passed.
 */
static inline bool ps_wait_on(struct ps_wait *wait, pthread_cond_t *wakes, pthread_mutex_t *lock,
                              const struct timespec *deadline)
{
    ps_wait_begin(wait);
    int rc =
        deadline ? pthread_cond_timedwait(wakes, lock, deadline) : pthread_cond_wait(wakes, lock);

    ps_wait_end(wait);
    return rc == ETIMEDOUT;
}

#endif
