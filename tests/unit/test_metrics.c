/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_metrics.c - pipe/metrics.c and pipe/metrics_port.c: what is told, as a file and
 * at a port, and clients that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipe/metrics.h"
#include "tests/unit/scratch.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Everything that is answered to a request. */
static void ask(unsigned port, const char *request, char *answer, size_t size)
{
    int fd = connect_to(port);
    size_t have = 0;
    ssize_t got;

    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((got = recv(fd, answer + have, size - 1 - have, 0)) > 0)
        have += (size_t)got;
    answer[have] = '\0';
    close(fd);
}

static struct penstock *open_files(const char *dir)
{
    struct penstock_config config;
    struct penstock_channel_config channel;
    struct penstock_error error;
    struct penstock *stream = NULL;

    penstock_config_init(&config);
    penstock_channel_config_init(&channel);
    channel.uris = &dir;
    channel.uri_count = 1;
    channel.content_type = "application/octet-stream";
    channel.epochs = 1;
    config.channels = &channel;
    config.channel_count = 1;
    config.memory_limit_bytes = 16 << 20;
    assert_int_equal(penstock_open(&config, &stream, &error), PENSTOCK_OK);
    return stream;
}

static void read_all(struct penstock *stream)
{
    const struct penstock_span *span;
    int rc;

    while ((rc = penstock_next_span(stream, 0, -1, &span)) != PENSTOCK_END) {
        assert_true(rc >= 0);
        if (rc == PENSTOCK_OK)
            penstock_release_span(stream, span);
    }
}

static void test_a_port_tells_counters_and_figures(void **state)
{
    struct scratch scratch = scratch_open();
    const char *name = "a \"b\"\\\nc";
    struct ps_metrics *metrics;
    struct penstock_error error;
    char answer[16384];

    (void)state;
    scratch_file(&scratch, "one", "12345", 5);
    assert_int_equal(ps_metrics_open(":0", &metrics, &error), PENSTOCK_OK);
    unsigned port = ps_metrics_port(metrics);

    ask(port, "GET /metrics HTTP/1.1\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answer, "Content-Length: 0\r\n"));
    struct penstock *stream = open_files(scratch.path);

    ps_metrics_watch(metrics, stream, &name, 1);
    ps_metrics_set(metrics, "train_loss", "Mean loss", 0.5);
    ps_metrics_set(metrics, "train_loss", "Mean loss", 0.25);
    read_all(stream);
    ps_metrics_watch(metrics, NULL, NULL, 0);
    penstock_close(&stream);
    /* What it counted stays when it is closed. */
    ask(port, "GET / HTTP/1.0\r\nHost: x\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "# TYPE penstock_bytes_received_total counter\n"));
    assert_non_null(
        strstr(answer, "penstock_bytes_received_total{channel=\"a \\\"b\\\"\\\\\\nc\"} 5\n"));
    assert_non_null(strstr(answer, "# TYPE penstock_train_loss gauge\npenstock_train_loss 0.25\n"));
    ps_metrics_close(metrics);
    scratch_close(&scratch);
}

static void test_bad_clients_are_refused_and_hold_nobody_up_for_long(void **state)
{
    struct ps_metrics *metrics;
    struct penstock_error error;
    char answer[16384];
    char *large = malloc(20001);

    (void)state;
    assert_non_null(large);
    memset(large, 'x', 20000);
    large[20000] = '\0';
    assert_int_equal(ps_metrics_open("127.0.0.1:0", &metrics, &error), PENSTOCK_OK);
    unsigned port = ps_metrics_port(metrics);
    int silent = connect_to(port);

    ask(port, "POST /metrics HTTP/1.1\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 405 "));
    ask(port, "GET /etc/passwd HTTP/1.1\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 404 "));
    close(silent);
    int gone = connect_to(port);

    assert_int_equal(send(gone, large, 20000, MSG_NOSIGNAL), 20000);
    close(gone);
    ask(port, "GET /metrics HTTP/1.1\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    ps_metrics_close(metrics);
    free(large);
}

static void test_a_file_is_there_at_once_and_replaced(void **state)
{
    struct ps_metrics *metrics;
    struct penstock_error error;
    struct scratch scratch = scratch_open();
    struct scratch_name file = scratch_path(&scratch, "metrics.prom");
    const char *path = file.text;
    char text[4096] = "";

    (void)state;
    assert_int_equal(ps_metrics_open(path, &metrics, &error), PENSTOCK_OK);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(ps_metrics_port(metrics), 0);
    ps_metrics_set(metrics, "train_rows_total", "Rows", 7);
    ps_metrics_close(metrics);
    FILE *in = fopen(path, "re");

    assert_non_null(in);
    assert_true(fread(text, 1, sizeof text - 1, in) > 0);
    fclose(in);
    assert_string_equal(text, "# HELP penstock_train_rows_total Rows\n"
                              "# TYPE penstock_train_rows_total counter\n"
                              "penstock_train_rows_total 7\n");
    scratch_close(&scratch);
}

static void test_bad_places(void **state)
{
    static const char *const bad[] = {"nowhere:80", "1.2.3.4.5:80", ":99999", "256.0.0.1:1",
                                      "/no/such/directory/file"};
    struct ps_metrics *metrics;
    struct penstock_error error;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(ps_metrics_open(bad[i], &metrics, &error), PENSTOCK_OK);
        assert_null(metrics);
        assert_true(error.message[0] != '\0');
    }
    assert_int_equal(ps_metrics_open("127.0.0.1:0", &metrics, &error), PENSTOCK_OK);
    char taken[32];
    struct ps_metrics *second;

    snprintf(taken, sizeof taken, ":%u", ps_metrics_port(metrics));
    assert_int_equal(ps_metrics_open(taken, &second, &error), PENSTOCK_E_SYSTEM);
    ps_metrics_close(metrics);
    ps_metrics_close(NULL);
    ps_metrics_watch(NULL, NULL, NULL, 0);
    ps_metrics_set(NULL, "a", "b", 1);
    assert_true(ps_metrics_is_port(":0") && ps_metrics_is_port("0.0.0.0:9100"));
    assert_false(ps_metrics_is_port("out/a:80") || ps_metrics_is_port("metrics.prom") ||
                 ps_metrics_is_port(":") || ps_metrics_is_port(":123456"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port_tells_counters_and_figures),
        cmocka_unit_test(test_bad_clients_are_refused_and_hold_nobody_up_for_long),
        cmocka_unit_test(test_a_file_is_there_at_once_and_replaced),
        cmocka_unit_test(test_bad_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
