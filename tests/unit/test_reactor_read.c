/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_reactor_read.c - reads of files through both reactor backends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/reactor_fixture.h"
#include "tests/unit/scratch.h"

static int done_calls; /* of every read in the running test */

static void on_done(struct ps_read *read)
{
    int *calls = read->cookie;

    if (calls)
        ++*calls;
    done_calls++;
}

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 253);
}

/* A file of `len_bytes` known bytes, open for reading. */
static int open_known(const struct scratch *scratch, size_t len_bytes)
{
    uint8_t *bytes = malloc(len_bytes + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < len_bytes; i++)
        bytes[i] = byte_at(i);
    scratch_file(scratch, "known", bytes, len_bytes);
    free(bytes);
    int fd = open(scratch_path(scratch, "known").text, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void assert_known(const uint8_t *bytes, uint64_t offset, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++)
        if (bytes[i] != byte_at(offset + i))
            fail_msg("byte %llu is wrong", (unsigned long long)(offset + i));
}

/* More at once than any queue of the backend holds, each done exactly once. */
static void test_many_reads_each_bring_their_bytes(void **state)
{
    enum { COUNT = 700, EACH = 97, FILE_BYTES = 40000 };
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int fd = open_known(&scratch, FILE_BYTES);
    struct ps_read *reads = calloc(COUNT, sizeof *reads);
    uint8_t *into = malloc(COUNT * EACH);
    int *calls = calloc(COUNT, sizeof *calls);

    done_calls = 0;
    for (size_t i = 0; i < COUNT; i++) {
        reads[i] = (struct ps_read){.fd = fd,
                                    .into = into + i * EACH,
                                    .len_bytes = EACH,
                                    .offset_bytes = i * 7919 % (FILE_BYTES - EACH),
                                    .done = on_done,
                                    .cookie = &calls[i]};
        read_at(f, &reads[i]);
    }
    wait_until(f, &done_calls, COUNT);
    settle(f);
    assert_int_equal(done_calls, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(calls[i], 1);
        assert_int_equal(reads[i].result, EACH);
        assert_known(reads[i].into, reads[i].offset_bytes, EACH);
    }
    free(calls);
    free(into);
    free(reads);
    close(fd);
    scratch_close(&scratch);
}

/* One read, waited for without limit; its result. */
static int64_t read_once(struct fixture *f, int fd, uint8_t *into, size_t len_bytes,
                         uint64_t offset)
{
    struct ps_read read = {
        .fd = fd, .into = into, .len_bytes = len_bytes, .offset_bytes = offset, .done = on_done};

    done_calls = 0;
    read_at(f, &read);
    while (done_calls == 0)
        wait_for(f, -1);
    assert_int_equal(done_calls, 1);
    return read.result;
}

static void test_reads_are_short_at_the_end_of_the_file(void **state)
{
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int fd = open_known(&scratch, 1000);
    uint8_t into[2000];

    assert_int_equal(read_once(f, fd, into, 2000, 0), 1000);
    assert_known(into, 0, 1000);
    assert_int_equal(read_once(f, fd, into, 100, 950), 50);
    assert_known(into, 950, 50);
    assert_int_equal(read_once(f, fd, into, 100, 1000), 0);
    assert_int_equal(read_once(f, fd, into, 100, UINT64_C(1) << 40), 0);
    assert_int_equal(read_once(f, fd, into, 0, 10), 0);
    close(fd);
    scratch_close(&scratch);
}

static void test_offsets_beyond_four_gib_are_kept(void **state)
{
    const uint64_t far = (UINT64_C(5) << 30) + 12345;
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int fd = open(scratch_path(&scratch, "sparse").text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint8_t into[16] = {0};

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "far away", 8, (off_t)far), 8);
    assert_int_equal(read_once(f, fd, into, sizeof into, far), 8);
    assert_memory_equal(into, "far away", 8);
    close(fd);
    scratch_close(&scratch);
}

