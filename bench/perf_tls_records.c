/* SPDX-License-Identifier: Apache-2.0 */
/* bench/perf_tls_records.c - what a client of TLS 1.3 would save by decrypting records itself.
 *
 *     perf_tls_records PORT PATH [GETS [PART_KIB]]
 *
 * Fetches parts of https://127.0.0.1:PORT/PATH (at least 256 MiB, e.g. from nginx, TLS 1.3) over
 * one connection to a ring of 64 MiB, by two methods in turns; medians of CPU seconds per GiB, the
 * kernel's included. Lower is better.
 *
 *   SSL_read  OpenSSL with a read-ahead of 64 KiB: decrypted in its buffer, copied to the ring
 *   records   recv of 256 KiB to a buffer that stays in cache; EVP decrypts from there to the ring
 *
 * A study, not a client: one server that behaves, no key updates, certificates are not verified.
 */
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 7, KEY_BYTES = 16, NONCE_BYTES = 12, TAG_BYTES = 16, HEADER_BYTES = 5 };
enum { RECORD_APPLICATION_DATA = 23 };

#define RING_BYTES ((size_t)64 << 20)
#define FILE_BYTES ((size_t)256 << 20)
#define STAGING_BYTES ((size_t)256 << 10)
#define RECORD_BYTES ((size_t)18 << 10)

struct job {
    uint16_t port;
    const char *path;
    size_t gets;
    size_t part_bytes;
    uint8_t *ring;
};

struct client {
    const struct job *job;
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    uint8_t secret[32];
    EVP_CIPHER_CTX *cipher;
    uint8_t nonce[NONCE_BYTES];
    uint64_t record_no;
    uint8_t *staging;
    size_t at, have; /* ciphertext in staging */
    uint8_t plain[RECORD_BYTES];
    uint8_t *into; /* next byte of the ring */
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "perf_tls_records: %s\n", what);
    exit(1);
}

