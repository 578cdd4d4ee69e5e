/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve.c - starts and stops the server, and takes requests from libmicrohttpd.
 *
 * libmicrohttpd parses HTTP, and sends; what a request means is decided in serve_route.c. Each of
 * its threads serves the connections it accepted, by poll.
 */
#include "bench/serve_listen.h"
#include "bench/serve_request.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_LIMIT = 16384,
    CONNECTION_MEMORY_BYTES = 64 * 1024, /* request head, and the body of a PUT in pieces */
    IDLE_LIMIT_S = 3600,                 /* a reader that pauses is no reason to hang up */
    PEM_BYTES_MAX = 1 << 20,
};

/* ---- requests, as libmicrohttpd hands them over ---- */

/* Called with the target as sent, before anything is decoded: signatures cover exactly this. What
 * it returns comes back in *context of the calls that follow. */
static void *begin_request(void *cookie, const char *target, struct MHD_Connection *connection)
{
    struct serve *serve = cookie;
    struct serve_request *request = calloc(1, sizeof *request);
    uint64_t number;

    if (!request)
        return NULL;
    request->serve = serve;
    request->connection = connection;
    request->bucket_fd = -1;
    request->upload.fd = -1;
    request->target = strdup(target);
    if (!request->target) {
        free(request);
        return NULL;
    }
    request->number = number = atomic_fetch_add(&serve->request_count, 1) + 1;
    snprintf(request->request_id, sizeof request->request_id, "%016" PRIX64,
             serve->id_seed + number * UINT64_C(0x9e3779b97f4a7c15));
    return request;
}

static void end_request(void *cookie, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode how)
{
    struct serve_request *request = *context;

    (void)cookie;
    (void)connection;
    (void)how;
    *context = NULL;
    if (!request)
        return;
    serve_store_upload_abort(&request->upload);
    EVP_MD_CTX_free(request->upload_sha256);
    serve_auth_verdict_free(&request->verdict);
    if (request->bucket_fd >= 0)
        close(request->bucket_fd);
    free(request->target);
    free(request);
}

/* Log-normal between median and 99th percentile, from the request's number: the same in every run.
 */
static uint32_t latency_of(const struct serve_request *request)
{
    static const double z_p99 = 2.326; /* of the standard normal distribution */
    const struct serve_config *config = request->serve->config;
    double sum = 0;

    if (config->latency_ms == 0 || config->latency_p99_ms <= config->latency_ms)
        return config->latency_ms;
    /* Twelve uniform numbers less six are near enough to normal, out to z_p99. */
    for (uint64_t i = 0; i < 12; i++)
        sum += (double)(serve_fault_mix(config->seed ^ (request->number * 12 + i)) >> 11) * 0x1p-53;
    return (uint32_t)(config->latency_ms *
                      pow((double)config->latency_p99_ms / config->latency_ms, (sum - 6) / z_p99));
}

/* Called once when the head has been read, again for each piece of the body, once at the end, and
 * again after a sleep. */
static enum MHD_Result handle_request(void *cookie, struct MHD_Connection *connection,
                                      const char *url, const char *method, const char *version,
                                      const char *data, size_t *data_bytes, void **context)
{
    struct serve_request *request = *context;
    uint32_t latency_ms;

    (void)cookie;
    (void)connection;
    (void)url;
    (void)version;
    if (!request)
        return MHD_NO;
    if (!request->begun) {
        request->begun = true;
        request->method = method;
        serve_route_parse(request);
        serve_route_check(request);
        if (strcmp(method, "PUT") == 0)
            serve_upload_begin(request);
        return MHD_YES;
    }
    if (*data_bytes > 0) {
        serve_upload_data(request, data, *data_bytes);
        *data_bytes = 0;
        return MHD_YES;
    }
    latency_ms = latency_of(request);
    if (latency_ms > 0 && !request->slept) {
        request->slept = true;
        if (serve_delay_sleep(request->serve->delay, connection, latency_ms))
            return MHD_YES;
    }
    return serve_route_answer(request);
}

/* Leaves targets and queries as they are: serve_uri.c decodes them. */
static size_t keep_escapes(void *cookie, struct MHD_Connection *connection, char *text)
{
    (void)cookie;
    (void)connection;
    return strlen(text);
}

/* The kernel paces what a connection sends: exact, and no thread has to wait for it. */
static void tune_connection(void *cookie, struct MHD_Connection *connection, void **context,
                            enum MHD_ConnectionNotificationCode what)
{
    const struct serve_listener *listener = cookie;
    uint64_t rate_bytes_s = listener->rate_bits_s / 8;
    const union MHD_ConnectionInfo *info;

    (void)context;
    if (what != MHD_CONNECTION_NOTIFY_STARTED || rate_bytes_s == 0)
        return;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        (void)setsockopt(info->connect_fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate_bytes_s,
                         sizeof rate_bytes_s);
}

/* ---- starting ---- */

/* Returns the text of a PEM file, or NULL with errno. */
static char *read_pem(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : malloc(PEM_BYTES_MAX + 1);
    size_t len_bytes = 0;
    ssize_t n = -1;

    while (text && (n = read(fd, text + len_bytes, PEM_BYTES_MAX - len_bytes)) > 0)
        len_bytes += (size_t)n;
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[len_bytes] = '\0';
    return text;
}

