/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_delivery.c - what readers find in FIFOs, whatever readers do. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "formats/crc.h"
#include "formats/mix.h"
#include "pipe/delivery.h"
#include "tests/unit/stream_fixture.h"

#define FILES 40
#define WINDOW PS_FIFO_WINDOW

/* Large ones, small ones in a row, and lengths of every remainder by 4. */
static size_t size_of(unsigned file)
{
    return file % 10 == 3 ? 2 * MIB + 4099 * file : file % 10 == 7 ? 70000 + file : 1 + 317 * file;
}

static struct {
    struct scratch data;
    struct bytes plain;   /* an epoch */
    struct bytes wrapped; /* the same with a RecordIO record around each file */
} world;

static void add_wrapped(const uint8_t *data, size_t len)
{
    const uint8_t head[8] = {0x0a,
                             0x23,
                             0xd7,
                             0xce,
                             (uint8_t)len,
                             (uint8_t)(len >> 8),
                             (uint8_t)(len >> 16),
                             (uint8_t)(len >> 24)};

    bytes_add(&world.wrapped, head, sizeof head);
    bytes_add(&world.wrapped, data, len);
    bytes_add(&world.wrapped, "\0\0\0", (4 - len % 4) % 4);
}

static int make_world(void **state)
{
    uint64_t chance = 88172645463325252u;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    world.data = scratch_open();
    for (unsigned f = 0; f < FILES; f++) {
        size_t len = size_of(f);
        uint8_t *at = bytes_room(&world.plain, len);

        for (size_t i = 0; i < len; i++) {
            at[i] = (uint8_t)fmt_mix_next(&chance);
        }
        scratch_file(&world.data, data_name(f).text, at, len);
        add_wrapped(at, len);
    }
    return 0;
}

static int free_world(void **state)
{
    (void)state;
    scratch_close(&world.data);
    free(world.plain.at);
    free(world.wrapped.at);
    return 0;
}

/* ---- a delivery under test ---- */

struct site {
    struct scratch dir;
    struct penstock *stream;
    struct ps_delivery delivery;
    pthread_mutex_t lock;
    char log[8192];
};

static void note(void *cookie, int level, const char *line)
{
    struct site *site = cookie;

    (void)level;
    pthread_mutex_lock(&site->lock);
    size_t len = strlen(site->log);

    snprintf(site->log + len, sizeof site->log - len, "%s\n", line);
    pthread_mutex_unlock(&site->lock);
}

static void told(void *cookie)
{
    (void)cookie;
}

static struct site *open_site(const char *path, struct ps_delivery_config config)
{
    struct site *site = calloc(1, sizeof *site);
    struct penstock_error error;

    assert_non_null(site);
    pthread_mutex_init(&site->lock, NULL);
    site->dir = scratch_open();
    site->stream = open_path(path, false,
                             (struct how){.content_type = "application/octet-stream",
                                          .epochs = ENDLESS,
                                          .backend = "auto",
                                          .part_bytes = 256 << 10});
    config.stream = site->stream;
    config.channel = "train";
    config.dir = site->dir.path;
    config.log = note;
    config.told = told;
    config.cookie = site;
    if (ps_delivery_start(&site->delivery, &config, &error) != PENSTOCK_OK)
        fail_msg("%s", error.message);
    return site;
}

static void close_site(struct site *site)
{
    penstock_stop(site->stream);
    ps_delivery_stop(&site->delivery);
    penstock_close(&site->stream);
    scratch_close(&site->dir);
    pthread_mutex_destroy(&site->lock);
    free(site);
}

static struct scratch_name fifo_name(unsigned epoch)
{
    struct scratch_name name;

    snprintf(name.text, sizeof name.text, "train_%u", epoch);
    return name;
}

