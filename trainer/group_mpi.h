/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_mpi.h - a group whose sums of host memory Open MPI adds up; a group of TCP
 * connections is its control.
 *
 * The sums have the same bits on every rank, but not those that the order of ranks gives.
 *
 * Owner: the group has the MPI, and closes it. Threads: the one that opened that.
 * Errors: 0, or -1 with *error.
 */
#ifndef TRAINER_GROUP_MPI_H
#define TRAINER_GROUP_MPI_H

#include "trainer/group_tcp.h"
#include "trainer/mpi.h"

/* Where ranks that mpirun has launched meet, which rank 0 says to all through MPI. */
struct tr_meeting {
    char host[512]; /* a name, or addresses with commas between them */
    uint16_t port;
    int listen_fd; /* of rank 0: listens there */
};

/* Together. Rank 0 listens at a port that is free, and tells all addresses that it has: which of
 * them leads to it, only the others can find out. Where all ranks are on this host, they meet
 * there. */
int tr_mpi_meet(struct tr_mpi *mpi, uint32_t rank, bool all_here, struct tr_meeting *meeting,
                struct tr_error *error);

/* Makes one of *tcp, a group of tr_group_tcp_open, which is its from then on, as the MPI is; both
 * stay the caller's where that fails. */
int tr_group_mpi_new(struct tr_group *tcp, struct tr_mpi *mpi, struct tr_group **out,
                     struct tr_error *error);

#endif
