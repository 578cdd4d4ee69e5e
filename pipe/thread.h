/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/thread.h - start a named thread that takes no signals. */
#ifndef PIPE_THREAD_H
#define PIPE_THREAD_H

#include "pipe/penstock.h"

#include <pthread.h>

/* Starts `run(cookie)` on a thread called `name` (cut to 15 characters). Every signal is blocked on
 * it, so that the program's handlers run on the program's own threads. Returns PENSTOCK_OK or
 * PENSTOCK_E_SYSTEM. */
int ps_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *cookie,
                    struct penstock_error *error);

#endif
