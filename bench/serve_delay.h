/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_delay.h - lets a connection sleep without holding up its thread.
 *
 * Owner: whoever called serve_delay_start. Threads: one of its own, which wakes connections;
 * serve_delay_sleep may be called from any.
 */
#ifndef BENCH_SERVE_DELAY_H
#define BENCH_SERVE_DELAY_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct serve_delay;

/* Returns NULL when the thread or memory could not be had. */
struct serve_delay *serve_delay_start(void);

/* Suspends `connection` for sleep_ms; MHD then calls its callback anew. Returns false, and the
 * caller goes on at once, when the server is stopping or memory ran out. */
bool serve_delay_sleep(struct serve_delay *delay, struct MHD_Connection *connection,
                       uint32_t sleep_ms);

/* Wakes every connection and lets none sleep again: MHD must not be stopped with sleepers. */
void serve_delay_stop(struct serve_delay *delay);

/* After MHD has been stopped. */
void serve_delay_free(struct serve_delay *delay);

#endif
