/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_request.h - one request on its way through the server; private to bench/serve*.c.
 *
 * Owner: MHD's connection, by its context pointer; made when the request line is read, freed when
 * the request is completed. Threads: the connection's.
 */
#ifndef BENCH_SERVE_REQUEST_H
#define BENCH_SERVE_REQUEST_H

#include "bench/serve.h"
#include "bench/serve_checksum.h"
#include "bench/serve_delay.h"
#include "bench/serve_link.h"
#include "bench/serve_list.h"
#include "bench/serve_store.h"

#include <microhttpd.h>
#include <openssl/evp.h>
#include <stdatomic.h>

struct serve {
    const struct serve_config *config;
    struct serve_listener {
        struct serve *serve;
        uint64_t rate_bits_s;
        int fd; /* the daemon's, if there is one */
        int fillers[2];
        struct MHD_Daemon *daemon; /* NULL: dead */
    } listeners[SERVE_HOSTS_MAX];
    size_t listener_count;
    struct serve_link *link; /* NULL: no limit */
    struct serve_list *list;
    struct serve_delay *delay;
    struct serve_checksums *checksums; /* NULL: objects have none */
    int root_fd;
    uint16_t port;
    char url[80];
    char *tls_cert;
    char *tls_key;
    uint64_t id_seed;
    _Atomic uint64_t request_count;
};

struct serve_request {
    struct serve *serve;
    struct MHD_Connection *connection;
    char *target; /* as sent */
    const char *method;
    const char *query; /* in target, after '?'; "" when there is none */
    char request_id[17];
    uint64_t number; /* of all requests, from 1 */
    bool begun;
    bool slept;
    bool uri_bad; /* target is no S3 path */
    bool key_too_long;
    char bucket[SERVE_BUCKET_MAX + 1]; /* "" for the service itself */
    char key[SERVE_KEY_MAX + 1];       /* "" for the bucket itself */
    size_t key_len_bytes;
    int bucket_fd; /* -1 until opened */
    struct serve_auth_verdict verdict;
    struct serve_upload upload;
    bool upload_summed; /* the body's checksum came with it, and is to be checked */
    enum fmt_crc_kind upload_sum_kind;
    uint64_t upload_sum;
    EVP_MD_CTX *upload_sha256;       /* NULL: the body's hash is not to be checked */
    int upload_errno;                /* why the body could not be stored; 0: it could */
    const struct serve_fault *fault; /* that fires on this request, or NULL */
    bool delayed;                    /* a SERVE_FAULT_DELAY has been slept through */
};

/* An error answer, as S3 words it. */
struct serve_error {
    int http_status;
    const char *code;
    const char *message;
    const char *element; /* an XML element that S3 adds, e.g. "Key", and its text; or NULL */
    const char *text;
    size_t text_len_bytes;
    const char *xml; /* further elements, verbatim; or NULL */
    struct serve_header {
        const char *name; /* NULL: none */
        const char *value;
    } headers[3];
};

/* Queues an answer: adds the headers that every answer has, writes the log line. Takes `response`;
 * `body_bytes` is for the log. */
enum MHD_Result serve_reply(struct serve_request *request, int http_status,
                            struct MHD_Response *response, uint64_t body_bytes);

enum MHD_Result serve_reply_error(struct serve_request *request, const struct serve_error *error);

/* Shorthand for an error without further elements. */
enum MHD_Result serve_reply_simple_error(struct serve_request *request, int http_status,
                                         const char *code, const char *message);

/* Picks the fault for a request, once. Returns false when it delays the answer: MHD asks again. */
bool serve_request_pick_fault(struct serve_request *request, enum serve_fault_op op,
                              const char *key);

/* Answers as request->fault, a SERVE_FAULT_STATUS, has it. */
enum MHD_Result serve_reply_fault_status(struct serve_request *request);

/* Answers with XML, or 500 when the text has failed. Takes what the text holds. */
enum MHD_Result serve_reply_xml(struct serve_request *request, int http_status,
                                struct serve_text *text);

/* Answers with no body and the given headers ("Name", "value", ..., NULL). */
enum MHD_Result serve_reply_empty(struct serve_request *request, int http_status, ...)
    __attribute__((sentinel));

const char *serve_request_header(const struct serve_request *request, const char *name);

/* Decodes query parameter `name` into out. Returns false when it is not there, cannot be decoded,
 * holds a NUL or does not fit. */
bool serve_request_parameter(const struct serve_request *request, const char *name, char *out,
                             size_t out_bytes);

/* Whether the query has the parameter at all. */
bool serve_request_has(const struct serve_request *request, const char *name);

/* Opens the request's bucket into request->bucket_fd. On failure sends NoSuchBucket, whose result
 * goes to *result, and returns false. */
bool serve_request_open_bucket(struct serve_request *request, enum MHD_Result *result);

/* What the rooms of the server answer. */
enum MHD_Result serve_answer_service(struct serve_request *request);
enum MHD_Result serve_answer_bucket(struct serve_request *request);
enum MHD_Result serve_answer_object(struct serve_request *request);

/* 405, and which methods would do. */
enum MHD_Result serve_answer_method_not_allowed(struct serve_request *request, const char *allow);

/* The body of a PUT, as it comes in, and the answers to PUT and DELETE. */
void serve_upload_begin(struct serve_request *request);
void serve_upload_data(struct serve_request *request, const char *data, size_t len_bytes);
enum MHD_Result serve_answer_put(struct serve_request *request);
enum MHD_Result serve_answer_delete(struct serve_request *request);

/* Splits target and Host into bucket, key and query. */
void serve_route_parse(struct serve_request *request);

/* Verifies the signature; the verdict stays in the request. */
void serve_route_check(struct serve_request *request);

/* Answers a request that has been read to its end. */
enum MHD_Result serve_route_answer(struct serve_request *request);

#endif
