/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pace.h - how many parts an I/O thread has under way, and how large they are.
 *
 * The number doubles while that raises the rate by at least 5 %, then climbs hills: now and then a
 * few more or a few fewer are tried for a while, and kept if the rate says so. A server that asks
 * for fewer gets fewer. Time in which there was nothing to ask for, because the ring was full or
 * the listing short, says nothing about the network and is not judged.
 *
 * Owner: the I/O thread. Threads: one; pure but for its own memory. Units: bytes, nanoseconds.
 */
#ifndef PIPE_PACE_H
#define PIPE_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum ps_pace_phase { PS_PACE_GROWING, PS_PACE_STEADY, PS_PACE_TRYING_MORE, PS_PACE_TRYING_FEWER };

struct ps_pace {
    uint32_t limit; /* parts that may be under way now */
    uint32_t most;
    bool fixed; /* the caller has said how many */
    enum ps_pace_phase phase;
    uint32_t settled;    /* the number to go back to when a try brings nothing, */
    double settled_rate; /* and the bytes a second that it brought; 0: not known */
    bool more_next;      /* what to try next */
    uint32_t steady_windows;

    /* The window being watched. */
    uint64_t since_ns;
    uint64_t since_bytes;
    uint32_t ended; /* parts since then */
    bool settling;  /* the number has just changed */
    bool starved;   /* there was nothing to ask for */
    uint64_t throttled_ns;

    /* Moving means of single parts; 0: not known. */
    double first_byte_s;
    double part_rate; /* bytes a second of one part, from its first byte on */
};

/* `wish` parts always, or as many as pay when it is 0, never more than `most`. */
void ps_pace_init(struct ps_pace *pace, uint32_t wish, uint32_t most);

/* A part is whole. Times are of its last attempt, which brought `len_bytes`. */
void ps_pace_part(struct ps_pace *pace, uint64_t asked_ns, uint64_t first_byte_ns, uint64_t now_ns,
                  uint64_t len_bytes);

/* Fewer than `limit` parts are under way, and there is none to claim. */
void ps_pace_starved(struct ps_pace *pace);

/* The server asks for fewer requests. */
void ps_pace_throttled(struct ps_pace *pace, uint64_t now_ns);

/* Looks whether it is time to judge; `received_bytes` counts from the thread's start. */
void ps_pace_look(struct ps_pace *pace, uint64_t now_ns, uint64_t received_bytes);

/* How large parts should be when the caller has not said: large enough that waiting for the first
 * byte is a small share of their time, small enough that a ring of `ring_bytes` holds two of each
 * of `limit`. */
uint64_t ps_pace_part_bytes(const struct ps_pace *pace, uint64_t ring_bytes);

#endif
