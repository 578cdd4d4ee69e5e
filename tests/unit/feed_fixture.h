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

/* Records that are lent: a label at an odd address, then features. */
enum { STRIDE = 9 + 8 + 6 + DIM * 8 + 1, LABEL_AT = 9, FEATURES_AT = LABEL_AT + 8 + 6 };

/* A source with few slots that are spoilt the moment they are released. */
struct fake {
    uint32_t slot_count;
    uint32_t lends;    /* records, in values of so many bytes, 4 or 8; 0: rows */
    bool also_rows;    /* every third batch comes as rows all the same */
    uint32_t made;     /* batches handed out */
    uint32_t released; /* batches given back; they must come back in order */
    uint32_t loan_max;
    bool pinned;
    int error_rc; /* instead of the epoch's end */
    bool busy[HOST_SLOTS_MAX];
    uint64_t copies;       /* that a device has to make of the batches, */
    uint64_t copied_bytes; /* and how much they are */
    struct penstock_batch batches[HOST_SLOTS_MAX];
    struct penstock_run runs[HOST_SLOTS_MAX][2];
    uint8_t records[HOST_SLOTS_MAX][BATCH_ROWS * STRIDE];
    char memory[HOST_SLOTS_MAX][SLOT_BYTES] __attribute__((aligned(64)));
};

static inline void fake_put_values(uint8_t *to, const float *values, uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        double wide = (double)values[i];
        if (bytes == sizeof wide)
            memcpy(to + i * sizeof wide, &wide, sizeof wide);
        else
            memcpy(to + i * sizeof *values, values + i, sizeof *values);
    }
}

/* Makes records of the batch's rows: the later ones in front, as at the end of a ring. */
static inline void fake_lend(struct fake *fake, struct penstock_batch *b)
{
    enum penstock_type type = fake->lends == 8 ? PENSTOCK_FLOAT64 : PENSTOCK_FLOAT32;
    uint8_t *records = fake->records[b->slot_no];
    struct penstock_run *runs = fake->runs[b->slot_no];
    uint32_t wrapped = fake->made * 7U % b->rows;
    memset(records, 0xee, sizeof fake->records[b->slot_no]);
    for (uint32_t i = 0; i < b->rows; i++) {
        uint8_t *record = records + (i + wrapped) % b->rows * STRIDE;
        fake_put_values(record + LABEL_AT, b->labels + i, 1, fake->lends);
        fake_put_values(record + FEATURES_AT, b->features + (size_t)i * DIM, DIM, fake->lends);
    }
    memset(b->base, 0x3f, SLOT_BYTES);
    runs[0] = (struct penstock_run){records + wrapped * STRIDE, b->rows - wrapped};
    runs[1] = (struct penstock_run){records, wrapped};
    b->features = b->labels = NULL;
    b->data = NULL;
    b->type = b->label_type = type;
    b->runs = runs;
    b->run_count = wrapped > 0 ? 2 : 1;
    b->len_bytes = 0;
}

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
        .stride_bytes = fake->lends ? STRIDE : 0,
        .features_offset = FEATURES_AT,
        .labels_offset = LABEL_AT,
        .position = (uint64_t)fake->made * BATCH_ROWS,
        .slot_no = slot_no,
        .base = memory,
        .pinned = fake->pinned,
    };
    b->len_bytes = LABELS_AT + b->rows * sizeof(float);
    fixture_fill((float *)(void *)memory, (size_t)b->rows * DIM, fake->made + 1000U, 1.0F);
    for (uint32_t i = 0; i < b->rows; i++)
        labels[i] = (float)(fixture_random(&random) % CLASSES);
    bool lent = fake->lends && !(fake->also_rows && fake->made % 3 == 1);
    if (lent)
        fake_lend(fake, b);
    fake->copies += lent ? b->run_count : 1;
    fake->copied_bytes += lent ? b->rows * STRIDE : b->len_bytes;
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
    memset(fake->records[batch->slot_no], 0x3f, sizeof fake->records[batch->slot_no]);
}

static inline size_t fake_batch_bytes_max(void *cookie)
{
    (void)cookie;
    return SLOT_BYTES;
}

#endif
