/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_reactor.c - readiness of descriptors, on both reactor backends. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/reactor_fixture.h"

/* A socket pair, the watch of its near end, and what the watch was told. */
struct line {
    struct ps_watch watch; /* first */
    struct fixture *fixture;
    int near_fd;
    int far_fd;
    int calls;
    unsigned events;   /* all of them */
    int bytes_to_read; /* at each call */
    bool clears_itself;
    struct line *others; /* cleared by a call, other_count of them */
    int other_count;
};

static void on_ready(struct ps_watch *w, unsigned events)
{
    struct line *line = (struct line *)w;
    char byte;

    /* Nobody is called for nothing, nor for what was not asked. */
    if (events == 0 || (events & ~w->wanted) != 0)
        fail_msg("called with events %u, %u wanted", events, w->wanted);
    line->calls++;
    line->events |= events;
    for (int i = 0; i < line->bytes_to_read; i++)
        (void)!read(line->near_fd, &byte, 1);
    if (line->clears_itself)
        watch(line->fixture, w, line->near_fd, 0);
    for (int i = 0; i < line->other_count; i++)
        if (&line->others[i] != line)
            watch(line->fixture, &line->others[i].watch, line->others[i].near_fd, 0);
}

static struct line open_line(struct fixture *f)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return (struct line){
        .watch = {.fd = -1, .ready = on_ready}, .fixture = f, .near_fd = fds[0], .far_fd = fds[1]};
}

static void watch_line(struct line *line, unsigned wanted)
{
    watch(line->fixture, &line->watch, line->near_fd, wanted);
}

static void put(const struct line *line, const char *bytes)
{
    assert_int_equal(write(line->far_fd, bytes, strlen(bytes)), strlen(bytes));
}

static void close_line(struct line *line)
{
    if (line->watch.fd >= 0)
        watch_line(line, 0);
    close(line->near_fd);
    close(line->far_fd);
}

/* ---- readiness ---- */

static void test_readable_is_told_until_drained(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);

    line.bytes_to_read = 1;
    watch_line(&line, PS_READABLE);
    settle(f);
    assert_int_equal(line.calls, 0);
    put(&line, "abc");
    wait_until(f, &line.calls, 3);
    settle(f);
    assert_int_equal(line.calls, 3);
    put(&line, "d");
    wait_until(f, &line.calls, 4);
    assert_int_equal(line.events, PS_READABLE);
    close_line(&line);
}

static void test_readable_is_told_again_when_nothing_was_read(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);

    put(&line, "x");
    watch_line(&line, PS_READABLE);
    wait_until(f, &line.calls, 10);
    close_line(&line);
}

static void test_writable_is_told_while_there_is_room(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);
    char block[4096] = {0};
    int calls;

    watch_line(&line, PS_WRITABLE);
    wait_until(f, &line.calls, 3);
    while (write(line.near_fd, block, sizeof block) > 0)
        continue;
    settle(f);
    calls = line.calls;
    settle(f);
    assert_int_equal(line.calls, calls);
    while (read(line.far_fd, block, sizeof block) > 0)
        continue;
    wait_until(f, &line.calls, calls + 1);
    assert_int_equal(line.events, PS_WRITABLE);
    close_line(&line);
}

static void test_wanted_can_change(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);

    /* Writable all the while, but that was not asked. */
    watch_line(&line, PS_READABLE);
    settle(f);
    assert_int_equal(line.calls, 0);
    watch_line(&line, PS_WRITABLE);
    wait_until(f, &line.calls, 1);
    assert_int_equal(line.events, PS_WRITABLE);
    put(&line, "x");
    line.events = 0;
    watch_line(&line, PS_READABLE);
    line.calls = 0;
    wait_until(f, &line.calls, 1);
    assert_int_equal(line.events, PS_READABLE);
    watch_line(&line, PS_READABLE | PS_WRITABLE);
    line.events = 0;
    line.calls = 0;
    wait_until(f, &line.calls, 2);
    assert_int_equal(line.events, PS_READABLE | PS_WRITABLE);
    /* Asked twice for the same. */
    watch_line(&line, PS_READABLE);
    watch_line(&line, PS_READABLE);
    line.calls = 0;
    wait_until(f, &line.calls, 1);
    watch_line(&line, 0);
    watch_line(&line, 0);
    line.calls = 0;
    settle(f);
    assert_int_equal(line.calls, 0);
    assert_int_equal(line.watch.fd, -1);
    close_line(&line);
}

static void test_watch_moves_to_another_descriptor(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);
    struct line other = open_line(f);

    put(&line, "x");
    watch_line(&line, PS_READABLE);
    watch(f, &line.watch, other.near_fd, PS_READABLE);
    settle(f);
    assert_int_equal(line.calls, 0);
    put(&other, "y");
    wait_until(f, &line.calls, 1);
    watch(f, &line.watch, other.near_fd, 0);
    close_line(&line);
    close_line(&other);
}

