/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/group_tcp.c - see trainer/group_tcp.h. */
#include "trainer/group_tcp.h"

#include "trainer/add.h"
#include "trainer/mesh_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ONE_EXCHANGE_BYTES ((size_t)8 << 10) /* sums up to this size are added up by every rank */
#define STAGE_BYTES_MAX ((size_t)512 << 10)  /* of what one other rank has sent to be added */
#define STAGES_BYTES ((size_t)8 << 20)       /* of all, where that leaves STAGE_BYTES_MIN to each */
#define STAGE_BYTES_MIN ((size_t)64 << 10)
#define ADD_BYTES ((size_t)32 << 10) /* worth adding before more has come */
#define BLOCK_BYTES                                                                                \
    ((size_t)8 << 10) /* added up by all ranks while they are in the nearest cache */

_Static_assert(ADD_BYTES <= STAGE_BYTES_MIN, "a full stage is added");

struct group_tcp {
    struct tr_group base; /* first: the table is given a struct tr_group */
    struct tr_mesh *mesh;
    uint8_t *stages; /* (count, stage_bytes) */
    size_t stage_bytes;
};

static struct group_tcp *tcp_of(struct tr_group *group)
{
    return (struct group_tcp *)(void *)group;
}

static bool all_done(const struct group_tcp *g)
{
    for (uint32_t r = 0; r < g->base.count; r++) {
        const struct tr_flow *to = tr_mesh_out(g->mesh, r);
        const struct tr_flow *from = tr_mesh_in(g->mesh, r);
        if (r != g->base.rank &&
            ((to->started && !tr_flow_done(to)) || (from->started && !tr_flow_done(from))))
            return false;
    }
    return true;
}

static int move_all(struct group_tcp *g, struct tr_error *error)
{
    while (!all_done(g)) {
        if (tr_mesh_move(g->mesh, error) < 0)
            return -1;
    }
    return 0;
}

/* --- sums ----------------------------------------------------------------------------------------
 */

static int sum_at_once(struct group_tcp *g, void *values, size_t n, enum tr_number type,
                       struct tr_error *error)
{
    size_t len_bytes = n * tr_number_bytes(type);
    uint8_t *own = g->stages + g->base.rank * g->stage_bytes;
    for (uint32_t r = 0; r < g->base.count; r++) {
        if (r == g->base.rank)
            continue;
        tr_flow_start(g->mesh, tr_mesh_in(g->mesh, r), 0, g->stages + r * g->stage_bytes,
                      len_bytes);
        tr_flow_start(g->mesh, tr_mesh_out(g->mesh, r), 0, values, len_bytes);
    }
    if (move_all(g, error) < 0)
        return -1;
    memcpy(own, values, len_bytes);
    memcpy(values, g->stages, len_bytes);
    for (uint32_t r = 1; r < g->base.count; r++)
        tr_add(values, g->stages + r * g->stage_bytes, n, type);
    return 0;
}

/* A sum in shares: rank c adds up share c. */
struct sum {
    struct group_tcp *g;
    uint8_t *values;
    size_t n;
    enum tr_number type;
    size_t added_bytes; /* of this rank's share */
};

static uint8_t *share(const struct sum *sum, uint32_t rank, size_t *len_bytes)
{
    size_t width = tr_number_bytes(sum->type);
    size_t count = sum->g->base.count;
    size_t begin = sum->n / count * rank + sum->n % count * rank / count;
    size_t end = sum->n / count * (rank + 1) + sum->n % count * (rank + 1) / count;
    *len_bytes = (end - begin) * width;
    return sum->values + begin * width;
}

/* Bytes of this rank's share that have come from all. */
static size_t have_come(const struct sum *sum, size_t share_bytes)
{
    size_t come_bytes = share_bytes;
    for (uint32_t r = 0; r < sum->g->base.count; r++) {
        const struct tr_flow *from = tr_mesh_in(sum->g->mesh, r);
        if (r != sum->g->base.rank && from->expected.part == 0 && from->done_bytes < come_bytes)
            come_bytes = from->done_bytes;
    }
    return come_bytes / sizeof(uint64_t) * sizeof(uint64_t) +
           (come_bytes == share_bytes) * (share_bytes % sizeof(uint64_t));
}