/* OpenSSL hands out its secrets as "LABEL RANDOM SECRET", in hexadecimal digits. */
static void on_keylog(const SSL *ssl, const char *line)
{
    struct client *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *digits = strrchr(line, ' ');

    if (!digits || strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0)
        return;
    digits++;
    for (size_t i = 0; i < sizeof c->secret && strlen(digits) >= 2 * (i + 1); i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};

        c->secret[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

/* HKDF-Expand-Label (RFC 8446, 7.1) with an empty context. */
static void expand_label(const struct client *c, const char *label, uint8_t *out, size_t len)
{
    uint8_t info[64];
    int info_bytes = snprintf((char *)info + 3, sizeof info - 4, "tls13 %s", label) + 4;
    EVP_PKEY_CTX *hkdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);

    info[0] = 0;
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)(info_bytes - 4);
    info[info_bytes - 1] = 0;
    if (EVP_PKEY_derive_init(hkdf) != 1 ||
        EVP_PKEY_CTX_set_hkdf_mode(hkdf, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY) != 1 ||
        EVP_PKEY_CTX_set_hkdf_md(hkdf, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set1_hkdf_key(hkdf, c->secret, sizeof c->secret) != 1 ||
        EVP_PKEY_CTX_add1_hkdf_info(hkdf, info, info_bytes) != 1 ||
        EVP_PKEY_derive(hkdf, out, &len) != 1)
        give_up("no HKDF");
    EVP_PKEY_CTX_free(hkdf);
}

static void open_client(struct client *c, const struct job *job)
{
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons(job->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t key[KEY_BYTES];

    *c = (struct client){.job = job, .into = job->ring};
    c->context = SSL_CTX_new(TLS_client_method());
    c->cipher = EVP_CIPHER_CTX_new();
    c->staging = malloc(STAGING_BYTES);
    SSL_CTX_set_min_proto_version(c->context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(c->context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_app_data(c->context, c);
    SSL_CTX_set_keylog_callback(c->context, on_keylog);
    SSL_CTX_set_read_ahead(c->context, 1);
    SSL_CTX_set_default_read_buffer_len(c->context, (size_t)64 << 10);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->ssl = SSL_new(c->context);
    if (!c->staging || c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server) ||
        SSL_set_fd(c->ssl, c->fd) != 1)
        give_up("no connection");
    /* Read-ahead would take records from us that come right behind the handshake. */
    SSL_set_read_ahead(c->ssl, 0);
    if (SSL_connect(c->ssl) != 1)
        give_up("no TLS 1.3 with AES-128-GCM");
    SSL_set_read_ahead(c->ssl, 1);
    expand_label(c, "key", key, sizeof key);
    expand_label(c, "iv", c->nonce, sizeof c->nonce);
    EVP_DecryptInit_ex(c->cipher, EVP_aes_128_gcm(), NULL, key, c->nonce);
}

static void close_client(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
    EVP_CIPHER_CTX_free(c->cipher);
    free(c->staging);
    close(c->fd);
}

/* ---- the two methods: both bring some bytes of the answer to `into` ---- */

static size_t read_ssl(struct client *c, uint8_t *into, size_t room)
{
    size_t got_bytes;

    if (SSL_read_ex(c->ssl, into, room, &got_bytes) != 1)
        give_up("SSL_read failed");
    return got_bytes;
}

static size_t record_bytes(const struct client *c)
{
    const uint8_t *record = c->staging + c->at;

    return c->have - c->at < HEADER_BYTES ? HEADER_BYTES
                                          : HEADER_BYTES + ((size_t)record[3] << 8 | record[4]);
}

static void stage_record(struct client *c)
{
    while (c->have - c->at <= HEADER_BYTES || c->have - c->at < record_bytes(c)) {
        memmove(c->staging, c->staging + c->at, c->have - c->at);
        c->have -= c->at;
        c->at = 0;
        ssize_t got = recv(c->fd, c->staging + c->have, STAGING_BYTES - c->have, 0);

        if (got <= 0)
            give_up("recv failed");
        c->have += (size_t)got;
    }
}

/* Decrypts the staged record; its last byte says what it is (RFC 8446, 5.2). */
static void decrypt(struct client *c, uint8_t *out, size_t inner_bytes)
{
    uint8_t *record = c->staging + c->at;
    uint8_t nonce[NONCE_BYTES];
    int len;

    memcpy(nonce, c->nonce, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[NONCE_BYTES - 1 - i] ^= (uint8_t)(c->record_no >> (8 * i));
    c->record_no++;
    EVP_DecryptInit_ex(c->cipher, NULL, NULL, NULL, nonce);
    EVP_DecryptUpdate(c->cipher, NULL, &len, record, HEADER_BYTES);
    EVP_DecryptUpdate(c->cipher, out, &len, record + HEADER_BYTES, (int)inner_bytes);
    EVP_CIPHER_CTX_ctrl(c->cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
                        record + HEADER_BYTES + inner_bytes);
    if (EVP_DecryptFinal_ex(c->cipher, out + len, &len) != 1)
        give_up("a record is not authentic");
}

static size_t read_record(struct client *c, uint8_t *into, size_t room)
{
    for (;;) {
        stage_record(c);
        size_t inner_bytes = record_bytes(c) - HEADER_BYTES - TAG_BYTES;
        /* The byte behind the text would lie on what belongs to another part. */
        uint8_t *out = inner_bytes <= room ? into : c->plain;

        if (inner_bytes == 0 || inner_bytes > RECORD_BYTES || inner_bytes - 1 > room)
            give_up("a record is too long");
        decrypt(c, out, inner_bytes);
        c->at += HEADER_BYTES + inner_bytes + TAG_BYTES;
        if (out[inner_bytes - 1] != RECORD_APPLICATION_DATA)
            continue; /* a ticket */
        if (out != into)
            memcpy(into, out, inner_bytes - 1);
        return inner_bytes - 1;
    }
}

/* ---- measuring ---- */

static void get_part(struct client *c, size_t from,
                     size_t (*read_some)(struct client *, uint8_t *, size_t))
{
    static char head[RECORD_BYTES + 1];
    size_t left_bytes = c->job->part_bytes;
    char request[512];
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\nHost: localhost\r\nRange: bytes=%zu-%zu\r\n\r\n",
                       c->job->path, from, from + left_bytes - 1);

    if (SSL_write(c->ssl, request, len) != len)
        give_up("SSL_write failed");
    size_t got_bytes = read_some(c, (uint8_t *)head, sizeof head - 1);
    char *body = memmem(head, got_bytes, "\r\n\r\n", 4);

    if (!body || strncmp(head, "HTTP/1.1 206", 12) != 0)
        give_up("the server did not answer 206");
    size_t more_bytes = got_bytes - (size_t)(body + 4 - head);

    if (c->into + left_bytes > c->job->ring + RING_BYTES)
        c->into = c->job->ring;
    memcpy(c->into, body + 4, more_bytes);
    for (;;) {
        c->into += more_bytes;
        left_bytes -= more_bytes;
        if (left_bytes == 0)
            return;
        more_bytes = read_some(c, c->into, left_bytes);
    }
}

static double cpu_seconds(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

/* CPU seconds per GiB; *sum receives a digest of what the ring held last. */
static double measure(const struct job *job, bool own, uint64_t *sum)
{
    struct client c;

    open_client(&c, job);
    double start = cpu_seconds();

    for (size_t i = 0; i < job->gets; i++)
        get_part(&c, i * job->part_bytes % FILE_BYTES, own ? read_record : read_ssl);
    double took = cpu_seconds() - start;

    close_client(&c);
    *sum = 0;
    for (size_t i = 0; i < RING_BYTES; i++)
        *sum = *sum * 31 + job->ring[i];
    return took / ((double)(job->gets * job->part_bytes) / (double)(1 << 30));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct job job = {.gets = 64, .part_bytes = (size_t)8 << 20};
    double took[2][ROUNDS];
    uint64_t sums[2];

    if (argc < 3)
        give_up("usage: perf_tls_records PORT PATH [GETS [PART_KIB]]");
    job.port = (uint16_t)strtoul(argv[1], NULL, 10);
    job.path = argv[2];
    if (argc > 3)
        job.gets = strtoul(argv[3], NULL, 10);
    if (argc > 4)
        job.part_bytes = strtoul(argv[4], NULL, 10) << 10;
    job.ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (job.ring == MAP_FAILED || job.part_bytes == 0 || FILE_BYTES % job.part_bytes != 0)
        give_up("no memory, or a part's size that does not divide 256 MiB");
    for (int round = 0; round < ROUNDS; round++)
        for (int own = 0; own < 2; own++)
            took[own][round] = measure(&job, own, &sums[own]);
    if (sums[0] != sums[1])
        give_up("the methods brought different bytes");
    for (int own = 0; own < 2; own++) {
        qsort(took[own], ROUNDS, sizeof took[own][0], by_value);
        printf("%-8s  %.3f CPU s/GiB\n", own ? "records" : "SSL_read", took[own][ROUNDS / 2]);
    }
    printf("records / SSL_read: %.2f\n", took[1][ROUNDS / 2] / took[0][ROUNDS / 2]);
    munmap(job.ring, RING_BYTES);
    return 0;
}
