/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_reactor_wake.c - wake-ups, time-outs, life and choice of the reactor backends. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include <cmocka.h>

#include "tests/unit/reactor_fixture.h"

/* ---- wake and time-outs ---- */

static void test_wake_before_wait_ends_it(void **state)
{
    struct fixture *f = begin(state);
    uint64_t start_ns;

    for (int round = 0; round < 20; round++) {
        f->ops->wake(f->reactor);
        wait_for(f, -1);
    }
    for (int i = 0; i < 1000; i++)
        f->ops->wake(f->reactor);
    wait_for(f, -1);
    settle(f);
    /* A wake ends one wait; it does not make the next ones spin. */
    start_ns = ps_now_ns();
    wait_for(f, 30);
    assert_true(ps_now_ns() - start_ns >= 29 * PS_NS_PER_MS);
}

enum { ROUNDS = 200 };

struct waker {
    struct fixture *fixture;
    atomic_int *rounds;
};

static void *wake_often(void *cookie)
{
    struct waker *waker = cookie;

    for (int i = 0; i < ROUNDS; i++) {
        int seen = atomic_load(waker->rounds);

        waker->fixture->ops->wake(waker->fixture->reactor);
        while (atomic_load(waker->rounds) == seen && seen < ROUNDS)
            sched_yield();
    }
    return NULL;
}

/* Each wait has no limit, and ends by a wake that comes before or while it sleeps. */
static void test_wake_from_another_thread(void **state)
{
    struct fixture *f = begin(state);
    atomic_int rounds = 0;
    struct waker waker = {.fixture = f, .rounds = &rounds};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
    while (atomic_load(&rounds) < ROUNDS) {
        wait_for(f, -1);
        atomic_fetch_add(&rounds, 1);
    }
    pthread_join(thread, NULL);
}

static struct fixture *signalled;

static void wake_from_handler(int signal_number)
{
    (void)signal_number;
    signalled->ops->wake(signalled->reactor);
}

static void *raise_elsewhere(void *cookie)
{
    (void)cookie;
    raise(SIGALRM);
    return NULL;
}

static void test_wake_from_a_signal_handler(void **state)
{
    struct fixture *f = begin(state);
    struct sigaction action = {.sa_handler = wake_from_handler};
    struct sigaction before;
    pthread_t thread;

    signalled = f;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    raise(SIGALRM);
    wait_for(f, -1);
    assert_int_equal(pthread_create(&thread, NULL, raise_elsewhere, NULL), 0);
    wait_for(f, -1);
    pthread_join(thread, NULL);
#ifndef __SANITIZE_THREAD__ /* which puts handlers off until after the wait they are to end */
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};

    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    wait_for(f, -1);
#endif
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void test_wait_lasts_its_time_and_no_less(void **state)
{
    static const int timeouts_ms[] = {0, 1, 5, 40};
    struct fixture *f = begin(state);

    for (size_t i = 0; i < sizeof timeouts_ms / sizeof *timeouts_ms; i++) {
        uint64_t start_ns = ps_now_ns();

        wait_for(f, timeouts_ms[i]);
        assert_true(ps_now_ns() - start_ns >= (uint64_t)timeouts_ms[i] * PS_NS_PER_MS);
    }
}

/* ---- life ---- */

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void never(struct ps_watch *w, unsigned events)
{
    fail_msg("descriptor %d: called with events %u after close", w->fd, events);
}

static void *close_elsewhere(void *cookie)
{
    struct fixture *f = cookie;

    f->ops->close(f->reactor);
    return NULL;
}

/* With a watch armed, a wake not yet seen, and from another thread than the owner. */
static void test_close_leaves_nothing_open(void **state)
{
    struct fixture *f = begin(state);
    int before = open_descriptors();

    for (int round = 0; round < 50; round++) {
        struct fixture mine = {.ops = f->ops, .reactor = f->ops->open()};
        struct ps_watch w = {.fd = -1, .ready = never};
        int fds[2];
        pthread_t thread;

        assert_non_null(mine.reactor);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        watch(&mine, &w, fds[0], PS_READABLE);
        wait_for(&mine, 0);
        mine.ops->wake(mine.reactor);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(pthread_create(&thread, NULL, close_elsewhere, &mine), 0);
        pthread_join(thread, NULL);
        close(fds[0]);
        close(fds[1]);
    }
    assert_int_equal(open_descriptors(), before);
}

/* ---- choice ---- */

static void test_backend_is_chosen_by_name(void **state)
{
    struct fixture *f = begin(state);
    const struct ps_reactor_ops *ops = NULL;
    struct penstock_error error;
    char reason[160] = "";

    assert_int_equal(ps_reactor_choose(f->ops->name, &ops, reason, sizeof reason, &error),
                     PENSTOCK_OK);
    assert_ptr_equal(ops, f->ops);
    assert_string_equal(reason, "asked for");
}

/* What "auto" finds is io_uring where it works, else epoll with the kernel's reason. */
static void test_backend_is_found_by_probing(void **state)
{
    static const char *const wishes[] = {"auto", "", NULL};
    struct ps_reactor *uring = ps_reactor_uring.open();
    const struct ps_reactor_ops *ops;
    struct penstock_error error;
    char reason[160];

    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        assert_int_equal(ps_reactor_choose(wishes[i], &ops, reason, sizeof reason, &error),
                         PENSTOCK_OK);
        assert_ptr_equal(ops, uring ? &ps_reactor_uring : &ps_reactor_epoll);
        assert_non_null(strstr(reason, uring ? "io_uring" : "io_uring_setup says"));
    }
    if (uring)
        ps_reactor_uring.close(uring);
    assert_int_equal(ps_reactor_choose("Epoll", &ops, reason, sizeof reason, &error),
                     PENSTOCK_E_ARGUMENT);
    assert_non_null(strstr(error.message, "\"Epoll\""));
    assert_int_equal(ps_reactor_choose("uringx", &ops, reason, sizeof reason, &error),
                     PENSTOCK_E_ARGUMENT);
}

int main(void)
{
    static const struct test_on_backend tests[] = {
        ON_BOTH(test_wake_before_wait_ends_it),   ON_BOTH(test_wake_from_another_thread),
        ON_BOTH(test_wake_from_a_signal_handler), ON_BOTH(test_wait_lasts_its_time_and_no_less),
        ON_BOTH(test_close_leaves_nothing_open),  ON_BOTH(test_backend_is_chosen_by_name),
    };
    const struct CMUnitTest probing[] = {cmocka_unit_test(test_backend_is_found_by_probing)};

    return run_on_both(tests, sizeof tests / sizeof *tests) +
           cmocka_run_group_tests(probing, NULL, NULL);
}
