/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_faults.c - every allocation, mapping, thread and descriptor that the library asks
 * for is refused once: the stream must end with an error that says so, or be whole, and nothing may
 * be left behind.
 *
 * The Makefile links this program with --wrap for the functions below: the library's calls arrive
 * here. Calls inside libc, libcurl and liburing do not.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <liburing.h>

#include <sys/socket.h>

#include "pipe/reactor.h"
#include "tests/unit/stream_fixture.h"

/* ---- the faults ---- */

static atomic_bool armed;
static atomic_long calls;        /* since armed */
static atomic_long fail_call;    /* this one is refused, from 1 on */
static atomic_bool fail_forever; /* and so are all after it */

static bool refused(void)
{
    if (!atomic_load(&armed))
        return false;
    long call = atomic_fetch_add(&calls, 1) + 1;
    long fail = atomic_load(&fail_call);

    return fail > 0 && (call == fail || (call > fail && atomic_load(&fail_forever)));
}

static void arm(long call, bool forever)
{
    atomic_store(&calls, 0);
    atomic_store(&fail_call, call);
    atomic_store(&fail_forever, forever);
    atomic_store(&armed, true);
}

/* Returns whether the fault was met. */
static bool disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&calls) >= atomic_load(&fail_call);
}

#include "tests/unit/wrap.h"

WRAP(void *, mmap, (void *at, size_t len, int protection, int flags, int fd, off_t offset),
     (at, len, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *cookie),
     (thread, attributes, run, cookie), EAGAIN, 0)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, epoll_ctl, (int fd, int operation, int other, struct epoll_event *event),
     (fd, operation, other, event), -1, ENOMEM)
WRAP(int, io_uring_queue_init_params,
     (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
     (entries, ring, params), -ENOMEM, ENOMEM)
WRAP(int, inotify_init1, (int flags), (flags), -1, EMFILE)
WRAP(int, fstat, (int fd, struct stat *status), (fd, status), -1, EIO)
WRAP(DIR *, opendir, (const char *name), (name), NULL, EMFILE)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;

    va_end(args);
    if (refused()) {
        errno = EMFILE;
        return -1;
    }
    return __real_open(path, flags, mode);
}

static atomic_long wait_fails; /* this call of epoll_wait fails with EBADF, from 1 on; 0: none */
static atomic_long waits;

int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
    if (atomic_fetch_add(&waits, 1) + 1 == atomic_load(&wait_fails)) {
        errno = EBADF;
        return -1;
    }
    return __real_epoll_wait(fd, events, most, timeout_ms);
}

/* How pread misbehaves: brings less than was asked for, is interrupted, or fails. */
static atomic_size_t read_most_bytes; /* 0: as many as asked for */
static atomic_bool read_interrupted;  /* every other call */
static atomic_long read_fails;        /* this call fails with EIO, from 1 on; 0: none */
static atomic_long reads;

ssize_t __real_pread(int fd, void *into, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *into, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *into, size_t len, off_t offset)
{
    size_t most = atomic_load(&read_most_bytes);
    long call = atomic_fetch_add(&reads, 1) + 1;

    if (call == atomic_load(&read_fails)) {
        errno = EIO;
        return -1;
    }
    if (atomic_load(&read_interrupted) && call % 2) {
        errno = EINTR;
        return -1;
    }
    if (most > 0 && len > most)
        len = 1 + (size_t)call * 7919 % most;
    return __real_pread(fd, into, len, offset);
}

/* ---- what must hold ---- */

static int count_entries(const char *path, const char *prefix)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        struct scratch_name comm;
        char name[32] = "";

        snprintf(comm.text, sizeof comm.text, "%s/%s/comm", path, entry->d_name);
        FILE *file = prefix ? fopen(comm.text, "re") : NULL;

        if (file && !fgets(name, sizeof name, file))
            name[0] = '\0';
        if (file)
            fclose(file);
        count += !prefix || strncmp(name, prefix, strlen(prefix)) == 0;
    }
    closedir(dir);
    return count;
}

static void assert_told(int rc, const struct penstock_error *error)
{
    if (rc != PENSTOCK_E_MEMORY && rc != PENSTOCK_E_SYSTEM)
        fail_msg("%s: %s", penstock_rc_name(rc), error->message);
    assert_int_equal(error->rc, rc);
    assert_true(strlen(error->message) > 10);
}

