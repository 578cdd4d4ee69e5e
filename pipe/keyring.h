/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/keyring.h - keeps an account's keys good: asks for new ones ahead of their end, while
 * requests go on with the old ones.
 *
 * Where keys have an end, or come from a place that may hold others by now, a thread of its own
 * asks again; requests take a shared lock for as long as they are built and never wait for the
 * network.
 *
 * Owner: struct penstock. Threads: any. A NULL keyring is one of keys that never change.
 */
#ifndef PIPE_KEYRING_H
#define PIPE_KEYRING_H

#include "pipe/credentials.h"
#include "pipe/retry.h"

struct ps_keyring;

/* Finds keys; PENSTOCK_OK, or an error to be reported. */
typedef int (*ps_keyring_find_fn)(void *cookie, struct ps_credentials *out,
                                  struct penstock_error *error);

/* Starts to look after *in_use, which was found just now; or, if `first`, has to be found first, at
 * once: ps_keyring_wait tells what came of it, and there is no second try. `find` runs on the
 * keyring's thread, as does `log` (level as penstock_log_fn; may be NULL). Returns PENSTOCK_OK,
 * PENSTOCK_E_MEMORY or PENSTOCK_E_SYSTEM. */
int ps_keyring_open(struct ps_credentials *in_use, bool first, ps_keyring_find_fn find,
                    void (*log)(void *cookie, int level, const char *line), void *cookie,
                    struct ps_keyring **out, struct penstock_error *error);

/* Waits for the first keys. Returns PENSTOCK_OK, PENSTOCK_E_STOPPED soon after *stop is set, or the
 * error of the search. */
int ps_keyring_wait(struct ps_keyring *keyring, const atomic_bool *stop,
                    struct penstock_error *error);

/* Ends the thread; a search under way has to be ended by what `find` looks at. */
void ps_keyring_close(struct ps_keyring *keyring);

/* Between these two the keys stay as they are. */
void ps_keyring_lock(struct ps_keyring *keyring);
void ps_keyring_unlock(struct ps_keyring *keyring);

/* A request was refused because its keys have expired: asks for new ones, and turns a decision to
 * give up into one to try again, unless asking has just brought no other keys. */
void ps_keyring_reconsider(struct ps_keyring *keyring, struct ps_retry_decision *decision);

/* Why the last search brought no other keys, "" if it did: for messages. */
void ps_keyring_trouble(struct ps_keyring *keyring, char *out, size_t size);

/* When to ask for other keys than those of `expires_s`, asked for at `now_s` (Unix time): ten
 * minutes ahead, or after half of a short life. INT64_MAX if they have no end. */
int64_t ps_keyring_due_s(int64_t expires_s, int64_t now_s);

#endif