/* In the order of ranks, so that the bits are the same however values come. */
static void add_block(const struct sum *sum, uint8_t *own, size_t at, size_t len_bytes)
{
    const struct group_tcp *g = sum->g;
    size_t n = len_bytes / tr_number_bytes(sum->type);
    uint8_t *stage = g->stages + at % g->stage_bytes;
    for (uint32_t r = 1; r < g->base.rank; r++)
        tr_add(stage, stage + r * g->stage_bytes, n, sum->type);
    if (g->base.rank > 0)
        tr_add(own + at, stage, n, sum->type);
    for (uint32_t r = g->base.rank + 1; r < g->base.count; r++)
        tr_add(own + at, stage + r * g->stage_bytes, n, sum->type);
}

static void add_what_came(struct sum *sum)
{
    size_t share_bytes;
    uint8_t *own = share(sum, sum->g->base.rank, &share_bytes);
    size_t come_bytes = have_come(sum, share_bytes);
    if (come_bytes < share_bytes && come_bytes - sum->added_bytes < ADD_BYTES)
        return;
    while (sum->added_bytes < come_bytes) {
        size_t len_bytes = come_bytes - sum->added_bytes;
        size_t to_wrap = sum->g->stage_bytes - sum->added_bytes % sum->g->stage_bytes;
        len_bytes = len_bytes < to_wrap ? len_bytes : to_wrap;
        len_bytes = len_bytes < BLOCK_BYTES ? len_bytes : BLOCK_BYTES;
        add_block(sum, own, sum->added_bytes, len_bytes);
        sum->added_bytes += len_bytes;
    }
}

/* Part 0 of what a rank sends is its values of the other's share, part 1 the sums of its own. */
static void advance(struct sum *sum)
{
    struct group_tcp *g = sum->g;
    size_t own_bytes;
    uint8_t *own = share(sum, g->base.rank, &own_bytes);
    add_what_came(sum);
    for (uint32_t r = 0; r < g->base.count; r++) {
        struct tr_flow *to = tr_mesh_out(g->mesh, r);
        struct tr_flow *from = tr_mesh_in(g->mesh, r);
        size_t room_bytes = sum->added_bytes + g->stage_bytes;
        size_t len_bytes;
        uint8_t *theirs = share(sum, r, &len_bytes);
        if (r == g->base.rank)
            continue;
        if (from->expected.part == 0 && tr_flow_done(from))
            tr_flow_start(g->mesh, from, 1, theirs, len_bytes);
        else if (from->expected.part == 0)
            from->ready_bytes = room_bytes < own_bytes ? room_bytes : own_bytes;
        if (to->expected.part == 0 && tr_flow_done(to))
            tr_flow_start(g->mesh, to, 1, own, own_bytes);
        if (to->expected.part == 1)
            to->ready_bytes = sum->added_bytes;
    }
}

static int sum_in_shares(struct group_tcp *g, void *values, size_t n, enum tr_number type,
                         struct tr_error *error)
{
    struct sum sum = {.g = g, .values = values, .n = n, .type = type};
    size_t own_bytes;
    share(&sum, g->base.rank, &own_bytes);
    for (uint32_t r = 0; r < g->base.count; r++) {
        struct tr_flow *from = tr_mesh_in(g->mesh, r);
        size_t len_bytes;
        uint8_t *theirs = share(&sum, r, &len_bytes);
        if (r == g->base.rank)
            continue;
        tr_flow_start(g->mesh, from, 0, g->stages + r * g->stage_bytes, own_bytes);
        from->ring_bytes = g->stage_bytes;
        from->ready_bytes = own_bytes < g->stage_bytes ? own_bytes : g->stage_bytes;
        tr_flow_start(g->mesh, tr_mesh_out(g->mesh, r), 0, theirs, len_bytes);
    }
    for (;;) {
        bool second = true;
        advance(&sum);
        for (uint32_t r = 0; r < g->base.count; r++)
            second = second && (r == g->base.rank || (tr_mesh_in(g->mesh, r)->expected.part == 1 &&
                                                      tr_mesh_out(g->mesh, r)->expected.part == 1));
        if (second && all_done(g))
            return 0;
        if (tr_mesh_move(g->mesh, error) < 0)
            return -1;
    }
}

