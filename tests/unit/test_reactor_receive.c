/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_reactor_receive.c - receives from stream sockets through both reactor backends.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/reactor_fixture.h"

static int done_calls; /* of every receive in the running test */

/* A connection and the receive at its near end. */
struct inlet {
    struct ps_receive receive; /* first */
    struct fixture *fixture;
    int far_fd;
    size_t progressed; /* bytes told by progress */
    int progress_calls;
    int done_calls;
    int result;
    int again; /* receive so often more inside done, behind what has come */
};

static void on_progress(struct ps_receive *receive, size_t more_bytes)
{
    struct inlet *in = (struct inlet *)receive;

    if (more_bytes == 0 || in->done_calls > 0)
        fail_msg("progress of %zu bytes after %d calls of done", more_bytes, in->done_calls);
    in->progressed += more_bytes;
    in->progress_calls++;
}

static void on_done(struct ps_receive *receive, int result)
{
    struct inlet *in = (struct inlet *)receive;

    if (in->again > 0 && result == 0) {
        in->again--;
        receive->into += receive->len_bytes;
        in->fixture->ops->receive(in->fixture->reactor, receive);
        return;
    }
    in->done_calls++;
    in->result = result;
    done_calls++;
}

static struct inlet inlet_on(struct fixture *f, int near_fd, int far_fd, uint8_t *into, size_t len)
{
    return (struct inlet){.receive = {.fd = near_fd,
                                      .into = into,
                                      .len_bytes = len,
                                      .progress = on_progress,
                                      .done = on_done},
                          .fixture = f,
                          .far_fd = far_fd};
}

static struct inlet open_inlet(struct fixture *f, uint8_t *into, size_t len)
{
    int fds[2];

    done_calls = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return inlet_on(f, fds[0], fds[1], into, len);
}

static void start(struct inlet *in)
{
    in->fixture->ops->receive(in->fixture->reactor, &in->receive);
}

static void put(const struct inlet *in, const char *bytes)
{
    assert_int_equal(send(in->far_fd, bytes, strlen(bytes), MSG_NOSIGNAL), strlen(bytes));
}

static void close_inlet(struct inlet *in)
{
    assert_int_equal(in->done_calls, 1);
    in->fixture->ops->forget(in->fixture->reactor, &in->receive);
    close(in->receive.fd);
    close(in->far_fd);
}

static void test_receive_is_done_when_all_has_come(void **state)
{
    struct fixture *f = begin(state);
    uint8_t into[16] = "................";
    struct inlet in = open_inlet(f, into, 10);
    char rest[8];

    start(&in);
    settle(f);
    assert_int_equal(in.done_calls, 0);
    put(&in, "abc");
    settle(f);
    assert_int_equal(in.done_calls, 0);
    put(&in, "defg");
    settle(f);
    put(&in, "hijklm");
    wait_until(f, &done_calls, 1);
    settle(f);
    assert_int_equal(in.result, 0);
    assert_int_equal(in.progressed, 10);
    assert_memory_equal(into, "abcdefghij......", 16);
    /* What was not asked for stays in the socket. */
    assert_int_equal(recv(in.receive.fd, rest, sizeof rest, 0), 3);
    assert_memory_equal(rest, "klm", 3);
    close_inlet(&in);
}

static void test_any_is_done_with_the_first_bytes(void **state)
{
    struct fixture *f = begin(state);
    uint8_t into[100];
    struct inlet in = open_inlet(f, into, sizeof into);

    in.receive.any = true;
    start(&in);
    settle(f);
    assert_int_equal(in.done_calls, 0);
    put(&in, "head");
    wait_until(f, &done_calls, 1);
    assert_int_equal(in.result, 0);
    assert_int_equal(in.progressed, 4);
    assert_memory_equal(into, "head", 4);
    close_inlet(&in);
}

static void test_bytes_that_were_there_before_are_taken(void **state)
{
    struct fixture *f = begin(state);
    uint8_t into[5];
    struct inlet in = open_inlet(f, into, sizeof into);

    put(&in, "early");
    start(&in);
    wait_until(f, &done_calls, 1);
    assert_int_equal(in.result, 0);
    assert_memory_equal(into, "early", 5);
    close_inlet(&in);
}

