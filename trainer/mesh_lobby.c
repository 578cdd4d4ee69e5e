/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_lobby.c - see trainer/mesh_lobby.h. */
#include "trainer/mesh_lobby.h"

#include "pipe/stop.h"
#include "trainer/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUEST_S 10.0 /* to say who it is */
#define WAIT_MS 100
#define NAMED_MAX 16U /* missing ranks in an error */

struct tr_lobby *tr_lobby_open(struct tr_mesh *mesh, const struct tr_mesh_options *options,
                               struct tr_error *error)
{
    struct tr_lobby *lobby = calloc(1, sizeof *lobby);
    if (!lobby) {
        tr_fail(error, "no memory");
        return NULL;
    }
    lobby->mesh = mesh;
    lobby->options = options;
    lobby->listener = -1;
    lobby->join_s =
        options->join_deadline_s > 0.0 ? options->join_deadline_s : TR_MESH_JOIN_DEADLINE_S;
    lobby->until_s = tr_now_s() + lobby->join_s;
    for (size_t i = 0; i < TR_GUESTS_MAX; i++)
        lobby->guests[i].fd = -1;
    if (gethostname(lobby->host, sizeof lobby->host) < 0)
        lobby->host[0] = '\0';
    lobby->host[sizeof lobby->host - 1] = '\0';
    lobby->places[0].family = 4; /* not used: all are connected to rank 0 before */
    snprintf(lobby->places[0].host, sizeof lobby->places[0].host, "%s", lobby->host);
    if (options->local && tr_address_local(options->local, &lobby->local, error) < 0) {
        free(lobby);
        return NULL;
    }
    return lobby;
}

static void send_away(struct tr_guest *guest)
{
    if (guest->fd >= 0)
        close(guest->fd);
    guest->fd = -1;
}

void tr_lobby_close(struct tr_lobby *lobby)
{
    for (size_t i = 0; i < TR_GUESTS_MAX; i++)
        send_away(&lobby->guests[i]);
    if (lobby->listener >= 0)
        close(lobby->listener);
    free(lobby);
}

