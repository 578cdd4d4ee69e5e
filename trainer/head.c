/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/head.c - see trainer/head.h. */
#include "trainer/head.h"

#include "trainer/batch.h"
#include "trainer/batch_join.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES ((size_t)4096)

struct kept {
    struct penstock_batch batch; /* points into `memory` */
    void *memory;                /* NULL once released and freed */
    size_t memory_bytes;
    struct kept *next;
};

struct tr_head {
    struct tr_device *device;
    struct tr_source inner;
    struct kept *first;
    struct kept *last;
    struct kept *playing; /* next to be handed out */
    struct kept *joined;  /* of all ranks; NULL: none were joined */
    int rc;               /* what ended the filling, not yet passed on; PENSTOCK_OK = nothing */
};

struct tr_head *tr_head_new(struct tr_device *device, const struct tr_source *inner)
{
    struct tr_head *head = calloc(1, sizeof *head);
    if (head) {
        head->device = device;
        head->inner = *inner;
    }
    return head;
}

static void free_kept(struct tr_device *device, struct kept *k)
{
    while (k) {
        struct kept *next = k->next;
        if (k->memory && k->batch.pinned)
            device->ops->unpin(device, k->memory, k->memory_bytes);
        free(k->memory);
        free(k);
        k = next;
    }
}

void tr_head_free(struct tr_head **head)
{
    if (!head || !*head)
        return;
    free_kept((*head)->device, (*head)->first);
    free_kept((*head)->device, (*head)->joined);
    free(*head);
    *head = NULL;
}

static int keep(struct tr_head *head, const struct penstock_batch *batch, struct tr_error *error)
{
    struct kept *k = calloc(1, sizeof *k);
    size_t memory_bytes = (tr_batch_copy_bytes(batch) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    void *memory = aligned_alloc(PAGE_BYTES, memory_bytes); /* pages of its own: they get pinned */
    if (!k || !memory) {
        free(k);
        free(memory);
        return tr_fail(error, "no memory for the first rows: lower mini_batch_size or, where there "
                              "is one, num_point_for_scaler");
    }
    tr_batch_copy(batch, memory, &k->batch);
    k->memory = memory;
    k->memory_bytes = memory_bytes;
    k->batch.pinned =
        head->device->ops->pin && head->device->ops->pin(head->device, memory, memory_bytes) == 0;
    if (head->last)
        head->last->next = k;
    else
        head->first = k;
    head->last = k;
    return 0;
}

int tr_head_fill(struct tr_head *head, uint64_t rows_max, size_t len_bytes_max,
                 struct tr_error *error)
{
    uint64_t rows = 0;
    size_t len_bytes = 0;
    size_t last_bytes = 0;
    int rc = 0;
    while (rc == 0 && rows < rows_max && (rows == 0 || len_bytes + last_bytes <= len_bytes_max)) {
        const struct penstock_batch *batch;
        head->rc = head->inner.next(head->inner.cookie, -1, &batch);
        if (head->rc == PENSTOCK_AGAIN)
            continue;
        if (head->rc != PENSTOCK_OK)
            break;
        rc = keep(head, batch, error);
        rows += batch->rows + batch->rows_elsewhere;
        last_bytes = tr_batch_copy_bytes(batch);
        len_bytes += last_bytes;
        head->inner.release(head->inner.cookie, batch);
    }
    head->playing = head->first;
    return rc;
}

/* Batch `k` of every rank, as one, goes to the end; k is NULL where this rank has none. */
static int join_one(struct tr_group *group, const struct kept *k, struct kept ***end,
                    struct tr_error *error)
{
    struct tr_gathered packed;
    struct penstock_batch batch;
    void *memory;
    size_t len_bytes;
    void *own = tr_batch_pack(k ? &k->batch : NULL, &len_bytes, error);
    if (!own)
        return -1;
    int rc = tr_group_gather(group, own, len_bytes, &packed, error);
    free(own);
    if (rc < 0)
        return -1;
    rc = tr_batch_join(&packed, tr_group_count(group), &batch, &memory, error);
    tr_gathered_free(&packed);
    if (rc < 0 || batch.rows == 0)
        return rc;
    struct kept *joined = calloc(1, sizeof *joined);
    if (!joined) {
        free(memory);
        return tr_fail(error, "no memory");
    }
    joined->batch = batch;
    joined->memory = memory;
    **end = joined;
    *end = &joined->next;
    return 0;
}

int tr_head_join(struct tr_head *head, struct tr_group *group, struct tr_error *error)
{
    struct kept **end = &head->joined;
    uint64_t batches = 0;
    uint64_t most = 0;
    struct tr_gathered all;
    if (!group)
        return 0;
    for (const struct kept *k = head->first; k; k = k->next)
        batches++;
    if (tr_group_gather(group, &batches, sizeof batches, &all, error) < 0)
        return -1;
    for (uint32_t r = 0; r < tr_group_count(group); r++) {
        uint64_t n;
        memcpy(&n, all.bytes + all.begins[r], sizeof n);
        most = n > most ? n : most;
    }
    tr_gathered_free(&all);
    const struct kept *k = head->first;
    for (uint64_t i = 0; i < most; i++) {
        if (join_one(group, k, &end, error) < 0)
            return -1;
        k = k ? k->next : NULL;
    }
    return 0;
}

const struct penstock_batch *tr_head_batch(const struct tr_head *head, size_t index)
{
    const struct kept *k = head->joined ? head->joined : head->first;
    while (k && index-- > 0)
        k = k->next;
    return k ? &k->batch : NULL;
}

int tr_head_rc(const struct tr_head *head)
{
    return head->rc;
}

bool tr_head_is_past(const struct tr_head *head)
{
    return !head->playing && head->rc == PENSTOCK_OK;
}

static int head_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct tr_head *head = cookie;
    int rc = head->rc;
    *batch = NULL;
    if (head->playing) {
        *batch = &head->playing->batch;
        head->playing = head->playing->next;
        return PENSTOCK_OK;
    }
    if (rc == PENSTOCK_OK)
        return head->inner.next(head->inner.cookie, timeout_ms, batch);
    head->rc = PENSTOCK_OK;
    return rc;
}

static void head_release(void *cookie, const struct penstock_batch *batch)
{
    struct tr_head *head = cookie;
    for (struct kept *k = head->first; k; k = k->next) {
        if (&k->batch == batch) {
            if (!k->batch.pinned) {
                free(k->memory);
                k->memory = NULL;
            }
            return;
        }
    }
    head->inner.release(head->inner.cookie, batch);
}

static size_t head_batch_bytes_max(void *cookie)
{
    const struct tr_head *head = cookie;
    return head->inner.batch_bytes_max(head->inner.cookie);
}

struct tr_source tr_head_source(struct tr_head *head)
{
    return (struct tr_source){head, head_next, head_release, head_batch_bytes_max};
}
