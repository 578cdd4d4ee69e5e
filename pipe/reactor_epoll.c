/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/reactor_epoll.c - the epoll backend. File reads have no readiness, so they are done at once,
 * in the order asked for, when wait() is next called. */
#include "pipe/reactor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 64

struct reactor {
    struct ps_reactor base;
    int epoll_fd;
    int wake_fd;
    struct ps_read *reads_head; /* asked for, not yet done */
    struct ps_read *reads_tail;
    struct epoll_event events[EVENTS_MAX];
    int event_count; /* of the batch being dispatched */
    size_t receives_outstanding;
    struct ps_watch *unarmed;
    const struct ps_receive *begun; /* the last one */
};

static void reactor_close(struct ps_reactor *base);

static struct ps_reactor *reactor_open(void)
{
    struct reactor *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->base.ops = &ps_reactor_epoll;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    if (r->epoll_fd < 0 || r->wake_fd < 0 ||
        epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &event) != 0) {
        int saved = errno;

        reactor_close(&r->base);
        errno = saved;
        return NULL;
    }
    return &r->base;
}

static int run_reads(struct reactor *r)
{
    struct ps_read *read = r->reads_head;
    int count = 0;

    r->reads_head = r->reads_tail = NULL;
    while (read) {
        struct ps_read *next = read->next; /* done() may ask again with the same read */
        ssize_t got;

        do {
            got = pread(read->fd, read->into, read->len_bytes, (off_t)read->offset_bytes);
        } while (got < 0 && errno == EINTR);
        read->result = got < 0 ? -errno : got;
        read->done(read);
        read = next;
        count++;
    }
    return count;
}

static void reactor_close(struct ps_reactor *base)
{
    struct reactor *r = (struct reactor *)base;

    if (r->wake_fd >= 0)
        close(r->wake_fd);
    if (r->epoll_fd >= 0)
        close(r->epoll_fd);
    free(r);
}

static void arm(struct reactor *r, struct ps_watch *watch, int operation)
{
    struct epoll_event event = {.events = (watch->wanted & PS_READABLE ? EPOLLIN : 0u) |
                                          (watch->wanted & PS_WRITABLE ? EPOLLOUT : 0u),
                                .data.ptr = watch};

    if (epoll_ctl(r->epoll_fd, operation, watch->fd, &event) == 0)
        return;
    /* The descriptor was closed and its number came back: what we knew is void. Or memory is out.
     */
    operation = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(r->epoll_fd, operation, watch->fd, &event) != 0)
        ps_unarmed_add(&r->unarmed, watch);
}

static void reactor_watch(struct ps_reactor *base, struct ps_watch *watch, int fd, unsigned wanted)
{
    struct reactor *r = (struct reactor *)base;

    ps_unarmed_remove(&r->unarmed, watch);
    if (wanted == 0 || (watch->fd >= 0 && watch->fd != fd)) {
        epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->fd = -1;
        watch->wanted = 0;
        /* Events of this batch not yet dispatched may still name the watch. */
        for (int i = 0; i < r->event_count; i++)
            if (r->events[i].data.ptr == watch)
                r->events[i].data.ptr = NULL;
    }
    if (wanted == 0)
        return;
    int operation = watch->fd < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    watch->fd = fd;
    watch->wanted = wanted;
    arm(r, watch, operation);
}

static void reactor_read_at(struct ps_reactor *base, struct ps_read *read)
{
    struct reactor *r = (struct reactor *)base;

    read->next = NULL;
    if (r->reads_tail)
        r->reads_tail->next = read;
    else
        r->reads_head = read;
    r->reads_tail = read;
}

static void end_receive(struct ps_receive *receive, int result)
{
    struct reactor *r = receive->reactor;

    receive->active = false;
    r->receives_outstanding--;
    receive->done(receive, result);
}

/* Takes what the socket has, in one piece if it can. */
static void receive_some(struct ps_receive *receive)
{
    size_t left_bytes = receive->len_bytes - receive->got_bytes;
    ssize_t got = recv(receive->fd, receive->into + receive->got_bytes, left_bytes, MSG_DONTWAIT);

    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            end_receive(receive, -errno);
        return;
    }
    if (got == 0) {
        end_receive(receive, -ENODATA);
        return;
    }
    receive->got_bytes += (size_t)got;
    receive->progress(receive, (size_t)got);
    if (receive->any || receive->got_bytes == receive->len_bytes)
        end_receive(receive, 0);
}

