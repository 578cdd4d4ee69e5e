/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/stream_digest.c - read a stream to its end and print what came, for integration
 * tests.
 *
 *     stream_digest KEY=VALUE...      uri=... (repeatable) type=... rows= epochs= memory_mib=
 * decode= io_threads= connections= part_kib= io= shuffle=SEED shard=H/N stall_ms= hold=BATCHES
 * verify= compression= dump=FILE data_type= attributes=NAME,NAME
 *
 * Prints KEY=VALUE lines: opened_ms (what penstock_open took), result (a name of enum penstock_rc),
 * rows, batches, digest (FNV-1a over every float's bits, row by row; of weights, groups, sparse
 * rows and texts over a batch's, array by array), epoch_digest (one a epoch); for
 * type=application/octet-stream sha256_digest (of all bytes, all epochs); counters, and the fields
 * of the last error. FILE receives of each batch: rows, bytes of a row's features and labels in a
 * row, uint32 each; then the features and the labels; then, of what there is, the weights, the
 * groups, row_offsets, columns, values, text_offsets and text. Exit code 0 if the stream ended with
 * PENSTOCK_END, else 1; 2 for a bad argument.
 */
#include "pipe/penstock.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { URIS_MAX = 16, ATTRIBUTES_MAX = 2 };

static struct penstock *volatile stream; /* once it is open */
static volatile sig_atomic_t told_to_stop;

struct job {
    struct penstock_config config;
    struct penstock_channel_config channel;
    const char *uris[URIS_MAX];
    const char *attributes[ATTRIBUTES_MAX];
    unsigned long stall_ms; /* sleep before the first batch is released */
    FILE *dump;             /* NULL: none */
};

static void on_signal(int number)
{
    (void)number;
    told_to_stop = 1;
    if (stream)
        penstock_stop(stream);
}

static void on_log(void *cookie, int level, const char *line)
{
    (void)cookie;
    fprintf(stderr, "%s: %s\n", level ? "warning" : "info", line);
}

static uint64_t fnv(uint64_t digest, const float *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &numbers[i], sizeof bits);
        digest = (digest ^ bits) * UINT64_C(0x100000001b3);
    }
    return digest;
}

/* Arrays that not all batches have. */
struct part {
    const void *data; /* NULL: not this one */
    size_t len_bytes;
};

enum { PARTS = 7 };

static void parts_of(const struct penstock_batch *batch, struct part parts[PARTS])
{
    uint32_t entries = batch->row_offsets ? batch->row_offsets[batch->rows] : 0;
    size_t texts = (size_t)batch->rows * batch->text_dim;
    uint32_t text_bytes = batch->text_offsets ? batch->text_offsets[texts] : 0;

    parts[0] = (struct part){batch->weights, batch->rows * sizeof(float)};
    parts[1] = (struct part){batch->groups, batch->rows * sizeof(uint64_t)};
    parts[2] = (struct part){batch->row_offsets, (batch->rows + 1) * sizeof(uint32_t)};
    parts[3] = (struct part){batch->columns, entries * sizeof(uint32_t)};
    parts[4] = (struct part){batch->values, entries * sizeof(float)};
    parts[5] = (struct part){batch->text_offsets, (texts + 1) * sizeof(uint32_t)};
    parts[6] = (struct part){batch->text, text_bytes};
}

static size_t feature_bytes(const struct penstock_batch *batch)
{
    if (!batch->data)
        return 0;
    size_t bytes = batch->type == PENSTOCK_UINT8 ? 1 : batch->type == PENSTOCK_FLOAT64 ? 8 : 4;

    return bytes * batch->feature_dim;
}

static uint64_t digest_batch(uint64_t digest, const struct penstock_batch *batch)
{
    for (size_t i = 0; !batch->features && i < batch->rows * feature_bytes(batch); i++)
        digest = (digest ^ ((const uint8_t *)batch->data)[i]) * UINT64_C(0x100000001b3);
    for (uint32_t row = 0; row < batch->rows; row++) {
        if (batch->features)
            digest =
                fnv(digest, batch->features + (size_t)row * batch->feature_dim, batch->feature_dim);
        if (batch->label_dim)
            digest = fnv(digest, batch->labels + (size_t)row * batch->label_dim, batch->label_dim);
    }
    struct part parts[PARTS];

    parts_of(batch, parts);
    for (size_t i = 0; i < PARTS; i++)
        for (size_t k = 0; parts[i].data && k < parts[i].len_bytes; k++)
            digest = (digest ^ ((const uint8_t *)parts[i].data)[k]) * UINT64_C(0x100000001b3);
    return digest;
}