static int tcp_sum(struct tr_group *group, void *values, size_t n, enum tr_number type,
                   struct tr_error *error)
{
    struct group_tcp *g = tcp_of(group);
    size_t len_bytes = n * tr_number_bytes(type);
    if (tr_mesh_begin(g->mesh, TR_CALL_SUM, type, len_bytes, error) < 0)
        return -1;
    int rc = len_bytes <= ONE_EXCHANGE_BYTES ? sum_at_once(g, values, n, type, error)
                                             : sum_in_shares(g, values, n, type, error);
    tr_mesh_exit(g->mesh);
    return rc;
}

/* --- bytes ---------------------------------------------------------------------------------------
 */

static int tcp_broadcast(struct tr_group *group, void *bytes, size_t len_bytes,
                         struct tr_error *error)
{
    struct group_tcp *g = tcp_of(group);
    if (tr_mesh_begin(g->mesh, TR_CALL_BROADCAST, 0, len_bytes, error) < 0)
        return -1;
    if (group->rank > 0)
        tr_flow_start(g->mesh, tr_mesh_in(g->mesh, 0), 0, bytes, len_bytes);
    for (uint32_t r = 1; group->rank == 0 && r < group->count; r++)
        tr_flow_start(g->mesh, tr_mesh_out(g->mesh, r), 0, bytes, len_bytes);
    int rc = move_all(g, error);
    tr_mesh_exit(g->mesh);
    return rc;
}

static int gather_lengths(struct group_tcp *g, size_t len_bytes, size_t *begins,
                          struct tr_error *error)
{
    uint64_t all_bytes = 0;
    for (uint32_t r = 0; r < g->base.count; r++) {
        struct tr_flow *from = tr_mesh_in(g->mesh, r);
        if (r == g->base.rank)
            continue;
        tr_flow_start(g->mesh, from, 0, NULL, 0);
        from->any_size = true;
        tr_flow_start(g->mesh, tr_mesh_out(g->mesh, r), 0, NULL, 0);
    }
    if (move_all(g, error) < 0)
        return -1;
    for (uint32_t r = 0; r < g->base.count; r++) {
        uint64_t size_bytes =
            r == g->base.rank ? len_bytes : tr_mesh_in(g->mesh, r)->expected.call.size_bytes;
        if (size_bytes > TR_GATHER_BYTES_MAX - all_bytes)
            return tr_mesh_fail(g->mesh, error,
                                "%s gathers %" PRIu64 " bytes: all ranks together can %" PRIu64,
                                tr_mesh_name(g->mesh, r), size_bytes, TR_GATHER_BYTES_MAX);
        all_bytes += size_bytes;
        begins[r + 1] = (size_t)all_bytes;
    }
    return 0;
}

static int gather_bytes(struct group_tcp *g, const void *bytes, size_t len_bytes,
                        struct tr_gathered *to, struct tr_error *error)
{
    for (uint32_t r = 0; r < g->base.count; r++) {
        uint8_t *begin = to->bytes + to->begins[r];
        struct tr_flow *from = tr_mesh_in(g->mesh, r);
        if (r == g->base.rank) {
            if (len_bytes > 0)
                memcpy(begin, bytes, len_bytes);
            continue;
        }
        tr_flow_start(g->mesh, from, 1, begin, to->begins[r + 1] - to->begins[r]);
        from->any_size = true;
        tr_flow_start(g->mesh, tr_mesh_out(g->mesh, r), 1, bytes, len_bytes);
    }
    return move_all(g, error);
}