static void test_failed_reads_tell_errno(void **state)
{
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int known_fd = open_known(&scratch, 100);
    int directory_fd = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int write_fd = open(scratch_path(&scratch, "w").text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    uint8_t into[10];

    assert_int_equal(read_once(f, -1, into, 10, 0), -EBADF);
    assert_int_equal(read_once(f, directory_fd, into, 10, 0), -EISDIR);
    assert_int_equal(read_once(f, write_fd, into, 10, 0), -EBADF);
    assert_int_equal(read_once(f, known_fd, (uint8_t *)8, 10, 0), -EFAULT);
    /* One bad read among good ones harms none of them. */
    assert_int_equal(read_once(f, known_fd, into, 10, 20), 10);
    assert_known(into, 20, 10);
    close(known_fd);
    close(directory_fd);
    close(write_fd);
    scratch_close(&scratch);
}

/* ---- reads asked for again inside done ---- */

struct chain {
    struct ps_read read; /* first */
    struct fixture *fixture;
    uint64_t passed; /* bytes read and right */
    int calls;
    int calls_most; /* stop after so many; 0 for at the end of the file */
    bool ended;
};

static void read_on(struct ps_read *read)
{
    struct chain *chain = (struct chain *)read;

    chain->calls++;
    if (read->result < 0)
        fail_msg("read failed: %s", strerror((int)-read->result));
    assert_known(read->into, read->offset_bytes, (size_t)read->result);
    chain->passed += (uint64_t)read->result;
    chain->ended = read->result == 0 || chain->calls == chain->calls_most;
    if (chain->ended) {
        done_calls++;
        return;
    }
    read->offset_bytes += (uint64_t)read->result;
    read_at(chain->fixture, read);
}

static void test_done_may_ask_again_until_the_end(void **state)
{
    enum { CHAINS = 5, FILE_BYTES = 100000 };
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int fd = open_known(&scratch, FILE_BYTES);
    struct chain chains[CHAINS];
    uint8_t into[CHAINS][4096];

    done_calls = 0;
    for (size_t i = 0; i < CHAINS; i++) {
        chains[i] = (struct chain){
            .read = {.fd = fd, .into = into[i], .len_bytes = 1000 + 700 * i, .done = read_on},
            .fixture = f};
        read_at(f, &chains[i].read);
    }
    wait_until(f, &done_calls, CHAINS);
    for (size_t i = 0; i < CHAINS; i++) {
        assert_int_equal(chains[i].passed, FILE_BYTES);
        assert_true(chains[i].ended);
    }
    close(fd);
    scratch_close(&scratch);
}

static void test_drain_ends_every_read(void **state)
{
    enum { COUNT = 300, CHAINS = 3 };
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int fd = open_known(&scratch, 50000);
    struct ps_read *reads = calloc(COUNT, sizeof *reads);
    uint8_t *into = malloc(COUNT * 64);
    struct chain chains[CHAINS];
    uint8_t chain_into[CHAINS][512];

    f->ops->drain(f->reactor); /* of nothing */
    done_calls = 0;
    for (size_t i = 0; i < COUNT; i++) {
        reads[i] = (struct ps_read){
            .fd = fd, .into = into + i * 64, .len_bytes = 64, .offset_bytes = i, .done = on_done};
        read_at(f, &reads[i]);
    }
    for (size_t i = 0; i < CHAINS; i++) {
        chains[i] = (struct chain){
            .read = {.fd = fd, .into = chain_into[i], .len_bytes = 512, .done = read_on},
            .fixture = f,
            .calls_most = 20};
        read_at(f, &chains[i].read);
    }
    f->ops->drain(f->reactor);
    /* No wait: drain itself has told them all. */
    assert_int_equal(done_calls, COUNT + CHAINS);
    for (size_t i = 0; i < CHAINS; i++)
        assert_int_equal(chains[i].calls, 20);
    memset(into, 0, COUNT * 64);
    free(into);
    free(reads);
    close(fd);
    scratch_close(&scratch);
}

/* ---- reads and watches side by side ---- */

struct socket_watch {
    struct ps_watch watch; /* first */
    int calls;
};

static void on_byte(struct ps_watch *w, unsigned events)
{
    struct socket_watch *mine = (struct socket_watch *)w;
    char byte;

    assert_int_equal(events, PS_READABLE);
    assert_int_equal(read(w->fd, &byte, 1), 1);
    mine->calls++;
}

/* The same read again and again until calls_most is set. */
static void read_again(struct ps_read *read)
{
    struct chain *chain = (struct chain *)read;

    assert_int_equal(read->result, read->len_bytes);
    chain->calls++;
    chain->ended = chain->calls_most != 0;
    if (!chain->ended)
        read_at(chain->fixture, read);
}

static void test_reads_and_watches_do_not_starve_each_other(void **state)
{
    struct fixture *f = begin(state);
    struct scratch scratch = scratch_open();
    int fd = open_known(&scratch, 64);
    uint8_t into[16];
    struct chain chain = {.read = {.fd = fd, .into = into, .len_bytes = 16, .done = read_again},
                          .fixture = f};
    struct socket_watch w = {.watch = {.fd = -1, .ready = on_byte}};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    watch(f, &w.watch, fds[0], PS_READABLE);
    read_at(f, &chain.read);
    for (int i = 0; i < 20; i++) {
        int before = chain.calls;

        assert_int_equal(write(fds[1], "x", 1), 1);
        wait_until(f, &w.calls, i + 1);
        wait_until(f, &chain.calls, before + 1);
    }
    chain.calls_most = 1;
    f->ops->drain(f->reactor);
    assert_true(chain.ended);
    watch(f, &w.watch, fds[0], 0);
    close(fds[0]);
    close(fds[1]);
    close(fd);
    scratch_close(&scratch);
}

int main(void)
{
    static const struct test_on_backend tests[] = {
        ON_BOTH(test_many_reads_each_bring_their_bytes),
        ON_BOTH(test_reads_are_short_at_the_end_of_the_file),
        ON_BOTH(test_offsets_beyond_four_gib_are_kept),
        ON_BOTH(test_failed_reads_tell_errno),
        ON_BOTH(test_done_may_ask_again_until_the_end),
        ON_BOTH(test_drain_ends_every_read),
        ON_BOTH(test_reads_and_watches_do_not_starve_each_other),
    };

    return run_on_both(tests, sizeof tests / sizeof *tests);
}