/* As readers do: the FIFO of a later epoch than the window's comes with time. */
static int open_epoch(const struct site *site, unsigned epoch)
{
    struct scratch_name path = scratch_path(&site->dir, fifo_name(epoch).text);
    int fd = -1;

    for (unsigned tries = 0; fd < 0 && tries < 10000; tries++) {
        fd = open(path.text, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(fd >= 0);
    return fd;
}

/* Reads up to `most` bytes, which must be those of an epoch from its beginning. Returns how many
 * came before the end of file. */
static size_t read_epoch(int fd, const struct bytes *expected, size_t most, size_t piece)
{
    uint8_t *into = malloc(piece);
    size_t done = 0;

    assert_non_null(into);
    while (done < most) {
        ssize_t got = read(fd, into, piece < most - done ? piece : most - done);

        assert_true(got >= 0);
        if (got == 0)
            break;
        assert_true(done + (size_t)got <= expected->len);
        if (memcmp(into, expected->at + done, (size_t)got) != 0)
            fail_msg("wrong bytes after byte %zu", done);
        done += (size_t)got;
    }
    free(into);
    return done;
}

static void check_epoch(const struct site *site, unsigned epoch, const struct bytes *expected,
                        size_t piece)
{
    int fd = open_epoch(site, epoch);

    assert_int_equal(read_epoch(fd, expected, SIZE_MAX, piece), expected->len);
    close(fd);
}

/* ---- tests ---- */

static void test_epochs_are_exact(void **state)
{
    static const size_t pieces[] = {1 << 20, 4096, 65537, 333};

    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        bool wrap = way & 1;
        struct site *site =
            open_site(world.data.path,
                      (struct ps_delivery_config){.wrap_recordio = wrap, .no_splice = way & 2});

        for (unsigned epoch = 0; epoch < 4; epoch++)
            check_epoch(site, epoch, wrap ? &world.wrapped : &world.plain, pieces[epoch]);
        close_site(site);
    }
}

/* Splices up to `most` bytes on into another pipe, which keeps the pages themselves. */
static size_t splice_on(int from, int to, size_t most)
{
    size_t done = 0;

    while (done < most) {
        ssize_t got = splice(from, NULL, to, NULL, most - done, SPLICE_F_NONBLOCK);

        if (got < 0 && errno == EAGAIN) {
            struct pollfd wait[2] = {{.fd = from, .events = POLLIN}, {.fd = to, .events = POLLOUT}};

            poll(wait, 1, 1000);
            if (poll(wait + 1, 1, 0) == 0)
                break;
            continue;
        }
        assert_true(got >= 0);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* The attack on the lifetime of pages: a reader keeps some while the stream goes round its ring. */
static void test_pages_kept_by_a_reader_keep_their_bytes(void **state)
{
    struct site *site = open_site(world.data.path, (struct ps_delivery_config){.channel_no = 0});
    struct bytes kept = {.at = NULL};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    for (unsigned epoch = 0; epoch < 8; epoch++) {
        int keep[2];
        int fd = open_epoch(site, epoch);
        size_t skipped = epoch * 1000003 % (world.plain.len / 2);

        assert_int_equal(pipe2(keep, O_CLOEXEC), 0);
        fcntl(keep[1], F_SETPIPE_SZ, 1 << 20);
        assert_int_equal(read_epoch(fd, &world.plain, skipped, 65536), skipped);
        size_t count = splice_on(fd, keep[1], 900000);

        assert_true(count > 0);
        /* The rest of this epoch and the whole next ones pass through 16 MiB of ring. */
        if (epoch % 2)
            while (splice(fd, NULL, nowhere, NULL, 1 << 20, 0) > 0)
                continue;
        close(fd);
        for (unsigned more = 0; more < 2; more++)
            check_epoch(site, ++epoch, &world.plain, 1 << 20);
        kept.len = 0;
        uint8_t *at = bytes_room(&kept, count);

        for (size_t done = 0; done < count;) {
            ssize_t got = read(keep[0], at + done, count - done);

            assert_true(got > 0);
            done += (size_t)got;
        }
        assert_memory_equal(at, world.plain.at + skipped, count);
        close(keep[0]);
        close(keep[1]);
    }
    close(nowhere);
    free(kept.at);
    close_site(site);
}

/* A process that inherited the FIFO outlives this one's use of it, reads on, and is killed. */
static void close_in_a_killed_process(int fd)
{
    pid_t child = fork();
    char into[4096];

    if (child == 0)
        for (;;)
            if (read(fd, into, sizeof into) < 0)
                _exit(1);
    assert_true(child > 0);
    close(fd);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Closes at any offset, opens and closes at once, skips epochs: what is read is always an epoch
 * from its beginning. */
static void fuzz_readers(const char *data, struct ps_delivery_config config,
                         const struct bytes *expected, unsigned rounds, uint32_t chance)
{
    struct site *site = open_site(data, config);
    unsigned epoch = 0;

    for (unsigned round = 0; round < rounds; round++) {
        chance = chance * 1664525u + 1013904223u;
        unsigned kind = (chance >> 24) % 8;
        size_t piece = (size_t)1 << (6 + (chance >> 16) % 15);
        size_t most = kind == 0   ? 0
                      : kind == 1 ? SIZE_MAX
                      : kind == 2 ? (chance >> 8) % expected->len
                                  : (chance >> 8) % 100000;
        int fd = open_epoch(site, epoch);
        size_t got = read_epoch(fd, expected, most, piece);

        assert_int_equal(got, most < expected->len ? most : expected->len);
        if (chance % 97 == 0) /* a reader that dawdles */
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (chance % 89 == 0)
            close_in_a_killed_process(fd);
        else
            close(fd);
        epoch += 1 + (kind == 3 ? (chance >> 12) % (2 * WINDOW) % WINDOW : 0);
    }
    close_site(site);
}

/* A small epoch, so that rounds take little: hundreds fit in the ring, and in the pipe itself. */
static void test_many_readers_that_do_anything(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const unsigned rounds = 1000;
#else
    const unsigned rounds = 10000;
#endif
    struct scratch data = scratch_open();
    struct bytes some = {.at = world.plain.at, .len = 150000};

    (void)state;
    scratch_file(&data, "a", some.at, 3);
    scratch_file(&data, "b", some.at + 3, 99997);
    scratch_file(&data, "c", some.at + 100000, 50000);
    fuzz_readers(data.path, (struct ps_delivery_config){.channel_no = 0}, &some, rounds, 4);
    scratch_close(&data);
}

/* More objects than are held at once, and fewer bytes than are held back. */
static void test_many_tiny_objects(void **state)
{
    struct scratch data = scratch_open();
    struct bytes all = {.at = world.plain.at, .len = 700};

    (void)state;
    for (unsigned f = 0; f < 700; f++)
        scratch_file(&data, data_name(f).text, all.at + f, 1);
    struct site *site = open_site(data.path, (struct ps_delivery_config){.channel_no = 0});

    for (unsigned epoch = 0; epoch < 3; epoch++)
        check_epoch(site, epoch, &all, 100);
    close_site(site);
    scratch_close(&data);
}

static void test_readers_that_do_anything(void **state)
{
    (void)state;
    fuzz_readers(world.data.path, (struct ps_delivery_config){.wrap_recordio = false}, &world.plain,
                 150, 1);
    fuzz_readers(world.data.path, (struct ps_delivery_config){.wrap_recordio = true},
                 &world.wrapped, 150, 2);
    fuzz_readers(world.data.path,
                 (struct ps_delivery_config){.no_splice = true, .write_status = true}, &world.plain,
                 100, 3);
}

static void read_text(const struct site *site, const char *name, char *out, size_t size)
{
    struct scratch_name path = scratch_path(&site->dir, name);
    FILE *file = NULL;

    for (unsigned tries = 0; !file && tries < 5000; tries++) {
        file = fopen(path.text, "re");
        if (!file)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void test_status_tells_what_was_delivered(void **state)
{
    struct site *site = open_site(
        world.data.path, (struct ps_delivery_config){.wrap_recordio = true, .write_status = true});
    uint64_t crc = fmt_crc_plainly(FMT_CRC32C, 0, world.wrapped.at, world.wrapped.len);
    char expected[256];
    char text[256];

    (void)state;
    check_epoch(site, 0, &world.wrapped, 65536);
    close(open_epoch(site, 1));
    check_epoch(site, 2, &world.wrapped, 65536);
    for (unsigned epoch = 0; epoch <= 2; epoch += 2) {
        snprintf(expected, sizeof expected,
                 "{\"epoch\": %u, \"objects\": %u, \"bytes\": %zu, \"records\": %u, \"crc32c\": "
                 "\"%08x\", \"complete\": true}\n",
                 epoch, FILES, world.wrapped.len, FILES, (unsigned)crc);
        read_text(site, epoch ? "train_2.status" : "train_0.status", text, sizeof text);
        assert_string_equal(text, expected);
    }
    read_text(site, "train_1.status", text, sizeof text);
    assert_non_null(strstr(text, "\"complete\": false}"));
    close_site(site);
}

static void test_records_are_counted_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        struct ps_record_count count = {.records = 0};

        for (size_t at = 0; at < world.wrapped.len; at += piece)
            ps_record_count_add(&count, world.wrapped.at + at,
                                piece < world.wrapped.len - at ? piece : world.wrapped.len - at);
        assert_int_equal(count.records, FILES);
    }
}

/* The source breaks within an epoch: what came before is delivered, and then no end of file. */
static void test_no_end_of_file_after_an_error(void **state)
{
    struct scratch data = scratch_open();
    struct bytes first = {.at = world.plain.at, .len = 20 * MIB};
    char text[256];

    (void)state;
    /* The second file shrinks once the ring, of 16 MiB, has filled up with the first. */
    uint8_t *large = calloc(1, first.len);

    assert_non_null(large);
    memcpy(large, world.plain.at, world.plain.len < first.len ? world.plain.len : first.len);
    first.at = large;
    scratch_file(&data, "a", large, first.len);
    scratch_file(&data, "b", large, MIB);
    struct site *site = open_site(data.path, (struct ps_delivery_config){.write_status = true});
    int fd = open_epoch(site, 0);

    assert_int_equal(read_epoch(fd, &first, MIB, 65536), MIB);
    scratch_file(&data, "b", large, 1000);
    first = (struct bytes){.at = large + MIB, .len = first.len - MIB};
    assert_int_equal(read_epoch(fd, &first, first.len - 64, 65536), first.len - 64);
    while (atomic_load(&site->delivery.state) != PS_DELIVERY_FAILED)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(site->delivery.error.rc, PENSTOCK_E_CHANGED);
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    /* Up to the reserve, which a failed stream does not give out. */
    assert_int_equal(poll(&wait, 1, 100), 0);
    assert_int_equal(wait.revents, 0);
    read_text(site, "train_0.status", text, sizeof text);
    assert_non_null(strstr(text, "\"complete\": false}"));
    close(fd);
    close_site(site);
    scratch_close(&data);
    free(large);
}

static pid_t fork_idle(void)
{
    pid_t child = fork();

    if (child == 0) {
        pause();
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

static void test_a_second_reader_is_reported(void **state)
{
    struct site *site = open_site(world.data.path, (struct ps_delivery_config){.channel_no = 0});
    int fd = open_epoch(site, 0);
    pid_t others[2] = {fork_idle(), fork_idle()};
    char expected[64];
    bool said = false;

    (void)state;
    snprintf(expected, sizeof expected, "processes %d, %d have the FIFO of epoch 0 open",
             (int)others[0], (int)others[1]);
    /* The delivery looks when it moves on. */
    for (size_t at = 0; at + 1000 < world.plain.len && !said; at += 1000) {
        assert_int_equal(
            read_epoch(fd, &(struct bytes){.at = world.plain.at + at, .len = 1000}, 1000, 1000),
            1000);
        if (at % 100000 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
        pthread_mutex_lock(&site->lock);
        said = strstr(site->log, expected) != NULL;
        pthread_mutex_unlock(&site->lock);
    }
    assert_true(said);
    for (unsigned o = 0; o < 2; o++) {
        kill(others[o], SIGKILL);
        waitpid(others[o], NULL, 0);
    }
    close(fd);
    close_site(site);
}

/* Waits until the log holds the text so many times. */
static void wait_for_log(struct site *site, const char *text, unsigned times)
{
    for (unsigned tries = 0; tries < 3000; tries++) {
        unsigned found = 0;

        pthread_mutex_lock(&site->lock);
        for (const char *at = site->log; (at = strstr(at, text)) != NULL; at++)
            found++;
        pthread_mutex_unlock(&site->lock);
        if (found >= times)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("not said %u times: %s; but: %s", times, text, site->log);
}

static void test_who_waits_for_whom_is_said(void **state)
{
    struct site *site = open_site(world.data.path, (struct ps_delivery_config){.stall_s = 1});

    (void)state;
    wait_for_log(site, "channel train: nobody has opened ", 1);
    int fd = open_epoch(site, 0);

    assert_int_equal(read_epoch(fd, &world.plain, 1000, 1000), 1000);
    wait_for_log(site,
                 "channel train: the stream waits for its reader: a reader out of sight has "
                 "not read from epoch 0 for ",
                 2);
    close(fd);
    close_site(site);
}

static void test_draining_finishes_the_epoch_being_read(void **state)
{
    struct site *site = open_site(world.data.path, (struct ps_delivery_config){.channel_no = 0});
    int fd = open_epoch(site, 0);

    (void)state;
    assert_int_equal(read_epoch(fd, &world.plain, 5000, 5000), 5000);
    ps_delivery_drain(&site->delivery);
    struct bytes rest = {.at = world.plain.at + 5000, .len = world.plain.len - 5000};

    assert_int_equal(read_epoch(fd, &rest, SIZE_MAX, 65536), rest.len);
    close(fd);
    for (unsigned tries = 0;
         atomic_load(&site->delivery.state) != PS_DELIVERY_DRAINED && tries < 5000; tries++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&site->delivery.state), PS_DELIVERY_DRAINED);
    close_site(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs_are_exact),
        cmocka_unit_test(test_pages_kept_by_a_reader_keep_their_bytes),
        cmocka_unit_test(test_many_tiny_objects),
        cmocka_unit_test(test_readers_that_do_anything),
        cmocka_unit_test(test_many_readers_that_do_anything),
        cmocka_unit_test(test_status_tells_what_was_delivered),
        cmocka_unit_test(test_records_are_counted_in_any_pieces),
        cmocka_unit_test(test_no_end_of_file_after_an_error),
        cmocka_unit_test(test_a_second_reader_is_reported),
        cmocka_unit_test(test_who_waits_for_whom_is_said),
        cmocka_unit_test(test_draining_finishes_the_epoch_being_read),
    };

    return cmocka_run_group_tests(tests, make_world, free_world);
}
