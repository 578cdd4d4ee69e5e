/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/batch_join.c - see trainer/batch_join.h. */
#include "trainer/batch_join.h"

#include "formats/fmt.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN_BYTES ((size_t)64)

/* The start of a packed batch; its arrays follow without gaps: features, labels, weights, or ends
 * of rows (from the batch's first entry on), columns and values. */
struct head {
    uint32_t rows;
    uint32_t feature_dim;
    uint32_t label_dim;
    uint32_t type; /* enum penstock_type */
    uint32_t is_sparse;
    uint32_t is_weighted;
    uint32_t epoch;
    uint32_t entries;
};

enum { PART_FEATURES, PART_LABELS, PART_WEIGHTS, PART_ENDS, PART_COLUMNS, PART_VALUES, PART_COUNT };

/* Bytes of each part. */
static void measure(const struct head *h, size_t sizes[PART_COUNT])
{
    size_t rows = h->rows;
    sizes[PART_FEATURES] =
        h->is_sparse ? 0
                     : rows * h->feature_dim * fmt_feature_bytes((enum fmt_feature_type)h->type);
    sizes[PART_LABELS] = rows * h->label_dim * sizeof(float);
    sizes[PART_WEIGHTS] = h->is_weighted ? rows * sizeof(float) : 0;
    sizes[PART_ENDS] = h->is_sparse ? rows * sizeof(uint32_t) : 0;
    sizes[PART_COLUMNS] = sizes[PART_VALUES] = h->is_sparse ? h->entries * sizeof(uint32_t) : 0;
}

static struct head head_of(const struct penstock_batch *batch)
{
    struct head h = {0};
    if (!batch || batch->rows == 0)
        return h;
    h.rows = batch->rows;
    h.feature_dim = batch->feature_dim;
    h.label_dim = batch->label_dim;
    h.type = batch->type;
    h.is_sparse = batch->row_offsets != NULL;
    h.is_weighted = batch->weights != NULL;
    h.epoch = batch->epoch;
    h.entries = h.is_sparse ? batch->row_offsets[batch->rows] : 0;
    return h;
}

void *tr_batch_pack(const struct penstock_batch *batch, size_t *len_bytes, struct tr_error *error)
{
    const struct head h = head_of(batch);
    size_t sizes[PART_COUNT];
    size_t total = sizeof h;
    measure(&h, sizes);
    for (int i = 0; i < PART_COUNT; i++)
        total += sizes[i];
    char *bytes = malloc(total);
    char *to = bytes;
    if (!bytes) {
        tr_fail(error, "no memory for %zu bytes of first rows", total);
        return NULL;
    }
    memcpy(to, &h, sizeof h);
    to += sizeof h;
    const void *const parts[PART_COUNT] = {
        batch ? batch->data : NULL,          batch ? batch->labels : NULL,
        batch ? batch->weights : NULL,       h.is_sparse ? batch->row_offsets + 1 : NULL,
        h.is_sparse ? batch->columns : NULL, h.is_sparse ? batch->values : NULL,
    };
    for (int i = 0; i < PART_COUNT; i++) {
        if (sizes[i] > 0)
            memcpy(to, parts[i], sizes[i]);
        to += sizes[i];
    }
    *len_bytes = total;
    return bytes;
}

/* Reads one rank's; false if its bytes are not of a batch. */
static bool unpack(const struct tr_gathered *packed, uint32_t rank, struct head *h,
                   const uint8_t *parts[PART_COUNT], size_t sizes[PART_COUNT])
{
    const uint8_t *at = packed->bytes + packed->begins[rank];
    size_t left = packed->begins[rank + 1] - packed->begins[rank];
    if (left < sizeof *h)
        return false;
    memcpy(h, at, sizeof *h);
    measure(h, sizes);
    at += sizeof *h;
    left -= sizeof *h;
    for (int i = 0; i < PART_COUNT; i++) {
        if (sizes[i] > left)
            return false;
        parts[i] = at;
        at += sizes[i];
        left -= sizes[i];
    }
    return left == 0;
}

static bool same_shape(const struct head *a, const struct head *b)
{
    return a->feature_dim == b->feature_dim && a->label_dim == b->label_dim && a->type == b->type &&
           a->is_sparse == b->is_sparse && a->is_weighted == b->is_weighted;
}