static void test_end_of_the_stream_is_told(void **state)
{
    struct fixture *f = begin(state);
    uint8_t into[10];

    for (int any = 0; any < 2; any++) {
        struct inlet in = open_inlet(f, into, sizeof into);

        in.receive.any = any != 0;
        if (!any)
            put(&in, "abc");
        assert_int_equal(shutdown(in.far_fd, SHUT_WR), 0);
        start(&in);
        wait_until(f, &done_calls, 1);
        assert_int_equal(in.result, -ENODATA);
        assert_int_equal(in.progressed, any ? 0 : 3);
        close_inlet(&in);
    }
}

/* A TCP connection over loopback. */
static void connect_tcp(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, len), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

static void test_reset_is_an_error(void **state)
{
    struct fixture *f = begin(state);
    const struct linger at_once = {.l_onoff = 1};
    uint8_t into[10];
    int fds[2];

    connect_tcp(fds);
    done_calls = 0;
    struct inlet in = inlet_on(f, fds[0], fds[1], into, sizeof into);

    start(&in);
    settle(f);
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fds[1]);
    wait_until(f, &done_calls, 1);
    assert_int_equal(in.result, -ECONNRESET);
    in.far_fd = -1;
    close_inlet(&in);
}

static void test_shutdown_ends_a_receive_and_drain_waits_for_it(void **state)
{
    enum { COUNT = 20 };
    struct fixture *f = begin(state);
    struct inlet inlets[COUNT];
    uint8_t into[COUNT][10];

    for (int i = 0; i < COUNT; i++) {
        inlets[i] = open_inlet(f, into[i], sizeof into[i]);
        start(&inlets[i]);
        if (i % 2)
            put(&inlets[i], "abc");
    }
    settle(f);
    assert_int_equal(done_calls, 0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(shutdown(inlets[i].receive.fd, SHUT_RDWR), 0);
    f->ops->drain(f->reactor);
    assert_int_equal(done_calls, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_true(inlets[i].result < 0);
        close_inlet(&inlets[i]);
    }
}

/* ---- much ---- */

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + i / 253);
}

struct sending {
    int fd;
    size_t len_bytes;
    size_t step_bytes;
};

static void *send_known(void *cookie)
{
    const struct sending *sending = cookie;
    uint8_t bytes[70000];

    for (size_t sent = 0; sent < sending->len_bytes;) {
        size_t len = sending->len_bytes - sent;

        len = len < sending->step_bytes ? len : sending->step_bytes;
        for (size_t i = 0; i < len; i++)
            bytes[i] = byte_at(sent + i);
        ssize_t wrote = send(sending->fd, bytes, len, MSG_NOSIGNAL);

        if (wrote < 0)
            return NULL;
        sent += (size_t)wrote;
    }
    return NULL;
}

/* Several connections at once, with senders of different pace, each in several receives. */
static void test_long_receives_keep_every_byte_in_its_place(void **state)
{
    enum { COUNT = 4, PIECES = 3 };
    static const size_t steps[COUNT] = {70000, 1000, 33333, 4096};
    const size_t piece_bytes = ((size_t)700 << 10) + 1;
    struct fixture *f = begin(state);
    struct inlet inlets[COUNT];
    struct sending sending[COUNT];
    pthread_t threads[COUNT];
    uint8_t *into[COUNT];

    for (int i = 0; i < COUNT; i++) {
        int fds[2];

        connect_tcp(fds);
        into[i] = calloc(1, PIECES * piece_bytes + 1);
        assert_non_null(into[i]);
        inlets[i] = inlet_on(f, fds[0], fds[1], into[i], piece_bytes);
        inlets[i].again = PIECES - 1;
        start(&inlets[i]);
    }
    done_calls = 0;
    for (int i = 0; i < COUNT; i++) {
        sending[i] = (struct sending){inlets[i].far_fd, PIECES * piece_bytes, steps[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, send_known, &sending[i]), 0);
    }
    wait_until(f, &done_calls, COUNT);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(inlets[i].result, 0);
        assert_int_equal(inlets[i].progressed, PIECES * piece_bytes);
        assert_int_equal(into[i][PIECES * piece_bytes], 0);
        for (size_t b = 0; b < PIECES * piece_bytes; b++)
            if (into[i][b] != byte_at(b))
                fail_msg("connection %d: byte %zu is wrong", i, b);
        free(into[i]);
        close_inlet(&inlets[i]);
    }
}

/* Progress comes before all is there: whoever waits for the first bytes need not wait for the
 * last. */
