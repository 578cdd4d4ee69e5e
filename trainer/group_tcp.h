/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_tcp.h - a group of ranks whose sums, broadcasts and gatherings go over TCP.
 *
 * Sums of more than a few KiB: each rank owns a share of the values, adds up what all have of it,
 * and sends the sums to all, while the next of it arrives. So a rank sends and receives about twice
 * the values, whatever the number of ranks.
 *
 * Owner: the caller frees the group (tr_group_free). Threads: one at a time.
 * Errors: 0, or -1 with *error.
 */
#ifndef TRAINER_GROUP_TCP_H
#define TRAINER_GROUP_TCP_H

#include "trainer/mesh.h"

/* Bytes of all ranks together that tr_group_gather takes at most. */
#define TR_GATHER_BYTES_MAX (UINT64_C(1) << 30)

int tr_group_tcp_open(const struct tr_mesh_options *options, struct tr_group **out,
                      struct tr_error *error);

/* The connections of such a group: the control of an engine that does some of its calls. */
struct tr_mesh *tr_group_tcp_mesh(struct tr_group *group);

#endif