int tr_lobby_send(const struct tr_lobby *lobby, int fd, const uint8_t *bytes, size_t len_bytes)
{
    while (len_bytes > 0) {
        struct pollfd polled = {.fd = fd, .events = POLLOUT};
        ssize_t sent = send(fd, bytes, len_bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (sent < 0 && tr_now_s() > lobby->until_s) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (sent < 0) {
            poll(&polled, 1, WAIT_MS);
            continue;
        }
        bytes += sent;
        len_bytes -= (size_t)sent;
    }
    return 0;
}

void tr_lobby_name(struct tr_lobby *lobby, uint32_t rank, const char *host)
{
    struct tr_mesh_peer *peer = &lobby->mesh->peers[rank];
    struct tr_address address = tr_address_of_peer(peer->control);
    char text[TR_ADDRESS_TEXT_BYTES];
    snprintf(peer->name, sizeof peer->name, "rank %" PRIu32 " of %" PRIu32 " (%s%s%s)", rank,
             lobby->mesh->count, host, host[0] ? ", " : "", tr_address_text(&address, text));
}

/* --- who is taken --------------------------------------------------------------------------------
 */

/* Why a hello is refused; NULL if it is not. *again: another try may be taken. */
static const char *refusal(const struct tr_lobby *lobby, const struct tr_hello *hello, bool *again,
                           char *text, size_t room_bytes)
{
    const struct tr_mesh *mesh = lobby->mesh;
    const struct tr_mesh_peer *peer = &mesh->peers[hello->rank < mesh->count ? hello->rank : 0];
    *again = false;
    if (hello->version != TR_MESH_VERSION) {
        snprintf(text, room_bytes,
                 "it speaks version %" PRIu32 " of the protocol, rank %" PRIu32
                 " version %u: is it another penstock?",
                 hello->version, mesh->rank, TR_MESH_VERSION);
    } else if (strcmp(hello->job, lobby->options->job) != 0) {
        *again = true;
        snprintf(text, room_bytes, "it is of another run");
    } else if (hello->count != mesh->count) {
        snprintf(text, room_bytes,
                 "it is of a run of %" PRIu32 " ranks, and this one is of %" PRIu32, hello->count,
                 mesh->count);
    } else if (hello->rank == 0 || hello->rank >= mesh->count) {
        snprintf(text, room_bytes, "rank %" PRIu32 " is here, and there are %" PRIu32 " in all",
                 mesh->rank, mesh->count);
    } else if (!lobby->linking && hello->purpose == TR_PURPOSE_JOIN && peer->control < 0) {
        return NULL;
    } else if (lobby->linking && hello->token == mesh->token && hello->rank > mesh->rank &&
               ((hello->purpose == TR_PURPOSE_DATA && peer->data < 0 &&
                 !lobby->options->control_only) ||
                (hello->purpose == TR_PURPOSE_CONTROL && peer->control < 0))) {
        return NULL;
    } else if (hello->purpose == TR_PURPOSE_JOIN) {
        snprintf(text, room_bytes, "there is %s already: is a rank started twice?", peer->name);
    } else {
        snprintf(text, room_bytes, "it is of another run");
    }
    return text;
}

static void refuse(struct tr_lobby *lobby, const struct tr_guest *guest,
                   const struct tr_hello *hello, const char *why, bool again)
{
    struct tr_address address = tr_address_of_peer(guest->fd);
    char text[TR_ADDRESS_TEXT_BYTES];
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    const struct tr_frame frame = {TR_FRAME_REFUSAL, (uint16_t)strlen(why), again,
                                   (const uint8_t *)why};
    snprintf(lobby->noted, sizeof lobby->noted, "rank %" PRIu32 " from %s (%s): %s", hello->rank,
             tr_address_text(&address, text), hello->host, why);
    ssize_t sent = send(guest->fd, bytes, tr_frame_write(bytes, &frame), MSG_NOSIGNAL);
    (void)sent; /* it sees the end of the connection in any case */
}

static void admit(struct tr_lobby *lobby, struct tr_guest *guest, const struct tr_hello *hello)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct tr_mesh_peer *peer = &mesh->peers[hello->rank];
    struct tr_address address = tr_address_of_peer(guest->fd);
    struct tr_place *place = &lobby->places[hello->rank];
    *(hello->purpose == TR_PURPOSE_DATA ? &peer->data : &peer->control) = guest->fd;
    guest->fd = -1;
    if (hello->purpose == TR_PURPOSE_DATA)
        return;
    peer->heard_s = tr_now_s();
    tr_lobby_name(lobby, hello->rank, hello->host);
    if (lobby->linking)
        return;
    place->family = tr_address_bytes(&address, place->address);
    place->port = hello->port;
    snprintf(place->host, sizeof place->host, "%s", hello->host);
    tr_control_put(mesh, peer, TR_FRAME_BEAT, NULL, 0);
}

/* One that has joined and goes before the table is complete may come again. */
static void forget_gone(struct tr_lobby *lobby)
{
    for (uint32_t r = 0; !lobby->linking && r < lobby->mesh->count; r++) {
        struct tr_mesh_peer *peer = &lobby->mesh->peers[r];
        uint8_t byte;
        if (!tr_mesh_is_peer(lobby->mesh, r) ||
            (recv(peer->control, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR)))
            continue;
        snprintf(lobby->noted, sizeof lobby->noted, "%.200s came, and has gone again", peer->name);
        close(peer->control);
        peer->control = -1;
        peer->out_bytes = 0;
    }
}

/* Reads no byte behind the hello: those are for whoever has the connection then. */
static void hear_guest(struct tr_lobby *lobby, struct tr_guest *guest)
{
    struct tr_frame frame;
    struct tr_hello hello;
    char why[256];
    bool again;
    for (;;) {
        ssize_t whole = tr_frame_read(guest->in, guest->in_bytes, &frame);
        size_t wanted = TR_FRAME_HEADER_BYTES;
        if (whole == 0 && guest->in_bytes >= TR_FRAME_HEADER_BYTES)
            wanted += frame.len_bytes;
        if (whole < 0 || (whole > 0 && tr_hello_read(&frame, &hello) < 0)) {
            send_away(guest);
            return;
        }
        if (whole > 0)
            break;
        ssize_t got = recv(guest->fd, guest->in + guest->in_bytes, wanted - guest->in_bytes, 0);
        if (got > 0)
            guest->in_bytes += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            send_away(guest);
        if (got <= 0)
            return;
    }
    forget_gone(lobby); /* this may be one of them again */
    if (refusal(lobby, &hello, &again, why, sizeof why)) {
        refuse(lobby, guest, &hello, why, again);
        send_away(guest);
    } else {
        admit(lobby, guest, &hello);
    }
}

