/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/source.h - one URI of a channel, resolved: where its objects are listed and read.
 *
 * Owner: the channel. Threads: constant after open.
 */
#ifndef PIPE_SOURCE_H
#define PIPE_SOURCE_H

#include "pipe/plan.h"
#include "pipe/s3.h"

struct ps_source {
    char *text; /* the URI as given */
    struct ps_uri uri;
    struct ps_s3_site site; /* s3 only */
};

/* Resolves an already parsed uri; `account` is lent for the source's life, and used for s3 only.
 * Returns PENSTOCK_OK, PENSTOCK_E_ARGUMENT or PENSTOCK_E_MEMORY. */
int ps_source_open(struct ps_source *source, const char *text, const struct ps_uri *uri,
                   const struct ps_s3_account *account, struct penstock_error *error);
void ps_source_close(struct ps_source *source);

/* "s3://bucket/key", or a path. An object of a file source has its whole path for a key. */
void ps_source_name(const struct ps_source *source, const struct ps_object *object, char *out,
                    size_t size);

/* Fills *error for a malformed record at `offset_bytes` of the object. Returns PENSTOCK_E_FORMAT.
 */
int ps_source_bad_record(struct penstock_error *error, const char *channel_name,
                         const struct ps_source *source, const struct ps_object *object,
                         uint64_t offset_bytes, const char *cause);

#endif
