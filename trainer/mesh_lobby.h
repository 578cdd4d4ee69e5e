/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_lobby.h - where connections come in while a mesh is made: each is a guest until it
 * has said who it is, and is then a rank's, or turned away. For trainer/mesh_join.c.
 *
 * Owner: trainer/mesh_join.c; the lobby uses the mesh and the options. Threads: the mesh's.
 */
#ifndef TRAINER_MESH_LOBBY_H
#define TRAINER_MESH_LOBBY_H

#include "trainer/mesh_address.h"
#include "trainer/mesh_parts.h"

#define TR_GUESTS_MAX 64U

struct tr_guest {
    int fd; /* -1: nobody */
    double came_s;
    uint8_t in[TR_FRAME_BYTES_MAX];
    size_t in_bytes;
};

struct tr_lobby {
    struct tr_mesh *mesh;
    const struct tr_mesh_options *options;
    struct tr_address local; /* to connect from and listen at, where that is given */
    int listener;
    uint16_t port;
    bool linking; /* the table is known: only ranks that have it are taken */
    double join_s;
    double until_s;
    char host[TR_HOST_BYTES_MAX + 1];
    char noted[512]; /* why the last attempt, or the last guest, came to nothing */
    struct tr_place places[TR_MESH_RANKS_MAX];
    struct tr_guest guests[TR_GUESTS_MAX];
};

struct tr_lobby *tr_lobby_open(struct tr_mesh *mesh, const struct tr_mesh_options *options,
                               struct tr_error *error);
void tr_lobby_close(struct tr_lobby *lobby); /* and the listener */

/* Takes in who comes, for a moment. */
int tr_lobby_wait(struct tr_lobby *lobby, struct tr_error *error);
/* Whether all have come that this rank waits for. */
bool tr_lobby_complete(const struct tr_lobby *lobby);
/* The error that names who has not. Returns -1. */
int tr_lobby_missing(struct tr_lobby *lobby, struct tr_error *error);

/* Whether a signal asks to end: -1 with *error then. Whoever waits for others asks again and again.
 */
int tr_lobby_stopped(const struct tr_lobby *lobby, struct tr_error *error);

/* All the bytes, until the deadline. -1 with errno. */
int tr_lobby_send(const struct tr_lobby *lobby, int fd, const uint8_t *bytes, size_t len_bytes);
/* The rank's name, from its host and its control connection. */
void tr_lobby_name(struct tr_lobby *lobby, uint32_t rank, const char *host);

#endif