/* A thread that was joined may be in /proc for a moment longer. */
static void assert_no_thread_left(void)
{
    unsigned tries = 0;

    while (count_entries("/proc/self/task", "ps-") > 0 && tries++ < 1000)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(count_entries("/proc/self/task", "ps-"), 0);
}

/* Two channels, so that what one has already got must be given back when the other fails. */
struct job {
    struct data *data[2];
    struct how how;
};

static void open_job(struct job *job, const char *backend, const char *compression)
{
    job->data[0] = data_open(false, 3, 60, 4);
    job->data[1] = data_open(true, 3, 60, 4);
    job->how = (struct how){.backend = backend,
                            .batch_rows = 25,
                            .epochs = 2,
                            .decode_threads = 2,
                            .io_threads = 2,
                            .compression = compression};
}

static void close_job(struct job *job)
{
    data_close(job->data[0]);
    data_close(job->data[1]);
}

/* One run of the job with a fault: returns whether the fault was met. */
static bool run_with_fault(const struct job *job, long call, bool forever)
{
    const char *paths[2] = {job->data[0]->scratch.path, job->data[1]->scratch.path};
    const struct penstock_channel_config channels[2] = {how_channel(&job->how, false, &paths[0], 1),
                                                        how_channel(&job->how, true, &paths[1], 1)};
    const struct penstock_config config = how_config(&job->how, channels, 2);
    struct penstock_error error;
    struct penstock *stream = (struct penstock *)&error;
    int descriptors = count_entries("/proc/self/fd", NULL);

    arm(call, forever);
    int rc = penstock_open(&config, &stream, &error);

    if (rc != PENSTOCK_OK) {
        assert_null(stream);
        assert_told(rc, &error);
    }
    for (size_t c = 0; stream && c < 2; c++) {
        struct reading r = reading_of(job->data[c], job->how);

        rc = reading_go_on(&r, stream, c, UINT64_MAX);
        assert_string_equal(r.why, "");
        if (rc != PENSTOCK_END)
            assert_told(rc, penstock_last_error(stream, c));
    }
    penstock_close(&stream);
    bool met = disarm();

    assert_int_equal(count_entries("/proc/self/fd", NULL), descriptors);
    assert_no_thread_left();
    return met;
}

static void check_job(struct job *job, bool forever)
{
    long call = 1;

    while (run_with_fault(job, call, forever))
        call++;
    assert_true(call > 40); /* the wraps work */
    close_job(job);
}

static void check_every_fault(const char *backend, const char *compression, bool forever)
{
    struct job job;

    open_job(&job, backend, compression);
    check_job(&job, forever);
}

static void test_every_refusal_is_survived_epoll(void **state)
{
    (void)state;
    check_every_fault("epoll", NULL, false);
}

static void test_every_refusal_is_survived_auto(void **state)
{
    (void)state;
    check_every_fault("auto", NULL, false);
}

/* Rows get their places after they are decoded. */
static void test_every_refusal_of_staged_channels_is_survived(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        struct job job;

        open_job(&job, "epoll", NULL);
        job.how.bad_records = "skip";
        check_job(&job, forever != 0);
    }
}

/* What inflates them is there, whether or not the objects are compressed. */
static void test_every_refusal_of_compressed_channels_is_survived(void **state)
{
    (void)state;
    check_every_fault("epoll", "auto", false);
    check_every_fault("epoll", "auto", true);
}

static void test_lasting_refusal_is_survived(void **state)
{
    (void)state;
    check_every_fault("epoll", NULL, true);
    check_every_fault("auto", NULL, true);
}