static bool load_tls(struct serve *serve, char *error, size_t error_bytes)
{
    const struct serve_config *config = serve->config;

    if (!config->tls_cert)
        return true;
    serve->tls_cert = read_pem(config->tls_cert);
    if (!serve->tls_cert) {
        snprintf(error, error_bytes, "cannot read certificate %s: %m", config->tls_cert);
        return false;
    }
    serve->tls_key = read_pem(config->tls_key);
    if (!serve->tls_key)
        snprintf(error, error_bytes, "cannot read private key %s: %m", config->tls_key);
    return serve->tls_key != NULL;
}

/* Takes listener->fd. */
static bool start_daemon(struct serve_listener *listener, bool is_v6)
{
    struct serve *serve = listener->serve;
    /* Not epoll: MHD 0.9.75 uses it edge-triggered and overlooks a FIN that came together with
     * data, which keeps an abandoned upload and its file for ever. poll costs the same up to some
     * hundred connections. */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, serve->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, serve->tls_key},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem threads[] = {
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)serve->config->threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    if (serve->tls_cert)
        flags |= MHD_USE_TLS;
    if (is_v6)
        flags |= MHD_USE_IPv6;
    listener->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle_request, serve, MHD_OPTION_LISTEN_SOCKET, listener->fd,
        MHD_OPTION_URI_LOG_CALLBACK, begin_request, serve, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, end_request, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, tune_connection, listener, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTION_LIMIT, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_LIMIT_S,
        MHD_OPTION_ARRAY, serve->tls_cert ? tls : tls + 2, MHD_OPTION_ARRAY,
        serve->config->threads > 1 ? threads : threads + 1, MHD_OPTION_END);
    if (!listener->daemon)
        close(listener->fd);
    return listener->daemon != NULL;
}

/* Every address at the same port, which the first one finds. */
static bool start_listener(struct serve *serve, const struct serve_host *host, char *error,
                           size_t error_bytes)
{
    struct serve_listener *listener = &serve->listeners[serve->listener_count];
    union serve_address address;

    *listener = (struct serve_listener){
        .serve = serve, .rate_bits_s = host->rate_bits_s, .fd = -1, .fillers = {-1, -1}};
    if (!serve_address_parse(host->name, &address)) {
        snprintf(error, error_bytes,
                 "host '%s' is no loopback address: use 127.0.0.1, another of 127.0.0.0/8, or ::1",
                 host->name);
        return false;
    }
    listener->fd = host->dead ? serve_listen_dead(&address, &serve->port, listener->fillers)
                              : serve_listen(&address, &serve->port);
    if (listener->fd < 0) {
        snprintf(error, error_bytes, "cannot listen on %s port %u: %m", host->name, serve->port);
        return false;
    }
    serve->listener_count++;
    if (serve->listener_count == 1)
        serve_address_url(&address, serve->port, serve->tls_cert, serve->url, sizeof serve->url);
    if (host->dead || start_daemon(listener, address.any.sa_family == AF_INET6))
        return true;
    snprintf(error, error_bytes, "cannot start libmicrohttpd%s",
             serve->tls_cert ? ": is the certificate that of the key?" : "");
    return false;
}

static bool start(struct serve *serve, char *error, size_t error_bytes)
{
    const struct serve_config *config = serve->config;

    serve->root_fd = open(config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (serve->root_fd < 0) {
        snprintf(error, error_bytes, "cannot open directory %s: %m", config->root);
        return false;
    }
    if (!load_tls(serve, error, error_bytes))
        return false;
    serve->list = serve_list_create();
    if (config->checksums)
        serve->checksums = serve_checksums_create(config->checksum_kind);
    if (config->link_bits_s > 0)
        serve->link = serve_link_new(config->link_bits_s, config->slow_beyond);
    serve->delay = serve_delay_start();
    if (!serve->list || !serve->delay || !serve->link != !config->link_bits_s) {
        snprintf(error, error_bytes, "out of memory, or of threads");
        return false;
    }
    for (size_t i = 0; i < config->host_count; i++)
        if (!start_listener(serve, &config->hosts[i], error, error_bytes))
            return false;
    return true;
}

static void stop_listener(struct serve_listener *listener)
{
    if (listener->daemon)
        MHD_stop_daemon(listener->daemon); /* closes its socket */
    else if (listener->fillers[0] >= 0)
        close(listener->fd);
    for (int i = 0; i < 2; i++)
        if (listener->fillers[i] >= 0)
            close(listener->fillers[i]);
}

struct serve *serve_start(const struct serve_config *config, char *error, size_t error_bytes)
{
    struct serve *serve = calloc(1, sizeof *serve);
    struct timespec now;

    if (!serve) {
        snprintf(error, error_bytes, "out of memory");
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    serve->config = config;
    serve->port = config->port;
    serve->root_fd = -1;
    serve->id_seed = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (!start(serve, error, error_bytes)) {
        serve_stop(serve);
        return NULL;
    }
    return serve;
}

uint16_t serve_port(const struct serve *serve)
{
    return serve->port;
}

const char *serve_url(const struct serve *serve)
{
    return serve->url;
}

void serve_stop(struct serve *serve)
{
    if (!serve)
        return;
    if (serve->delay)
        serve_delay_stop(serve->delay);
    for (size_t i = 0; i < serve->listener_count; i++)
        stop_listener(&serve->listeners[i]);
    serve_delay_free(serve->delay);
    serve_list_destroy(serve->list);
    serve_checksums_destroy(serve->checksums);
    serve_link_free(serve->link);
    if (serve->root_fd >= 0)
        close(serve->root_fd);
    if (serve->tls_key)
        OPENSSL_cleanse(serve->tls_key, strlen(serve->tls_key));
    free(serve->tls_key);
    free(serve->tls_cert);
    free(serve);
}
