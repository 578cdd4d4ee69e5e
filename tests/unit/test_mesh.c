/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_mesh.c - how ranks find each other: late, early, missing, twice, of other runs,
 * with strangers at the door; and the control of calls that another engine makes.
 */
#include "tests/unit/mesh_fixture.h"

#include <poll.h>

#include "trainer/clock.h"
#include "trainer/mesh_frame.h"

/* One rank that opens a mesh in a thread of its own. */
struct opening {
    struct tr_mesh_options options;
    pthread_t thread;
    struct tr_mesh *mesh;
    int rc;
    struct tr_error error;
};

static void *open_mesh(void *cookie)
{
    struct opening *o = cookie;
    o->rc = tr_mesh_open(&o->options, &o->mesh, &o->error);
    return NULL;
}

static void start(struct opening *o)
{
    assert_int_equal(pthread_create(&o->thread, NULL, open_mesh, o), 0);
}

static void wait_opened(struct opening *o)
{
    assert_int_equal(pthread_join(o->thread, NULL), 0);
    if (o->rc < 0)
        fail_msg("rank %u: %s", o->options.rank, o->error.text);
}

static void wait_refused(struct opening *o, const char *part)
{
    assert_int_equal(pthread_join(o->thread, NULL), 0);
    assert_int_equal(o->rc, -1);
    assert_null(o->mesh);
    if (!strstr(o->error.text, part))
        fail_msg("'%s' is not in: %s", part, o->error.text);
}

static void *free_mesh(void *cookie)
{
    tr_mesh_free(cookie);
    return NULL;
}

/* At the same time: each waits a moment for the others. */
static void free_all(struct opening *ranks, uint32_t count)
{
    for (uint32_t r = 0; r < count; r++)
        assert_int_equal(pthread_create(&ranks[r].thread, NULL, free_mesh, &ranks[r].mesh), 0);
    for (uint32_t r = 0; r < count; r++)
        assert_int_equal(pthread_join(ranks[r].thread, NULL), 0);
}

/* All say and hear once, so that the mesh is known to work, and part. */
static void use_and_free(struct opening *ranks, uint32_t count)
{
    struct tr_error error;
    for (uint32_t r = 0; r < count; r++)
        assert_int_equal(tr_mesh_say(ranks[r].mesh, 1U << r, r, &error), 0);
    for (uint32_t r = 0; r < count; r++) {
        struct tr_heard heard;
        assert_int_equal(tr_mesh_hear(ranks[r].mesh, &heard, &error), 0);
        assert_int_equal(heard.any, (1U << count) - 1);
        assert_int_equal(heard.first, 1);
        assert_int_equal(heard.rows, count * (count - 1) / 2);
    }
    free_all(ranks, count);
}

static int dial(const struct mesh_place *place)
{
    struct tr_address at;
    assert_int_equal(tr_address_local("127.0.0.1", &at, NULL), 0);
    tr_address_set_port(&at, place->port);
    int fd = tr_address_connect(&at, NULL, tr_now_s() + 10.0);
    assert_true(fd >= 0);
    return fd;
}

static size_t hello_bytes(const struct tr_hello *hello, uint8_t *bytes)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    struct tr_frame frame = {.type = TR_FRAME_HELLO, .payload = payload};
    frame.len_bytes = (uint16_t)tr_hello_write(hello, payload);
    return tr_frame_write(bytes, &frame);
}

static struct tr_hello hello_of(uint32_t rank, uint32_t count)
{
    return (struct tr_hello){.version = TR_MESH_VERSION,
                             .purpose = TR_PURPOSE_JOIN,
                             .rank = rank,
                             .count = count,
                             .port = 9,
                             .job = "a test",
                             .host = "a-stranger"};
}

static int say_hello(const struct mesh_place *place, const struct tr_hello *hello)
{
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    size_t len_bytes = hello_bytes(hello, bytes);
    int fd = dial(place);
    assert_int_equal(send(fd, bytes, len_bytes, MSG_NOSIGNAL), len_bytes);
    return fd;
}

/* Text of the refusal that comes, in the end, before the end. */
static void assert_refused(int fd, const char *part)
{
    uint8_t bytes[4 * TR_FRAME_BYTES_MAX];
    size_t len_bytes = 0;
    struct tr_frame frame;
    char text[TR_FRAME_PAYLOAD_BYTES_MAX + 1];
    for (;;) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        assert_true(poll(&polled, 1, 60000) == 1);
        ssize_t got = recv(fd, bytes + len_bytes, sizeof bytes - len_bytes, 0);
        if (got <= 0)
            break;
        len_bytes += (size_t)got;
    }
    assert_true(tr_frame_read(bytes, len_bytes, &frame) > 0);
    assert_int_equal(frame.type, TR_FRAME_REFUSAL);
    tr_frame_text(&frame, text, sizeof text);
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
    close(fd);
}

