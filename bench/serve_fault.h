/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_fault.h - faults on purpose, the same ones in every run.
 *
 * A fault counts the requests it applies to (signed and found, of the operation and keys it names)
 * and fires on every N-th of them, or by a chance that depends on the seed and that count alone.
 * Every fault counts every such request; of those that would fire on the same one, the first given
 * does.
 *
 * Threads: serve_fault_parse one at a time, before serving; serve_fault_pick any.
 * Units: bytes, milliseconds.
 */
#ifndef BENCH_SERVE_FAULT_H
#define BENCH_SERVE_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum serve_fault_kind {
    SERVE_FAULT_STATUS,   /* an error answer instead of the object */
    SERVE_FAULT_CUT,      /* right head, then FIN after `bytes` of the body */
    SERVE_FAULT_RESET,    /* the same with RST */
    SERVE_FAULT_STALL,    /* the body pauses for `stall_ms` after `bytes` */
    SERVE_FAULT_DELAY,    /* the answer begins `stall_ms` late */
    SERVE_FAULT_TRICKLE,  /* the body comes at `bytes` a second */
    SERVE_FAULT_ETAG,     /* another entity tag, whatever was asked for */
    SERVE_FAULT_FLIP,     /* a bit of the body's byte at `bytes` is wrong */
    SERVE_FAULT_BADRANGE, /* Content-Range starts one byte later than asked */
    SERVE_FAULT_FULL,     /* 200 with the whole object for a ranged request */
    SERVE_FAULT_SHORT,    /* `bytes` fewer than asked, in body and Content-Length alike */
    SERVE_FAULT_EXTRA,    /* `bytes` more than announced */
    SERVE_FAULT_CHANGED,  /* from now on the object seems overwritten: another entity tag */
    SERVE_FAULT_CHUNK,    /* a chunked body with a chunk size that is none */
};

enum serve_fault_op { SERVE_FAULT_OP_GET, SERVE_FAULT_OP_LIST };

struct serve_fault {
    enum serve_fault_kind kind;
    enum serve_fault_op op;
    int http_status;
    char code[64];
    uint32_t retry_after_s; /* 0: no Retry-After header */
    uint64_t bytes;
    uint32_t stall_ms;
    char region[64];    /* for x-amz-bucket-region and <Region>; "": none */
    char location[256]; /* header; "": none */
    uint64_t every;
    uint64_t chance;      /* fires if a hash of the count is below it; UINT64_MAX: always */
    uint64_t times;       /* fires this often at most */
    uint64_t from;        /* not on the requests before this one; the first is 1 */
    char credential[256]; /* only requests signed with this access key id or session token */
    char key[256];        /* only requests whose key (prefix, for lists) holds this */
    uint64_t seed;
    _Atomic uint64_t seen_count;
    _Atomic uint64_t fired_count;
};

/* The grammar, for --help. */
extern const char serve_fault_help[];

/* Parses "name=value,name,...". Returns false and a sentence in `error` when it is unusable. */
bool serve_fault_parse(const char *spec, struct serve_fault *fault, char *error,
                       size_t error_bytes);

/* A hash for all that happens by chance. */
uint64_t serve_fault_mix(uint64_t x);

/* What chance depends on, from 0 on. */
void serve_fault_seed(struct serve_fault *faults, size_t fault_count, uint64_t seed);

/* A request, as far as faults care. */
struct serve_fault_subject {
    enum serve_fault_op op;
    const char *key;
    const char *authorization; /* the header's value, or NULL */
    const char *session_token; /* or NULL */
};

/* Counts a request and returns the fault that fires on it, or NULL. */
const struct serve_fault *serve_fault_pick(struct serve_fault *faults, size_t fault_count,
                                           const struct serve_fault_subject *subject);

/* The SERVE_FAULT_CHANGED that has fired and is for `key`, or NULL. */
const struct serve_fault *serve_fault_changed(const struct serve_fault *faults, size_t fault_count,
                                              const char *key);

/* "status", "cut" ...: for the log. */
const char *serve_fault_name(enum serve_fault_kind kind);

#endif
