/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_stream_flow.c - penstock.h over files: batches on loan, waiting, stopping,
 * closing, pinning and counting. */
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

#include "pipe/clock.h"
#include "tests/unit/stream_fixture.h"

enum { SLOTS_MAX = 32 };

static uint32_t slot_count(const struct penstock *stream)
{
    struct penstock_counters counters;

    penstock_get_counters(stream, 0, &counters);
    return counters.slot_count;
}

/* Takes every slot there is on loan; checks them all, and only then. Returns how many. */
static uint32_t hold_all(struct penstock *stream, struct reading *r,
                         const struct penstock_batch *held[SLOTS_MAX])
{
    uint32_t count = 0;
    uint32_t seen = 0;

    do {
        assert_int_equal(penstock_next(stream, 0, -1, &held[count]), PENSTOCK_OK);
        assert_in_range(held[count]->slot_no, 0, slot_count(stream) - 1);
        assert_false(seen >> held[count]->slot_no & 1);
        seen |= 1u << held[count]->slot_no;
        count++;
    } while (count < slot_count(stream));
    for (uint32_t i = 0; i < count; i++)
        if (!reading_batch(r, held[i]))
            fail_msg("%s", r->why);
    return count;
}

/* ---- loans ---- */

static void test_all_slots_on_loan_mean_wait(void **state)
{
    struct data *d = data_open(true, 4, 500, 50);
    struct how how = {.batch_rows = 20, .epochs = ENDLESS, .decode_threads = 2};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    const struct penstock_batch *held[SLOTS_MAX];
    const struct penstock_batch *more;
    uint64_t start_ns;

    (void)state;
    assert_int_equal(hold_all(stream, &r, held), SLOTS_MAX);
    assert_int_equal(penstock_next(stream, 0, 0, &more), PENSTOCK_AGAIN);
    assert_null(more);
    start_ns = ps_now_ns();
    assert_int_equal(penstock_next(stream, 0, 20, &more), PENSTOCK_AGAIN);
    assert_true(ps_now_ns() - start_ns >= 20 * PS_NS_PER_MS);
    assert_null(more);

    /* Any of them, not the oldest only. */
    for (uint32_t i = 1; i < 60; i++) {
        const struct penstock_batch *given_back = held[i * 7 % SLOTS_MAX];
        void *base = given_back->base;

        penstock_release(stream, given_back);
        assert_int_equal(penstock_next(stream, 0, -1, &more), PENSTOCK_OK);
        assert_ptr_equal(more->base, base);
        assert_true(reading_batch(&r, more));
        held[i * 7 % SLOTS_MAX] = more;
        assert_int_equal(penstock_next(stream, 0, 0, &more), PENSTOCK_AGAIN);
    }
    penstock_close(&stream);
    data_close(d);
}

static void test_held_batches_stay_as_they_are(void **state)
{
    struct data *d = data_open(true, 2, 300, 20);
    struct how how = {.batch_rows = 100, .epochs = 2};
    struct penstock *stream = open_data(d, how);
    struct reading early = reading_of(d, how);
    struct reading r = reading_of(d, how);
    const struct penstock_batch *held[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(penstock_next(stream, 0, -1, &held[i]), PENSTOCK_OK);
    r = early;
    for (size_t i = 0; i < 3; i++)
        assert_true(reading_batch(&r, held[i]));
    assert_int_equal(reading_go_on(&r, stream, 0, UINT64_MAX), PENSTOCK_END);
    assert_string_equal(r.why, "");
    for (size_t i = 0; i < 3; i++) { /* after all the rest, and the end */
        if (!reading_batch(&early, held[i]))
            fail_msg("%s", early.why);
        penstock_release(stream, held[i]);
    }
    penstock_close(&stream);
    data_close(d);
}

struct releasing {
    struct penstock *stream;
    const struct penstock_batch *batch;
};

static void *release_later(void *cookie)
{
    struct releasing *releasing = cookie;
    const struct timespec nap = {.tv_nsec = 10000000};

    nanosleep(&nap, NULL);
    penstock_release(releasing->stream, releasing->batch);
    return NULL;
}

static void test_release_from_another_thread_ends_the_wait(void **state)
{
    struct data *d = data_open(true, 4, 500, 50);
    struct how how = {.batch_rows = 20, .epochs = ENDLESS};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    const struct penstock_batch *held[SLOTS_MAX];
    uint32_t count = hold_all(stream, &r, held);

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct releasing releasing = {stream, held[i]};
        const struct penstock_batch *batch;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, release_later, &releasing), 0);
        assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
        pthread_join(thread, NULL);
        assert_true(reading_batch(&r, batch));
    }
    assert_int_equal(count, SLOTS_MAX);
    penstock_close(&stream);
    data_close(d);
}

