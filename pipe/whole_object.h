/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/whole_object.h - one object or file that is read into memory at once: a manifest, or what a
 * content type names (a list of labels).
 *
 * Threads: the lister's.
 */
#ifndef PIPE_WHOLE_OBJECT_H
#define PIPE_WHOLE_OBJECT_H

#include "pipe/channel.h"

/* Reads `key` of the source's bucket, or the file of that path; `what` is for messages, e.g. "the
 * manifest". *out receives memory for the caller to free. Returns PENSTOCK_OK, PENSTOCK_E_STOPPED
 * or an error. */
int ps_whole_object_read(struct ps_channel *channel, struct ps_source *source, const char *key,
                         uint64_t size_most, const char *what, uint8_t **out, size_t *len_bytes,
                         struct penstock_error *error);

/* Reads the file that the channel's content type names, if it names one, and gives it to the
 * format: a path, or s3://BUCKET/KEY in the bucket of the channel's first URI. */
int ps_whole_object_for_format(struct ps_channel *channel, struct penstock_error *error);

#endif
