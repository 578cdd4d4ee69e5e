/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_link.h - a network link that all connections share, and that suffers from too many.
 *
 * Owner: the server. Threads: any. Units: bits a second, milliseconds.
 */
#ifndef BENCH_SERVE_LINK_H
#define BENCH_SERVE_LINK_H

#include <stddef.h>
#include <stdint.h>

struct serve_link;

/* A link of `rate_bits_s`; with more than `slow_beyond` (0: any number is fine) answers under way
 * at once it carries less in all: rate * slow_beyond / answers. NULL without memory. */
struct serve_link *serve_link_new(uint64_t rate_bits_s, uint32_t slow_beyond);
void serve_link_free(struct serve_link *link);

/* An answer's body begins, and ends. */
void serve_link_enter(struct serve_link *link);
void serve_link_leave(struct serve_link *link);

/* Books room for len_bytes more. Returns how long to wait before they are sent. What an idle link
 * could have carried in the last 20 ms waits not. */
uint32_t serve_link_take_ms(struct serve_link *link, size_t len_bytes);

#endif
