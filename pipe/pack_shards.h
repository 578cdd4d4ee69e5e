/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/pack_shards.h - the files that `penstock pack` writes: PREFIX_0.EXT, PREFIX_1.EXT ...
 * (numbers padded with zeros as the sagemaker SDK does). All are written under temporary names and
 * renamed together at the end, so a failure leaves nothing behind and an old set stays whole.
 *
 * Owner: the caller owns the handle. Threads: one at a time. Units: bytes.
 */
#ifndef PIPE_PACK_SHARDS_H
#define PIPE_PACK_SHARDS_H

#include "pipe/penstock.h"

struct ps_pack_shards;

/* Opens (makes, with parents, if need be) the directory. Without `force`, refuses a directory that
 * holds shards of this prefix and extension; with it, they are replaced at publishing, all of them.
 */
int ps_pack_shards_open(const char *directory, const char *prefix, const char *extension,
                        uint64_t count, bool force, struct ps_pack_shards **shards,
                        struct penstock_error *error);

/* Starts the next shard; the one before is complete. */
int ps_pack_shards_begin(struct ps_pack_shards *shards, struct penstock_error *error);

/* Room for len bytes of the current shard, to be filled and then added. */
int ps_pack_shards_reserve(struct ps_pack_shards *shards, size_t len, uint8_t **room,
                           struct penstock_error *error);
void ps_pack_shards_add(struct ps_pack_shards *shards, size_t len);

/* Completes the last shard and gives all their names. */
int ps_pack_shards_publish(struct ps_pack_shards *shards, struct penstock_error *error);

uint64_t ps_pack_shards_bytes(const struct ps_pack_shards *shards);

/* Removes what was not published. NULL is fine. */
void ps_pack_shards_close(struct ps_pack_shards *shards);

#endif