static void test_clear_before_wait_and_inside_the_callback(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);

    put(&line, "x");
    watch_line(&line, PS_READABLE);
    watch_line(&line, 0);
    settle(f);
    assert_int_equal(line.calls, 0);
    line.clears_itself = true;
    watch_line(&line, PS_READABLE);
    wait_until(f, &line.calls, 1);
    settle(f);
    assert_int_equal(line.calls, 1);
    watch_line(&line, PS_READABLE);
    wait_until(f, &line.calls, 2);
    close_line(&line);
}

/* All are ready at once; the first to be called clears the rest. */
static void test_clear_of_others_of_the_same_batch(void **state)
{
    enum { COUNT = 10 };
    struct fixture *f = begin(state);
    struct line lines[COUNT];
    int calls = 0;

    for (int i = 0; i < COUNT; i++) {
        lines[i] = open_line(f);
        lines[i].others = lines;
        lines[i].other_count = COUNT;
        lines[i].clears_itself = true;
        put(&lines[i], "x");
        watch_line(&lines[i], PS_READABLE);
    }
    settle(f);
    for (int i = 0; i < COUNT; i++)
        calls += lines[i].calls;
    assert_int_equal(calls, 1);
    for (int i = 0; i < COUNT; i++)
        close_line(&lines[i]);
}

static void want_writable_of_all(struct ps_watch *w, unsigned events)
{
    struct line *line = (struct line *)w;

    (void)events;
    line->watch.ready = on_ready;
    for (int i = 0; i < line->other_count; i++)
        watch_line(&line->others[i], PS_WRITABLE);
    line->other_count = 0;
}

/* All are readable at once; the first to be called makes them all want something else: none is told
 * of what it does not want any more (on_ready checks). */
static void test_change_of_others_of_the_same_batch(void **state)
{
    enum { COUNT = 5 };
    struct fixture *f = begin(state);
    struct line lines[COUNT];

    for (int i = 0; i < COUNT; i++) {
        lines[i] = open_line(f);
        put(&lines[i], "x");
    }
    lines[0].others = lines;
    lines[0].other_count = COUNT;
    lines[0].watch.ready = want_writable_of_all;
    for (int i = 0; i < COUNT; i++)
        watch_line(&lines[i], PS_READABLE);
    for (int i = 0; i < COUNT; i++)
        wait_until(f, &lines[i].calls, 3);
    for (int i = 0; i < COUNT; i++)
        close_line(&lines[i]);
}

static void test_two_hundred_watches_are_all_told(void **state)
{
    enum { COUNT = 200 };
    struct fixture *f = begin(state);
    struct line *lines = calloc(COUNT, sizeof *lines);

    assert_non_null(lines);
    for (int i = 0; i < COUNT; i++) {
        lines[i] = open_line(f);
        lines[i].bytes_to_read = 1;
        watch_line(&lines[i], PS_READABLE);
        put(&lines[i], "ab");
    }
    for (int i = 0; i < COUNT; i++)
        wait_until(f, &lines[i].calls, 2);
    settle(f);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(lines[i].calls, 2);
        close_line(&lines[i]);
    }
    free(lines);
}

/* ---- descriptors that end ---- */

static void test_hang_up_is_readable_and_writable(void **state)
{
    struct fixture *f = begin(state);
    struct line reader = open_line(f);
    struct line writer = open_line(f);
    char byte;

    watch_line(&reader, PS_READABLE);
    settle(f);
    close(reader.far_fd);
    wait_until(f, &reader.calls, 2);
    assert_int_equal(read(reader.near_fd, &byte, 1), 0);
    while (write(writer.near_fd, "full", 4) > 0)
        continue;
    watch_line(&writer, PS_WRITABLE);
    settle(f);
    assert_int_equal(writer.calls, 0);
    close(writer.far_fd);
    wait_until(f, &writer.calls, 1);
    reader.far_fd = writer.far_fd = -1;
    close_line(&reader);
    close_line(&writer);
}

static void test_half_close_is_readable(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);

    watch_line(&line, PS_READABLE);
    settle(f);
    assert_int_equal(shutdown(line.far_fd, SHUT_WR), 0);
    wait_until(f, &line.calls, 1);
    close_line(&line);
}