static void test_release_twice_frees_once(void **state)
{
    struct data *d = data_open(true, 4, 500, 50);
    struct how how = {.batch_rows = 20, .epochs = ENDLESS};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    const struct penstock_batch *held[SLOTS_MAX];
    const struct penstock_batch *batch;

    (void)state;
    penstock_release(stream, NULL);
    hold_all(stream, &r, held);
    penstock_release(stream, held[5]);
    penstock_release(stream, held[5]);
    penstock_release(stream, NULL);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
    assert_true(reading_batch(&r, batch));
    assert_int_equal(penstock_next(stream, 0, 10, &batch), PENSTOCK_AGAIN);
    penstock_close(&stream);
    data_close(d);
}

static void test_polling_reads_the_same(void **state)
{
    struct data *d = data_open(false, 5, 200, 10);
    struct how how = {.batch_rows = 30, .epochs = 2};

    (void)state;
    for (int timeout_ms = 0; timeout_ms < 2; timeout_ms++) {
        struct penstock *stream = open_data(d, how);
        struct reading r = reading_of(d, how);
        int rc;

        do {
            const struct penstock_batch *batch;

            rc = penstock_next(stream, 0, timeout_ms, &batch);
            if (rc == PENSTOCK_OK)
                assert_true(reading_batch(&r, batch));
            else
                assert_true(reading_mark(&r, rc));
            penstock_release(stream, batch);
        } while (rc >= 0 && rc != PENSTOCK_END);
        assert_int_equal(rc, PENSTOCK_END);
        assert_int_equal(r.epoch_ends, 2);
        penstock_close(&stream);
    }
    data_close(d);
}

static void test_channel_that_is_not_there(void **state)
{
    struct data *d = data_open(false, 1, 10, 2);
    struct penstock *stream = open_data(d, (struct how){.batch_rows = 1});
    const struct penstock_batch *batch = (const void *)d;
    struct penstock_counters counters;

    (void)state;
    assert_int_equal(penstock_next(stream, 1, -1, &batch), PENSTOCK_E_ARGUMENT);
    assert_null(batch);
    assert_int_equal(penstock_next(stream, SIZE_MAX, 0, &batch), PENSTOCK_E_ARGUMENT);
    assert_int_equal(penstock_last_error(stream, 1)->rc, PENSTOCK_E_ARGUMENT);
    assert_int_equal(penstock_last_error(stream, 0)->rc, PENSTOCK_OK);
    penstock_get_counters(stream, 1, &counters);
    assert_int_equal(counters.ring_bytes, 0);
    penstock_close(&stream);
    penstock_close(&stream);
    data_close(d);
}

/* ---- stop and close ---- */

static void *stop_later(void *cookie)
{
    const struct timespec nap = {.tv_nsec = 10000000};

    nanosleep(&nap, NULL);
    penstock_stop(cookie);
    return NULL;
}

static struct penstock *signalled;

static void stop_from_handler(int signal_number)
{
    (void)signal_number;
    penstock_stop(signalled);
}

