/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_data.c - see trainer/mesh_data.h. */
#include "trainer/mesh_parts.h"

#include "trainer/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define TURN_BYTES ((size_t)1 << 20) /* that one flow moves before the next has its turn */

struct tr_flow *tr_mesh_out(struct tr_mesh *mesh, uint32_t rank)
{
    return &mesh->peers[rank].to;
}

struct tr_flow *tr_mesh_in(struct tr_mesh *mesh, uint32_t rank)
{
    return &mesh->peers[rank].from;
}

bool tr_flow_can_move(const struct tr_flow *flow)
{
    return flow->started && !tr_flow_done(flow) &&
           (flow->done_bytes < flow->ready_bytes || flow->len_bytes == 0);
}

short tr_data_events(const struct tr_mesh_peer *peer)
{
    if (peer->data < 0 || peer->data_ended_s > 0.0)
        return 0;
    return (short)((tr_flow_can_move(&peer->to) ? POLLOUT : 0) |
                   (tr_flow_can_move(&peer->from) ? POLLIN : 0));
}

/* What can move next: the rest of the head, and bytes. */
static int pieces(struct tr_flow *flow, struct iovec piece[2])
{
    size_t at = flow->done_bytes;
    size_t len_bytes = flow->ready_bytes - at;
    int count = 0;
    if (flow->head_bytes < TR_HEAD_BYTES)
        piece[count++] =
            (struct iovec){flow->head + flow->head_bytes, TR_HEAD_BYTES - flow->head_bytes};
    if (flow->ring_bytes > 0) {
        at %= flow->ring_bytes;
        len_bytes = len_bytes < flow->ring_bytes - at ? len_bytes : flow->ring_bytes - at;
    }
    if (len_bytes > 0)
        piece[count++] =
            (struct iovec){flow->bytes + at, len_bytes < TURN_BYTES ? len_bytes : TURN_BYTES};
    return count;
}

static void moved(struct tr_flow *flow, size_t len_bytes)
{
    size_t of_head = TR_HEAD_BYTES - flow->head_bytes;
    of_head = of_head < len_bytes ? of_head : len_bytes;
    flow->head_bytes += of_head;
    flow->done_bytes += len_bytes - of_head;
}

/* Bytes moved: 0 where none can be now, or where the connection has ended. */
static size_t move(struct tr_mesh_peer *peer, struct tr_flow *flow)
{
    struct iovec piece[2];
    struct msghdr message = {.msg_iov = piece, .msg_iovlen = (size_t)pieces(flow, piece)};
    ssize_t len_bytes;
    do {
        len_bytes = flow == &peer->to ? sendmsg(peer->data, &message, MSG_NOSIGNAL)
                                      : recvmsg(peer->data, &message, 0);
    } while (len_bytes < 0 && errno == EINTR);
    if (len_bytes > 0) {
        moved(flow, (size_t)len_bytes);
        return (size_t)len_bytes;
    }
    if (len_bytes == 0 || errno != EAGAIN)
        peer->data_ended_s = tr_now_s();
    return 0;
}

/* The head that has come is the one of this part of this call. */
static int check_head(struct tr_mesh *mesh, struct tr_mesh_peer *peer, struct tr_error *error)
{
    struct tr_flow *flow = &peer->from;
    struct tr_head head;
    if (tr_head_read(flow->head, &head) < 0)
        return tr_mesh_fail(mesh, error, "%s has sent what is no data of a call", peer->name);
    if (flow->any_size && head.call.kind == mesh->call.kind)
        flow->expected.call.size_bytes = head.call.size_bytes;
    else if (tr_control_agree(mesh, peer, &head.call, error) < 0)
        return -1;
    if (head.call.number != flow->expected.call.number || head.part != flow->expected.part ||
        head.len_bytes != flow->expected.len_bytes)
        return tr_mesh_fail(
            mesh, error,
            "%s has come to part %u of call %" PRIu64 " with %" PRIu64 " bytes, this rank (%" PRIu32
            ") to part %u of call %" PRIu64 " with %" PRIu64
            ": ranks have to make the same calls in the same order",
            peer->name, head.part, head.call.number, head.len_bytes, mesh->rank,
            flow->expected.part, flow->expected.call.number, flow->expected.len_bytes);
    return 0;
}

static int receive(struct tr_mesh *mesh, struct tr_mesh_peer *peer, struct tr_error *error)
{
    struct tr_flow *flow = &peer->from;
    size_t all_bytes = 0;
    while (all_bytes < TURN_BYTES && peer->data_ended_s <= 0.0 && tr_flow_can_move(flow)) {
        bool headless = flow->head_bytes < TR_HEAD_BYTES;
        size_t len_bytes = move(peer, flow);
        if (len_bytes == 0)
            break;
        all_bytes += len_bytes;
        if (headless && flow->head_bytes == TR_HEAD_BYTES && check_head(mesh, peer, error) < 0)
            return -1;
    }
    if (all_bytes > 0)
        peer->heard_s = tr_now_s();
    return 0;
}

static void send_some(struct tr_mesh_peer *peer)
{
    if (peer->data_ended_s <= 0.0 && tr_flow_can_move(&peer->to))
        move(peer, &peer->to);
}

int tr_data_serve(struct tr_mesh *mesh, struct tr_mesh_peer *peer, struct tr_error *error)
{
    send_some(peer);
    return receive(mesh, peer, error);
}

void tr_flow_start(struct tr_mesh *mesh, struct tr_flow *flow, uint8_t part, const void *bytes,
                   size_t len_bytes)
{
    *flow = (struct tr_flow){
        .expected = {.call = mesh->call, .part = part, .len_bytes = len_bytes},
        .bytes = (uint8_t *)bytes,
        .len_bytes = len_bytes,
        .ready_bytes = len_bytes,
        .started = true,
    };
    tr_head_write(&flow->expected, flow->head);
}

int tr_mesh_move(struct tr_mesh *mesh, struct tr_error *error)
{
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        peer->awaited = tr_mesh_is_peer(mesh, r) &&
                        (tr_flow_can_move(&peer->to) || tr_flow_can_move(&peer->from));
    }
    return tr_mesh_wait(mesh, 1000, error);
}
