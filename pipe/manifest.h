/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/manifest.h - what manifests say: SageMaker's ManifestFile and AugmentedManifestFile.
 *
 *     [{"prefix": "s3://bucket/prefix/"}, "a/1.rec", "a/2.rec"]
 *
 * Every string is appended to the prefix as it is, and the result names an object; objects come in
 * the order and as often as they are listed.
 *
 *     {"source-ref": "s3://bucket/image", "class": "0"}
 *
 * One JSON object a line. Of a line the channel's attributes are delivered, in the channel's order:
 * of one whose name ends in "-ref" the object that it names; of others the text of a string, and
 * the bytes of any other value as they are written.
 *
 * Source: Amazon SageMaker API Reference, S3DataSource.
 *
 * Owner: the caller. Threads: the channel's lister.
 */
#ifndef PIPE_MANIFEST_H
#define PIPE_MANIFEST_H

#include "pipe/channel.h"

#define PS_MANIFEST_BYTES_MAX ((uint64_t)1 << 30)

/* Reads the text of the manifest that the channel's URI uri_no names into the channel's plan.
 * Returns PENSTOCK_OK, PENSTOCK_E_FORMAT, PENSTOCK_E_MEMORY or PENSTOCK_E_STOPPED. */
int ps_manifest_read(struct ps_channel *channel, uint32_t uri_no, const uint8_t *text,
                     size_t len_bytes, struct penstock_error *error);

/* A line is left out, for the reason given: counts it, and says so for the first ones. */
void ps_manifest_skip(struct ps_channel *channel, uint32_t uri_no, uint32_t line_no,
                      const char *why);

/* Fills *error for entry or line line_no of a manifest, with the rc and the place in `cause`.
 * Returns the rc. */
int ps_manifest_fail(struct ps_channel *channel, uint32_t uri_no, uint32_t line_no,
                     const struct penstock_error *cause, struct penstock_error *error);

#endif