/* Blocks in penstock_next with every slot on loan, until `how` comes to the rescue. */
static void check_stop(bool by_signal, const char *backend)
{
    struct data *d = data_open(true, 4, 500, 50);
    struct how how = {.backend = backend, .batch_rows = 20, .epochs = ENDLESS, .io_threads = 2};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    struct reading again = reading_of(d, how);
    const struct penstock_batch *held[SLOTS_MAX];
    const struct penstock_batch *batch;
    uint32_t count = hold_all(stream, &r, held);
    struct sigaction action = {.sa_handler = stop_from_handler};
    struct sigaction before;
    const struct itimerval soon = {.it_value = {.tv_usec = 10000}};
    pthread_t thread;

    signalled = stream;
    if (by_signal) {
        assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    } else {
        assert_int_equal(pthread_create(&thread, NULL, stop_later, stream), 0);
    }
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_STOPPED);
    assert_null(batch);
    if (by_signal)
        assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    else
        pthread_join(thread, NULL);
    assert_int_equal(penstock_last_error(stream, 0)->rc, PENSTOCK_E_STOPPED);
    penstock_release(stream, held[0]);
    penstock_stop(stream);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_STOPPED);
    assert_int_equal(penstock_next(stream, 0, 0, &batch), PENSTOCK_E_STOPPED);
    again.row = 20;
    again.position = 20;
    for (uint32_t i = 1; i < count; i++) /* still what they were */
        assert_true(reading_batch(&again, held[i]));
    penstock_close(&stream);
    data_close(d);
}

static void test_stop_from_another_thread(void **state)
{
    (void)state;
    check_stop(false, "epoll");
    check_stop(false, "auto");
}

static void test_stop_from_a_signal_handler(void **state)
{
    (void)state;
    check_stop(true, "epoll");
    check_stop(true, "auto");
}

static void test_stop_before_the_first_batch_and_after_the_last(void **state)
{
    struct data *d = data_open(false, 2, 100, 3);
    struct how how = {.batch_rows = 10};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    const struct penstock_batch *batch;

    (void)state;
    penstock_stop(stream);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_STOPPED);
    penstock_close(&stream);
    stream = open_data(d, how);
    assert_int_equal(reading_go_on(&r, stream, 0, UINT64_MAX), PENSTOCK_END);
    penstock_stop(stream);
    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_E_STOPPED);
    assert_int_equal(penstock_last_error(stream, 0)->rc, PENSTOCK_OK); /* all had come */
    penstock_close(&stream);
    data_close(d);
}

/* At moments of every kind: just opened, first batch, in the midst of it, all slots on loan. */
static void test_close_while_everything_is_busy(void **state)
{
    static const char *const backends[] = {"epoll", "auto"};
    struct data *d = data_open(true, 6, 400, 200);
    struct data *text = data_open(false, 6, 400, 20);

    (void)state;
    for (uint32_t i = 0; i < 48; i++) {
        struct how how = {.backend = backends[i % 2],
                          .batch_rows = 10,
                          .epochs = ENDLESS,
                          .decode_threads = 1 + i % 4,
                          .io_threads = 1 + i % 3,
                          .part_bytes = 64 << 10,
                          .shuffle = i % 5 == 0};
        const struct data *data = i % 3 ? d : text;
        struct penstock *stream = open_data(data, how);
        struct reading r = reading_of(data, how);
        const struct penstock_batch *held[SLOTS_MAX];

        assert_int_equal(reading_go_on(&r, stream, 0, i / 4 * (i / 4)), PENSTOCK_OK);
        assert_string_equal(r.why, "");
        if (i % 4 == 3)
            hold_all(stream, &r, held);
        penstock_close(&stream);
        assert_null(stream);
    }
    data_close(d);
    data_close(text);
}

/* ---- threads ---- */

/* How many threads of this process have names that begin with `prefix`; *unblocked counts those
 * that would take a SIGINT. */
static int count_threads(const char *prefix, int *unblocked)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[320];
        char line[128];
        bool mine = false;
        unsigned long long blocked = 0;

        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *file = fopen(path, "re");

        while (file && fgets(line, sizeof line, file)) {
            if (strncmp(line, "Name:\t", 6) == 0)
                mine = strncmp(line + 6, prefix, strlen(prefix)) == 0;
            if (strncmp(line, "SigBlk:\t", 8) == 0)
                blocked = strtoull(line + 8, NULL, 16);
        }
        if (file)
            fclose(file);
        count += mine;
        if (mine && !(blocked >> (SIGINT - 1) & 1))
            ++*unblocked;
    }
    closedir(dir);
    return count;
}