static void test_progress_is_told_on_the_way(void **state)
{
    const size_t len_bytes = (size_t)8 << 20;
    struct fixture *f = begin(state);
    uint8_t *into = malloc(len_bytes);
    int fds[2];

    connect_tcp(fds);
    done_calls = 0;
    struct inlet in = inlet_on(f, fds[0], fds[1], into, len_bytes);
    struct sending sending = {fds[1], len_bytes / 2, 65536};
    pthread_t thread;

    start(&in);
    assert_int_equal(pthread_create(&thread, NULL, send_known, &sending), 0);
    wait_until(f, &in.progress_calls, 1);
    while (pthread_tryjoin_np(thread, NULL) !=
           0) /* it waits for room in the sockets, we must read */
        wait_for(f, 10);
    assert_int_equal(in.done_calls, 0);
    sending.len_bytes = len_bytes / 2;
    assert_int_equal(pthread_create(&thread, NULL, send_known, &sending), 0);
    wait_until(f, &done_calls, 1);
    pthread_join(thread, NULL);
    assert_int_equal(in.result, 0);
    assert_int_equal(in.progressed, len_bytes);
    for (size_t b = 0; b < len_bytes; b++)
        if (into[b] != byte_at(b % (len_bytes / 2)))
            fail_msg("byte %zu is wrong", b);
    free(into);
    close_inlet(&in);
}

/* ---- between receives the socket may be watched ---- */

static void on_ready(struct ps_watch *w, unsigned events)
{
    int *calls = w->cookie;

    assert_int_equal(events, PS_READABLE);
    ++*calls;
}

static void test_receive_and_watch_take_turns(void **state)
{
    struct fixture *f = begin(state);
    uint8_t into[4];
    struct inlet in = open_inlet(f, into, sizeof into);
    int ready = 0;
    struct ps_watch w = {.fd = -1, .ready = on_ready, .cookie = &ready};

    for (int round = 1; round <= 20; round++) {
        f->ops->forget(f->reactor, &in.receive);
        watch(f, &w, in.receive.fd, PS_READABLE);
        settle(f);
        assert_int_equal(ready, 0);
        put(&in, "ab");
        wait_until(f, &ready, 1);
        watch(f, &w, in.receive.fd, 0);
        in.done_calls = 0;
        in.progressed = 0;
        memset(into, 0, sizeof into);
        start(&in);
        settle(f);
        put(&in, "cd");
        wait_until(f, &done_calls, round);
        assert_int_equal(in.result, 0);
        assert_memory_equal(into, "abcd", 4);
        ready = 0;
    }
    close_inlet(&in);
}

/* A socket's number may come back with the next socket: nothing is left of the old one. */
static void test_forgotten_socket_is_let_go(void **state)
{
    struct fixture *f = begin(state);
    uint8_t into[4];
    struct inlet in = open_inlet(f, into, sizeof into);

    for (int round = 1; round <= 20; round++) {
        struct inlet next;

        put(&in, "abcd");
        start(&in);
        wait_until(f, &done_calls, round);
        assert_int_equal(in.result, 0);
        assert_memory_equal(into, "abcd", 4);
        if (round % 3 == 0) { /* the other side ends an idle connection */
            close(in.far_fd);
            settle(f);
            in.far_fd = -1;
        }
        close_inlet(&in);
        int old_fd = in.receive.fd;

        next = open_inlet(f, into, sizeof into);
        done_calls = round;
        assert_int_equal(next.receive.fd, old_fd);
        in.receive.fd = next.receive.fd; /* the same structure again */
        in.far_fd = next.far_fd;
        in.done_calls = 0;
        in.progressed = 0;
        memset(into, 0, sizeof into);
    }
    in.done_calls = 1;
    close_inlet(&in);
}

int main(void)
{
    static const struct test_on_backend tests[] = {
        ON_BOTH(test_receive_is_done_when_all_has_come),
        ON_BOTH(test_any_is_done_with_the_first_bytes),
        ON_BOTH(test_bytes_that_were_there_before_are_taken),
        ON_BOTH(test_end_of_the_stream_is_told),
        ON_BOTH(test_reset_is_an_error),
        ON_BOTH(test_shutdown_ends_a_receive_and_drain_waits_for_it),
        ON_BOTH(test_long_receives_keep_every_byte_in_its_place),
        ON_BOTH(test_progress_is_told_on_the_way),
        ON_BOTH(test_receive_and_watch_take_turns),
        ON_BOTH(test_forgotten_socket_is_let_go),
    };

    return run_on_both(tests, sizeof tests / sizeof *tests);
}
