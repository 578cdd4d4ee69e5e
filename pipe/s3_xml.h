/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_xml.h - parse S3's XML answers: a page of a listing, and <Error>.
 *
 * Sources: Amazon S3 API Reference, ListObjectsV2 and "Error responses". Documents are bounded and
 * hostile: a document type declaration (entities) is refused, every number and length is checked.
 *
 * Owner: the caller; a page owns its memory until ps_s3_page_free. Threads: pure functions.
 */
#ifndef PIPE_S3_XML_H
#define PIPE_S3_XML_H

#include "pipe/s3.h"

#define PS_S3_PAGE_BYTES_MAX (16 << 20) /* 1000 keys of 1 KiB, encoded, have 4 MiB */

struct ps_s3_object {
    const char *key;  /* 1 .. PS_KEY_BYTES_MAX bytes */
    const char *etag; /* with its quotes; "" if the server gave none */
    uint64_t size_bytes;
};

/* A page of a listing. Zero it before its first use; it may be used again for the next page. */
struct ps_s3_page {
    struct ps_s3_object *objects; /* in the server's order */
    size_t count;
    bool truncated; /* there is another page, which begins at `token` */
    char token[PS_S3_TOKEN_MAX + 1];

    char *text; /* private: holds the keys and entity tags */
    size_t text_bytes, capacity;
};

/* What an error document says, and the head before it. Texts are "" when absent. */
struct ps_s3_answer {
    char code[64];
    char message[512];
    char request_id[128];
    char region[64];
    char location[300];      /* of a redirect; host and port matter, so it may be cut */
    time_t server_time;      /* 0: not said */
    uint32_t retry_after_ms; /* 0: not said */
};

/* Parses a ListBucketResult. Keys are decoded if the document says that they are encoded. Returns
 * PENSTOCK_OK, PENSTOCK_E_HTTP for a document that is no listing, or PENSTOCK_E_MEMORY. */
int ps_s3_xml_page(const char *body, size_t len, struct ps_s3_page *page,
                   struct penstock_error *error);

/* Reads what it can of an <Error> document, which may be cut short. Anything else gives "". */
void ps_s3_xml_answer(const char *body, size_t len, struct ps_s3_answer *out);

void ps_s3_page_free(struct ps_s3_page *page);

#endif
