/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh.c - see trainer/mesh.h: waiting, and judging who is silent. */
#include "trainer/mesh_parts.h"

#include "trainer/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS_MAX 500
#define PARTING_S 1.0 /* to say the last and hear the others' last */
#define BEATS_S 2.0   /* between signs of life, at most */
#define VERDICT_S 1.0 /* for the control connection to say why the data have ended */
#define BEATS_A_DEADLINE 4.0

uint32_t tr_mesh_rank(const struct tr_mesh *mesh)
{
    return mesh->rank;
}

uint32_t tr_mesh_count(const struct tr_mesh *mesh)
{
    return mesh->count;
}

const char *tr_mesh_name(const struct tr_mesh *mesh, uint32_t rank)
{
    return mesh->peers[rank].name;
}

int tr_mesh_fail(struct tr_mesh *mesh, struct tr_error *error, const char *format, ...)
{
    va_list args;
    if (!mesh->failed) {
        va_start(args, format);
        vsnprintf(mesh->failure.text, sizeof mesh->failure.text, format, args);
        va_end(args);
        mesh->failed = true;
    }
    return tr_fail(error, "%s", mesh->failure.text);
}

int tr_mesh_failed(struct tr_mesh *mesh, struct tr_error *error)
{
    return mesh->failed ? tr_fail(error, "%s", mesh->failure.text) : 0;
}

struct tr_mesh *tr_mesh_new(const struct tr_mesh_options *options, struct tr_error *error)
{
    struct tr_mesh *mesh = calloc(1, sizeof *mesh);
    if (mesh) {
        mesh->rank = options->rank;
        mesh->count = options->count;
        mesh->deadline_s = options->deadline_s > 0.0 ? options->deadline_s : TR_MESH_DEADLINE_S;
        mesh->beat_s = mesh->deadline_s / BEATS_A_DEADLINE;
        if (mesh->beat_s > BEATS_S)
            mesh->beat_s = BEATS_S;
        mesh->peers = calloc(options->count, sizeof *mesh->peers);
        mesh->polled = calloc(options->count, 2 * sizeof *mesh->polled);
    }
    if (!mesh || !mesh->peers || !mesh->polled) {
        if (mesh) {
            free(mesh->peers);
            free(mesh->polled);
        }
        free(mesh);
        tr_fail(error, "no memory for %" PRIu32 " ranks", options->count);
        return NULL;
    }
    for (uint32_t r = 0; r < mesh->count; r++) {
        mesh->peers[r].control = -1;
        mesh->peers[r].data = -1;
        snprintf(mesh->peers[r].name, sizeof mesh->peers[r].name, "rank %" PRIu32 " of %" PRIu32, r,
                 mesh->count);
    }
    return mesh;
}

/* --- waiting -------------------------------------------------------------------------------------
 */

void tr_mesh_await_none(struct tr_mesh *mesh)
{
    for (uint32_t r = 0; r < mesh->count; r++)
        mesh->peers[r].awaited = false;
}

static int silent(struct tr_mesh *mesh, const struct tr_mesh_peer *peer, struct tr_error *error)
{
    char call[64] = "";
    if (mesh->in_call && !mesh->flows_moved && peer->entered.number < mesh->call.number)
        snprintf(call, sizeof call, ", and has not come to call %" PRIu64, mesh->call.number);
    return tr_mesh_fail(mesh, error,
                        "%s has been silent for %g s: it was last heard of in step %" PRIu64 "%s",
                        peer->name, mesh->deadline_s, peer->steps_said, call);
}

/* Whether a peer that has ended had more to do; it may have done it, and ended, since it was found
 * to be awaited. */
static bool owes(const struct tr_mesh *mesh, const struct tr_mesh_peer *peer)
{
    if (mesh->hearing)
        return peer->steps_said <= mesh->steps_heard;
    return mesh->flows_moved ? peer->data_ended_s > 0.0 : peer->entered.number < mesh->call.number;
}

