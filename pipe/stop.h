/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stop.h - for commands: SIGINT and SIGTERM end the run in order. The stream is stopped, which
 * ends the loop, and files in the making are discarded. One that comes two seconds later or more
 * kills at once.
 *
 * Owner: process-wide state. Threads: the main thread; the handler runs on any.
 */
#ifndef PIPE_STOP_H
#define PIPE_STOP_H

#include "pipe/penstock.h"

/* Installs the handlers; also makes a file that grows beyond its limit an error of write. */
void ps_stop_install(void);

/* The stream that a signal stops; at once when one came before. NULL before it is closed. */
void ps_stop_watch(struct penstock *stream);

/* The signal that came, 0 = none. */
int ps_stop_signal(void);

#endif
