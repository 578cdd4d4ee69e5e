/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/metrics.c - see metrics.h. */
#include "pipe/metrics.h"

#include "pipe/error.h"
#include "pipe/metrics_port.h"
#include "pipe/replace_file.h"
#include "pipe/text.h"
#include "pipe/thread.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* All counters of all channels, whose names are escaped, take less. */
enum { WRITE_MS = 1000, TEXT_BYTES_MAX = 256 << 10 };

struct channel {
    char name[64];
    struct penstock_counters counters;
};

struct figure {
    const char *name, *what;
    double value;
};

struct ps_metrics {
    const char *path; /* NULL: there is a port */
    int listen_fd;    /* -1: there is a file */
    unsigned port;
    int stop_fd;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    const struct penstock *stream;
    struct channel channels[PS_METRICS_CHANNELS_MAX];
    size_t channel_count;
    struct figure figures[PS_METRICS_FIGURES_MAX];
    size_t figure_count;
};

/* ---- the text ---- */

#define COUNTER(field, name, scale, what)                                                          \
    {                                                                                              \
        offsetof(struct penstock_counters, field), name, scale, what                               \
    }

static const struct {
    size_t offset;
    const char *name;
    double scale;
    const char *what;
} counters[] = {
    COUNTER(bytes_received, "bytes_received_total", 1, "Bytes of objects received"),
    COUNTER(bytes_consumed, "bytes_consumed_total", 1, "Of those, delivered or decoded"),
    COUNTER(bytes_inflated, "bytes_inflated_total", 1, "Bytes that compressed objects held"),
    COUNTER(records, "records_total", 1, "Records decoded"),
    COUNTER(records_bad, "records_bad_total", 1, "Malformed records left out"),
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
    COUNTER(first_byte_ns, "first_byte_seconds", 1e-9, "From the start to the first byte"),
    COUNTER(part_p50_ns, "request_p50_seconds", 1e-9, "Half of the requests took less"),
    COUNTER(part_p99_ns, "request_p99_seconds", 1e-9, "99 of 100 took less"),
};

static void add_label(struct ps_text *out, const char *name, const char *value)
{
    ps_text_addf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            ps_text_add(out, "\\");
        if (*value == '\n')
            ps_text_add(out, "\\n");
        else
            ps_text_add_bytes(out, value, 1);
    }
    ps_text_add(out, "\"");
}

const char *ps_metrics_label(char *out, const char *name, const char *value)
{
    struct ps_text text = ps_text_in(out, PS_METRICS_LABEL_BYTES);
    char some[PS_METRICS_VALUE_BYTES];

    ps_text_copy(some, sizeof some, value);
    add_label(&text, name, some);
    return out;
}

static void add_head(struct ps_text *out, const char *name, const char *what)
{
    size_t len = strlen(name);
    bool counts = len > 6 && strcmp(name + len - 6, "_total") == 0;

    ps_text_addf(out, "# HELP penstock_%s %s\n# TYPE penstock_%s %s\n", name, what, name,
                 counts ? "counter" : "gauge");
}

static void add_counters(struct ps_text *out, const struct ps_metrics *m)
{
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        add_head(out, counters[i].name, counters[i].what);
        for (size_t c = 0; c < m->channel_count; c++) {
            uint64_t value;

            memcpy(&value, (const char *)&m->channels[c].counters + counters[i].offset,
                   sizeof value);
            ps_text_addf(out, "penstock_%s{", counters[i].name);
            add_label(out, "channel", m->channels[c].name);
            ps_text_addf(out, "} %.17g\n", (double)value * counters[i].scale);
        }
    }
}

static void take_counters(struct ps_metrics *m)
{
    for (size_t c = 0; m->stream && c < m->channel_count; c++)
        penstock_get_counters(m->stream, c, &m->channels[c].counters);
}

/* All there is to tell; the caller's to free. NULL without memory. */
static char *make_text(struct ps_metrics *m, size_t *len_bytes)
{
    char *bytes = malloc(TEXT_BYTES_MAX);

    if (!bytes)
        return NULL;
    struct ps_text text = ps_text_in(bytes, TEXT_BYTES_MAX);

    pthread_mutex_lock(&m->lock);
    take_counters(m);
    if (m->channel_count > 0)
        add_counters(&text, m);
    for (size_t i = 0; i < m->figure_count; i++) {
        add_head(&text, m->figures[i].name, m->figures[i].what);
        ps_text_addf(&text, "penstock_%s %.17g\n", m->figures[i].name, m->figures[i].value);
    }
    pthread_mutex_unlock(&m->lock);
    *len_bytes = text.len;
    return bytes;
}

