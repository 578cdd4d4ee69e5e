/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_list.h - list the objects of a bucket, page after page, in key order; open a session.
 *
 *     rc = ps_s3_list_open(&site, "prefix/", &stop, 0, &lister, error);
 *     while ((rc = ps_s3_list_next(lister, &page, error)) == PENSTOCK_OK)
 *         use(page.objects, page.count);
 *     ps_s3_page_free(&page);
 *     ps_s3_list_close(&lister);                  rc is PENSTOCK_END, or an error
 *
 * ListObjectsV2 with encoding-type=url. A directory bucket gives its keys in no order: they come as
 * one page, when all are there, and its memory lasts until the close. Requests block, with retries;
 * when *stop becomes true a call returns PENSTOCK_E_STOPPED within 100 ms.
 *
 * Owner: the caller; ps_s3_list_close ends the lister. Threads: one at a time; *stop may be set by
 * any.
 */
#ifndef PIPE_S3_LIST_H
#define PIPE_S3_LIST_H

#include <stdatomic.h>

#include "pipe/s3_xml.h"

struct ps_s3_lister;

/* Sends nothing yet.
 *   site      lent until the close
 *   prefix    raw bytes, copied; "" for the whole bucket
 *   stop      lent until the close
 *   max_keys  keys on a page, 0 for as many as the server gives (1000)
 * Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT or PENSTOCK_E_MEMORY. */
int ps_s3_list_open(struct ps_s3_site *site, const char *prefix, const atomic_bool *stop,
                    uint32_t max_keys, struct ps_s3_lister **out, struct penstock_error *error);

/* Fetches the next page into *page, which may be empty; what it held before is overwritten. Returns
 * PENSTOCK_OK, PENSTOCK_END after the last page, PENSTOCK_E_STOPPED, or an error. After anything
 * but PENSTOCK_OK the page holds nothing, and the next call returns the same or tries again. */
int ps_s3_list_next(struct ps_s3_lister *lister, struct ps_s3_page *page,
                    struct penstock_error *error);

/* CreateSession: keys for requests to a directory bucket, signed with the account's. Blocks as a
 * listing does. Returns PENSTOCK_OK, PENSTOCK_E_STOPPED, or an error. */
int ps_s3_create_session(struct ps_s3_site *site, const atomic_bool *stop,
                         struct ps_credentials *out, struct penstock_error *error);

/* Requests sent so far, retries included, and how many of them were retries. */
void ps_s3_list_counters(const struct ps_s3_lister *lister, uint64_t *requests, uint64_t *retries);

/* Frees it and sets *lister to NULL. Accepts NULL in *lister. */
void ps_s3_list_close(struct ps_s3_lister **lister);

#endif
