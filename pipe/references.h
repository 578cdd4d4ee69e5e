/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/references.h - the objects that manifests name, wherever they are: a source for each bucket.
 *
 * Owner: the channel, whose array of sources has room for them from the start, so that none ever
 * moves. Threads: the channel's lister; others see a source with the object that is of it.
 */
#ifndef PIPE_REFERENCES_H
#define PIPE_REFERENCES_H

#include "pipe/channel.h"

#define PS_REFERENCE_BUCKETS_MAX 256

/* How many sources the channel's array has room for. */
size_t ps_references_room(const struct ps_channel *channel);

/* Reads the URI `text` of an object or a file, named by the manifest that is the channel's URI
 * uri_no, into item's key (which leads into `text`), source_no and uri_no. A manifest in S3 names
 * objects, one in a file files. Returns PENSTOCK_OK, PENSTOCK_E_FORMAT with the cause alone for a
 * message, or PENSTOCK_E_MEMORY. */
int ps_reference_read(struct ps_channel *channel, uint32_t uri_no, const char *text,
                      struct ps_object *item, struct penstock_error *error);

#endif