/* An s3 source brings libcurl, an account and a listing: opened and closed, nobody answers. */
static void test_every_refusal_of_an_s3_stream_is_survived(void **state)
{
    const char *uri = "s3://bucket/prefix";
    struct how how = {.decode_threads = 1};
    struct penstock_channel_config channel = how_channel(&how, true, &uri, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    bool met = true;

    (void)state;
    config.endpoint_url = "http://127.0.0.1:1";
    config.anonymous = true;
    config.max_connections = 2;
    for (long call = 1; met; call++) {
        struct penstock *stream = NULL;
        struct penstock_error error;

        arm(call, call % 2);
        int rc = penstock_open(&config, &stream, &error);

        met = disarm();
        if (rc != PENSTOCK_OK)
            assert_told(rc, &error);
        penstock_close(&stream);
        assert_no_thread_left();
    }
}

/* Returns whether the fault was met by a channel that comes through a FIFO. */
static bool run_fifo_with_fault(const struct data *d, const struct bytes *b, long call,
                                bool forever)
{
    struct how how = {.batch_rows = 25, .decode_threads = 1};
    struct reading r = reading_of(d, how);
    struct scratch scratch = scratch_open();
    struct scratch_name fifo = scratch_path(&scratch, "train_0");
    struct scratch_name uri;
    const char *uris = uri.text;
    struct penstock_channel_config channel = how_channel(&how, false, &uris, 1);
    const struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock_error error;
    struct penstock *stream = NULL;

    snprintf(uri.text, sizeof uri.text, "pipe://%s/train", scratch.path);
    assert_int_equal(mkfifo(fifo.text, 0600), 0);
    int fd = open(fifo.text, O_RDWR | O_CLOEXEC); /* waits for nobody */

    assert_int_equal(write(fd, b->at, b->len), b->len);
    arm(call, forever);
    int rc = penstock_open(&config, &stream, &error);

    if (rc != PENSTOCK_OK)
        assert_told(rc, &error);
    else
        rc = reading_go_on(&r, stream, 0, 1); /* it has been opened, then */
    close(fd);
    if (rc == PENSTOCK_OK)
        rc = reading_go_on(&r, stream, 0, UINT64_MAX);
    assert_string_equal(r.why, "");
    if (rc != PENSTOCK_END && stream)
        assert_told(rc, penstock_last_error(stream, 0));
    penstock_close(&stream);
    bool met = disarm();

    scratch_close(&scratch);
    assert_no_thread_left();
    return met;
}

static void test_every_refusal_of_a_fifo_is_survived(void **state)
{
    struct data *d = data_open(false, 1, 60, 4);
    struct bytes b = data_bytes(d, 0);
    int descriptors = count_entries("/proc/self/fd", NULL);

    (void)state;
    for (long call = 1; run_fifo_with_fault(d, &b, call, false); call++)
        continue;
    for (long call = 1; run_fifo_with_fault(d, &b, call, true); call++)
        continue;
    assert_int_equal(count_entries("/proc/self/fd", NULL), descriptors);
    free(b.at);
    data_close(d);
}

/* ---- watches ---- */

static void count_ready(struct ps_watch *watch, unsigned events)
{
    (void)events;
    ++*(int *)watch->cookie;
}

/* The first watches find no memory; what was on its socket is told of later, but for the one that
 * is cleared meanwhile. */
static void check_late_watch(const struct ps_reactor_ops *ops)
{
    struct ps_reactor *reactor = ops->open();
    struct ps_watch watches[3];
    int ready[3] = {0};
    int fds[2];

    if (!reactor)
        skip();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    arm(1, true);
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? fds[0] : dup(fds[0]);

        watches[i] = (struct ps_watch){.fd = -1, .ready = count_ready, .cookie = &ready[i]};
        ops->watch(reactor, &watches[i], fd, PS_READABLE);
    }
    assert_true(ops->wait(reactor, 1000) >= 0);
    assert_int_equal(ready[0] + ready[1] + ready[2], 0);
    int second_fd = watches[1].fd;

    ops->watch(reactor, &watches[1], second_fd, 0);
    disarm();
    for (int i = 0; i < 6000 && (!ready[0] || !ready[2]); i++)
        assert_true(ops->wait(reactor, 10) >= 0);
    assert_true(ready[0] && ready[2]);
    assert_int_equal(ready[1], 0);
    int third_fd = watches[2].fd;

    ops->watch(reactor, &watches[0], fds[0], 0);
    ops->watch(reactor, &watches[2], third_fd, 0);
    ops->close(reactor);
    close(second_fd);
    close(third_fd);
    close(fds[0]);
    close(fds[1]);
}

static void test_a_watch_without_memory_is_armed_later_epoll(void **state)
{
    (void)state;
    check_late_watch(&ps_reactor_epoll);
}

static void test_a_watch_without_memory_is_armed_later_uring(void **state)
{
    (void)state;
    check_late_watch(&ps_reactor_uring);
}

/* ---- reads ---- */

