/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_open.h - chooses how the ranks of a run talk and add up, and says so in one line.
 *
 * Owner: the caller frees the group, which may be NULL: one rank. Threads: the device's.
 * Errors: 0, or -1 with *error.
 */
#ifndef TRAINER_GROUP_OPEN_H
#define TRAINER_GROUP_OPEN_H

#include "trainer/group.h"
#include "trainer/ranks.h"

/* Together: opens the group of these ranks, with Open MPI's sums if mpirun has launched them;
 * $PENSTOCK_GROUP says otherwise ("tcp", "mpi"). deadline_s: of a silent rank, 0 = the default.
 * `line` receives "group: tcp" or "group: mpi (Open MPI v4.1.4)"; nothing for one rank. */
int tr_group_open(const struct tr_ranks *ranks, double deadline_s, struct tr_group **out,
                  char *line, size_t line_bytes, struct tr_error *error);

/* Together, once each rank has its device: on GPUs sums go by NCCL from now on, if it can be had,
 * until tr_group_drop_device, which comes before the device is closed and gives *group back.
 * `line` receives which, where a rank has a GPU: "sums: by NCCL 2.28.9, on the GPUs", or "sums: by
 * the host, since rank 1: ..."; nothing otherwise. *group may be NULL. */
int tr_group_use_device(struct tr_group **group, struct tr_device *device, char *line,
                        size_t line_bytes, struct tr_error *error);
void tr_group_drop_device(struct tr_group **group);

#endif
