/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve.h - an S3 server on loopback that serves a directory.
 *
 * What `penstock serve` runs, for tests and measurements: listings, ranged GETs by sendfile,
 * verified signatures, faults in a fixed rhythm. See penstock-serve(1).
 *
 * Owner: the caller owns the configuration, which must outlive the server.
 * Threads: `threads` serving ones and one that wakes delayed answers; calls from one at a time.
 */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

#include "bench/serve_auth.h"
#include "bench/serve_fault.h"
#include "formats/crc.h"

#include <stdint.h>

enum { SERVE_HOSTS_MAX = 8 };

struct serve_config {
    const char *root;
    struct serve_host {
        const char *name;     /* a loopback address, or "localhost" */
        uint64_t rate_bits_s; /* of each connection to it; 0: no limit */
        bool dead;            /* nobody gets a connection, nor a refusal */
    } hosts[SERVE_HOSTS_MAX];
    size_t host_count;
    uint16_t port; /* of all; 0: any that is free */
    unsigned threads;
    struct serve_auth_policy policy;
    const char *tls_cert; /* PEM files, both or none */
    const char *tls_key;
    uint32_t latency_ms;     /* before every answer: the median, */
    uint32_t latency_p99_ms; /* and the 99th percentile; 0: no spread */
    uint64_t seed;           /* of latencies and of faults by chance */
    uint64_t rate_bits_s;    /* of each connection; 0: no limit */
    uint64_t link_bits_s;    /* of all together; 0: no limit */
    uint32_t slow_beyond;    /* answers at once, from which on the link carries less; 0: never */
    int log_fd;              /* a line for every request; -1: none */
    bool checksums;          /* objects have some */
    enum fmt_crc_kind checksum_kind;
    struct serve_fault *faults; /* the server counts in them */
    size_t fault_count;
    uint32_t session_s; /* how long a session with a directory bucket lasts */
    int clock_ahead_s;  /* by which the server's clock is wrong */
};

struct serve;

/* Starts serving. Returns NULL and a sentence in `error` when it cannot. */
struct serve *serve_start(const struct serve_config *config, char *error, size_t error_bytes);

uint16_t serve_port(const struct serve *serve);

/* "http://127.0.0.1:9000" */
const char *serve_url(const struct serve *serve);

/* Number of buckets at present. */
unsigned serve_bucket_count(const struct serve *serve);

/* Closes every connection at once and frees everything; accepts NULL. */
void serve_stop(struct serve *serve);

#endif