static void dump_batch(FILE *to, const struct penstock_batch *batch)
{
    uint32_t head[3] = {batch->rows, (uint32_t)feature_bytes(batch), batch->label_dim};

    fwrite(head, sizeof head, 1, to);
    if (batch->data)
        fwrite(batch->data, feature_bytes(batch), batch->rows, to);
    if (batch->label_dim)
        fwrite(batch->labels, sizeof(float) * batch->label_dim, batch->rows, to);
    struct part parts[PARTS];

    parts_of(batch, parts);
    for (size_t i = 0; i < PARTS; i++)
        if (parts[i].data)
            fwrite(parts[i].data, 1, parts[i].len_bytes, to);
}

static bool set_number(struct job *job, const char *key, const char *value)
{
    unsigned long number = strtoul(value, NULL, 10);

    if (strcmp(key, "rows") == 0)
        job->channel.batch_rows = (uint32_t)number;
    else if (strcmp(key, "epochs") == 0)
        job->channel.epochs = (uint32_t)number;
    else if (strcmp(key, "memory_mib") == 0)
        job->config.memory_limit_bytes = number << 20;
    else if (strcmp(key, "decode") == 0)
        job->config.decode_threads = (uint32_t)number;
    else if (strcmp(key, "io_threads") == 0)
        job->config.io_threads = (uint32_t)number;
    else if (strcmp(key, "connections") == 0)
        job->config.max_connections = (uint32_t)number;
    else if (strcmp(key, "part_kib") == 0)
        job->config.part_bytes = number << 10;
    else if (strcmp(key, "stall_ms") == 0)
        job->stall_ms = number;
    else
        return false;
    return true;
}

static void set_attributes(struct job *job, const char *names)
{
    char *copy = strdup(names);

    while (copy && job->channel.attribute_count < ATTRIBUTES_MAX)
        job->attributes[job->channel.attribute_count++] = strsep(&copy, ",");
    job->channel.attribute_names = job->attributes;
}

static bool set_text(struct job *job, const char *key, const char *value)
{
    char *rest;

    if (strcmp(key, "uri") == 0 && job->channel.uri_count < URIS_MAX) {
        job->uris[job->channel.uri_count++] = value;
    } else if (strcmp(key, "type") == 0) {
        job->channel.content_type = value;
    } else if (strcmp(key, "compression") == 0) {
        job->channel.compression = value;
    } else if (strcmp(key, "data_type") == 0) {
        job->channel.data_type = value;
    } else if (strcmp(key, "attributes") == 0) {
        set_attributes(job, value);
    } else if (strcmp(key, "dump") == 0) {
        job->dump = fopen(value, "wb");
        return job->dump != NULL;
    } else if (strcmp(key, "io") == 0) {
        job->config.io_backend = value;
    } else if (strcmp(key, "verify") == 0) {
        job->config.verify = value;
    } else if (strcmp(key, "anonymous") == 0) {
        job->config.anonymous = true;
    } else if (strcmp(key, "no_hedging") == 0) {
        job->config.no_hedging = true;
    } else if (strcmp(key, "shuffle") == 0) {
        job->channel.shuffle = true;
        job->channel.seed = strtoull(value, NULL, 10);
    } else if (strcmp(key, "shard") == 0) {
        job->channel.shard_index = (uint32_t)strtoul(value, &rest, 10);
        job->channel.shard_count = (uint32_t)strtoul(rest + (*rest == '/'), NULL, 10);
    } else {
        return false;
    }
    return true;
}

static bool parse(struct job *job, int argc, char **argv)
{
    penstock_config_init(&job->config);
    penstock_channel_config_init(&job->channel);
    job->config.channels = &job->channel;
    job->config.channel_count = 1;
    job->config.log = on_log;
    job->channel.uris = job->uris;
    job->channel.content_type = "application/x-recordio-protobuf";
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');

        if (!equals)
            return false;
        *equals = '\0';
        if (!set_text(job, argv[i], equals + 1) && !set_number(job, argv[i], equals + 1))
            return false;
    }
    return true;
}

static void print_error(const struct penstock_error *error)
{
    printf("error_rc=%s\nhttp_status=%d\nattempts=%u\noffset=%llu\nbucket=%s\nkey=%s\ns3_code=%s\n"
           "request_id=%s\nremote_ip=%s\nmessage=%s\n",
           penstock_rc_name(error->rc), error->http_status, error->attempts,
           (unsigned long long)error->offset_bytes, error->bucket, error->key, error->s3_code,
           error->request_id, error->remote_ip, error->message);
}

