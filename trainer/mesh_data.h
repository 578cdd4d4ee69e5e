/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_data.h - data between ranks, for trainer/group_tcp.c: one flow to each rank and one
 * from each at a time, all of which move at once.
 *
 *     tr_mesh_begin(mesh, &call, &error);
 *     tr_flow_start(tr_mesh_out(mesh, rank), &head, values, len_bytes, 0); ...
 *     while (flows are not done)
 *         tr_mesh_move(mesh, &error);
 *     tr_mesh_exit(mesh);
 *
 * Threads: the mesh's.
 */
#ifndef TRAINER_MESH_DATA_H
#define TRAINER_MESH_DATA_H

#include "trainer/mesh.h"
#include "trainer/mesh_frame.h"

/* One head and the bytes behind it, on their way. */
struct tr_flow {
    uint8_t head[TR_HEAD_BYTES];
    struct tr_head expected; /* of a flow from another rank */
    size_t head_bytes;       /* moved */
    uint8_t *bytes;
    size_t len_bytes;
    size_t done_bytes;  /* moved */
    size_t ready_bytes; /* that there are to send, or is room for: to be raised by the caller */
    size_t ring_bytes;  /* not 0: byte i is at bytes[i % ring_bytes] */
    bool any_size;      /* the sender's size is for it to say; it is then in `expected` */
    bool started;
};

/* Counts and describes the call that this rank comes to. */
int tr_mesh_begin(struct tr_mesh *mesh, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes, struct tr_error *error);

struct tr_flow *tr_mesh_out(struct tr_mesh *mesh, uint32_t rank);
struct tr_flow *tr_mesh_in(struct tr_mesh *mesh, uint32_t rank);

/* Starts a part of the call; all its bytes are ready. They are not written where the flow goes out.
 */
void tr_flow_start(struct tr_mesh *mesh, struct tr_flow *flow, uint8_t part, const void *bytes,
                   size_t len_bytes);

static inline bool tr_flow_done(const struct tr_flow *flow)
{
    return flow->head_bytes == TR_HEAD_BYTES && flow->done_bytes == flow->len_bytes;
}

/* Waits until something has moved, or for a while. */
int tr_mesh_move(struct tr_mesh *mesh, struct tr_error *error);

/* For a caller that finds an error of its own in what came: the mesh has failed by it. */
int tr_mesh_fail(struct tr_mesh *mesh, struct tr_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
