/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/stop.c - see pipe/stop.h. */
#include "pipe/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t came;         /* written by the handler */
static _Atomic(struct penstock *) watched; /* written by the main thread */

static void on_signal(int number)
{
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
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
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
