/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/feed_fixture.h - a source of batches from memory, for tests of the feeding loop.
 *
 * Owner: the test. Threads: one.
 */
#ifndef FEED_FIXTURE_H
#define FEED_FIXTURE_H

#include "tests/unit/trainer_fixture.h"

#include "trainer/feed.h"

enum { DIM = 13, CLASSES = 5, BATCH_ROWS = 64, BATCHES = 23, LAST_ROWS = 17, HOST_SLOTS_MAX = 6 };
enum { LABELS_AT = (BATCH_ROWS * DIM * 4 + 63) / 64 * 64, SLOT_BYTES = LABELS_AT + BATCH_ROWS * 4 };

/* A source with few slots that are spoilt the moment they are released. */
struct fake {
    uint32_t slot_count;
    uint32_t made;     /* batches handed out */
    uint32_t released; /* batches given back; they must come back in order */
    uint32_t loan_max;
    bool pinned;
    int error_rc; /* instead of the epoch's end */
    bool busy[HOST_SLOTS_MAX];
    struct penstock_batch batches[HOST_SLOTS_MAX];
    char memory[HOST_SLOTS_MAX][SLOT_BYTES] __attribute__((aligned(64)));
};

static inline int fake_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct fake *fake = cookie;
    uint32_t slot_no = fake->made % fake->slot_count;
    struct penstock_batch *b = &fake->batches[slot_no];
    char *memory = fake->memory[slot_no];
    float *labels = (float *)(void *)(memory + LABELS_AT);
    uint64_t random = fake->made;
    *batch = NULL;
    if (fake->made == BATCHES)
        return fake->error_rc ? fake->error_rc : PENSTOCK_EPOCH_END;
    if (fake->busy[slot_no]) {
        assert_true(timeout_ms >= 0); /* the loop must come back to release */
        return PENSTOCK_AGAIN;
    }
    *b = (struct penstock_batch){
        .features = (float *)(void *)memory,
        .labels = labels,
        .rows = fake->made == BATCHES - 1 ? LAST_ROWS : BATCH_ROWS,
        .feature_dim = DIM,
        .label_dim = 1,
        .position = (uint64_t)fake->made * BATCH_ROWS,
        .slot_no = slot_no,
        .base = memory,
        .pinned = fake->pinned,
    };
    b->len_bytes = LABELS_AT + b->rows * sizeof(float);
    fixture_fill((float *)(void *)memory, (size_t)b->rows * DIM, fake->made + 1000U, 1.0F);
    for (uint32_t i = 0; i < b->rows; i++)
        labels[i] = (float)(fixture_random(&random) % CLASSES);
    fake->busy[slot_no] = true;
    fake->made++;
    if (fake->made - fake->released > fake->loan_max)
        fake->loan_max = fake->made - fake->released;
    *batch = b;
    return PENSTOCK_OK;
}

static inline void fake_release(void *cookie, const struct penstock_batch *batch)
{
    struct fake *fake = cookie;
    assert_true(fake->busy[batch->slot_no]);
    assert_int_equal(batch->slot_no, fake->released % fake->slot_count);
    fake->busy[batch->slot_no] = false;
    fake->released++;
    memset(fake->memory[batch->slot_no], 0x3f, SLOT_BYTES); /* 0.7, and label 0.7: class 0 */
}

static inline size_t fake_batch_bytes_max(void *cookie)
{
    (void)cookie;
    return SLOT_BYTES;
}

#endif
