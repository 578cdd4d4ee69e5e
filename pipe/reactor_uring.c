/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/reactor_uring.c - the io_uring backend.
 *
 * A watch is a one-shot POLL_ADD, armed again after its callback while it is still wanted: libcurl
 * is not sound with edge-like readiness, which multishot polls give. The kernel holds on to a poll
 * until its completion has been seen, longer than a watch may live, so that the completion's
 * user_data is a `struct poll` of our own, which outlives the watch. User data: pointer with the
 * kind in its low bits.
 */
#include "pipe/reactor.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENTRIES 256
/* A poll, its removal and a receive of every connection: before Linux 5.19 a full queue of
 * completions refuses submissions, which next_sqe would wait for in vain. */
#define COMPLETIONS 2048
/* One receive completes when so many bytes are there: few completions, and news often enough. */
#define RECEIVE_BYTES ((size_t)1 << 20)

enum user_data_kind { KIND_POLL, KIND_READ, KIND_WAKE, KIND_NONE, KIND_RECEIVE };

#define KIND_MASK 7u /* pointers are aligned to 8 bytes at least */

struct poll {
    struct ps_watch *watch; /* NULL: the watch was cleared or changed meanwhile */
    struct poll *next;      /* free list */
};

struct reactor {
    struct ps_reactor base;
    struct io_uring ring;
    int wake_fd;
    uint64_t wake_count; /* target of the outstanding read of wake_fd */
    struct poll *free_polls;
    struct poll *all_polls; /* blocks, linked by their first element */
    size_t outstanding;     /* reads and receives */
    struct ps_watch *unarmed;
};

static struct io_uring_sqe *next_sqe(struct reactor *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

    while (!sqe) {
        io_uring_submit(&r->ring);
        sqe = io_uring_get_sqe(&r->ring);
    }
    return sqe;
}

static void set_user_data(struct io_uring_sqe *sqe, void *pointer, enum user_data_kind kind)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)pointer | kind);
}

static void arm_wake(struct reactor *r)
{
    struct io_uring_sqe *sqe = next_sqe(r);

    io_uring_prep_read(sqe, r->wake_fd, &r->wake_count, sizeof r->wake_count, 0);
    set_user_data(sqe, NULL, KIND_WAKE);
}

/* Newer kernels run completions on the thread that waits for them, which is cheaper; older ones
 * refuse the flags. */
static int setup(struct io_uring *ring)
{
    static const unsigned ladder[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                      IORING_SETUP_COOP_TASKRUN, 0, 0};
    unsigned completions = COMPLETIONS;
    int rc = -EINVAL;

    for (size_t i = 0; rc < 0 && i < sizeof ladder / sizeof *ladder; i++) {
        struct io_uring_params params = {.flags = ladder[i] | IORING_SETUP_CQSIZE,
                                         .cq_entries = completions};

        rc = io_uring_queue_init_params(ENTRIES, ring, &params);
        if (rc == -ENOMEM) /* before Linux 5.12 rings are locked memory: once more, smaller */
            completions = 2 * ENTRIES;
        else if (rc != -EINVAL)
            break;
    }
    return rc;
}

/* A ring can be set up and still refuse to work (io_uring_enter filtered): ask one question of it.
 */
static int probe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;

    io_uring_prep_nop(sqe);
    int rc = io_uring_submit_and_wait(ring, 1);

    if (rc < 0)
        return rc;
    rc = io_uring_peek_cqe(ring, &cqe);
    if (rc == 0)
        io_uring_cqe_seen(ring, cqe);
    return rc;
}

static struct ps_reactor *reactor_open(void)
{
    struct reactor *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->base.ops = &ps_reactor_uring;
    r->wake_fd = -1;
    int rc = setup(&r->ring);

    if (rc < 0) {
        free(r);
        errno = -rc;
        return NULL;
    }
    rc = probe(&r->ring);
    if (rc == 0) {
        r->wake_fd = eventfd(0, EFD_CLOEXEC);
        rc = r->wake_fd < 0 ? -errno : 0;
    }
    if (rc < 0) {
        io_uring_queue_exit(&r->ring);
        free(r);
        errno = -rc;
        return NULL;
    }
    arm_wake(r);
    return &r->base;
}

