/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/fm_ranks.c - see trainer/fm_ranks.h.
 *
 * What a rank tells, in words of 32 bits: rows, entries, whether they are sparse; of sparse rows,
 * offsets and columns; then values, dz and sums.
 */
#include "trainer/fm_ranks.h"

#include "trainer/device_use.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS, HEAD_ENTRIES, HEAD_SPARSE, HEAD_COUNT };

/* What a rank told. The words may lie at any address. */
struct told {
    uint32_t head[HEAD_COUNT];
    const uint8_t *words; /* behind the head */
};

void tr_fm_ranks_free(struct tr_fm_ranks *ranks)
{
    free(ranks->own.words);
    free(ranks->all.words);
    if (ranks->on_device.words)
        ranks->device->ops->dealloc(ranks->device, ranks->on_device.words);
    ranks->own = ranks->all = ranks->on_device = (struct tr_fm_room){0};
}

/* --- memory --------------------------------------------------------------------------------------
 */

/* Half as many again, which others may need. */
static size_t with_reserve(size_t count)
{
    return count + count / 2;
}

static int make_room(struct tr_fm_room *room, size_t count, struct tr_error *error)
{
    if (count <= room->count)
        return 0;
    free(room->words);
    room->count = with_reserve(count);
    room->words = malloc(room->count * sizeof *room->words);
    if (room->words)
        return 0;
    room->count = 0;
    return tr_fail(error, "no memory for %zu values of a batch's rows: lower mini_batch_size",
                   count);
}

/* The device is idle: what a rank tells has been read from it. */
static int make_device_room(struct tr_fm_ranks *ranks, size_t count, struct tr_error *error)
{
    struct tr_fm_room *room = &ranks->on_device;
    if (count <= room->count)
        return 0;
    ranks->device->ops->dealloc(ranks->device, room->words);
    *room = (struct tr_fm_room){0};
    room->words =
        tr_device_allocate(ranks->device, with_reserve(count), sizeof *room->words, error);
    if (!room->words)
        return -1;
    room->count = with_reserve(count);
    return 0;
}

/* --- what a rank tells ---------------------------------------------------------------------------
 */

static size_t words_behind_head(const struct tr_fm_ranks *ranks, const uint32_t *head)
{
    size_t rows = head[HEAD_ROWS];
    size_t entries = head[HEAD_ENTRIES];
    return (head[HEAD_SPARSE] ? rows + 1 + entries : 0) + entries + rows +
           rows * ranks->factor_count;
}

/* Puts a device's array at *to, which moves behind it. */
static int put_from(struct tr_fm_ranks *ranks, uint32_t **to, const float *array, size_t count,
                    struct tr_error *error)
{
    uint32_t *at = *to;
    *to += count;
    if (count == 0)
        return 0;
    if (!ranks->device->ops->reads_host_memory)
        return tr_device_take(ranks->device, ranks->ready, at, array, count * sizeof *at, error);
    memcpy(at, array, count * sizeof *at);
    return 0;
}

static uint32_t *put(uint32_t *to, const void *words, size_t count)
{
    if (count > 0)
        memcpy(to, words, count * sizeof *to);
    return to + count;
}

/* *count receives how many words there are to tell. */
static int tell(struct tr_fm_ranks *ranks, const struct penstock_batch *host,
                const struct tr_fm_rows *rows, size_t *count, struct tr_error *error)
{
    const uint32_t head[HEAD_COUNT] = {rows->count, rows->entries, host->row_offsets != NULL};
    *count = HEAD_COUNT + words_behind_head(ranks, head);
    if (make_room(&ranks->own, *count, error) < 0)
        return -1;
    uint32_t *to = put(ranks->own.words, head, HEAD_COUNT);
    if (!host->row_offsets) {
        if (put_from(ranks, &to, rows->values, rows->entries, error) < 0)
            return -1;
    } else {
        to = put(to, host->row_offsets, (size_t)rows->count + 1);
        to = put(to, host->columns, rows->entries);
        to = put(to, host->values, rows->entries);
    }
    if (put_from(ranks, &to, rows->dz, rows->count, error) < 0)
        return -1;
    return put_from(ranks, &to, rows->sums, (size_t)rows->count * ranks->factor_count, error);
}

/* --- what all told -------------------------------------------------------------------------------
 */

static int hear(const struct tr_fm_ranks *ranks, const struct tr_gathered *from, uint32_t rank,
                struct told *told, struct tr_error *error)
{
    size_t len_bytes = from->begins[rank + 1] - from->begins[rank];
    const uint8_t *bytes = from->bytes + from->begins[rank];
    const size_t head_bytes = sizeof told->head;
    if (len_bytes >= head_bytes)
        memcpy(told->head, bytes, head_bytes);
    if (len_bytes < head_bytes ||
        len_bytes - head_bytes != words_behind_head(ranks, told->head) * sizeof(uint32_t))
        return tr_fail(error, "rank %u told its rows in %zu bytes, which is no way to do it", rank,
                       len_bytes);
    told->words = bytes + head_bytes;
    return 0;
}