static void reactor_forget(struct ps_reactor *base, struct ps_receive *receive)
{
    if (receive->reactor && receive->watch.fd >= 0)
        reactor_watch(base, &receive->watch, receive->watch.fd, 0);
}

/* The socket stays in the set between receives. */
static void on_receivable(struct ps_watch *watch, unsigned events)
{
    struct ps_receive *receive = watch->cookie;
    struct reactor *r = receive->reactor;

    (void)events;
    if (!receive->active) {
        reactor_forget(&r->base, receive); /* the other side's end: whoever receives next sees it */
        return;
    }
    /* When a head has come its body has, too, most likely: that receive need not wait for us to
     * ask. The structure may be gone once it is not the last that was begun. */
    do {
        r->begun = NULL;
        receive_some(receive);
    } while (r->begun == receive && !r->begun->any);
}

static void reactor_receive(struct ps_reactor *base, struct ps_receive *receive)
{
    struct reactor *r = (struct reactor *)base;

    if (!receive->reactor)
        receive->watch = (struct ps_watch){.fd = -1, .ready = on_receivable, .cookie = receive};
    receive->got_bytes = 0;
    receive->reactor = r;
    receive->active = true;
    r->receives_outstanding++;
    r->begun = receive;
    if (receive->watch.fd != receive->fd)
        reactor_watch(base, &receive->watch, receive->fd, PS_READABLE);
}

static unsigned ready_events(uint32_t events)
{
    unsigned ready = 0;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        ready |= PS_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= PS_WRITABLE;
    return ready;
}

static void arm_again(struct reactor *r)
{
    struct ps_watch *list = r->unarmed;

    r->unarmed = NULL;
    while (list) {
        struct ps_watch *watch = list;

        list = watch->next;
        watch->unarmed = false;
        arm(r, watch, EPOLL_CTL_ADD);
    }
}

/* How long to wait when asked to wait for so long. */
static int patience_ms(const struct reactor *r, int timeout_ms)
{
    bool shorter = r->unarmed && (timeout_ms < 0 || timeout_ms > PS_UNARMED_MS);

    return shorter ? PS_UNARMED_MS : timeout_ms;
}

static int reactor_wait(struct ps_reactor *base, int timeout_ms)
{
    struct reactor *r = (struct reactor *)base;

    arm_again(r);
    int count = epoll_wait(r->epoll_fd, r->events, EVENTS_MAX,
                           r->reads_head ? 0 : patience_ms(r, timeout_ms));

    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    r->event_count = count;
    for (int i = 0; i < count; i++) {
        struct ps_watch *watch = r->events[i].data.ptr;
        uint64_t wakes;

        if (!watch) {
            while (read(r->wake_fd, &wakes, sizeof wakes) > 0)
                continue;
            continue;
        }
        /* An earlier callback of this batch may have changed what is wanted. */
        unsigned ready = ready_events(r->events[i].events) & watch->wanted;

        if (ready)
            watch->ready(watch, ready);
    }
    r->event_count = 0;
    return count + run_reads(r);
}

static void reactor_drain(struct ps_reactor *base)
{
    struct reactor *r = (struct reactor *)base;

    while ((r->reads_head || r->receives_outstanding > 0) && reactor_wait(base, 1000) >= 0)
        continue;
}

static void reactor_wake(struct ps_reactor *base)
{
    struct reactor *r = (struct reactor *)base;
    uint64_t one = 1;

    while (write(r->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

const struct ps_reactor_ops ps_reactor_epoll = {
    .name = "epoll",
    .open = reactor_open,
    .drain = reactor_drain,
    .close = reactor_close,
    .watch = reactor_watch,
    .read_at = reactor_read_at,
    .receive = reactor_receive,
    .forget = reactor_forget,
    .wait = reactor_wait,
    .wake = reactor_wake,
};
