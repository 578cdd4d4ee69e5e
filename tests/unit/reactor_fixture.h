/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/reactor_fixture.h - run the same test on both reactor backends.
 *
 * A test gets `struct fixture` through its state; begin() opens the reactor, or skips the test when
 * the kernel refuses io_uring.
 */
#ifndef TESTS_UNIT_REACTOR_FIXTURE_H
#define TESTS_UNIT_REACTOR_FIXTURE_H

#include "pipe/clock.h"
#include "pipe/reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    const struct ps_reactor_ops *ops;
    struct ps_reactor *reactor;
};

static const struct ps_reactor_ops *const both_backends[] = {&ps_reactor_epoll, &ps_reactor_uring};

static struct fixture *begin(void **state)
{
    struct fixture *f = *state;

    f->reactor = f->ops->open();
    if (!f->reactor) {
        print_message("the kernel refuses io_uring: %s\n", strerror(errno));
        assert_ptr_equal(f->ops, &ps_reactor_uring);
        skip();
    }
    assert_ptr_equal(f->reactor->ops, f->ops);
    return f;
}

static int end(void **state)
{
    struct fixture *f = *state;

    if (f->reactor)
        f->ops->close(f->reactor);
    f->reactor = NULL;
    return 0;
}

static inline void watch(struct fixture *f, struct ps_watch *w, int fd, unsigned wanted)
{
    f->ops->watch(f->reactor, w, fd, wanted);
}

static inline void read_at(struct fixture *f, struct ps_read *read)
{
    f->ops->read_at(f->reactor, read);
}

static inline void wait_for(struct fixture *f, int timeout_ms)
{
    assert_true(f->ops->wait(f->reactor, timeout_ms) >= 0);
}

/* Waits until *count is at least `enough`; a minute without it is a failure. */
static inline void wait_until(struct fixture *f, const int *count, int enough)
{
    uint64_t deadline_ns = ps_now_ns() + 60 * PS_NS_PER_S;

    while (*count < enough) {
        if (ps_now_ns() > deadline_ns)
            fail_msg("%s: %d of %d calls came within a minute", f->ops->name, *count, enough);
        wait_for(f, 1000);
    }
}

/* Whatever is ready has been told after a few of these. */
static inline void settle(struct fixture *f)
{
    for (int i = 0; i < 4; i++)
        wait_for(f, 1);
}

struct test_on_backend {
    const char *name;
    void (*run)(void **state);
};
#define ON_BOTH(function)                                                                          \
    {                                                                                              \
#function, function                                                                        \
    }

/* Runs every test on epoll, then on io_uring: names are test_x_epoll, test_x_uring. */
static int run_on_both(const struct test_on_backend *tests, size_t count)
{
    enum { MAX = 64 };
    struct CMUnitTest list[MAX];
    struct fixture fixtures[MAX];
    char names[MAX][96];
    size_t n = 0;

    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < count && n < MAX; i++, n++) {
            snprintf(names[n], sizeof names[n], "%s_%s", tests[i].name, both_backends[b]->name);
            fixtures[n] = (struct fixture){.ops = both_backends[b]};
            list[n] = (struct CMUnitTest){names[n], tests[i].run, NULL, end, &fixtures[n]};
        }
    return _cmocka_run_group_tests("reactor", list, n, NULL, NULL);
}

#endif