/* Copies the next words that were told to an array of all ranks'. */
static void take(struct told *told, void *to, size_t count)
{
    if (count > 0)
        memcpy(to, told->words, count * sizeof(uint32_t));
    told->words += count * sizeof(uint32_t);
}

/* Where the next rank's rows go. */
struct places {
    uint32_t *offsets;
    uint32_t *columns;
    float *values;
    float *dz;
    float *sums;
    uint32_t entries; /* so far */
};

static void append(const struct tr_fm_ranks *ranks, struct told *told, struct places *to)
{
    size_t rows = told->head[HEAD_ROWS];
    size_t entries = told->head[HEAD_ENTRIES];
    if (told->head[HEAD_SPARSE]) {
        take(told, to->offsets, rows + 1);
        take(told, to->columns, entries);
    }
    for (size_t i = 0; i <= rows && !told->head[HEAD_SPARSE]; i++)
        to->offsets[i] = (uint32_t)i * ranks->dim;
    for (size_t i = 0; i < entries && !told->head[HEAD_SPARSE]; i++)
        to->columns[i] = (uint32_t)(i % ranks->dim);
    for (size_t i = 0; i <= rows; i++)
        to->offsets[i] += to->entries;
    take(told, to->values, entries);
    take(told, to->dz, rows);
    take(told, to->sums, rows * ranks->factor_count);
    to->offsets += rows; /* the next rank's first is this one's last */
    to->columns += entries;
    to->values += entries;
    to->dz += rows;
    to->sums += rows * ranks->factor_count;
    to->entries += (uint32_t)entries;
}

/* What all ranks told comes into ranks->all, with `rows` pointing there. */
static int put_together(struct tr_fm_ranks *ranks, const struct tr_gathered *from,
                        struct tr_fm_rows *rows, struct tr_error *error)
{
    uint64_t row_count = 0;
    uint64_t entries = 0;
    struct told told;
    for (uint32_t rank = 0; rank < ranks->group->count; rank++) {
        if (hear(ranks, from, rank, &told, error) < 0)
            return -1;
        row_count += told.head[HEAD_ROWS];
        entries += told.head[HEAD_ENTRIES];
    }
    if (row_count > INT32_MAX || entries > INT32_MAX)
        return tr_fail(error, "the rows of a batch have more than 2^31 - 1 values on all ranks: "
                              "lower mini_batch_size");
    if (make_room(&ranks->all, row_count + 1 + 2 * entries + row_count * (1 + ranks->factor_count),
                  error) < 0)
        return -1;
    struct places to = {.offsets = ranks->all.words};
    to.columns = to.offsets + row_count + 1;
    to.values = (float *)(void *)(to.columns + entries);
    to.dz = to.values + entries;
    to.sums = to.dz + row_count;
    *rows = (struct tr_fm_rows){.offsets = to.offsets,
                                .columns = to.columns,
                                .values = to.values,
                                .dz = to.dz,
                                .sums = to.sums,
                                .count = (uint32_t)row_count,
                                .entries = (uint32_t)entries};
    for (uint32_t rank = 0; rank < ranks->group->count; rank++) {
        if (hear(ranks, from, rank, &told, error) < 0)
            return -1;
        append(ranks, &told, &to);
    }
    return 0;
}

static int upload(struct tr_fm_ranks *ranks, struct tr_fm_rows *rows, struct tr_error *error)
{
    size_t sums_at = (size_t)((const uint32_t *)(const void *)rows->sums - ranks->all.words);
    size_t count = sums_at + (size_t)rows->count * ranks->factor_count;
    if (make_device_room(ranks, count, error) < 0 ||
        tr_device_put(ranks->device, ranks->ready, ranks->on_device.words, ranks->all.words,
                      count * sizeof(uint32_t), error) < 0)
        return -1;
    rows->offsets = ranks->on_device.words;
    rows->columns = rows->offsets + rows->count + 1;
    rows->values = (const float *)(const void *)(rows->columns + rows->entries);
    rows->dz = rows->values + rows->entries;
    rows->sums = rows->dz + rows->count;
    return 0;
}

int tr_fm_ranks_join(struct tr_fm_ranks *ranks, const struct penstock_batch *host,
                     struct tr_fm_rows *rows, struct tr_error *error)
{
    struct tr_gathered from = {0};
    size_t count;
    /* Updates of the step before may still read what was put together for it. */
    int rc = tr_device_wait(ranks->device, ranks->ready, TR_STREAM_COMPUTE, error);
    if (rc == 0)
        rc = tell(ranks, host, rows, &count, error);
    if (rc == 0)
        rc =
            tr_group_gather(ranks->group, ranks->own.words, count * sizeof(uint32_t), &from, error);
    if (rc == 0)
        rc = put_together(ranks, &from, rows, error);
    tr_gathered_free(&from);
    if (rc == 0 && !ranks->device->ops->reads_host_memory)
        rc = upload(ranks, rows, error);
    return rc;
}