/* A port that nobody listens on: bound, but not listening. */
static void test_refused_connection_is_writable(void **state)
{
    struct fixture *f = begin(state);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct line line = {.watch = {.fd = -1, .ready = on_ready}, .fixture = f};
    int refused = 0;

    line.far_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(line.far_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(line.far_fd, (struct sockaddr *)&address, &len), 0);
    line.near_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(line.near_fd, (struct sockaddr *)&address, len), -1);
    watch_line(&line, PS_WRITABLE);
    wait_until(f, &line.calls, 1);
    len = sizeof refused;
    assert_int_equal(getsockopt(line.near_fd, SOL_SOCKET, SO_ERROR, &refused, &len), 0);
    assert_int_equal(refused, ECONNREFUSED);
    close_line(&line);
}

static void test_descriptor_number_is_used_again(void **state)
{
    struct fixture *f = begin(state);
    struct line line = open_line(f);
    struct line old = line;

    for (int round = 0; round < 50; round++) {
        char byte;

        put(&line, "old");
        watch_line(&line, PS_READABLE);
        if (round % 2)
            wait_until(f, &line.calls, 1);
        watch_line(&line, 0);
        old = line;
        close(line.near_fd);
        line = open_line(f);
        assert_int_equal(line.near_fd, old.near_fd);
        watch_line(&line, PS_READABLE);
        settle(f);
        assert_int_equal(line.calls, 0); /* the old one's bytes are not the new one's */
        /* Nothing keeps the old socket alive: its peer sees the end, or a reset. */
        assert_true(read(old.far_fd, &byte, 1) <= 0 && errno != EAGAIN);
        close(old.far_fd);
        put(&line, "new");
        wait_until(f, &line.calls, 1);
        line.calls = 0;
        watch_line(&line, 0);
    }
    close_line(&line);
}

/* Closes the descriptor of a line that is ready in the same batch, and puts a quiet one there. */
static void replace_other(struct ps_watch *w, unsigned events)
{
    struct line *line = (struct line *)w;
    struct line *other = line->others;
    struct line quiet = open_line(line->fixture);

    on_ready(w, events);
    watch_line(line, 0);
    watch_line(other, 0);
    close(other->far_fd);
    other->far_fd = quiet.far_fd;
    assert_int_equal(dup2(quiet.near_fd, other->near_fd), other->near_fd);
    close(quiet.near_fd);
    other->watch.ready = on_ready;
    watch_line(other, PS_READABLE);
}

static void test_descriptor_is_replaced_within_a_batch(void **state)
{
    struct fixture *f = begin(state);
    struct line lines[2] = {open_line(f), open_line(f)};

    for (int i = 0; i < 2; i++) {
        lines[i].others = &lines[1 - i];
        lines[i].watch.ready = replace_other;
        put(&lines[i], "x");
    }
    watch_line(&lines[0], PS_READABLE);
    watch_line(&lines[1], PS_READABLE);
    settle(f);
    assert_int_equal(lines[0].calls + lines[1].calls, 1);
    struct line *replaced = lines[0].calls ? &lines[1] : &lines[0];

    put(replaced, "y");
    wait_until(f, &replaced->calls, 1);
    close_line(&lines[0]);
    close_line(&lines[1]);
}

/* The memory of a cleared watch may go after the next wait: address sanitizers watch this. */
static void test_memory_of_a_cleared_watch_may_go(void **state)
{
    struct fixture *f = begin(state);

    for (int round = 0; round < 200; round++) {
        struct line *line = malloc(sizeof *line);

        assert_non_null(line);
        *line = open_line(f);
        put(line, "x");
        watch_line(line, PS_READABLE);
        if (round % 3 == 0)
            wait_for(f, 0);
        watch_line(line, 0);
        wait_for(f, 0);
        close_line(line);
        memset(line, 0xff, sizeof *line);
        free(line);
    }
    settle(f);
}

int main(void)
{
    static const struct test_on_backend tests[] = {
        ON_BOTH(test_readable_is_told_until_drained),
        ON_BOTH(test_readable_is_told_again_when_nothing_was_read),
        ON_BOTH(test_writable_is_told_while_there_is_room),
        ON_BOTH(test_wanted_can_change),
        ON_BOTH(test_watch_moves_to_another_descriptor),
        ON_BOTH(test_clear_before_wait_and_inside_the_callback),
        ON_BOTH(test_clear_of_others_of_the_same_batch),
        ON_BOTH(test_change_of_others_of_the_same_batch),
        ON_BOTH(test_two_hundred_watches_are_all_told),
        ON_BOTH(test_hang_up_is_readable_and_writable),
        ON_BOTH(test_half_close_is_readable),
        ON_BOTH(test_refused_connection_is_writable),
        ON_BOTH(test_descriptor_number_is_used_again),
        ON_BOTH(test_descriptor_is_replaced_within_a_batch),
        ON_BOTH(test_memory_of_a_cleared_watch_may_go),
    };

    return run_on_both(tests, sizeof tests / sizeof *tests);
}
