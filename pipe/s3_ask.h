/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_ask.h - many small requests for objects at once: what size and entity tag they have, or
 * all of their bytes.
 *
 * By libcurl, over connections that stay open, tried again by the same rules as a listing.
 *
 * Owner: the caller; ps_s3_asker_close ends it. Threads: one at a time. Units: bytes, milliseconds.
 */
#ifndef PIPE_S3_ASK_H
#define PIPE_S3_ASK_H

#include "pipe/s3.h"

struct ps_s3_asker;

/* What came of a request. Lent for the call. */
struct ps_s3_told {
    uint64_t tag; /* as given to ps_s3_ask */
    int rc;       /* PENSTOCK_OK, or the error's */
    const struct penstock_error *error;
    uint64_t size_bytes;
    const char *etag; /* with its quotes; "" if there is none */
    struct ps_s3_site *site;
    const char *key;
};

typedef void (*ps_s3_told_fn)(void *cookie, const struct ps_s3_told *told);

/* At most `slots` requests are under way at once. `told` is called by ps_s3_asker_run. Returns
 * PENSTOCK_OK or PENSTOCK_E_MEMORY. The callback asks for nothing. */
int ps_s3_asker_open(uint32_t slots, ps_s3_told_fn told, void *cookie, struct ps_s3_asker **out,
                     struct penstock_error *error);

/* How many more may be asked now. */
uint32_t ps_s3_asker_room(const struct ps_s3_asker *asker);

/* Asks for size and entity tag (HEAD). There must be room. `site` is lent until the close, `key`
 * until the answer. */
void ps_s3_ask(struct ps_s3_asker *asker, struct ps_s3_site *site, const char *key, uint64_t tag);

/* Sends, receives, tells; waits for at most timeout_ms if there is nothing to tell. */
void ps_s3_asker_run(struct ps_s3_asker *asker, int timeout_ms);

/* Requests sent so far, retries included, and how many of them were retries. */
void ps_s3_asker_counters(const struct ps_s3_asker *asker, uint64_t *requests, uint64_t *retries);

/* Drops what is under way. Accepts NULL in *asker. */
void ps_s3_asker_close(struct ps_s3_asker **asker);

/* All bytes of an object, of which there may be size_most at most. *stop ends it within 100 ms.
 * *out receives memory for the caller to free. Returns PENSTOCK_OK, PENSTOCK_E_STOPPED or an error.
 */
int ps_s3_read_object(struct ps_s3_site *site, const char *key, uint64_t size_most,
                      const atomic_bool *stop, uint8_t **out, size_t *len_bytes, uint64_t *requests,
                      struct penstock_error *error);

#endif
