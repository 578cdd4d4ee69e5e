/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_sorted.h - puts the pages of a listing that has no order into key order.
 *
 * Owner: the lister. Threads: its own.
 */
#ifndef PIPE_S3_SORTED_H
#define PIPE_S3_SORTED_H

#include "pipe/s3_xml.h"

struct ps_s3_sorted;

/* Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_s3_sorted_open(struct ps_s3_sorted **out, struct penstock_error *error);

/* Takes what the page holds, and leaves it empty. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_s3_sorted_add(struct ps_s3_sorted *sorted, struct ps_s3_page *page,
                     struct penstock_error *error);

/* Makes *page the last one, with every key that begins with the prefix, each once, in UTF-8 byte
 * order. Its texts are lent until the close. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_s3_sorted_take(struct ps_s3_sorted *sorted, const char *prefix, struct ps_s3_page *page,
                      struct penstock_error *error);

/* Accepts NULL. */
void ps_s3_sorted_close(struct ps_s3_sorted *sorted);

#endif