static void test_threads_are_named_fixed_in_number_and_take_no_signals(void **state)
{
    struct data *d = data_open(false, 3, 50, 3);
    struct how how = {.io_threads = 3, .decode_threads = 5, .epochs = ENDLESS, .batch_rows = 5};
    struct penstock *stream = open_data(d, how);
    struct reading r = reading_of(d, how);
    int unblocked = 0;

    (void)state;
    assert_int_equal(reading_go_on(&r, stream, 0, 10), PENSTOCK_OK);
    assert_int_equal(count_threads("ps-io-", &unblocked), 3);
    assert_int_equal(count_threads("ps-dec-train", &unblocked), 5);
    assert_int_equal(count_threads("ps-frame-train", &unblocked), 1);
    assert_in_range(count_threads("ps-", &unblocked), 9, 10); /* the lister ends when it is done */
    assert_int_equal(unblocked, 0);
    penstock_close(&stream);
    assert_int_equal(count_threads("ps-", &unblocked), 0);
    data_close(d);
}

/* ---- pinning ---- */

struct pins {
    void *bases[SLOTS_MAX];
    size_t lens[SLOTS_MAX];
    bool unpinned[SLOTS_MAX];
    atomic_int pinned;
    int unpins;
    int refused;
    bool refuse_odd;
};

static int pin(void *cookie, void *base, size_t len_bytes)
{
    struct pins *pins = cookie;
    int n = atomic_load(&pins->pinned) + pins->refused;

    if (pins->refuse_odd && n % 2) {
        pins->refused++;
        return -1;
    }
    pins->bases[atomic_load(&pins->pinned)] = base;
    pins->lens[atomic_fetch_add(&pins->pinned, 1)] = len_bytes;
    return 0;
}

static void unpin(void *cookie, void *base, size_t len_bytes)
{
    struct pins *pins = cookie;

    for (int i = 0; i < atomic_load(&pins->pinned); i++)
        if (pins->bases[i] == base && pins->lens[i] == len_bytes && !pins->unpinned[i]) {
            pins->unpinned[i] = true;
            pins->unpins++;
            return;
        }
    pins->unpins = -1000; /* what was not pinned, or twice */
}

static void check_pins(const struct data *d, bool refuse_odd)
{
    struct pins pins = {.refuse_odd = refuse_odd};
    struct how how = {.batch_rows = 20, .epochs = 2};
    const char *path = d->scratch.path;
    struct penstock_channel_config channel = how_channel(&how, d->recordio, &path, 1);
    struct penstock_config config = how_config(&how, &channel, 1);
    struct penstock_counters counters;
    const struct penstock_batch *batch;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    config.pin = pin;
    config.unpin = unpin;
    config.pin_cookie = &pins;
    struct penstock *stream = open_config(&config);

    assert_int_equal(penstock_next(stream, 0, -1, &batch), PENSTOCK_OK);
    penstock_get_counters(stream, 0, &counters);
    assert_int_equal(pins.pinned + pins.refused, counters.slot_count);
    for (int rc = PENSTOCK_OK; rc == PENSTOCK_OK; rc = penstock_next(stream, 0, -1, &batch)) {
        bool listed = false;

        for (int i = 0; i < pins.pinned; i++)
            listed |= pins.bases[i] == batch->base && pins.lens[i] >= batch->len_bytes;
        assert_int_equal(batch->pinned, listed);
        penstock_release(stream, batch);
    }
    for (int i = 0; i < pins.pinned; i++) {
        assert_int_equal((uintptr_t)pins.bases[i] % page, 0);
        assert_int_equal(pins.lens[i] % page, 0);
    }
    assert_int_equal(pins.unpins, 0);
    penstock_close(&stream);
    assert_int_equal(pins.unpins, pins.pinned);
    assert_true(refuse_odd ? pins.refused > 0 : pins.refused == 0);
}

static void test_slots_are_pinned_once_and_unpinned_by_close(void **state)
{
    struct data *d = data_open(true, 3, 200, 30);

    (void)state;
    check_pins(d, false);
    check_pins(d, true);
    data_close(d);
}