static void assert_ended(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    char byte;
    assert_true(poll(&polled, 1, 60000) == 1);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

/* --- coming --------------------------------------------------------------------------------------
 */

static void rank_0_may_be_the_last_to_start(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening ranks[3] = {{.rc = 0}};
    (void)state;
    close(place.fd);
    for (uint32_t r = 3; r-- > 0;) {
        ranks[r].options = mesh_options(&place, r, 3);
        ranks[r].options.listen_fd = 0;
        ranks[r].options.host = "localhost";
        if (r == 0)
            usleep(300000);
        start(&ranks[r]);
    }
    for (uint32_t r = 0; r < 3; r++)
        wait_opened(&ranks[r]);
    use_and_free(ranks, 3);
}

static void ranks_use_the_network_they_are_told(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening ranks[3] = {{.rc = 0}};
    (void)state;
    for (uint32_t r = 0; r < 3; r++) {
        ranks[r].options = mesh_options(&place, r, 3);
        ranks[r].options.local = r == 1 ? "lo" : r == 2 ? "127.0.0.3" : NULL;
        ranks[r].options.control_only = true;
        start(&ranks[r]);
    }
    for (uint32_t r = 0; r < 3; r++)
        wait_opened(&ranks[r]);
    assert_non_null(strstr(tr_mesh_name(ranks[0].mesh, 2), ", 127.0.0.3)"));
    assert_non_null(strstr(tr_mesh_name(ranks[1].mesh, 2), ", 127.0.0.3)"));
    assert_non_null(strstr(tr_mesh_name(ranks[2].mesh, 1), ", 127.0.0.1)"));
    use_and_free(ranks, 3);
}

/* Of rank 0's addresses one is enough: at the first nobody listens, the second is no address. */
static void any_address_of_several_will_do(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening ranks[2] = {{.rc = 0}};
    (void)state;
    for (uint32_t r = 0; r < 2; r++) {
        ranks[r].options = mesh_options(&place, r, 2);
        ranks[r].options.host = r == 0 ? "127.0.0.1" : "127.0.0.3,300.0.0.1,127.0.0.1";
        start(&ranks[r]);
    }
    for (uint32_t r = 0; r < 2; r++)
        wait_opened(&ranks[r]);
    use_and_free(ranks, 2);
}

static void options_are_checked(void **state)
{
    static const struct {
        struct tr_mesh_options options;
        const char *says;
    } cases[] = {
        {{.count = 1, .host = "a", .port = 1, .job = ""}, "1 ranks: there can be 2 to 256"},
        {{.count = 257, .host = "a", .port = 1, .job = ""}, "257 ranks"},
        {{.rank = 3, .count = 3, .host = "a", .port = 1, .job = ""}, "rank 3 of 3: ranks count"},
        {{.rank = 1, .count = 3, .port = 1, .job = ""}, "at which host and port rank 0 is"},
        {{.rank = 1, .count = 3, .host = "a", .job = ""}, "at which host and port rank 0 is"},
        {{.rank = 1, .count = 3, .host = "a", .port = 1}, "no name"},
        {{.rank = 1, .count = 3, .host = "a", .port = 1, .job = "", .local = "no-net"},
         "'no-net' is no address, and no network interface"},
        {{.rank = 1,
          .count = 3,
          .host = "no-such-host.invalid",
          .port = 1,
          .job = "",
          .join_deadline_s = 0.1},
         "rank 1 of 3 has not found rank 0 at no-such-host.invalid:1 within 0.1 s: its address "
         "is not known: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_mesh *mesh;
        struct tr_error error = {""};
        assert_int_equal(tr_mesh_open(&cases[i].options, &mesh, &error), -1);
        assert_null(mesh);
        if (!strstr(error.text, cases[i].says))
            fail_msg("'%s' is not in: %s", cases[i].says, error.text);
    }
}

/* --- not coming ----------------------------------------------------------------------------------
 */

static void missing_ranks_are_named(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening ranks[4] = {{.rc = 0}};
    char says[128];
    (void)state;
    for (uint32_t r = 0; r < 4; r++) {
        if (r == 2)
            continue;
        ranks[r].options = mesh_options(&place, r, 6);
        if (r == 0)
            ranks[r].options.join_deadline_s = 2.0;
        start(&ranks[r]);
    }
    snprintf(says, sizeof says, "ranks 2, 4 and 5 of 6 have not come to 127.0.0.1:%u within 2 s",
             (unsigned)place.port);
    wait_refused(&ranks[0], says);
    assert_ptr_equal(strstr(ranks[0].error.text, "ranks"), ranks[0].error.text);
    wait_refused(&ranks[1], says);
    wait_refused(&ranks[3], says);
    assert_non_null(strstr(ranks[3].error.text, "rank 0 of 6 (127.0.0.1) failed: "));
}

static void a_rank_that_went_again_is_missing(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening rank = {.options = mesh_options(&place, 0, 3)};
    struct tr_hello hello = hello_of(1, 3);
    (void)state;
    rank.options.join_deadline_s = 1.0;
    start(&rank);
    struct pollfd polled = {.fd = say_hello(&place, &hello), .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 60000), 1); /* it is in */
    close(polled.fd);
    wait_refused(&rank, "refused: rank 1 of 3 (a-stranger, 127.0.0.1) came, and has gone again");
    assert_ptr_equal(strstr(rank.error.text, "ranks 1 and 2 of 3 have not come"), rank.error.text);
}

static void rank_0_that_is_not_there_is_named(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening rank = {.options = mesh_options(&place, 1, 2)};
    char says[128];
    (void)state;
    close(place.fd);
    rank.options.join_deadline_s = 0.3;
    start(&rank);
    snprintf(says, sizeof says, "rank 1 of 2 has not found rank 0 at 127.0.0.1:%u within 0.3 s: %s",
             (unsigned)place.port, "Connection refused");
    wait_refused(&rank, says);

    place = mesh_place_new(); /* connections are taken, and nothing is said */
    rank.options = mesh_options(&place, 1, 2);
    rank.options.join_deadline_s = 0.3;
    start(&rank);
    wait_refused(&rank, "it does not answer");
    close(place.fd);
}

/* --- strangers -----------------------------------------------------------------------------------
 */

static void strangers_do_no_harm(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    struct mesh_place place = mesh_place_new();
    struct opening ranks[3] = {{.options = mesh_options(&place, 0, 3)}};
    struct tr_hello hello = hello_of(1, 3);
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    uint64_t seed = 1;
    (void)state;
    start(&ranks[0]);
    int http = dial(&place);
    assert_true(send(http, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
    assert_ended(http);
    for (int i = 0; i < 20; i++) {
        for (size_t b = 0; b < 64; b++)
            bytes[b] = (uint8_t)fixture_random(&seed);
        int noise = dial(&place);
        assert_int_equal(send(noise, bytes, 64, MSG_NOSIGNAL), 64);
        assert_ended(noise);
    }
    size_t len_bytes = hello_bytes(&hello, bytes);
    int half = dial(&place);
    assert_int_equal(send(half, bytes, len_bytes / 2, MSG_NOSIGNAL), len_bytes / 2);
    int silent = dial(&place);
    bytes[TR_FRAME_HEADER_BYTES] ^= 1; /* another magic */
    int other = dial(&place);
    assert_int_equal(send(other, bytes, len_bytes, MSG_NOSIGNAL), len_bytes);
    assert_ended(other);

    hello.purpose = TR_PURPOSE_DATA; /* before there is a table */
    assert_refused(say_hello(&place, &hello), "it is of another run");
    hello = hello_of(1, 3);
    snprintf(hello.job, sizeof hello.job, "another test");
    assert_refused(say_hello(&place, &hello), "it is of another run");
    assert_refused(say_hello(&place, &(struct tr_hello){.version = 77}), "speaks version 77");
    hello = hello_of(1, 4);
    assert_refused(say_hello(&place, &hello), "a run of 4 ranks, and this one is of 3");
    hello = hello_of(0, 3);
    assert_refused(say_hello(&place, &hello), "rank 0 is here");
    hello = hello_of(3, 3);
    assert_refused(say_hello(&place, &hello), "there are 3 in all");

    hello = hello_of(1, 3); /* of the run, but it goes again */
    close(say_hello(&place, &hello));
    for (uint32_t r = 1; r < 3; r++) {
        ranks[r].options = mesh_options(&place, r, 3);
        start(&ranks[r]);
    }
    for (uint32_t r = 0; r < 3; r++)
        wait_opened(&ranks[r]);
    close(half);
    close(silent);
    use_and_free(ranks, 3);
}

static void the_same_rank_twice_is_refused(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening ranks[3] = {{.options = mesh_options(&place, 0, 3)}};
    struct opening second = {.options = mesh_options(&place, 1, 3)};
    struct opening other_count = {.options = mesh_options(&place, 2, 4)};
    struct opening other_job = {.options = mesh_options(&place, 2, 3)};
    (void)state;
    start(&ranks[0]);
    ranks[1].options = mesh_options(&place, 1, 3);
    struct tr_hello hello = hello_of(1, 3);
    int first = say_hello(&place, &hello);
    struct pollfd polled = {.fd = first, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 60000), 1); /* it is in */
    start(&second);
    wait_refused(&second, "refuses rank 1 of 3: there is rank 1 of 3 (a-stranger, 127.0.0.1) "
                          "already: is a rank started twice?");
    start(&other_count);
    wait_refused(&other_count, "it is of a run of 4 ranks, and this one is of 3");
    other_job.options.job = "an older run";
    other_job.options.join_deadline_s = 0.3;
    start(&other_job);
    wait_refused(&other_job, "within 0.3 s: it was refused: it is of another run");
    close(first);
    ranks[2].options = mesh_options(&place, 2, 3);
    start(&ranks[1]);
    start(&ranks[2]);
    for (uint32_t r = 0; r < 3; r++)
        wait_opened(&ranks[r]);
    use_and_free(ranks, 3);
}

/* Rank 1 of two, of which the test says what it likes: its connection, after the table. */
static int join_by_hand(const struct mesh_place *place, uint64_t *token)
{
    struct tr_hello hello = hello_of(1, 2);
    uint8_t bytes[4 * TR_FRAME_BYTES_MAX];
    size_t len_bytes = 0;
    int places = 0;
    int fd = say_hello(place, &hello);
    while (places < 2) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        struct tr_frame frame;
        ssize_t whole;
        assert_int_equal(poll(&polled, 1, 60000), 1);
        ssize_t got = recv(fd, bytes + len_bytes, sizeof bytes - len_bytes, 0);
        assert_true(got > 0);
        len_bytes += (size_t)got;
        while ((whole = tr_frame_read(bytes, len_bytes, &frame)) > 0) {
            struct tr_place read;
            if (frame.type == TR_FRAME_TABLE) {
                assert_int_equal(tr_place_read(&frame, &read), 0);
                *token = read.token;
                places++;
            }
            len_bytes -= (size_t)whole;
            memmove(bytes, bytes + whole, len_bytes);
        }
    }
    return fd;
}

static void connections_for_data_need_what_the_table_says(void **state)
{
    struct mesh_place place = mesh_place_new();
    struct opening rank = {.options = mesh_options(&place, 0, 2)};
    struct tr_hello hello = hello_of(1, 2);
    (void)state;
    start(&rank);
    int fd = join_by_hand(&place, &hello.token);
    assert_refused(say_hello(&place, &hello),
                   "there is rank 1 of 2 (a-stranger, 127.0.0.1) already");
    hello.purpose = TR_PURPOSE_DATA;
    hello.token ^= 1;
    assert_refused(say_hello(&place, &hello), "it is of another run");
    hello.token ^= 1;
    int data = say_hello(&place, &hello);
    wait_opened(&rank);
    close(data);
    close(fd);
    tr_mesh_free(&rank.mesh);
}

static void a_rank_that_babbles_is_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t len_bytes;
        const char *says;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", 16, "has sent what is no frame"},
        {"PSTK\x06\0\xff\xff\0\0\0\0\0\0\0\0", 16, "has sent what is no frame"},
        {"PSTK\x02\0\0\0\0\0\0\0\0\0\0\0", 16, "has sent a frame that has no place here"},
        {"PSTK\x04\0\0\0\1\0\0\0\0\0\0\0", 16, "says something of step 1 while"},
        {"PSTK\x04\0\x08\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24,
         "says something of step 2 while this rank (0) has heard of 0"},
        {"PSTK\x05\0\1\0\0\0\0\0\0\0\0\0\0", 17, "has sent what is no frame"},
        {"PSTK\x07\0\3\0\0\0\0\0\0\0\0\0why", 19, "failed: why"},
        {"PSTK\x06\0\0\0", 8, "has gone, in step 0"}, /* half a frame, and the end */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mesh_place place = mesh_place_new();
        struct opening rank = {.options = mesh_options(&place, 0, 2)};
        struct tr_error error = {""};
        rank.options.control_only = true;
        start(&rank);
        uint64_t token;
        int fd = join_by_hand(&place, &token);
        wait_opened(&rank);
        assert_int_equal(send(fd, cases[i].bytes, cases[i].len_bytes, MSG_NOSIGNAL),
                         cases[i].len_bytes);
        shutdown(fd, SHUT_WR);
        double until_s = tr_now_s() + 60.0;
        while (tr_mesh_beat(rank.mesh, &error) == 0 && tr_now_s() < until_s)
            usleep(1000);
        if (!strstr(error.text, "rank 1 of 2 (a-stranger, 127.0.0.1) ") ||
            !strstr(error.text, cases[i].says))
            fail_msg("'%s' is not in: %s", cases[i].says, error.text);
        close(fd);
        tr_mesh_free(&rank.mesh);
    }
}

