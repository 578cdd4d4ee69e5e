/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_body.h - answer bodies that are not a plain sendfile: over TLS, or with a fault.
 *
 * Owner: the response made here owns the descriptor or the bytes. Threads: the connection's.
 */
#ifndef BENCH_SERVE_BODY_H
#define BENCH_SERVE_BODY_H

#include "bench/serve_request.h"

/* A response with len_bytes of the file from offset_bytes. Takes fd, also when it returns NULL. */
struct MHD_Response *serve_body_file(struct serve_request *request, int fd, uint64_t offset_bytes,
                                     uint64_t len_bytes);

/* A response with bytes that malloc gave. Takes them, also when it returns NULL. */
struct MHD_Response *serve_body_memory(struct serve_request *request, char *data,
                                       uint64_t len_bytes);

#endif
