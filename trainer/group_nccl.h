/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_nccl.h - a group whose sums of device memory NCCL adds up on the GPUs, in the order
 * of the compute stream and without the host; the group inside does everything else.
 *
 * A sum that waits for a rank that is gone would keep the stream for ever: while the host waits for
 * the device, the group watches (tr_device_await), and ends NCCL's work when the group inside knows
 * of a rank that is silent, gone or has failed. The sums have the same bits on every rank.
 *
 * Owner: the group has the device's watch until tr_group_forget. Threads, errors: as
 * trainer/group.h.
 */
#ifndef TRAINER_GROUP_NCCL_H
#define TRAINER_GROUP_NCCL_H

#include "trainer/mesh.h"

/* Together: *group becomes one with NCCL where every rank offers a GPU of its own and can open
 * NCCL; otherwise it stays as it is, and `line` says why: "sums: by the host, since rank 1: ...".
 * `mesh` is that of the group, or NULL. Returns 0, or -1 with *error when a rank has failed. */
int tr_group_nccl_begin(struct tr_group **group, struct tr_mesh *mesh, struct tr_device *device,
                        bool offers, char *line, size_t line_bytes, struct tr_error *error);

/* Forgets the device, and makes *group what it was before; of any group. */
void tr_group_nccl_end(struct tr_group **group);

#endif
