/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_join.c - how ranks find each other: tr_mesh_open of trainer/mesh.h.
 *
 * Rank 0 takes in those that join (mesh_lobby.h), then sends all the table of places. Then each
 * connects to the others of lower rank, and takes in those of higher.
 */
#include "trainer/mesh_lobby.h"

#include "trainer/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ADDRESSES_MAX 16
#define ATTEMPT_S 10.0     /* that one connection may take */
#define PAUSE_S_FIRST 0.05 /* between attempts */
#define PAUSE_S_MAX 1.0
#define ANSWER_MS 100 /* between looks at the deadline */

/* --- rank 0: all come ----------------------------------------------------------------------------
 */

static int listen_as_first(struct tr_lobby *lobby, struct tr_error *error)
{
    const struct tr_mesh_options *options = lobby->options;
    struct tr_address at;
    struct tr_error none;
    if (options->listen_fd > 0) {
        lobby->listener = options->listen_fd;
        fcntl(lobby->listener, F_SETFL, fcntl(lobby->listener, F_GETFL) | O_NONBLOCK);
        return 0;
    }
    if (lobby->local.len_bytes > 0) {
        at = lobby->local;
        tr_address_set_port(&at, options->port);
        lobby->listener = tr_address_listen(&at);
    } else if (tr_address_find(options->host, options->port, &at, 1, &none) == 1 &&
               tr_address_is_loopback(&at)) {
        lobby->listener = tr_address_listen(&at);
    } else {
        lobby->listener = tr_address_listen_anywhere(options->port);
    }
    if (lobby->listener < 0)
        return tr_mesh_fail(lobby->mesh, error,
                            "rank 0 cannot listen at port %u for the others: %s",
                            (unsigned)options->port, strerror(errno));
    return 0;
}

/* Where the ranks are, to each of them. */
static int send_table(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    for (uint32_t to = 1; to < mesh->count; to++) {
        struct tr_mesh_peer *peer = &mesh->peers[to];
        int rc = tr_lobby_send(lobby, peer->control, peer->out, peer->out_bytes);
        peer->out_bytes = 0;
        for (uint32_t r = 0; rc == 0 && r < mesh->count; r++) {
            struct tr_frame frame = {.type = TR_FRAME_TABLE, .sequence = r, .payload = payload};
            frame.len_bytes = (uint16_t)tr_place_write(&lobby->places[r], payload);
            rc = tr_lobby_send(lobby, peer->control, bytes, tr_frame_write(bytes, &frame));
        }
        if (rc < 0)
            return tr_mesh_fail(mesh, error, "%s has gone while ranks were coming: %s", peer->name,
                                strerror(errno));
    }
    return 0;
}

static int gather_all(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    if (listen_as_first(lobby, error) < 0)
        return -1;
    if (getrandom(&mesh->token, sizeof mesh->token, 0) != sizeof mesh->token)
        return tr_mesh_fail(mesh, error, "getrandom: %s", strerror(errno));
    while (!tr_lobby_complete(lobby)) {
        if (tr_now_s() > lobby->until_s)
            return tr_lobby_missing(lobby, error);
        if (tr_lobby_wait(lobby, error) < 0 || tr_lobby_stopped(lobby, error) < 0)
            return -1;
        tr_control_beat(mesh);
    }
    for (uint32_t r = 0; r < mesh->count; r++)
        lobby->places[r].token = mesh->token;
    return send_table(lobby, error);
}

/* --- the others: to rank 0 -----------------------------------------------------------------------
 */

static struct tr_hello hello_of(const struct tr_lobby *lobby, enum tr_purpose purpose)
{
    const struct tr_mesh *mesh = lobby->mesh;
    struct tr_hello hello = {
        .version = TR_MESH_VERSION,
        .purpose = purpose,
        .rank = mesh->rank,
        .count = mesh->count,
        .token = mesh->token,
        .port = lobby->port,
    };
    snprintf(hello.job, sizeof hello.job, "%s", lobby->options->job);
    snprintf(hello.host, sizeof hello.host, "%s", lobby->host);
    return hello;
}

static int send_hello(struct tr_lobby *lobby, int fd, enum tr_purpose purpose)
{
    const struct tr_hello hello = hello_of(lobby, purpose);
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    struct tr_frame frame = {.type = TR_FRAME_HELLO, .payload = payload};
    frame.len_bytes = (uint16_t)tr_hello_write(&hello, payload);
    return tr_lobby_send(lobby, fd, bytes, tr_frame_write(bytes, &frame));
}

static void note(struct tr_lobby *lobby, const char *what, const char *why)
{
    snprintf(lobby->noted, sizeof lobby->noted, "%.80s%s%.200s", what, why[0] ? ": " : "", why);
}

/* What rank 0 says before all are there: 1, the table is complete; 0, not yet; -1, it is of no use
 * to stay, and to come again only where the mesh has not failed. */
