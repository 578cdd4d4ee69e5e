/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh.h - TCP connections between all ranks of a run: signs of life, what ranks say of a
 * step, and who has failed. Sums and other data of trainer/group_tcp.h go over connections beside
 * them (trainer/mesh_data.h); an engine that moves data by other means (MPI, NCCL) opens a mesh, or
 * a TCP group, for its control:
 *
 *     tr_mesh_enter(mesh, TR_CALL_SUM, type, size_bytes, &error);   // "I am in call k"
 *     while (the engine's request is not complete)
 *         if (tr_mesh_poll(mesh, 1, &error) < 0)                     // who is silent, gone, failed
 *             ...
 *     tr_mesh_exit(mesh);
 *
 * Every rank makes the same calls in the same order: they are counted, and a rank that is in
 * another one under the same number is an error. Ranks that wait in a call or in tr_mesh_hear give
 * signs of life themselves; a rank that computes or waits for data gives them by tr_mesh_beat.
 *
 * Rendezvous: rank 0 listens at host:port; the others connect there, again and again until the
 * deadline, and learn where all are; then each connects to all of lower rank. Whoever does not know
 * the job's name is turned away. Nothing is encrypted: this is for a network of one's own.
 *
 * Owner: the caller of tr_mesh_open frees the mesh; the options are not kept.
 * Threads: one at a time.
 * Errors: int functions return 0, or -1 with *error; after that the mesh can only be left and freed
 *   (other calls fail with the same error).
 */
#ifndef TRAINER_MESH_H
#define TRAINER_MESH_H

#include "trainer/group.h"

#define TR_MESH_RANKS_MAX 256U
#define TR_MESH_DEADLINE_S 60.0
#define TR_MESH_JOIN_DEADLINE_S 300.0

struct tr_mesh_options {
    uint32_t rank;
    uint32_t count;         /* 2..TR_MESH_RANKS_MAX */
    const char *host;       /* where rank 0 is; of several, with commas between them, any */
    uint16_t port;          /* that it listens on */
    int listen_fd;          /* of rank 0: a socket that listens already, taken over; <= 0: none */
    const char *local;      /* network interface or address of this host to use; NULL: as routed */
    const char *job;        /* the run's name, at most 64 bytes, the same on every rank; not NULL */
    double deadline_s;      /* silence of a rank that is waited for; 0: TR_MESH_DEADLINE_S */
    double join_deadline_s; /* until all have come; 0: TR_MESH_JOIN_DEADLINE_S */
    bool control_only;      /* no connections for data */
};

struct tr_mesh;

int tr_mesh_open(const struct tr_mesh_options *options, struct tr_mesh **out,
                 struct tr_error *error);

/* Of a step: see tr_group_say, tr_group_hear, tr_group_beat, tr_group_leave. */
int tr_mesh_say(struct tr_mesh *mesh, uint32_t flags, uint32_t rows, struct tr_error *error);
int tr_mesh_hear(struct tr_mesh *mesh, struct tr_heard *heard, struct tr_error *error);
int tr_mesh_beat(struct tr_mesh *mesh, struct tr_error *error);
void tr_mesh_leave(struct tr_mesh *mesh, const char *why);

/* What ranks do in a call. */
enum tr_call_kind { TR_CALL_SUM = 1, TR_CALL_BROADCAST, TR_CALL_GATHER };

/* This rank comes to its next call, by means of another engine, and tells the others so. `type` is
 * of sums, 0 otherwise; size_bytes is 0 where ranks need not agree on it. */
int tr_mesh_enter(struct tr_mesh *mesh, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes, struct tr_error *error);
/* Inside a call: waits for at most timeout_ms for news of the others, and looks for ranks that are
 * silent (those first that have not come to the call), gone or failed. */
int tr_mesh_poll(struct tr_mesh *mesh, int timeout_ms, struct tr_error *error);
void tr_mesh_exit(struct tr_mesh *mesh);

uint32_t tr_mesh_rank(const struct tr_mesh *mesh);
uint32_t tr_mesh_count(const struct tr_mesh *mesh);
/* "rank 2 of 4 (host-b, 10.0.0.2)" */
const char *tr_mesh_name(const struct tr_mesh *mesh, uint32_t rank);

/* Frees and clears *mesh; accepts NULL. The others hear that this rank has ended or, where the mesh
 * has failed, why. Waits for at most a second. */
void tr_mesh_free(struct tr_mesh **mesh);

#endif
