/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/ring.c - see ring.h. */
#include "pipe/ring.h"

#include "pipe/error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ps_ring_open(struct ps_ring *ring, size_t size_bytes, size_t headroom_bytes,
                 struct penstock_error *error)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    size_bytes -= size_bytes % page;
    headroom_bytes -= headroom_bytes % page;
    ring->map_bytes = size_bytes + headroom_bytes;
    ring->map = mmap(NULL, ring->map_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring->map == MAP_FAILED) {
        ring->map = NULL;
        return ps_fail(error, PENSTOCK_E_MEMORY, "cannot map a stream ring of %zu bytes: %s",
                       ring->map_bytes, strerror(errno));
    }
    /* Refusal only costs speed. */
    madvise(ring->map, ring->map_bytes, MADV_HUGEPAGE);
    ring->base = (uint8_t *)ring->map + headroom_bytes;
    ring->size_bytes = size_bytes;
    ring->headroom_bytes = headroom_bytes;
    return PENSTOCK_OK;
}

void ps_ring_close(struct ps_ring *ring)
{
    if (ring->map)
        munmap(ring->map, ring->map_bytes);
    ring->map = NULL;
}

const uint8_t *ps_ring_carry(struct ps_ring *ring, uint64_t pos)
{
    size_t tail_bytes = ps_ring_run_bytes(ring, pos);

    if (tail_bytes > ring->headroom_bytes)
        return NULL;
    memcpy(ring->base - tail_bytes, ps_ring_at(ring, pos), tail_bytes);
    return ring->base - tail_bytes;
}
