/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_control.c - see trainer/mesh_parts.h: the frames of the control connections. */
#include "trainer/mesh_parts.h"

#include "trainer/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- sending -------------------------------------------------------------------------------------
 */

void tr_control_flush(struct tr_mesh_peer *peer)
{
    while (peer->out_bytes > 0) {
        ssize_t sent = send(peer->control, peer->out, peer->out_bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            peer->out_bytes = 0; /* reading tells why */
        if (sent < 0)
            return;
        peer->out_bytes -= (size_t)sent;
        memmove(peer->out, peer->out + sent, peer->out_bytes);
    }
}

bool tr_control_put(struct tr_mesh *mesh, struct tr_mesh_peer *peer, enum tr_frame_type type,
                    const void *payload, size_t len_bytes)
{
    const struct tr_frame frame = {type, (uint16_t)len_bytes, mesh->steps_said, payload};
    if (sizeof peer->out - peer->out_bytes < TR_FRAME_HEADER_BYTES + len_bytes)
        return false;
    peer->out_bytes += tr_frame_write(peer->out + peer->out_bytes, &frame);
    tr_control_flush(peer);
    return true;
}

void tr_control_beat(struct tr_mesh *mesh)
{
    double now_s = tr_now_s();
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    if (now_s - mesh->beaten_s < mesh->beat_s)
        return;
    mesh->beaten_s = now_s;
    bool waits = mesh->in_call && !mesh->hearing;
    size_t len_bytes = waits ? tr_call_write(&mesh->call, payload) : 0;
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        if (tr_mesh_is_peer(mesh, r) && !peer->done && peer->out_bytes == 0)
            tr_control_put(mesh, peer, TR_FRAME_BEAT, payload, len_bytes);
    }
}

/* --- receiving -----------------------------------------------------------------------------------
 */

int tr_control_fill(struct tr_mesh_peer *peer)
{
    for (;;) {
        size_t room_bytes = sizeof peer->in - peer->in_bytes;
        ssize_t got = recv(peer->control, peer->in + peer->in_bytes, room_bytes, 0);
        if (got > 0) {
            peer->in_bytes += (size_t)got;
            peer->heard_s = tr_now_s();
            return 1;
        }
        if (got < 0 && errno == EINTR)
            continue;
        return got < 0 && errno == EAGAIN ? 0 : -1;
    }
}

ssize_t tr_control_next(struct tr_mesh_peer *peer, struct tr_frame *frame)
{
    return tr_frame_read(peer->in, peer->in_bytes, frame);
}

void tr_control_drop(struct tr_mesh_peer *peer, size_t len_bytes)
{
    peer->in_bytes -= len_bytes;
    memmove(peer->in, peer->in + len_bytes, peer->in_bytes);
}

static const char *call_text(const struct tr_call *call, char *text, size_t room_bytes)
{
    static const char *const values[] = {"floats", "doubles", "words"};
    if (call->kind == TR_CALL_SUM && call->values <= TR_NUMBER_WORD)
        snprintf(text, room_bytes, "a sum of %" PRIu64 " %s",
                 call->size_bytes / tr_number_bytes((enum tr_number)call->values),
                 values[call->values]);
    else if (call->kind == TR_CALL_BROADCAST)
        snprintf(text, room_bytes, "a broadcast of %" PRIu64 " bytes", call->size_bytes);
    else
        snprintf(text, room_bytes, call->kind == TR_CALL_GATHER ? "a gathering" : "something else");
    return text;
}

int tr_control_agree(struct tr_mesh *mesh, const struct tr_mesh_peer *peer,
                     const struct tr_call *theirs, struct tr_error *error)
{
    const struct tr_call *own = &mesh->call;
    char text[2][64];
    if (theirs->kind == own->kind && theirs->values == own->values &&
        theirs->size_bytes == own->size_bytes)
        return 0;
    return tr_mesh_fail(mesh, error,
                        "%s has come to call %" PRIu64 " with %s, this rank (%" PRIu32
                        ") with %s: ranks have to make the same calls in the same order",
                        peer->name, theirs->number, call_text(theirs, text[0], sizeof text[0]),
                        mesh->rank, call_text(own, text[1], sizeof text[1]));
}

