/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/ranks_nodes.h - the first host of Slurm's compressed list of nodes.
 *
 * Threads: a pure function.
 */
#ifndef TRAINER_RANKS_NODES_H
#define TRAINER_RANKS_NODES_H

#include <stddef.h>

/* "node[01-04,7]-ib,gpu3" -> "node01-ib": in every pair of brackets the first number. Returns 0, or
 * -1 where the list is none, or the name has no room. (slurm: "Hostlist expressions") */
int tr_ranks_first_node(const char *list, char *host, size_t host_bytes);

#endif
