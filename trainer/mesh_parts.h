/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_parts.h - what a mesh holds: for trainer/mesh.c, which waits and judges,
 * trainer/mesh_control.c, which talks, trainer/mesh_data.c, which moves data, and
 * trainer/mesh_join.c, which makes it.
 */
#ifndef TRAINER_MESH_PARTS_H
#define TRAINER_MESH_PARTS_H

#include "trainer/mesh_data.h"

#include <poll.h>

#define TR_NAME_BYTES 192U
#define TR_CONTROL_BYTES (4 * TR_FRAME_BYTES_MAX)

struct tr_mesh_peer {
    int control; /* sockets; -1: none */
    int data;
    char name[TR_NAME_BYTES];
    double heard_s;
    bool awaited;        /* this rank cannot go on without it */
    bool done;           /* it has said END */
    bool control_ended;  /* nothing more comes */
    double data_ended_s; /* when that was noticed; 0: it has not */
    uint64_t steps_said;
    struct tr_said said[2]; /* of the two newest steps */
    struct tr_call entered;
    struct tr_call waits_in; /* number 0: in none, as far as it has said */
    uint8_t in[TR_CONTROL_BYTES];
    size_t in_bytes;
    uint8_t out[TR_CONTROL_BYTES];
    size_t out_bytes;
    struct tr_flow to;
    struct tr_flow from;
};

struct tr_mesh {
    uint32_t rank;
    uint32_t count;
    double deadline_s;
    double beat_s; /* between signs of life */
    uint64_t token;
    struct tr_mesh_peer *peers; /* (count); of this rank's own, the name alone */
    struct pollfd *polled;      /* (2 * count): control, then data */
    struct tr_call call;        /* the newest */
    bool in_call;
    bool hearing;     /* in tr_mesh_hear, which may come within a call */
    bool flows_moved; /* in the newest call there are flows */
    double waiting_since_s;
    double looked_s; /* after the others, the last time */
    double beaten_s;
    uint64_t steps_said;
    uint64_t steps_heard;
    struct tr_said said[2];
    bool failed;
    bool left;
    struct tr_error failure;
};

/* --- mesh_control.c ------------------------------------------------------------------------------
 */

/* Puts a frame behind what is to be sent, and sends what can be; false if there is no room. */
bool tr_control_put(struct tr_mesh *mesh, struct tr_mesh_peer *peer, enum tr_frame_type type,
                    const void *payload, size_t len_bytes);
void tr_control_flush(struct tr_mesh_peer *peer);
/* What has come: 1, nothing: 0, the end: -1. */
int tr_control_fill(struct tr_mesh_peer *peer);
/* The first frame that has come, as tr_frame_read; to be dropped by its length after use. */
ssize_t tr_control_next(struct tr_mesh_peer *peer, struct tr_frame *frame);
void tr_control_drop(struct tr_mesh_peer *peer, size_t len_bytes);
/* Takes in all that a peer has said. */
int tr_control_read(struct tr_mesh *mesh, struct tr_mesh_peer *peer, struct tr_error *error);
/* Whether a peer comes to the call that this rank is in with another one. */
int tr_control_agree(struct tr_mesh *mesh, const struct tr_mesh_peer *peer,
                     const struct tr_call *theirs, struct tr_error *error);
/* Whether a peer waits in a call to which this rank, which waits for its word, has not come: both
 * would wait for ever. */
int tr_control_crossed(struct tr_mesh *mesh, const struct tr_mesh_peer *peer,
                       struct tr_error *error);
/* A sign of life to all, where it is time. */
void tr_control_beat(struct tr_mesh *mesh);

/* --- mesh_data.c ---------------------------------------------------------------------------------
 */

bool tr_flow_can_move(const struct tr_flow *flow);
short tr_data_events(const struct tr_mesh_peer *peer);
int tr_data_serve(struct tr_mesh *mesh, struct tr_mesh_peer *peer, struct tr_error *error);

/* --- mesh.c --------------------------------------------------------------------------------------
 */

/* Waits for at most timeout_ms until something comes or can go, takes that in, and looks for peers
 * that have failed, or are awaited and silent. */
int tr_mesh_wait(struct tr_mesh *mesh, int timeout_ms, struct tr_error *error);
void tr_mesh_await_none(struct tr_mesh *mesh);
/* -1, with the error of the mesh, once it has failed. */
int tr_mesh_failed(struct tr_mesh *mesh, struct tr_error *error);
/* Memory for the ranks, without connections. */
struct tr_mesh *tr_mesh_new(const struct tr_mesh_options *options, struct tr_error *error);

static inline bool tr_mesh_is_peer(const struct tr_mesh *mesh, uint32_t rank)
{
    return rank != mesh->rank && mesh->peers[rank].control >= 0;
}

#endif
