/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_feed_sparse.c - sparse batches through the feeding loop: the delayed device
 * trains the same model as the cpu, bit for bit, while batches have ever other numbers of entries.
 */
#include "tests/unit/trainer_fixture.h"

#include "trainer/feed.h"
#include "trainer/fm.h"
#include "trainer/linear.h"

enum { DIM = 500, BATCH_ROWS = 40, BATCHES = 19, LAST_ROWS = 7, HOST_SLOTS = 3 };
enum {
    ENTRIES_MAX = BATCH_ROWS * 30,
    LABELS_AT = 0,
    OFFSETS_AT = 192,
    COLUMNS_AT = 384,
    VALUES_AT = COLUMNS_AT + ENTRIES_MAX * 4,
    SLOT_BYTES = VALUES_AT + ENTRIES_MAX * 4
};

/* Slots that are spoilt the moment they are released. */
struct fake {
    uint32_t made;
    uint32_t released;
    bool busy[HOST_SLOTS];
    struct penstock_batch batches[HOST_SLOTS];
    _Alignas(64) char memory[HOST_SLOTS][(SLOT_BYTES + 63) / 64 * 64];
};

/* Rows get longer with each batch up to the tenth: the model has to make room several times. */
static void fill(struct fake *fake, struct penstock_batch *b, char *memory)
{
    float *labels = (float *)(void *)(memory + LABELS_AT);
    uint32_t *offsets = (uint32_t *)(void *)(memory + OFFSETS_AT);
    uint32_t *columns = (uint32_t *)(void *)(memory + COLUMNS_AT);
    float *values = (float *)(void *)(memory + VALUES_AT);
    uint64_t random = fake->made;
    uint32_t longest = fake->made < 10 ? 3 * fake->made + 1 : 20;
    uint32_t entries = 0;
    for (uint32_t r = 0; r < b->rows; r++) {
        uint32_t count = (uint32_t)(fixture_random(&random) % longest);
        labels[r] = (float)(fixture_random(&random) % 2);
        offsets[r] = entries;
        for (uint32_t i = 0; i < count; i++) {
            columns[entries] = (uint32_t)(fixture_random(&random) % DIM);
            values[entries++] = fixture_float(&random);
        }
    }
    offsets[b->rows] = entries;
    b->labels = labels;
    b->row_offsets = offsets;
    b->columns = columns;
    b->values = values;
    b->len_bytes = VALUES_AT + entries * sizeof *values;
}

static int fake_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    struct fake *fake = cookie;
    uint32_t slot_no = fake->made % HOST_SLOTS;
    (void)timeout_ms;
    *batch = NULL;
    if (fake->made == BATCHES)
        return PENSTOCK_EPOCH_END;
    if (fake->busy[slot_no])
        return PENSTOCK_AGAIN;
    struct penstock_batch *b = &fake->batches[slot_no];
    *b = (struct penstock_batch){.rows = fake->made == BATCHES - 1 ? LAST_ROWS : BATCH_ROWS,
                                 .feature_dim = DIM,
                                 .label_dim = 1,
                                 .slot_no = slot_no,
                                 .base = fake->memory[slot_no]};
    fill(fake, b, fake->memory[slot_no]);
    fake->busy[slot_no] = true;
    fake->made++;
    *batch = b;
    return PENSTOCK_OK;
}

static void fake_release(void *cookie, const struct penstock_batch *batch)
{
    struct fake *fake = cookie;
    assert_true(fake->busy[batch->slot_no]);
    fake->busy[batch->slot_no] = false;
    fake->released++;
    memset(fake->memory[batch->slot_no], 0, sizeof fake->memory[0]); /* rows of nothing, class 0 */
}

static size_t fake_bytes_max(void *cookie)
{
    (void)cookie;
    return SLOT_BYTES;
}