/* --- calls of another engine ---------------------------------------------------------------------
 */

static void open_all(struct opening *ranks, uint32_t count, double deadline_s)
{
    struct mesh_place place = mesh_place_new();
    for (uint32_t r = 0; r < count; r++) {
        ranks[r] = (struct opening){.options = mesh_options(&place, r, count)};
        ranks[r].options.control_only = true;
        ranks[r].options.deadline_s = deadline_s;
        start(&ranks[r]);
    }
    for (uint32_t r = 0; r < count; r++)
        wait_opened(&ranks[r]);
}

static int poll_until_error(struct tr_mesh *mesh, struct tr_error *error)
{
    double until_s = tr_now_s() + 60.0;
    while (tr_now_s() < until_s) {
        if (tr_mesh_poll(mesh, 10, error) < 0)
            return -1;
    }
    return 0;
}

static void a_rank_that_does_not_come_to_a_call_is_named(void **state)
{
    struct opening ranks[3];
    struct tr_error error = {""};
    (void)state;
    open_all(ranks, 3, 0.5);
    for (uint32_t r = 0; r < 3; r++) {
        assert_int_equal(tr_mesh_enter(ranks[r].mesh, TR_CALL_BROADCAST, 0, 80, &error), 0);
        assert_int_equal(tr_mesh_poll(ranks[r].mesh, 0, &error), 0);
        tr_mesh_exit(ranks[r].mesh);
    }
    for (uint32_t r = 0; r < 2; r++)
        assert_int_equal(tr_mesh_enter(ranks[r].mesh, TR_CALL_SUM, 0, 4000, &error), 0);
    assert_int_equal(poll_until_error(ranks[0].mesh, &error), -1);
    if (!strstr(error.text, "rank 2 of 3 (") || !strstr(error.text, "not come to call 2"))
        fail_msg("%s", error.text);
    assert_int_equal(tr_mesh_beat(ranks[0].mesh, &error), -1);
    assert_non_null(strstr(error.text, "not come to call 2"));
    free_all(ranks, 3);
}