/* Whether this rank can still go on with an awaited peer. */
static int judge(struct tr_mesh *mesh, const struct tr_mesh_peer *peer, double now_s,
                 struct tr_error *error)
{
    double since_s = peer->heard_s > mesh->waiting_since_s ? peer->heard_s : mesh->waiting_since_s;
    bool flows = mesh->in_call && mesh->flows_moved;
    bool data_ended = peer->data_ended_s > 0.0;
    if (peer->done && owes(mesh, peer))
        return tr_mesh_fail(mesh, error,
                            "%s has ended its run, in step %" PRIu64 ", while this rank (%" PRIu32
                            ") is in step %" PRIu64,
                            peer->name, peer->steps_said, mesh->rank, mesh->steps_said);
    if (tr_control_crossed(mesh, peer, error) < 0)
        return -1;
    if (flows && data_ended && now_s - peer->data_ended_s > VERDICT_S)
        return tr_mesh_fail(mesh, error, "%s has gone, in step %" PRIu64, peer->name,
                            peer->steps_said);
    return now_s - since_s > mesh->deadline_s ? silent(mesh, peer, error) : 0;
}

/* Of awaited peers, those that have not come to this call are the first to be named. Who has not
 * looked for long has slept, perhaps with the whole machine, and the others as well. */
static int judge_all(struct tr_mesh *mesh, struct tr_error *error)
{
    double now_s = tr_now_s();
    if (now_s - mesh->looked_s > mesh->deadline_s / 2.0)
        mesh->waiting_since_s = now_s;
    mesh->looked_s = now_s;
    for (int late = 1; late >= 0; late--) {
        for (uint32_t r = 0; r < mesh->count; r++) {
            const struct tr_mesh_peer *peer = &mesh->peers[r];
            if (peer->awaited && (peer->entered.number < mesh->call.number) == (late != 0) &&
                judge(mesh, peer, now_s, error) < 0)
                return -1;
        }
    }
    return 0;
}

static void ask(struct tr_mesh *mesh)
{
    for (uint32_t r = 0; r < mesh->count; r++) {
        const struct tr_mesh_peer *peer = &mesh->peers[r];
        struct pollfd *control = &mesh->polled[r];
        struct pollfd *data = &mesh->polled[mesh->count + r];
        short events = tr_mesh_is_peer(mesh, r) ? tr_data_events(peer) : 0;
        *control = (struct pollfd){.fd = peer->control_ended ? -1 : peer->control};
        control->events = (short)(POLLIN | (peer->out_bytes > 0 ? POLLOUT : 0));
        *data = (struct pollfd){.fd = events != 0 ? peer->data : -1, .events = events};
    }
}

int tr_mesh_wait(struct tr_mesh *mesh, int timeout_ms, struct tr_error *error)
{
    int most_ms = (int)(mesh->beat_s * 1000.0);
    if (tr_mesh_failed(mesh, error) < 0)
        return -1;
    most_ms = most_ms < WAIT_MS_MAX ? most_ms : WAIT_MS_MAX;
    tr_control_beat(mesh);
    ask(mesh);
    int ready =
        poll(mesh->polled, 2 * (nfds_t)mesh->count, timeout_ms < most_ms ? timeout_ms : most_ms);
    if (ready < 0 && errno != EINTR)
        return tr_mesh_fail(mesh, error, "poll: %s", strerror(errno));
    for (uint32_t i = 1; ready > 0 && i < mesh->count; i++) { /* not all to the same one first */
        uint32_t r = (mesh->rank + i) % mesh->count;
        struct tr_mesh_peer *peer = &mesh->peers[r];
        if (mesh->polled[r].revents & POLLOUT)
            tr_control_flush(peer);
        if (mesh->polled[mesh->count + r].revents && tr_data_serve(mesh, peer, error) < 0)
            return -1;
        if (mesh->polled[r].revents && tr_control_read(mesh, peer, error) < 0)
            return -1;
    }
    return judge_all(mesh, error);
}