/* The shape that all ranks with rows have, and the sums of rows and entries. */
static int add_up(const struct tr_gathered *packed, uint32_t count, struct head *all,
                  struct tr_error *error)
{
    *all = (struct head){0};
    for (uint32_t r = 0; r < count; r++) {
        const uint8_t *parts[PART_COUNT];
        size_t sizes[PART_COUNT];
        struct head h;
        if (!unpack(packed, r, &h, parts, sizes))
            return tr_fail(error, "rank %u sent first rows that are none", r);
        if (h.rows == 0)
            continue;
        if (all->rows > 0 && !same_shape(all, &h))
            return tr_fail(error,
                           "the ranks' data differ: rank %u has %u features and %u labels, a lower "
                           "rank %u and %u, or they are of other types",
                           r, h.feature_dim, h.label_dim, all->feature_dim, all->label_dim);
        uint32_t rows = all->rows + h.rows;
        uint32_t entries = all->entries + h.entries;
        *all = h;
        all->rows = rows;
        all->entries = entries;
    }
    return 0;
}

/* Where the parts of all ranks go. */
struct room {
    char *parts[PART_COUNT];
    size_t used[PART_COUNT];
    uint32_t *offsets; /* (rows + 1) */
    uint32_t rows;
    uint32_t entries;
};

static void take(struct room *room, const struct head *h, const uint8_t *parts[PART_COUNT],
                 const size_t sizes[PART_COUNT])
{
    for (int i = 0; i < PART_COUNT; i++) {
        if (i != PART_ENDS && sizes[i] > 0)
            memcpy(room->parts[i] + room->used[i], parts[i], sizes[i]);
        room->used[i] += sizes[i];
    }
    for (uint32_t row = 0; row < h->rows && h->is_sparse; row++) {
        uint32_t end;
        memcpy(&end, parts[PART_ENDS] + row * sizeof end, sizeof end);
        room->offsets[room->rows + row + 1] = room->entries + end;
    }
    room->rows += h->rows;
    room->entries += h->entries;
}

static void *lay_out(const struct head *all, struct room *room)
{
    size_t sizes[PART_COUNT];
    size_t total = 0;
    measure(all, sizes);
    sizes[PART_ENDS] += sizeof(uint32_t); /* offsets have one more */
    for (int i = 0; i < PART_COUNT; i++)
        total += (sizes[i] + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    char *memory = aligned_alloc(ALIGN_BYTES, total);
    char *at = memory;
    for (int i = 0; i < PART_COUNT && memory; i++) {
        room->parts[i] = at;
        at += (sizes[i] + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    }
    if (!memory)
        return NULL;
    room->offsets = (uint32_t *)(void *)room->parts[PART_ENDS];
    room->offsets[0] = 0;
    return memory;
}

int tr_batch_join(const struct tr_gathered *packed, uint32_t count, struct penstock_batch *out,
                  void **memory, struct tr_error *error)
{
    struct head all;
    struct room room = {0};
    *out = (struct penstock_batch){0};
    *memory = NULL;
    if (add_up(packed, count, &all, error) < 0)
        return -1;
    if (all.rows == 0)
        return 0;
    *memory = lay_out(&all, &room);
    if (!*memory)
        return tr_fail(error, "no memory for the first rows of %u ranks", count);
    for (uint32_t r = 0; r < count; r++) {
        const uint8_t *parts[PART_COUNT];
        size_t sizes[PART_COUNT];
        struct head h;
        unpack(packed, r, &h, parts, sizes);
        take(&room, &h, parts, sizes);
    }
    *out = (struct penstock_batch){
        .rows = all.rows,
        .feature_dim = all.feature_dim,
        .label_dim = all.label_dim,
        .type = (enum penstock_type)all.type,
        .epoch = all.epoch,
        .base = *memory,
        .labels = all.label_dim > 0 ? (float *)(void *)room.parts[PART_LABELS] : NULL,
        .weights = all.is_weighted ? (float *)(void *)room.parts[PART_WEIGHTS] : NULL,
    };
    if (all.is_sparse) {
        out->row_offsets = room.offsets;
        out->columns = (uint32_t *)(void *)room.parts[PART_COLUMNS];
        out->values = (float *)(void *)room.parts[PART_VALUES];
    } else {
        out->data = room.parts[PART_FEATURES];
        out->features = all.type == PENSTOCK_FLOAT32 ? out->data : NULL;
    }
    return 0;
}