struct trainee {
    struct tr_fm *fm;
    struct tr_linear *linear; /* one of the two */
};

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct trainee *trainee = cookie;
    const struct penstock_batch *host = batch->host;
    const struct tr_linear_rows rows = {.labels = batch->labels,
                                        .label_dim = 1,
                                        .count = host->rows,
                                        .row_offsets = batch->row_offsets,
                                        .columns = batch->columns,
                                        .values = batch->values,
                                        .entries = host->row_offsets[host->rows]};
    return trainee->fm ? tr_fm_step(trainee->fm, batch, error)
                       : tr_linear_step(trainee->linear, &rows, error);
}

static const struct tr_fm_config fm_config = {
    .loss = TR_LOSS_LOGISTIC,
    .dim = DIM,
    .factor_count = 5,
    .batch_rows = BATCH_ROWS,
    .optimizer = TR_OPTIMIZER_ADAM,
    .beta1 = 0.9,
    .beta2 = 0.999,
    .epsilon = 1e-8,
    .groups = {[TR_FM_BIAS] = {.sigma = 0.1, .learning_rate = 0.1},
               [TR_FM_LINEAR] = {.sigma = 0.1, .learning_rate = 0.01},
               [TR_FM_FACTORS] = {.sigma = 0.1, .learning_rate = 0.01}},
};

static const struct tr_linear_config linear_config = {
    .loss = TR_LOSS_LOGISTIC,
    .dim = DIM,
    .outputs = 1,
    .models = 3,
    .batch_rows = BATCH_ROWS,
    .sparse = true,
    .optimizer = TR_OPTIMIZER_ADAM,
    .learning_rate = 0.01,
    .beta1 = 0.9,
    .beta2 = 0.999,
    .use_bias = true,
    .bias_lr_mult = 1.0,
    .label_std = 1.0,
};

/* Feeds one epoch; `weights` has room for all of a model. */
static void train(const char *name, bool fm, float *weights)
{
    static struct fake fake;
    struct tr_device *device = fixture_device(name);
    struct trainee trainee = {NULL, NULL};
    struct tr_error error = {""};
    struct tr_feed *feed;
    const struct tr_source source = {.cookie = &fake,
                                     .next = fake_next,
                                     .release = fake_release,
                                     .batch_bytes_max = fake_bytes_max};
    const struct tr_sink sink = {&trainee, step};
    int source_rc = PENSTOCK_OK;
    memset(&fake, 0, sizeof fake);
    int rc = fm ? tr_fm_new(device, &fm_config, &trainee.fm, &error)
                : tr_linear_new(device, &linear_config, &trainee.linear, &error);
    if (rc == 0)
        rc = tr_feed_new(device, TR_FEED_SLOTS_MIN, &feed, &error);
    if (rc == 0)
        rc = tr_feed_run(feed, &source, &sink, &source_rc, &error);
    if (rc < 0)
        fail_msg("%s", error.text);
    assert_int_equal(source_rc, PENSTOCK_EPOCH_END);
    assert_true(fake.made == BATCHES && fake.released == BATCHES);
    rc = fm ? tr_fm_export(trainee.fm, weights, weights + 1, weights + 1 + DIM, &error)
            : tr_linear_export(trainee.linear, 2, weights + 1, weights, &error);
    assert_int_equal(rc, 0);
    tr_feed_free(&feed);
    tr_fm_free(&trainee.fm);
    tr_linear_free(&trainee.linear);
    tr_device_close(&device);
}

static void check_bits(bool fm)
{
    static float cpu[1 + DIM + DIM * 5];
    static float delayed[1 + DIM + DIM * 5];
    train("cpu", fm, cpu);
    train("delayed", fm, delayed);
    assert_memory_equal(cpu, delayed, sizeof cpu);
    float largest = 0.0F;
    for (uint32_t i = 1; i <= DIM; i++)
        largest = cpu[i] > largest ? cpu[i] : largest;
    assert_true(largest > 0.01F); /* something was learnt */
}

static void test_factorization_machines_learn_the_same_bits(void **state)
{
    (void)state;
    check_bits(true);
}

static void test_linear_learns_the_same_bits(void **state)
{
    (void)state;
    check_bits(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factorization_machines_learn_the_same_bits),
        cmocka_unit_test(test_linear_learns_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
