/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/nccl.h - what is used of NCCL, opened at run time: neither its header nor CUDA's is
 * needed. Types and values are those of nccl.h 2.14, which later versions keep.
 *
 * Owner: the caller has the table; the library is never closed. Threads: see NCCL; the functions of
 * one communicator are called one at a time, except get_async_error and abort.
 */
#ifndef TRAINER_NCCL_H
#define TRAINER_NCCL_H

#include "trainer/error.h"
#include "trainer/group.h"

#define TR_NCCL_ID_BYTES 128
#define TR_NCCL_SUCCESS 0
#define TR_NCCL_IN_PROGRESS 7
#define TR_NCCL_SUM 0

struct tr_nccl_id {
    char bytes[TR_NCCL_ID_BYTES];
};

/* ncclConfig_t as of 2.14; a later library knows by the size that there is no more. */
struct tr_nccl_config {
    size_t size;
    unsigned magic;
    unsigned version;
    int blocking;
};

struct tr_nccl_comm; /* NCCL's own */

struct tr_nccl {
    int version; /* 22809: 2.28.9 */
    int (*get_version)(int *version);
    int (*get_unique_id)(struct tr_nccl_id *id);
    int (*comm_init)(struct tr_nccl_comm **comm, int ranks, struct tr_nccl_id id, int rank,
                     struct tr_nccl_config *config);
    int (*get_async_error)(struct tr_nccl_comm *comm, int *error);
    int (*all_reduce)(const void *from, void *to, size_t count, int type, int operation,
                      struct tr_nccl_comm *comm, void *stream);
    int (*comm_finalize)(struct tr_nccl_comm *comm);
    int (*comm_destroy)(struct tr_nccl_comm *comm);
    int (*comm_abort)(struct tr_nccl_comm *comm);
    const char *(*error_string)(int result);
    const char *(*last_error)(struct tr_nccl_comm *comm);
};

/* Opens libnccl.so.2, or the library that $PENSTOCK_NCCL names; "off" is none. */
int tr_nccl_open(struct tr_nccl *nccl, struct tr_error *why);

/* ncclFloat32, ncclFloat64, ncclUint64 */
int tr_nccl_type(enum tr_number type);

/* A communicator whose calls do not wait; it is ready when get_async_error says success. */
int tr_nccl_begin(const struct tr_nccl *nccl, const struct tr_nccl_id *id, uint32_t rank,
                  uint32_t count, struct tr_nccl_comm **comm);

/* "NCCL: unhandled system error: ..." Returns -1. */
int tr_nccl_failed(const struct tr_nccl *nccl, struct tr_nccl_comm *comm, int result,
                   struct tr_error *error);

#endif