static int tcp_gather(struct tr_group *group, const void *bytes, size_t len_bytes,
                      struct tr_gathered *to, struct tr_error *error)
{
    struct group_tcp *g = tcp_of(group);
    int rc = tr_mesh_begin(g->mesh, TR_CALL_GATHER, 0, len_bytes, error);
    *to = (struct tr_gathered){.begins = calloc((size_t)group->count + 1, sizeof *to->begins)};
    if (rc == 0 && !to->begins)
        rc = tr_mesh_fail(g->mesh, error, "no memory to gather from %" PRIu32 " ranks",
                          group->count);
    if (rc == 0)
        rc = gather_lengths(g, len_bytes, to->begins, error);
    if (rc == 0 && !(to->bytes = malloc(to->begins[group->count] + 1)))
        rc = tr_mesh_fail(g->mesh, error, "no memory for %zu bytes from all ranks",
                          to->begins[group->count]);
    if (rc == 0)
        rc = gather_bytes(g, bytes, len_bytes, to, error);
    if (rc < 0)
        tr_gathered_free(to);
    tr_mesh_exit(g->mesh);
    return rc;
}

/* --- the rest, which the mesh does ---------------------------------------------------------------
 */

static int tcp_say(struct tr_group *group, uint32_t flags, uint32_t rows, struct tr_error *error)
{
    return tr_mesh_say(tcp_of(group)->mesh, flags, rows, error);
}

static int tcp_hear(struct tr_group *group, struct tr_heard *heard, struct tr_error *error)
{
    return tr_mesh_hear(tcp_of(group)->mesh, heard, error);
}

static int tcp_beat(struct tr_group *group, struct tr_error *error)
{
    return tr_mesh_beat(tcp_of(group)->mesh, error);
}

static void tcp_leave(struct tr_group *group, const char *why)
{
    tr_mesh_leave(tcp_of(group)->mesh, why);
}

static void tcp_free(struct tr_group *group)
{
    struct group_tcp *g = tcp_of(group);
    tr_mesh_free(&g->mesh);
    free(g->stages);
    free(g);
}

static const struct tr_group_ops tcp_ops = {
    .name = "tcp",
    .sum = tcp_sum,
    .broadcast = tcp_broadcast,
    .gather = tcp_gather,
    .say = tcp_say,
    .hear = tcp_hear,
    .beat = tcp_beat,
    .leave = tcp_leave,
    .free = tcp_free,
};

int tr_group_tcp_open(const struct tr_mesh_options *options, struct tr_group **out,
                      struct tr_error *error)
{
    struct group_tcp *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g)
        return tr_fail(error, "no memory");
    if (tr_mesh_open(options, &g->mesh, error) < 0) {
        free(g);
        return -1;
    }
    g->base = (struct tr_group){.ops = &tcp_ops, .rank = options->rank, .count = options->count};
    g->stage_bytes = STAGES_BYTES / options->count;
    if (g->stage_bytes > STAGE_BYTES_MAX)
        g->stage_bytes = STAGE_BYTES_MAX;
    if (g->stage_bytes < STAGE_BYTES_MIN)
        g->stage_bytes = STAGE_BYTES_MIN;
    g->stage_bytes = g->stage_bytes / BLOCK_BYTES * BLOCK_BYTES;
    g->stages = aligned_alloc(BLOCK_BYTES, options->count * g->stage_bytes);
    if (!g->stages) {
        tr_mesh_fail(g->mesh, error, "no memory for sums of %" PRIu32 " ranks", options->count);
        tcp_free(&g->base);
        return -1;
    }
    *out = &g->base;
    return 0;
}

struct tr_mesh *tr_group_tcp_mesh(struct tr_group *group)
{
    return tcp_of(group)->mesh;
}