static void test_short_and_interrupted_reads_change_nothing(void **state)
{
    struct data *d = data_open(true, 3, 100, 50);
    static const size_t most[] = {1, 100, 5000};

    (void)state;
    atomic_store(&read_interrupted, true);
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&read_most_bytes, most[i] == 1 ? 7 : most[i]);
        assert_streams(d, (struct how){.backend = "epoll", .part_bytes = 64 << 10});
    }
    atomic_store(&read_interrupted, false);
    atomic_store(&read_most_bytes, 0);
    data_close(d);
}

static void test_failed_read_names_file_and_offset(void **state)
{
    struct data *d = data_open(true, 3, 3000, 50);
    struct how how = {.backend = "epoll", .batch_rows = 10, .connections = 1};

    (void)state;
    how.part_bytes = 64 << 10;
    for (long call = 1; call <= 30; call += 7) {
        struct penstock *stream;
        struct reading r = reading_of(d, how);
        uint64_t offset = (uint64_t)(call - 1) * (64 << 10);
        uint32_t object = 0;
        uint64_t whole = 0;

        atomic_store(&reads, 0);
        atomic_store(&read_fails, call);
        stream = open_data(d, how);
        int rc = reading_go_on(&r, stream, 0, UINT64_MAX);
        const struct penstock_error *error = penstock_last_error(stream, 0);

        atomic_store(&read_fails, 0);
        assert_string_equal(r.why, "");
        assert_int_equal(rc, PENSTOCK_E_SYSTEM);
        assert_int_equal(error->sys_errno, EIO);
        /* One connection reads part after part; each object's last one is shorter. */
        for (long part = call - 1; part > 0;) {
            long parts = (long)((d->offsets[object][d->rows[object]] + (64 << 10) - 1) >> 16);

            if (part < parts)
                break;
            part -= parts;
            offset = (uint64_t)part << 16;
            whole += d->rows[object++];
        }
        assert_string_equal(error->key, data_path(d, object).text);
        assert_int_equal(error->offset_bytes, offset);
        for (uint32_t row = 0; d->offsets[object][row + 1] <= offset; row++)
            whole++;
        assert_int_equal(r.rows, whole / 10 * 10);
        penstock_close(&stream);
    }
    data_close(d);
}

/* The kernel will not tell an I/O thread what is ready: an error, and no endless wait. */
static void test_io_thread_that_breaks_down_is_told(void **state)
{
    struct data *d = data_open(true, 3, 3000, 50);
    struct how how = {
        .backend = "epoll", .batch_rows = 10, .epochs = ENDLESS, .part_bytes = 64 << 10};

    (void)state;
    for (long call = 1; call <= 40; call++) {
        how.io_threads = 1 + (uint32_t)(call % 2);
        struct reading r = reading_of(d, how);

        atomic_store(&waits, 0);
        atomic_store(&wait_fails, call);
        struct penstock *stream = open_data(d, how);
        int rc = reading_go_on(&r, stream, 0, UINT64_MAX);

        assert_string_equal(r.why, "");
        assert_int_equal(rc, PENSTOCK_E_SYSTEM);
        assert_int_equal(penstock_last_error(stream, 0)->sys_errno, EBADF);
        assert_non_null(strstr(penstock_last_error(stream, 0)->message, "I/O thread"));
        penstock_close(&stream);
        atomic_store(&wait_fails, 0);
    }
    data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_refusal_is_survived_epoll),
        cmocka_unit_test(test_every_refusal_is_survived_auto),
        cmocka_unit_test(test_every_refusal_of_staged_channels_is_survived),
        cmocka_unit_test(test_every_refusal_of_compressed_channels_is_survived),
        cmocka_unit_test(test_lasting_refusal_is_survived),
        cmocka_unit_test(test_every_refusal_of_an_s3_stream_is_survived),
        cmocka_unit_test(test_every_refusal_of_a_fifo_is_survived),
        cmocka_unit_test(test_a_watch_without_memory_is_armed_later_epoll),
        cmocka_unit_test(test_a_watch_without_memory_is_armed_later_uring),
        cmocka_unit_test(test_short_and_interrupted_reads_change_nothing),
        cmocka_unit_test(test_failed_read_names_file_and_offset),
        cmocka_unit_test(test_io_thread_that_breaks_down_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