/* --- steps ---------------------------------------------------------------------------------------
 */

int tr_mesh_say(struct tr_mesh *mesh, uint32_t flags, uint32_t rows, struct tr_error *error)
{
    const struct tr_said said = {flags, rows};
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    size_t len_bytes = tr_said_write(&said, payload);
    if (tr_mesh_failed(mesh, error) < 0)
        return -1;
    if (mesh->steps_said != mesh->steps_heard)
        return tr_mesh_fail(mesh, error, "what was said of step %" PRIu64 " has not been heard",
                            mesh->steps_said);
    mesh->said[++mesh->steps_said % 2] = said;
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        if (tr_mesh_is_peer(mesh, r) && !peer->done &&
            !tr_control_put(mesh, peer, TR_FRAME_STEP, payload, len_bytes))
            return tr_mesh_fail(mesh, error, "%s does not take what it is told of step %" PRIu64,
                                peer->name, mesh->steps_said);
    }
    mesh->beaten_s = tr_now_s();
    return 0;
}

/* Awaits those that have not yet said something of the step. */
static bool all_said(struct tr_mesh *mesh, uint64_t step)
{
    bool all = true;
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        peer->awaited = r != mesh->rank && peer->steps_said < step;
        all = all && !peer->awaited;
    }
    return all;
}

int tr_mesh_hear(struct tr_mesh *mesh, struct tr_heard *heard, struct tr_error *error)
{
    uint64_t step = mesh->steps_heard + 1;
    if (tr_mesh_failed(mesh, error) < 0)
        return -1;
    if (mesh->steps_said != step)
        return tr_mesh_fail(mesh, error, "nothing has been said of step %" PRIu64, step);
    mesh->waiting_since_s = tr_now_s();
    mesh->hearing = true;
    while (!all_said(mesh, step)) {
        if (tr_mesh_wait(mesh, WAIT_MS_MAX, error) < 0)
            return -1;
    }
    mesh->hearing = false;
    mesh->steps_heard = step;
    *heard = (struct tr_heard){.all = UINT32_MAX};
    for (uint32_t r = 0; r < mesh->count; r++) {
        const struct tr_said *said =
            r == mesh->rank ? &mesh->said[step % 2] : &mesh->peers[r].said[step % 2];
        heard->any |= said->flags;
        heard->all &= said->flags;
        heard->first = r == 0 ? said->flags : heard->first;
        heard->rows += said->rows;
        heard->rows_before += r < mesh->rank ? said->rows : 0;
    }
    return 0;
}

int tr_mesh_beat(struct tr_mesh *mesh, struct tr_error *error)
{
    tr_mesh_await_none(mesh);
    return tr_mesh_wait(mesh, 0, error);
}

/* --- calls ---------------------------------------------------------------------------------------
 */

static void begin(struct tr_mesh *mesh, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes)
{
    mesh->call = (struct tr_call){mesh->call.number + 1, size_bytes, (uint8_t)kind, (uint8_t)type};
    mesh->in_call = true;
    mesh->flows_moved = false;
    mesh->waiting_since_s = tr_now_s();
}

int tr_mesh_enter(struct tr_mesh *mesh, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes, struct tr_error *error)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    if (tr_mesh_failed(mesh, error) < 0)
        return -1;
    begin(mesh, kind, type, size_bytes);
    size_t len_bytes = tr_call_write(&mesh->call, payload);
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        if (peer->entered.number == mesh->call.number &&
            tr_control_agree(mesh, peer, &peer->entered, error) < 0)
            return -1;
        if (tr_mesh_is_peer(mesh, r) && !peer->done &&
            !tr_control_put(mesh, peer, TR_FRAME_ENTER, payload, len_bytes))
            return tr_mesh_fail(mesh, error, "%s does not take what it is told of call %" PRIu64,
                                peer->name, mesh->call.number);
    }
    return 0;
}

