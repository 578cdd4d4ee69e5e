/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/budget.h - how many retries a host is worth: a bucket of tokens for each bucket and host.
 *
 * A retry takes tokens, a part or a page that came gives some back, and a few come back with time.
 * While there are tokens a retry waits only for its own back-off. Without any, retries are not
 * failed but spaced out, one a second, so that a struggling server is not stormed by those it has
 * turned away. No retry waits longer than 20 s for tokens: a server that is gone is reported within
 * minutes however many connections wait for it.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Retry behavior" (standard mode: 500 tokens, 5 a
 * retry, 1 back for a success without one).
 *
 * Owner: struct penstock. Threads: I/O threads and listers; finding and freeing exclude the rest.
 * Units: milliseconds; nanoseconds of ps_now_ns.
 */
#ifndef PIPE_BUDGET_H
#define PIPE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct ps_budget;

/* The budget of `bucket` at `authority` in the list; made, full, if there is none. NULL without
 * memory. */
struct ps_budget *ps_budget_find(struct ps_budget **list, const char *authority,
                                 const char *bucket);

void ps_budget_free(struct ps_budget **list);

/* Pays for a retry; one after an attempt that brought bytes is cheaper. Returns how long it has to
 * wait at least, 0 while there are tokens. A NULL budget never runs out, here and below. */
uint32_t ps_budget_take_ms(struct ps_budget *budget, bool brought_bytes, uint64_t now_ns);

/* An answer came, after retries or at the first attempt. */
void ps_budget_refund(struct ps_budget *budget, bool retried);

/* Fewer than half of the tokens are left: most of what the host is asked fails. */
bool ps_budget_is_strained(struct ps_budget *budget);

#endif
