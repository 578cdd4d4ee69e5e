/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/reactor.c - the choice between the two backends. */
#include "pipe/reactor.h"

#include "pipe/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a refusal usually means, so that the reader need not look it up. */
static const char *refusal_hint(int sys_errno)
{
    switch (sys_errno) {
    case EPERM:
        return "refused by a seccomp filter or kernel.io_uring_disabled, as most containers do";
    case ENOSYS:
        return "this kernel has no io_uring";
    case ENOMEM:
        return "the locked-memory limit is too low";
    default:
        return "the probe failed";
    }
}

void ps_unarmed_add(struct ps_watch **list, struct ps_watch *watch)
{
    if (watch->unarmed)
        return;
    watch->unarmed = true;
    watch->next = *list;
    *list = watch;
}

void ps_unarmed_remove(struct ps_watch **list, struct ps_watch *watch)
{
    if (!watch->unarmed)
        return;
    while (*list != watch)
        list = &(*list)->next;
    *list = watch->next;
    watch->unarmed = false;
}

int ps_reactor_choose(const char *wish, const struct ps_reactor_ops **ops, char *reason,
                      size_t reason_bytes, struct penstock_error *error)
{
    if (!wish || !*wish)
        wish = "auto";
    if (strcmp(wish, "epoll") == 0) {
        *ops = &ps_reactor_epoll;
        snprintf(reason, reason_bytes, "asked for");
        return PENSTOCK_OK;
    }
    if (strcmp(wish, "auto") != 0 && strcmp(wish, "uring") != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "I/O backend \"%s\" is unknown: use uring, epoll or auto", wish);

    struct ps_reactor *probe = ps_reactor_uring.open();

    if (probe) {
        ps_reactor_uring.close(probe);
        *ops = &ps_reactor_uring;
        snprintf(reason, reason_bytes, wish[0] == 'u' ? "asked for" : "the kernel offers io_uring");
        return PENSTOCK_OK;
    }
    int refused = errno;

    if (wish[0] == 'u')
        return ps_fail(error, PENSTOCK_E_SYSTEM,
                       "io_uring was asked for but io_uring_setup says \"%s\" (%s): use "
                       "PENSTOCK_IO=epoll or auto",
                       strerror(refused), refusal_hint(refused));
    *ops = &ps_reactor_epoll;
    snprintf(reason, reason_bytes, "io_uring_setup says \"%s\": %s", strerror(refused),
             refusal_hint(refused));
    return PENSTOCK_OK;
}