static struct tr_guest *free_seat(struct tr_lobby *lobby)
{
    for (size_t i = 0; i < TR_GUESTS_MAX; i++) {
        if (lobby->guests[i].fd < 0)
            return &lobby->guests[i];
    }
    return NULL;
}

static int welcome(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_guest *guest;
    while ((guest = free_seat(lobby)) != NULL) {
        int fd = tr_address_accept(lobby->listener);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            return tr_mesh_fail(lobby->mesh, error,
                                "rank %" PRIu32 " of %" PRIu32
                                " cannot take in the others, by two connections each: %s",
                                lobby->mesh->rank, lobby->mesh->count, strerror(errno));
        if (fd < 0)
            return 0;
        guest->fd = fd;
        guest->came_s = tr_now_s();
        guest->in_bytes = 0;
        hear_guest(lobby, guest);
    }
    return 0;
}

int tr_lobby_wait(struct tr_lobby *lobby, struct tr_error *error)
{
    struct tr_mesh *mesh = lobby->mesh;
    struct pollfd polled[1 + TR_GUESTS_MAX];
    polled[0] = (struct pollfd){.fd = free_seat(lobby) ? lobby->listener : -1, .events = POLLIN};
    for (size_t i = 0; i < TR_GUESTS_MAX; i++)
        polled[i + 1] = (struct pollfd){.fd = lobby->guests[i].fd, .events = POLLIN};
    if (poll(polled, 1 + TR_GUESTS_MAX, WAIT_MS) < 0 && errno != EINTR)
        return tr_mesh_fail(mesh, error, "poll: %s", strerror(errno));
    for (size_t i = 0; i < TR_GUESTS_MAX; i++) {
        struct tr_guest *guest = &lobby->guests[i];
        if (guest->fd >= 0 && polled[i + 1].revents)
            hear_guest(lobby, guest);
        if (guest->fd >= 0 && tr_now_s() - guest->came_s > GUEST_S)
            send_away(guest);
    }
    int rc = polled[0].revents ? welcome(lobby, error) : 0;
    forget_gone(lobby);
    return rc;
}

int tr_lobby_stopped(const struct tr_lobby *lobby, struct tr_error *error)
{
    if (!ps_stop_signal())
        return 0;
    return tr_mesh_fail(lobby->mesh, error,
                        "stopped by signal %d while it waited for the other ranks to come",
                        ps_stop_signal());
}

/* --- who is missing ------------------------------------------------------------------------------
 */

static bool is_missing(const struct tr_lobby *lobby, uint32_t rank)
{
    const struct tr_mesh_peer *peer = &lobby->mesh->peers[rank];
    bool data = lobby->linking && !lobby->options->control_only;
    return rank > lobby->mesh->rank && (peer->control < 0 || (data && peer->data < 0));
}

bool tr_lobby_complete(const struct tr_lobby *lobby)
{
    for (uint32_t r = 0; r < lobby->mesh->count; r++) {
        if (is_missing(lobby, r))
            return false;
    }
    return true;
}

static void append(char *text, size_t room_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t room_bytes, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + len, room_bytes - len, format, args);
    va_end(args);
}

int tr_lobby_missing(struct tr_lobby *lobby, struct tr_error *error)
{
    const struct tr_mesh *mesh = lobby->mesh;
    char names[256] = "";
    uint32_t missing = 0;
    uint32_t named = 0;
    for (uint32_t r = 0; r < mesh->count; r++)
        missing += is_missing(lobby, r);
    for (uint32_t r = 0; r < mesh->count && named < NAMED_MAX; r++) {
        if (!is_missing(lobby, r))
            continue;
        const char *between = named == 0 ? "" : named + 1 == missing ? " and " : ", ";
        append(names, sizeof names, "%s%" PRIu32, between, r);
        named++;
    }
    if (missing > named)
        append(names, sizeof names, " and %" PRIu32 " more", missing - named);
    return tr_mesh_fail(lobby->mesh, error,
                        "rank%s %s of %" PRIu32 " %s not come to %s:%u within %g s%s%s",
                        missing > 1 ? "s" : "", names, mesh->count, missing > 1 ? "have" : "has",
                        mesh->rank == 0 ? lobby->options->host : lobby->host,
                        (unsigned)(mesh->rank == 0 ? lobby->options->port : lobby->port),
                        lobby->join_s, lobby->noted[0] ? "; refused: " : "", lobby->noted);
}
