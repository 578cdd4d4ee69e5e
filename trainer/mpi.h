/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mpi.h - what is used of Open MPI, opened at run time: the program needs neither its
 * headers nor its library. Only what mpirun has launched may open it.
 *
 * Owner: the caller closes it. Threads: the one that opened it (MPI_THREAD_FUNNELED).
 * Errors: functions return 0, or -1 with *error; MPI's own error handler, which ends the process,
 *   is off.
 */
#ifndef TRAINER_MPI_H
#define TRAINER_MPI_H

#include "trainer/group.h"

struct tr_mpi;

/* Opens libmpi.so.40 (Open MPI 3 to 5) and joins the others, which wait for it; there is no
 * deadline here, as mpirun ends all when one has failed. */
int tr_mpi_open(struct tr_mpi **out, struct tr_error *error);

/* As "Open MPI v4.1.4". */
const char *tr_mpi_version(const struct tr_mpi *mpi);

/* Rank 0's bytes come to all. */
int tr_mpi_broadcast(struct tr_mpi *mpi, void *bytes, size_t len_bytes, struct tr_error *error);

/* Starts a sum over all ranks, in place; n values, at most TR_MPI_VALUES_MAX. Then it is asked
 * again and again: 1 it is done, 0 not yet. The values are not touched in between. */
#define TR_MPI_VALUES_MAX ((size_t)1 << 30)
int tr_mpi_sum_begin(struct tr_mpi *mpi, void *values, size_t n, enum tr_number type,
                     struct tr_error *error);
int tr_mpi_sum_done(struct tr_mpi *mpi, struct tr_error *error);

/* Clears *mpi; accepts NULL. Together with the others, where `together` is true; else they are not
 * waited for, and mpirun may say that this rank ended without them. */
void tr_mpi_close(struct tr_mpi **mpi, bool together);

#endif