static struct poll *take_poll(struct reactor *r)
{
    enum { BLOCK = 64 };

    if (!r->free_polls) {
        struct poll *block = calloc(BLOCK, sizeof *block);

        if (!block)
            return NULL;
        block[0].next = r->all_polls;
        r->all_polls = block;
        for (int i = 1; i < BLOCK; i++) {
            block[i].next = r->free_polls;
            r->free_polls = &block[i];
        }
    }
    struct poll *poll = r->free_polls;

    r->free_polls = poll->next;
    return poll;
}

static void give_poll(struct reactor *r, struct poll *poll)
{
    poll->next = r->free_polls;
    r->free_polls = poll;
}

static void arm(struct reactor *r, struct ps_watch *watch)
{
    struct poll *poll = take_poll(r);

    ps_unarmed_remove(&r->unarmed, watch);
    if (!poll) {
        ps_unarmed_add(&r->unarmed, watch);
        return;
    }
    poll->watch = watch;
    watch->armed = poll;
    struct io_uring_sqe *sqe = next_sqe(r);

    io_uring_prep_poll_add(sqe, watch->fd,
                           (watch->wanted & PS_READABLE ? POLLIN | POLLRDHUP : 0u) |
                               (watch->wanted & PS_WRITABLE ? POLLOUT : 0u));
    set_user_data(sqe, poll, KIND_POLL);
}

static void disarm(struct reactor *r, struct ps_watch *watch)
{
    struct poll *poll = watch->armed;

    ps_unarmed_remove(&r->unarmed, watch);
    if (!poll)
        return;
    poll->watch = NULL;
    watch->armed = NULL;
    struct io_uring_sqe *sqe = next_sqe(r);

    io_uring_prep_poll_remove(sqe, (uint64_t)(uintptr_t)poll | KIND_POLL);
    set_user_data(sqe, NULL, KIND_NONE);
}

static void reactor_watch(struct ps_reactor *base, struct ps_watch *watch, int fd, unsigned wanted)
{
    struct reactor *r = (struct reactor *)base;

    if (watch->armed && watch->fd == fd && watch->wanted == wanted)
        return;
    disarm(r, watch);
    watch->fd = wanted ? fd : -1;
    watch->wanted = wanted;
    if (wanted)
        arm(r, watch);
    /* The descriptor may be closed as soon as we return: submit now what names it. */
    io_uring_submit(&r->ring);
}

static void reactor_read_at(struct ps_reactor *base, struct ps_read *read)
{
    struct reactor *r = (struct reactor *)base;
    struct io_uring_sqe *sqe = next_sqe(r);
    unsigned len_bytes = read->len_bytes > (1u << 30) ? 1u << 30 : (unsigned)read->len_bytes;

    io_uring_prep_read(sqe, read->fd, read->into, len_bytes, read->offset_bytes);
    set_user_data(sqe, read, KIND_READ);
    r->outstanding++;
}

static void submit_receive(struct reactor *r, struct ps_receive *receive)
{
    struct io_uring_sqe *sqe = next_sqe(r);
    size_t left_bytes = receive->len_bytes - receive->got_bytes;

    io_uring_prep_recv(sqe, receive->fd, receive->into + receive->got_bytes,
                       left_bytes < RECEIVE_BYTES ? left_bytes : RECEIVE_BYTES,
                       receive->any ? 0 : MSG_WAITALL);
    set_user_data(sqe, receive, KIND_RECEIVE);
    r->outstanding++;
}

static void reactor_receive(struct ps_reactor *base, struct ps_receive *receive)
{
    receive->got_bytes = 0;
    submit_receive((struct reactor *)base, receive);
}

static void reactor_forget(struct ps_reactor *base, struct ps_receive *receive)
{
    (void)base;
    (void)receive; /* the kernel forgets with the completion */
}