/* Peak resident memory since exec; getrusage would include what the parent had before it forked. */
static long peak_rss_kib(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[128];
    long kib = -1;

    while (status && kib < 0 && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (status)
        fclose(status);
    return kib;
}

static void print_counters(void)
{
    struct penstock_counters c;

    penstock_get_counters(stream, 0, &c);
    printf("bytes=%llu\ncarried=%llu\nobjects_listed=%llu\nobjects=%llu\nlists=%llu\n"
           "gets=%llu\nretries=%llu\nconnections=%llu\nfirst_batch_us=%llu\nring_bytes=%llu\n"
           "slot_bytes=%llu\nio=%s\nreason=%s\nrss_kib=%ld\n",
           (unsigned long long)c.bytes_received, (unsigned long long)c.bytes_carried,
           (unsigned long long)c.objects_listed, (unsigned long long)c.objects_streamed,
           (unsigned long long)c.list_requests, (unsigned long long)c.get_requests,
           (unsigned long long)c.retries, (unsigned long long)c.connections,
           (unsigned long long)c.first_batch_ns / 1000, (unsigned long long)c.ring_bytes,
           (unsigned long long)c.slot_bytes, c.io_backend, c.io_reason, peak_rss_kib());
    printf("heads=%llu\nverified=%llu\nunverified=%llu\nverified_bytes=%llu\n",
           (unsigned long long)c.head_requests, (unsigned long long)c.objects_verified,
           (unsigned long long)c.objects_unverified, (unsigned long long)c.bytes_verified);
    printf("handshakes=%llu\nresumed=%llu\n", (unsigned long long)c.tls_handshakes,
           (unsigned long long)c.tls_resumed);
    printf("hedges=%llu\nhedge_wins=%llu\nrefetched=%llu\npart_p50_us=%llu\npart_p99_us=%llu\n",
           (unsigned long long)c.hedges, (unsigned long long)c.hedge_wins,
           (unsigned long long)c.refetched_bytes, (unsigned long long)c.part_p50_ns / 1000,
           (unsigned long long)c.part_p99_ns / 1000);
}

static unsigned long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
}

static void stall(const struct job *job)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(job->stall_ms / 1000),
                                 .tv_nsec = (long)(job->stall_ms % 1000) * 1000000},
              NULL);
}

static bool is_plain(const struct job *job)
{
    return strcmp(job->channel.content_type, "application/octet-stream") == 0;
}

/* The same for plain bytes. */
static int read_spans(const struct job *job)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;
    unsigned long long spans = 0;
    const struct penstock_span *span;
    int rc;

    EVP_DigestInit(sha, EVP_sha256());
    while ((rc = penstock_next_span(stream, 0, -1, &span)) == PENSTOCK_OK ||
           rc == PENSTOCK_EPOCH_END) {
        if (rc == PENSTOCK_EPOCH_END)
            continue;
        if (spans++ == 0)
            stall(job);
        EVP_DigestUpdate(sha, span->data, span->len_bytes);
        penstock_release_span(stream, span);
    }
    EVP_DigestFinal(sha, digest, &digest_bytes);
    EVP_MD_CTX_free(sha);
    printf("result=%s\nbatches=%llu\nsha256_digest=", penstock_rc_name(rc), spans);
    for (unsigned i = 0; i < digest_bytes; i++)
        printf("%02x", digest[i]);
    printf("\n");
    return rc;
}

static int read_all(const struct job *job)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    uint64_t epoch_digest = digest;
    const uint64_t start = digest;
    unsigned long long rows = 0;
    unsigned long long batches = 0;
    const struct penstock_batch *batch;
    int rc;

    while ((rc = penstock_next(stream, 0, -1, &batch)) == PENSTOCK_OK || rc == PENSTOCK_EPOCH_END) {
        if (rc == PENSTOCK_EPOCH_END) {
            printf("epoch_digest=%016llx\n", (unsigned long long)epoch_digest);
            epoch_digest = start;
            continue;
        }
        if (batches++ == 0)
            stall(job);
        digest = digest_batch(digest, batch);
        epoch_digest = digest_batch(epoch_digest, batch);
        rows += batch->rows;
        if (job->dump)
            dump_batch(job->dump, batch);
        penstock_release(stream, batch);
    }
    printf("result=%s\nrows=%llu\nbatches=%llu\ndigest=%016llx\n", penstock_rc_name(rc), rows,
           batches, (unsigned long long)digest);
    return rc;
}

int main(int argc, char **argv)
{
    static struct job job;
    static struct penstock_error error;

    if (!parse(&job, argc, argv)) {
        fputs("stream_digest: bad argument\n", stderr);
        return 2;
    }
    struct penstock *opened;
    unsigned long long begun_ms = now_ms();

    signal(SIGINT, on_signal); /* the library's threads are at work before it returns */
    signal(SIGTERM, on_signal);
    int rc = penstock_open(&job.config, &opened, &error);

    printf("opened_ms=%llu\n", now_ms() - begun_ms);
    if (rc != PENSTOCK_OK) {
        printf("result=%s\n", penstock_rc_name(rc));
        print_error(&error);
        return 1;
    }
    stream = opened;
    if (told_to_stop)
        penstock_stop(stream);
    rc = is_plain(&job) ? read_spans(&job) : read_all(&job);
    print_counters();
    print_error(penstock_last_error(stream, 0));
    stream = NULL;
    penstock_close(&opened);
    if (job.dump && fclose(job.dump) != 0)
        return 1;
    return rc == PENSTOCK_END ? 0 : 1;
}