static int take_table(struct tr_lobby *lobby, uint32_t *places, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct tr_mesh_peer *first = &mesh->peers[0];
    char why[TR_FRAME_PAYLOAD_BYTES_MAX + 1];
    struct tr_frame frame;
    ssize_t len_bytes;
    while ((len_bytes = tr_control_next(first, &frame)) > 0) {
        tr_frame_text(&frame, why, sizeof why);
        if (frame.type == TR_FRAME_REFUSAL && frame.sequence != 0) {
            note(lobby, "it was refused", why);
            return -1;
        }
        if (frame.type == TR_FRAME_REFUSAL)
            return tr_mesh_fail(
                mesh, error, "rank 0 at %s:%u refuses rank %" PRIu32 " of %" PRIu32 ": %s",
                lobby->options->host, (unsigned)lobby->options->port, mesh->rank, mesh->count, why);
        if (frame.type == TR_FRAME_LEAVE)
            return tr_mesh_fail(mesh, error, "%s failed: %s", first->name, why);
        if (frame.type == TR_FRAME_TABLE &&
            (frame.sequence != *places || tr_place_read(&frame, &lobby->places[*places]) < 0))
            break;
        if (frame.type != TR_FRAME_TABLE && frame.type != TR_FRAME_BEAT)
            break;
        *places += frame.type == TR_FRAME_TABLE;
        tr_control_drop(first, (size_t)len_bytes);
        if (*places == mesh->count)
            return 1;
    }
    if (len_bytes == 0)
        return 0;
    note(lobby, "what answers there is no rank of a run", "");
    return -1;
}

/* 0 with the table, -1 as take_table. */
static int wait_for_table(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct tr_mesh_peer *first = &mesh->peers[0];
    uint32_t places = 0;
    bool answered = false; /* then it is rank 0 that keeps to the deadline */
    first->in_bytes = 0;
    first->heard_s = tr_now_s();
    for (;;) {
        struct pollfd polled = {.fd = first->control, .events = POLLIN};
        if (tr_lobby_stopped(lobby, error) < 0)
            return -1;
        int filled = poll(&polled, 1, ANSWER_MS) > 0 ? tr_control_fill(first) : 0;
        int taken = take_table(lobby, &places, error);
        if (taken != 0)
            return taken > 0 ? 0 : -1;
        if (filled < 0) {
            note(lobby, "the connection was closed", "");
            return -1;
        }
        answered = answered || filled > 0;
        if (tr_now_s() - first->heard_s > mesh->deadline_s ||
            (!answered && tr_now_s() > lobby->until_s)) {
            note(lobby, "it does not answer", "");
            return -1;
        }
    }
}

/* One attempt with one address, which may take attempt_s to be connected. */
static int join_at(struct tr_lobby *lobby, const struct tr_address *at, double attempt_s,
                   struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct tr_mesh_peer *first = &mesh->peers[0];
    double until_s = tr_now_s() + attempt_s;
    int fd = tr_address_connect(at, lobby->local.len_bytes > 0 ? &lobby->local : NULL,
                                until_s < lobby->until_s ? until_s : lobby->until_s);
    if (fd < 0) {
        note(lobby, strerror(errno), "");
        return -1;
    }
    first->control = fd;
    struct tr_address own = tr_address_of_own(fd);
    tr_address_set_port(&own, 0);
    if (lobby->listener >= 0)
        close(lobby->listener);
    lobby->listener = tr_address_listen(&own);
    if (lobby->listener < 0)
        return tr_mesh_fail(mesh, error, "rank %" PRIu32 " cannot listen for the others: %s",
                            mesh->rank, strerror(errno));
    own = tr_address_of_own(lobby->listener);
    lobby->port = tr_address_port(&own);
    tr_lobby_name(lobby, 0, "");
    if (send_hello(lobby, fd, TR_PURPOSE_JOIN) == 0 && wait_for_table(lobby, error) == 0)
        return 0;
    if (!mesh->failed) {
        close(fd);
        first->control = -1;
    }
    return -1;
}

static void sleep_s(double seconds)
{
    poll(NULL, 0, (int)(seconds * 1000.0));
}

static int join_first(struct tr_lobby *lobby, struct tr_error *error)
{
    const struct tr_mesh_options *options = lobby->options;
    struct tr_mesh *mesh = lobby->mesh;
    double pause_s = PAUSE_S_FIRST;
    do {
        struct tr_address at[ADDRESSES_MAX];
        struct tr_error why;
        int count = tr_address_find(options->host, options->port, at, ADDRESSES_MAX, &why);
        if (count < 0)
            note(lobby, "its address is not known", why.text);
        for (int i = 0; i < count; i++) {
            if (join_at(lobby, &at[i], ATTEMPT_S / count, error) == 0)
                return 0;
            if (mesh->failed)
                return -1;
        }
        sleep_s(pause_s);
        if (tr_lobby_stopped(lobby, error) < 0)
            return -1;
        pause_s = pause_s * 2.0 < PAUSE_S_MAX ? pause_s * 2.0 : PAUSE_S_MAX;
    } while (tr_now_s() < lobby->until_s);
    return tr_mesh_fail(
        mesh, error,
        "rank %" PRIu32 " of %" PRIu32 " has not found rank 0 at %s:%u within %g s: %s", mesh->rank,
        mesh->count, options->host, (unsigned)options->port, lobby->join_s, lobby->noted);
}