static void on_received(struct reactor *r, struct ps_receive *receive, int result)
{
    r->outstanding--;
    if (result == -EINTR || result == -EAGAIN) {
        submit_receive(r, receive);
        return;
    }
    if (result <= 0) {
        receive->done(receive, result == 0 ? -ENODATA : result);
        return;
    }
    receive->got_bytes += (size_t)result;
    receive->progress(receive, (size_t)result);
    if (receive->any || receive->got_bytes == receive->len_bytes)
        receive->done(receive, 0);
    else
        submit_receive(r, receive);
}

static unsigned ready_events(int result, unsigned wanted)
{
    unsigned events = 0;

    if (result < 0)
        return wanted; /* let the owner find the error out */
    if (result & (POLLIN | POLLHUP | POLLERR | POLLRDHUP))
        events |= PS_READABLE;
    if (result & (POLLOUT | POLLHUP | POLLERR))
        events |= PS_WRITABLE;
    return events & wanted;
}

static void on_poll(struct reactor *r, struct poll *poll, int result)
{
    struct ps_watch *watch = poll->watch;

    give_poll(r, poll);
    if (!watch)
        return;
    watch->armed = NULL;
    watch->ready(watch, ready_events(result, watch->wanted));
    if (watch->fd >= 0 && !watch->armed)
        arm(r, watch);
}

static void on_completion(struct reactor *r, uint64_t user_data, int result)
{
    void *pointer = (void *)(uintptr_t)(user_data & ~(uint64_t)KIND_MASK);
    struct ps_read *read = pointer;

    switch ((enum user_data_kind)(user_data & KIND_MASK)) {
    case KIND_POLL:
        on_poll(r, pointer, result);
        break;
    case KIND_READ:
        r->outstanding--;
        read->result = result;
        read->done(read);
        break;
    case KIND_RECEIVE:
        on_received(r, pointer, result);
        break;
    case KIND_WAKE:
        arm_wake(r);
        break;
    case KIND_NONE:
        break;
    }
}

static int dispatch(struct reactor *r)
{
    struct io_uring_cqe *cqe;
    int count = 0;

    while (io_uring_peek_cqe(&r->ring, &cqe) == 0) {
        uint64_t user_data = cqe->user_data;
        int result = cqe->res;

        /* Seen first: the callback may need the room in the queue. */
        io_uring_cqe_seen(&r->ring, cqe);
        on_completion(r, user_data, result);
        count++;
    }
    return count;
}

static void arm_again(struct reactor *r)
{
    struct ps_watch *list = r->unarmed;

    r->unarmed = NULL;
    while (list) {
        struct ps_watch *watch = list;

        list = watch->next;
        watch->unarmed = false;
        arm(r, watch);
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
    timeout_ms = patience_ms(r, timeout_ms);
    struct __kernel_timespec limit = {.tv_sec = timeout_ms / 1000,
                                      .tv_nsec = (long long)(timeout_ms % 1000) * 1000000};
    struct io_uring_cqe *cqe;
    int rc =
        io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, timeout_ms < 0 ? NULL : &limit, NULL);

    if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
        return rc;
    return dispatch(r);
}

static void reactor_wake(struct ps_reactor *base)
{
    struct reactor *r = (struct reactor *)base;
    uint64_t one = 1;

    while (write(r->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void reactor_drain(struct ps_reactor *base)
{
    struct reactor *r = (struct reactor *)base;

    while (r->outstanding > 0 && reactor_wait(base, 1000) >= 0)
        continue;
}

static void reactor_close(struct ps_reactor *base)
{
    struct reactor *r = (struct reactor *)base;

    io_uring_queue_exit(&r->ring);
    close(r->wake_fd);
    while (r->all_polls) {
        struct poll *next = r->all_polls->next;

        free(r->all_polls);
        r->all_polls = next;
    }
    free(r);
}

const struct ps_reactor_ops ps_reactor_uring = {
    .name = "uring",
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