static void ranks_in_different_calls_are_told(void **state)
{
    struct opening ranks[2];
    struct tr_error error = {""};
    (void)state;
    open_all(ranks, 2, 60.0);
    assert_int_equal(tr_mesh_enter(ranks[0].mesh, TR_CALL_SUM, TR_NUMBER_FLOAT, 4000, &error), 0);
    assert_int_equal(tr_mesh_enter(ranks[1].mesh, TR_CALL_BROADCAST, 0, 80, &error), 0);
    assert_int_equal(poll_until_error(ranks[0].mesh, &error), -1);
    assert_non_null(strstr(error.text, "has come to call 1 with a broadcast of 80 bytes, this rank "
                                       "(0) with a sum of 1000 floats"));
    free_all(ranks, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rank_0_may_be_the_last_to_start),
        cmocka_unit_test(ranks_use_the_network_they_are_told),
        cmocka_unit_test(any_address_of_several_will_do),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(missing_ranks_are_named),
        cmocka_unit_test(a_rank_that_went_again_is_missing),
        cmocka_unit_test(rank_0_that_is_not_there_is_named),
        cmocka_unit_test(strangers_do_no_harm),
        cmocka_unit_test(the_same_rank_twice_is_refused),
        cmocka_unit_test(connections_for_data_need_what_the_table_says),
        cmocka_unit_test(a_rank_that_babbles_is_named),
        cmocka_unit_test(a_rank_that_does_not_come_to_a_call_is_named),
        cmocka_unit_test(ranks_in_different_calls_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