/* ---- counters, and what a handle keeps ---- */

static void test_counters_add_up(void **state)
{
    struct data *d = data_open(false, 4, 100, 6);
    struct how how = {.batch_rows = 64, .epochs = 3, .part_bytes = 64 << 10};
    struct penstock *stream = open_data(d, how);
    struct penstock_counters c;
    uint64_t bytes = 0;
    uint64_t rows = 0;

    (void)state;
    for (uint32_t o = 0; o < d->objects; o++) {
        bytes += d->offsets[o][d->rows[o]];
        rows += d->rows[o];
    }
    assert_whole(d, stream, how);
    penstock_get_counters(stream, 0, &c);
    assert_int_equal(c.bytes_received, 3 * bytes);
    assert_int_equal(c.records, 3 * rows);
    assert_int_equal(c.batches, 3 * ((rows + 63) / 64));
    assert_int_equal(c.objects_listed, 4);
    assert_int_equal(c.objects_streamed, 12);
    assert_int_equal(c.get_requests, 12);
    assert_int_equal(c.retries + c.connections + c.list_requests, 0);
    assert_true(c.first_byte_ns > 0 && c.first_byte_ns <= c.first_batch_ns);
    assert_int_equal(c.slot_count, SLOTS_MAX);
    assert_int_equal(c.slot_bytes % SLOTS_MAX, 0);
    assert_string_equal(c.io_backend, "epoll");
    assert_string_equal(c.io_reason, "asked for");
    penstock_close(&stream);
    data_close(d);
}

static void test_callers_strings_are_copied(void **state)
{
    struct data *d = data_open(false, 2, 30, 2);
    struct how how = {.batch_rows = 7};
    char path[64];
    char type[] = "text/csv";
    char name[] = "mine";
    char backend[] = "epoll";
    const char *uris[1] = {path};
    struct penstock_channel_config channel = how_channel(&how, false, uris, 1);
    struct penstock_config config = how_config(&how, &channel, 1);

    (void)state;
    memcpy(path, d->scratch.path, sizeof path);
    channel.name = name;
    channel.content_type = type;
    config.io_backend = backend;
    struct penstock *stream = open_config(&config);

    memset(path, 'x', sizeof path - 1);
    memset(type, 'x', sizeof type - 1);
    memset(name, 'x', sizeof name - 1);
    memset(backend, 'x', sizeof backend - 1);
    uris[0] = NULL;
    memset(&channel, 0xff, sizeof channel);
    memset(&config, 0xff, sizeof config);
    assert_whole(d, stream, how);
    penstock_close(&stream);
    data_close(d);
}

static void test_codes_have_names(void **state)
{
    (void)state;
    for (int rc = -30; rc <= 10; rc++) {
        const char *name = penstock_rc_name(rc);

        assert_true(strcmp(name, "unknown") == 0 || strncmp(name, "PENSTOCK_", 9) == 0);
    }
    assert_string_equal(penstock_rc_name(PENSTOCK_E_CHANGED), "PENSTOCK_E_CHANGED");
    assert_string_equal(penstock_rc_name(-99), "unknown");
    assert_string_equal(penstock_version(), PENSTOCK_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_slots_on_loan_mean_wait),
        cmocka_unit_test(test_held_batches_stay_as_they_are),
        cmocka_unit_test(test_release_from_another_thread_ends_the_wait),
        cmocka_unit_test(test_release_twice_frees_once),
        cmocka_unit_test(test_polling_reads_the_same),
        cmocka_unit_test(test_channel_that_is_not_there),
        cmocka_unit_test(test_stop_from_another_thread),
        cmocka_unit_test(test_stop_from_a_signal_handler),
        cmocka_unit_test(test_stop_before_the_first_batch_and_after_the_last),
        cmocka_unit_test(test_close_while_everything_is_busy),
        cmocka_unit_test(test_threads_are_named_fixed_in_number_and_take_no_signals),
        cmocka_unit_test(test_slots_are_pinned_once_and_unpinned_by_close),
        cmocka_unit_test(test_counters_add_up),
        cmocka_unit_test(test_callers_strings_are_copied),
        cmocka_unit_test(test_codes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