/* --- all: to each other --------------------------------------------------------------------------
 */

static int connect_to(struct tr_lobby *lobby, uint32_t rank, const struct tr_address *at,
                      enum tr_purpose purpose, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct tr_mesh_peer *peer = &mesh->peers[rank];
    char text[TR_ADDRESS_TEXT_BYTES];
    double pause_s = PAUSE_S_FIRST;
    do {
        double until_s = tr_now_s() + ATTEMPT_S;
        int fd = tr_address_connect(at, lobby->local.len_bytes > 0 ? &lobby->local : NULL,
                                    until_s < lobby->until_s ? until_s : lobby->until_s);
        if (fd >= 0 && send_hello(lobby, fd, purpose) == 0) {
            *(purpose == TR_PURPOSE_DATA ? &peer->data : &peer->control) = fd;
            return 0;
        }
        note(lobby, strerror(errno), "");
        if (fd >= 0)
            close(fd);
        else if (errno == EMFILE)
            break;
        sleep_s(pause_s);
        pause_s = pause_s * 2.0 < PAUSE_S_MAX ? pause_s * 2.0 : PAUSE_S_MAX;
        if (tr_mesh_wait(mesh, 0, error) < 0 || tr_lobby_stopped(lobby, error) < 0)
            return -1;
    } while (tr_now_s() < lobby->until_s);
    return tr_mesh_fail(mesh, error,
                        "rank %" PRIu32 " cannot connect to %s at %s:%u within %g s: %s",
                        mesh->rank, peer->name, tr_address_text(at, text),
                        (unsigned)tr_address_port(at), lobby->join_s, lobby->noted);
}

static int connect_to_lower(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct tr_address first = tr_address_of_peer(mesh->peers[0].control);
    tr_lobby_name(lobby, 0, lobby->places[0].host);
    mesh->token = lobby->places[0].token;
    for (uint32_t r = 0; r < mesh->rank; r++) {
        const struct tr_place *place = &lobby->places[r];
        struct tr_address at =
            tr_address_from_bytes(place->family, place->address, place->port, &first);
        if (r == 0)
            at = first;
        else if (connect_to(lobby, r, &at, TR_PURPOSE_CONTROL, error) < 0)
            return -1;
        tr_lobby_name(lobby, r, place->host);
        if (!lobby->options->control_only && connect_to(lobby, r, &at, TR_PURPOSE_DATA, error) < 0)
            return -1;
    }
    return 0;
}

static int link_all(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    lobby->linking = true; /* all are there: what is left takes no longer than any call */
    lobby->join_s = mesh->deadline_s;
    lobby->until_s = tr_now_s() + mesh->deadline_s;
    if (mesh->rank > 0 && connect_to_lower(lobby, error) < 0)
        return -1;
    while (!tr_lobby_complete(lobby)) {
        if (tr_now_s() > lobby->until_s)
            return tr_lobby_missing(lobby, error);
        if (tr_lobby_wait(lobby, error) < 0 || tr_mesh_wait(mesh, 0, error) < 0 ||
            tr_lobby_stopped(lobby, error) < 0)
            return -1;
    }
    for (uint32_t r = 0; r < mesh->count; r++) { /* also what came behind the table */
        if (tr_mesh_is_peer(mesh, r) && tr_control_read(mesh, &mesh->peers[r], error) < 0)
            return -1;
    }
    return 0;
}

static int check_options(const struct tr_mesh_options *options, struct tr_error *error)
{
    if (options->count < 2 || options->count > TR_MESH_RANKS_MAX)
        return tr_fail(error, "%" PRIu32 " ranks: there can be 2 to %u", options->count,
                       TR_MESH_RANKS_MAX);
    if (options->rank >= options->count)
        return tr_fail(error, "rank %" PRIu32 " of %" PRIu32 ": ranks count from 0", options->rank,
                       options->count);
    if (!options->job || strlen(options->job) > TR_JOB_BYTES_MAX)
        return tr_fail(error, "the run has no name, or one of more than %u bytes",
                       TR_JOB_BYTES_MAX);
    if (!options->host || (options->port == 0 && options->listen_fd <= 0))
        return tr_fail(error, "it is not said at which host and port rank 0 is");
    return 0;
}

int tr_mesh_open(const struct tr_mesh_options *options, struct tr_mesh **out,
                 struct tr_error *error)
{
    *out = NULL;
    if (check_options(options, error) < 0)
        return -1;
    struct tr_mesh *mesh = tr_mesh_new(options, error);
    struct tr_lobby *lobby = mesh ? tr_lobby_open(mesh, options, error) : NULL;
    if (!lobby) {
        tr_mesh_free(&mesh);
        return -1;
    }
    int rc = mesh->rank == 0 ? gather_all(lobby, error) : join_first(lobby, error);
    if (rc == 0)
        rc = link_all(lobby, error);
    tr_lobby_close(lobby);
    if (rc < 0)
        tr_mesh_free(&mesh);
    *out = mesh;
    return rc;
}
