/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_port.c - see bench_port.h. */
#include "bench/bench_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_port {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* guards counters */
    struct penstock_counters counters;
};

bool bench_port_is_one(const char *text)
{
    const char *colon = strrchr(text, ':');

    return colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0' &&
           strlen(colon) <= 6 && !strchr(text, '/');
}

static bool read_address(const char *text, struct sockaddr_in *address)
{
    const char *colon = strrchr(text, ':');
    size_t len = (size_t)(colon - text);
    char host[64] = "127.0.0.1";
    unsigned long number = strtoul(colon + 1, NULL, 10);

    if (len >= sizeof host || number > UINT16_MAX)
        return false;
    if (len > 0)
        snprintf(host, sizeof host, "%.*s", (int)len, text);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

/* ---- what is answered ---- */

#define COUNTER(field, name, scale, what)                                                          \
    {                                                                                              \
        offsetof(struct penstock_counters, field), name, scale, what                               \
    }

static const struct {
    size_t offset;
    const char *name;
    double scale;
    const char *what;
} metrics[] = {
    COUNTER(bytes_received, "bytes_received_total", 1, "Bytes of objects received"),
    COUNTER(bytes_consumed, "bytes_consumed_total", 1, "Of those, delivered or decoded"),
    COUNTER(bytes_inflated, "bytes_inflated_total", 1, "Bytes that compressed objects held"),
    COUNTER(records, "records_total", 1, "Records decoded"),
    COUNTER(batches, "batches_total", 1, "Batches or spans delivered"),
    COUNTER(objects_streamed, "objects_total", 1, "Objects received to their end"),
    COUNTER(get_requests, "get_requests_total", 1, "GETs"),
    COUNTER(list_requests, "list_requests_total", 1, "Requests for listings"),
    COUNTER(retries, "retries_total", 1, "Requests sent again"),
    COUNTER(retries_throttled, "retries_throttled_total", 1, "Because fewer were asked for"),
    COUNTER(refetched_bytes, "refetched_bytes_total", 1, "Bytes received twice"),
    COUNTER(hedges, "hedges_total", 1, "Second requests for slow parts"),
    COUNTER(connections, "connections_total", 1, "Connections opened"),
    COUNTER(wait_ns, "consumer_wait_seconds_total", 1e-9, "Time that the consumer waited"),
    COUNTER(wait_room_ns, "ring_full_seconds_total", 1e-9, "Time that the ring was full"),
    COUNTER(part_p50_ns, "request_p50_seconds", 1e-9, "Half of the requests took less"),
    COUNTER(part_p99_ns, "request_p99_seconds", 1e-9, "99 of 100 took less"),
};

static void write_metrics(FILE *out, const struct penstock_counters *counters)
{
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const char *name = metrics[i].name;
        size_t len = strlen(name);
        bool counts = len > 6 && strcmp(name + len - 6, "_total") == 0;
        uint64_t value;

        memcpy(&value, (const char *)counters + metrics[i].offset, sizeof value);
        fprintf(out, "# HELP penstock_%s %s\n# TYPE penstock_%s %s\npenstock_%s %.17g\n", name,
                metrics[i].what, name, counts ? "counter" : "gauge", name,
                (double)value * metrics[i].scale);
    }
}

static enum MHD_Result answer(void *cookie, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *body,
                              size_t *body_bytes, void **request)
{
    struct bench_port *port = cookie;
    struct penstock_counters counters;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)url;
    (void)method;
    (void)version;
    (void)body;
    (void)body_bytes;
    (void)request;
    if (!out)
        return MHD_NO;
    pthread_mutex_lock(&port->lock);
    counters = port->counters;
    pthread_mutex_unlock(&port->lock);
    write_metrics(out, &counters);
    if (fclose(out) != 0) {
        free(text);
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);

    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4");
    enum MHD_Result rc = MHD_queue_response(connection, MHD_HTTP_OK, response);

    MHD_destroy_response(response);
    return rc;
}

/* ---- life ---- */

struct bench_port *bench_port_open(const char *text, char *why, size_t why_size)
{
    struct bench_port *port = calloc(1, sizeof *port);
    struct sockaddr_in address;

    if (!port || !read_address(text, &address)) {
        snprintf(why, why_size, "--metrics: '%s' is not [IPv4 ADDRESS]:PORT", text);
        free(port);
        return NULL;
    }
    pthread_mutex_init(&port->lock, NULL);
    port->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, port,
                                    MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (port->daemon)
        return port;
    snprintf(why, why_size, "--metrics: cannot listen at %s: %s", text, strerror(errno));
    bench_port_close(port);
    return NULL;
}

unsigned bench_port_number(const struct bench_port *port)
{
    return MHD_get_daemon_info(port->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void bench_port_tell(struct bench_port *port, const struct penstock_counters *counters)
{
    pthread_mutex_lock(&port->lock);
    port->counters = *counters;
    pthread_mutex_unlock(&port->lock);
}

void bench_port_close(struct bench_port *port)
{
    if (!port)
        return;
    if (port->daemon)
        MHD_stop_daemon(port->daemon);
    pthread_mutex_destroy(&port->lock);
    free(port);
}
