/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stop.c - see pipe/stop.h. */
#include "pipe/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

/* timeout(1), launchers and terminals send a signal to a process and to its group, which is the
 * same request twice. */
#define ONE_REQUEST_S 2

static volatile sig_atomic_t came;         /* written by the handler */
static _Atomic(struct penstock *) watched; /* written by the main thread */

static void on_signal(int number)
{
    static struct timespec first; /* when it came */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (came && now.tv_sec - first.tv_sec >= ONE_REQUEST_S) {
        signal(number, SIG_DFL);
        raise(number); /* is delivered when this returns */
        return;
    }
    if (!came)
        first = now;
    came = number;
    struct penstock *stream = atomic_load(&watched);
    if (stream)
        penstock_stop(stream);
}

void ps_stop_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    sigaddset(&action.sa_mask, SIGINT); /* one at a time: they share `first` */
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
}

void ps_stop_watch(struct penstock *stream)
{
    atomic_store(&watched, stream);
    if (stream && came)
        penstock_stop(stream);
}

int ps_stop_signal(void)
{
    return came;
}