int tr_control_crossed(struct tr_mesh *mesh, const struct tr_mesh_peer *peer,
                       struct tr_error *error)
{
    char text[64];
    if (!mesh->hearing || peer->steps_said > mesh->steps_heard ||
        peer->waits_in.number <= mesh->call.number)
        return 0;
    return tr_mesh_fail(mesh, error,
                        "%s waits in call %" PRIu64 " with %s, while this rank (%" PRIu32
                        ") waits for its word of step %" PRIu64
                        ": ranks have to make the same calls in the same order",
                        peer->name, peer->waits_in.number,
                        call_text(&peer->waits_in, text, sizeof text), mesh->rank,
                        mesh->steps_said);
}

static int take_step(struct tr_mesh *mesh, struct tr_mesh_peer *peer, const struct tr_frame *frame,
                     struct tr_error *error)
{
    struct tr_said said;
    if (tr_said_read(frame, &said) < 0 || frame->sequence != peer->steps_said + 1 ||
        frame->sequence > mesh->steps_heard + 2)
        return tr_mesh_fail(mesh, error,
                            "%s says something of step %" PRIu64 " while this rank (%" PRIu32
                            ") has heard of %" PRIu64,
                            peer->name, frame->sequence, mesh->rank, mesh->steps_heard);
    peer->said[frame->sequence % 2] = said;
    peer->steps_said = frame->sequence;
    return 0;
}

static int take_enter(struct tr_mesh *mesh, struct tr_mesh_peer *peer, const struct tr_frame *frame,
                      struct tr_error *error)
{
    if (tr_call_read(frame, &peer->entered) < 0)
        return tr_mesh_fail(mesh, error, "%s has sent what is no frame", peer->name);
    if (mesh->in_call && peer->entered.number == mesh->call.number)
        return tr_control_agree(mesh, peer, &peer->entered, error);
    return 0;
}

static int take_beat(struct tr_mesh *mesh, struct tr_mesh_peer *peer, const struct tr_frame *frame,
                     struct tr_error *error)
{
    peer->waits_in = (struct tr_call){0};
    if (frame->len_bytes > 0 && tr_call_read(frame, &peer->waits_in) < 0)
        return tr_mesh_fail(mesh, error, "%s has sent what is no frame", peer->name);
    return 0;
}

static int take_frame(struct tr_mesh *mesh, struct tr_mesh_peer *peer, const struct tr_frame *frame,
                      struct tr_error *error)
{
    char why[TR_FRAME_PAYLOAD_BYTES_MAX + 1];
    switch (frame->type) {
    case TR_FRAME_STEP:
        return take_step(mesh, peer, frame, error);
    case TR_FRAME_ENTER:
        return take_enter(mesh, peer, frame, error);
    case TR_FRAME_LEAVE:
        tr_frame_text(frame, why, sizeof why);
        return tr_mesh_fail(mesh, error, "%s failed: %s", peer->name, why);
    case TR_FRAME_END:
        peer->done = true;
        return 0;
    case TR_FRAME_BEAT:
        return take_beat(mesh, peer, frame, error);
    case TR_FRAME_HELLO:
    case TR_FRAME_TABLE:
    case TR_FRAME_REFUSAL:
        break;
    }
    return tr_mesh_fail(mesh, error, "%s has sent a frame that has no place here", peer->name);
}

int tr_control_read(struct tr_mesh *mesh, struct tr_mesh_peer *peer, struct tr_error *error)
{
    struct tr_frame frame;
    for (;;) {
        ssize_t len_bytes = tr_control_next(peer, &frame);
        if (len_bytes < 0)
            return tr_mesh_fail(mesh, error, "%s has sent what is no frame", peer->name);
        if (len_bytes > 0) {
            if (take_frame(mesh, peer, &frame, error) < 0)
                return -1;
            tr_control_drop(peer, (size_t)len_bytes);
            continue;
        }
        int filled = peer->control_ended ? 0 : tr_control_fill(peer);
        if (filled == 0)
            return 0;
        peer->control_ended = filled < 0;
        if (peer->control_ended && !peer->done)
            return tr_mesh_fail(mesh, error, "%s has gone, in step %" PRIu64, peer->name,
                                peer->steps_said);
    }
}