int ps_metrics_replace(const char *path, const char *text, size_t len_bytes,
                       struct penstock_error *error)
{
    return ps_replace_file(path, text, len_bytes, error);
}

static int write_file(struct ps_metrics *m, struct penstock_error *error)
{
    size_t len_bytes = 0;
    char *text = make_text(m, &len_bytes);
    int rc = text ? ps_replace_file(m->path, text, len_bytes, error)
                  : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");

    free(text);
    return rc;
}

/* ---- the thread ---- */

static void answer_client(struct ps_metrics *m)
{
    int fd = ps_metrics_accept(m->listen_fd);
    size_t len_bytes = 0;
    char *text = fd >= 0 ? make_text(m, &len_bytes) : NULL;

    if (fd >= 0)
        ps_metrics_answer(fd, text ? text : "", len_bytes);
    free(text);
}

static void *tell(void *cookie)
{
    struct ps_metrics *m = cookie;
    struct pollfd fds[2] = {{.fd = m->stop_fd, .events = POLLIN},
                            {.fd = m->listen_fd, .events = POLLIN}};
    struct penstock_error error; /* a disk that is full now may have room in a second */

    for (;;) {
        int count = poll(fds, 2, m->path ? WRITE_MS : -1);

        if (count > 0 && fds[0].revents)
            return NULL;
        if (m->path)
            write_file(m, &error);
        else if (count > 0 && fds[1].revents)
            answer_client(m);
    }
}

/* ---- life ---- */

bool ps_metrics_is_port(const char *text)
{
    const char *colon = strrchr(text, ':');

    return colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0' &&
           strlen(colon) <= 6 && !strchr(text, '/');
}

static int start(struct ps_metrics *m, const char *where, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    m->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (m->stop_fd < 0)
        return ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "--metrics: no eventfd");
    if (ps_metrics_is_port(where)) {
        rc = ps_metrics_listen(where, &m->listen_fd, &m->port, error);
    } else {
        m->path = where;
        rc = write_file(m, error);
    }
    return rc == PENSTOCK_OK ? ps_thread_start(&m->thread, "ps-metrics", tell, m, error) : rc;
}

static void release(struct ps_metrics *m)
{
    if (m->stop_fd >= 0)
        close(m->stop_fd);
    if (m->listen_fd >= 0)
        close(m->listen_fd);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

int ps_metrics_open(const char *where, struct ps_metrics **out, struct penstock_error *error)
{
    struct ps_metrics *m = calloc(1, sizeof *m);

    *out = NULL;
    if (!m)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    m->listen_fd = m->stop_fd = -1;
    pthread_mutex_init(&m->lock, NULL);
    int rc = start(m, where, error);

    if (rc == PENSTOCK_OK)
        *out = m;
    else
        release(m);
    return rc;
}

unsigned ps_metrics_port(const struct ps_metrics *m)
{
    return m->port;
}

void ps_metrics_watch(struct ps_metrics *m, const struct penstock *stream, const char *const *names,
                      size_t count)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    take_counters(m);
    m->stream = stream;
    if (stream) {
        m->channel_count = count < PS_METRICS_CHANNELS_MAX ? count : PS_METRICS_CHANNELS_MAX;
        for (size_t c = 0; c < m->channel_count; c++)
            ps_text_copy(m->channels[c].name, sizeof m->channels[c].name, names[c]);
    }
    pthread_mutex_unlock(&m->lock);
}

void ps_metrics_set(struct ps_metrics *m, const char *name, const char *what, double value)
{
    size_t i = 0;

    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    while (i < m->figure_count && strcmp(m->figures[i].name, name) != 0)
        i++;
    if (i < PS_METRICS_FIGURES_MAX) {
        m->figures[i] = (struct figure){name, what, value};
        m->figure_count += i == m->figure_count;
    }
    pthread_mutex_unlock(&m->lock);
}

void ps_metrics_close(struct ps_metrics *m)
{
    struct penstock_error error;

    if (!m)
        return;
    eventfd_write(m->stop_fd, 1);
    pthread_join(m->thread, NULL);
    if (m->path)
        write_file(m, &error);
    release(m);
}
