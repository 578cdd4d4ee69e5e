/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/ring.h - the memory of a stream ring: position p of a channel's stream lives at ring[p mod
 * size].
 *
 *      map                 base                                             base + size_bytes
 *      |  headroom_bytes   |  size_bytes                                    |
 *      [........ carried > [ > stream bytes, each at its position mod size  ]
 *
 * A record that crosses the end is made contiguous by carrying its front part into the headroom, so
 * that it ends where its rest lies: at the ring's start. That is the only copy the ring ever makes.
 *
 * Owner: the channel. Threads: I/O threads write bytes they reserved, the framer carries, decode
 * threads read; who may do what, when, is decided by pipe/stream.h. Units: bytes.
 */
#ifndef PIPE_RING_H
#define PIPE_RING_H

#include "pipe/penstock.h"

struct ps_ring {
    uint8_t *base;
    size_t size_bytes;     /* a multiple of the page size */
    size_t headroom_bytes; /* likewise: the longest record that may cross the end */
    void *map;
    size_t map_bytes;
};

/* Maps anonymous memory, huge pages asked for; nothing is touched, so memory in use grows with the
 * bytes received. Sizes are rounded down to whole pages. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY.
 */
int ps_ring_open(struct ps_ring *ring, size_t size_bytes, size_t headroom_bytes,
                 struct penstock_error *error);
void ps_ring_close(struct ps_ring *ring);

/* Copies the bytes [pos, end of the lap) in front of the ring's start and returns where they now
 * begin; NULL when they are more than the headroom. */
const uint8_t *ps_ring_carry(struct ps_ring *ring, uint64_t pos);

static inline uint8_t *ps_ring_at(const struct ps_ring *ring, uint64_t pos)
{
    return ring->base + pos % ring->size_bytes;
}

/* Bytes from pos to the end of its lap: what is contiguous at ps_ring_at(pos). */
static inline size_t ps_ring_run_bytes(const struct ps_ring *ring, uint64_t pos)
{
    return ring->size_bytes - (size_t)(pos % ring->size_bytes);
}

#endif