int tr_mesh_begin(struct tr_mesh *mesh, enum tr_call_kind kind, enum tr_number type,
                  uint64_t size_bytes, struct tr_error *error)
{
    if (tr_mesh_failed(mesh, error) < 0)
        return -1;
    begin(mesh, kind, type, size_bytes);
    mesh->flows_moved = true;
    return 0;
}

int tr_mesh_poll(struct tr_mesh *mesh, int timeout_ms, struct tr_error *error)
{
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        peer->awaited = tr_mesh_is_peer(mesh, r) && mesh->in_call &&
                        !(peer->done && peer->entered.number >= mesh->call.number);
    }
    return tr_mesh_wait(mesh, timeout_ms, error);
}

void tr_mesh_exit(struct tr_mesh *mesh)
{
    mesh->in_call = false;
    tr_mesh_await_none(mesh);
}

/* --- parting -------------------------------------------------------------------------------------
 */

static void tell_all(struct tr_mesh *mesh, enum tr_frame_type type, const char *text)
{
    size_t len_bytes = strnlen(text, TR_FRAME_PAYLOAD_BYTES_MAX);
    for (uint32_t r = 0; r < mesh->count; r++) {
        struct tr_mesh_peer *peer = &mesh->peers[r];
        if (tr_mesh_is_peer(mesh, r) && !peer->done)
            tr_control_put(mesh, peer, type, text, len_bytes);
    }
}

/* Sends what is left, or after that waits for the others' end, for a moment; what they still say is
 * of no use, but would make the kernel throw away this rank's last where it came after closing. */
static void part(struct tr_mesh *mesh, bool until_end)
{
    double until_s = tr_now_s() + PARTING_S;
    for (;;) {
        uint32_t waiting = 0;
        for (uint32_t r = 0; r < mesh->count; r++) {
            struct tr_mesh_peer *peer = &mesh->peers[r];
            bool open = tr_mesh_is_peer(mesh, r) && !peer->control_ended &&
                        (until_end || peer->out_bytes > 0);
            mesh->polled[r] = (struct pollfd){.fd = open ? peer->control : -1,
                                              .events = until_end ? POLLIN : POLLOUT};
            waiting += open;
        }
        double left_s = until_s - tr_now_s();
        if (waiting == 0 || left_s <= 0.0 ||
            (poll(mesh->polled, mesh->count, (int)(left_s * 1000.0) + 1) < 0 && errno != EINTR))
            return;
        for (uint32_t r = 0; r < mesh->count; r++) {
            struct tr_mesh_peer *peer = &mesh->peers[r];
            if (mesh->polled[r].fd < 0 || mesh->polled[r].revents == 0)
                continue;
            if (!until_end)
                tr_control_flush(peer);
            else
                peer->control_ended = tr_control_fill(peer) < 0;
            peer->in_bytes = 0;
        }
    }
}

void tr_mesh_leave(struct tr_mesh *mesh, const char *why)
{
    if (mesh->left)
        return;
    tell_all(mesh, TR_FRAME_LEAVE, why);
    part(mesh, false);
    mesh->left = true;
    tr_mesh_fail(mesh, NULL, "this rank (%" PRIu32 ") has left: %s", mesh->rank, why);
}

void tr_mesh_free(struct tr_mesh **mesh)
{
    struct tr_mesh *m = *mesh;
    *mesh = NULL;
    if (!m)
        return;
    if (m->failed)
        tr_mesh_leave(m, m->failure.text);
    else
        tell_all(m, TR_FRAME_END, "");
    part(m, false);
    for (uint32_t r = 0; r < m->count; r++) {
        if (tr_mesh_is_peer(m, r))
            shutdown(m->peers[r].control, SHUT_WR);
    }
    part(m, true);
    for (uint32_t r = 0; r < m->count; r++) {
        if (m->peers[r].control >= 0)
            close(m->peers[r].control);
        if (m->peers[r].data >= 0)
            close(m->peers[r].data);
    }
    free(m->peers);
    free(m->polled);
    free(m);
}
