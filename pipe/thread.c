/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/thread.c - see thread.h. */
#include "pipe/thread.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <signal.h>

#define NAME_BYTES 16 /* the kernel's limit, NUL included */

int ps_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *cookie,
                    struct penstock_error *error)
{
    char short_name[NAME_BYTES];
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread */
    int sys_errno = pthread_create(thread, NULL, run, cookie);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys_errno != 0)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, sys_errno, "cannot start thread %s", name);
    ps_text_copy(short_name, sizeof short_name, name);
    pthread_setname_np(*thread, short_name);
    return PENSTOCK_OK;
}
