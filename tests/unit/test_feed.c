/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_feed.c - the feeding loop and the head: the delayed device trains the same model
 * as the cpu, bit for bit, whatever it delays. tests/mutants/feed_*.patch must fail here.
 */
#include "tests/unit/feed_fixture.h"

#include <time.h>

#include "trainer/clock.h"
#include "trainer/device_delayed.h"
#include "trainer/feed.h"
#include "trainer/head.h"
#include "trainer/linear.h"
#include "trainer/model.h"

struct trainee {
    struct tr_linear *model;
    uint32_t fail_at; /* step that fails, 0 = none */
    uint32_t steps;
};

static int step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct trainee *trainee = cookie;
    if (++trainee->steps == trainee->fail_at)
        return tr_fail(error, "step %u failed", trainee->steps);
    const struct tr_linear_rows rows = {.features = batch->features,
                                        .labels = batch->labels,
                                        .label_dim = 1,
                                        .count = batch->host->rows};
    return tr_linear_step(trainee->model, &rows, error);
}

struct setting {
    const char *device;
    bool hold_copy;
    bool hold_compute;
    uint32_t device_slots;
    uint32_t host_slots;
    uint64_t head_rows; /* 0 = no head */
    uint32_t lends;     /* struct fake's, as the next */
    bool also_rows;
};

struct result {
    float weights[DIM * CLASSES + CLASSES];
    struct tr_stats sums;
};

static void train(const struct setting *setting, struct result *result)
{
    const struct tr_linear_config config = {
        .loss = TR_LOSS_SOFTMAX,
        .dim = DIM,
        .outputs = CLASSES,
        .batch_rows = BATCH_ROWS,
        .optimizer = TR_OPTIMIZER_ADAM,
        .learning_rate = 0.05,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .use_bias = true,
        .bias_lr_mult = 1.0,
        .label_std = 1.0,
    };
    struct tr_device *device = fixture_device(setting->device);
    static struct fake fake;
    memset(&fake, 0, sizeof fake);
    fake.slot_count = setting->host_slots;
    fake.lends = setting->lends;
    fake.also_rows = setting->also_rows;
    if (strcmp(setting->device, "delayed") == 0) {
        tr_delayed_hold(device, TR_STREAM_COPY, setting->hold_copy);
        tr_delayed_hold(device, TR_STREAM_COMPUTE, setting->hold_compute);
    }
    struct tr_source source = {&fake, fake_next, fake_release, fake_batch_bytes_max};
    struct tr_head *head = tr_head_new(device, &source);
    struct trainee trainee = {NULL, 0, 0};
    struct tr_sink sink = {&trainee, step};
    struct tr_feed *feed;
    struct tr_error error;
    int source_rc = 0;
    if (setting->head_rows > 0) {
        assert_int_equal(tr_head_fill(head, setting->head_rows, SIZE_MAX, &error), 0);
        source = tr_head_source(head);
    }
    assert_int_equal(tr_linear_new(device, &config, &trainee.model, &error), 0);
    assert_int_equal(tr_feed_new(device, setting->device_slots, &feed, &error), 0);
    assert_int_equal(tr_feed_run(feed, &source, &sink, &source_rc, &error), 0);
    assert_int_equal(source_rc, PENSTOCK_EPOCH_END);
    assert_int_equal(fake.made, BATCHES);
    assert_int_equal(fake.released, BATCHES);
    assert_true(fake.loan_max <= setting->device_slots + 1); /* + 1: in hand */
    /* One copy a batch, or run, of no byte more, and the scaling's none; what a head keeps are
     * rows. */
    if (strcmp(setting->device, "delayed") == 0 && (setting->head_rows == 0 || !setting->lends)) {
        assert_int_equal(device->counts.uploads, fake.copies);
        assert_int_equal(device->counts.uploaded_bytes, fake.copied_bytes);
    }
    assert_int_equal(
        tr_linear_read_sums(trainee.model, TR_SUMS_TRAIN, false, &result->sums, &error), 0);
    assert_int_equal(tr_linear_export(trainee.model, 0, result->weights,
                                      result->weights + DIM * CLASSES, &error),
                     0);
    tr_feed_free(&feed);
    tr_linear_free(&trainee.model);
    tr_head_free(&head);
    tr_device_close(&device);
}

static void assert_same_training(const struct setting *setting)
{
    static const struct setting cpu = {"cpu", false, false, 2, 3, 0, 0, false};
    struct result want;
    struct result got;
    train(&cpu, &want);
    train(setting, &got);
    assert_true(want.sums.rows == (BATCHES - 1) * BATCH_ROWS + LAST_ROWS);
    assert_memory_equal(&got.sums, &want.sums, sizeof want.sums);
    assert_memory_equal(got.weights, want.weights, sizeof want.weights);
}

static void test_cpu_trains_the_same_twice(void **state)
{
    (void)state;
    assert_same_training(&(struct setting){"cpu", false, false, 4, 1, 0, 0, false});
}

static void test_delayed_late_copies_train_the_same(void **state)
{
    (void)state;
    for (uint32_t slots = TR_FEED_SLOTS_MIN; slots <= TR_FEED_SLOTS_MAX; slots++)
        assert_same_training(&(struct setting){"delayed", true, false, slots, 6, 0, 0, false});
}

static void test_delayed_late_kernels_train_the_same(void **state)
{
    (void)state;
    for (uint32_t slots = TR_FEED_SLOTS_MIN; slots <= TR_FEED_SLOTS_MAX; slots++)
        assert_same_training(&(struct setting){"delayed", false, true, slots, 6, 0, 0, false});
}

static void test_delayed_everything_late_trains_the_same(void **state)
{
    (void)state;
    assert_same_training(&(struct setting){"delayed", true, true, 3, 5, 0, 0, false});
}

static void test_delayed_nothing_late_trains_the_same(void **state)
{
    (void)state;
    assert_same_training(&(struct setting){"delayed", false, false, 3, 5, 0, 0, false});
}

/* Records as they were received give the model of rows, bit for bit. */
static void test_delayed_makes_rows_of_records(void **state)
{
    (void)state;
    for (uint32_t bytes = 4; bytes <= 8; bytes += 4) {
        for (uint32_t slots = TR_FEED_SLOTS_MIN; slots <= TR_FEED_SLOTS_MAX; slots++) {
            for (int held = 0; held < 4; held++)
                assert_same_training(&(struct setting){"delayed", held & 1, held & 2, slots, 5, 0,
                                                       bytes, slots == 3});
        }
        assert_same_training(&(struct setting){"delayed", true, true, 4, 2, 0, bytes, false});
        assert_same_training(&(struct setting){"delayed", true, true, 3, 4, 1, bytes, false});
        assert_same_training(&(struct setting){"delayed", true, true, 3, 4, 400, bytes, true});
        assert_same_training(&(struct setting){"cpu", false, false, 3, 4, 100000, bytes, false});
    }
}

/* Fewer host slots than device slots: the loop must release while the source has nothing. */
static void test_delayed_with_one_host_slot_trains_the_same(void **state)
{
    (void)state;
    assert_same_training(&(struct setting){"delayed", true, false, 4, 1, 0, 0, false});
    assert_same_training(&(struct setting){"delayed", true, true, 4, 2, 0, 0, false});
}

/* A head of one batch, of some, of more than there are. */
static void test_head_changes_nothing(void **state)
{
    (void)state;
    const uint64_t rows[] = {1, 5 * BATCH_ROWS + 1, 100000};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_same_training(&(struct setting){"cpu", false, false, 3, 4, rows[i], 0, false});
        assert_same_training(&(struct setting){"delayed", true, true, 3, 4, rows[i], 0, false});
    }
}

static void test_head_keeps_what_it_is_told(void **state)
{
    (void)state;
    static struct fake fake;
    const struct penstock_batch *batch;
    struct tr_error error;
    memset(&fake, 0, sizeof fake);
    fake.slot_count = 2;
    struct tr_source source = {&fake, fake_next, fake_release, fake_batch_bytes_max};
    struct tr_device *device = fixture_device("delayed");
    struct tr_head *head = tr_head_new(device, &source);
    assert_int_equal(tr_head_fill(head, 3 * BATCH_ROWS, SIZE_MAX, &error), 0);
    assert_int_equal(tr_head_rc(head), PENSTOCK_OK);
    assert_int_equal(fake.made, 3);
    assert_int_equal(fake.released, 3);
    for (size_t i = 0; i < 3; i++) {
        batch = tr_head_batch(head, i);
        float want[DIM];
        fixture_fill(want, DIM, 1000U + i, 1.0F);
        assert_non_null(batch);
        assert_int_equal(batch->position, i * BATCH_ROWS);
        assert_memory_equal(batch->features, want, sizeof want); /* not the spoilt original */
        assert_ptr_equal(batch->labels, (const char *)batch->base + LABELS_AT);
        assert_true(batch->pinned);
    }
    assert_null(tr_head_batch(head, 3));
    struct tr_source played = tr_head_source(head);
    for (uint32_t i = 0; i < BATCHES; i++) {
        assert_int_equal(played.next(played.cookie, -1, &batch), PENSTOCK_OK);
        assert_int_equal(batch->position, (uint64_t)i * BATCH_ROWS);
        played.release(played.cookie, batch);
    }
    assert_int_equal(played.next(played.cookie, -1, &batch), PENSTOCK_EPOCH_END);
    tr_head_free(&head);

    /* Bounded by bytes: a third batch would be too much; one is taken in any case. */
    for (size_t bound = 0; bound <= 2; bound += 2) {
        memset(&fake, 0, sizeof fake);
        fake.slot_count = 1;
        head = tr_head_new(device, &source);
        assert_int_equal(tr_head_fill(head, UINT64_MAX, bound * SLOT_BYTES, &error), 0);
        assert_int_equal(fake.made, bound > 0 ? bound : 1);
        tr_head_free(&head);
    }
    tr_device_close(&device);
}

/* A source that sleeps before every fourth batch. */
#define NAP_MS 30L
#define NAPS (BATCHES / 4U - 1U)

static int drowsy_next(void *cookie, int timeout_ms, const struct penstock_batch **batch)
{
    const struct timespec nap = {0, NAP_MS * 1000000L};
    const struct fake *fake = cookie;
    if (fake->made > 0 && fake->made % 4 == 0 && fake->made < BATCHES && timeout_ms < 0)
        nanosleep(&nap, NULL);
    if (fake->made > 0 && fake->made % 4 == 0 && fake->made < BATCHES && timeout_ms >= 0 &&
        fake->made > fake->released)
        return *batch = NULL, PENSTOCK_AGAIN; /* all copies are done before the nap */
    return fake_next(cookie, timeout_ms, batch);
}

static int count_step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    uint64_t *rows = cookie;
    (void)error;
    *rows += batch->host->rows;
    return 0;
}

/* A source of batches that were made up, a device, and the loop between them. */
struct feeding {
    struct fake fake;
    struct tr_source source;
    struct tr_device *device;
    struct tr_feed *feed;
    uint64_t rows;
};

static void feeding_open(struct feeding *f, const char *device)
{
    struct tr_error error;
    memset(f, 0, sizeof *f);
    f->fake.slot_count = 4;
    f->source = (struct tr_source){&f->fake, fake_next, fake_release, fake_batch_bytes_max};
    f->device = fixture_device(device);
    assert_int_equal(tr_feed_new(f->device, 3, &f->feed, &error), 0);
}

/* Feeds all there is, and waits until the device has done it. */
static void feeding_run(struct feeding *f)
{
    struct tr_sink sink = {&f->rows, count_step};
    struct tr_error error;
    int source_rc;
    assert_int_equal(tr_feed_run(f->feed, &f->source, &sink, &source_rc, &error), 0);
    f->device->ops->drain(f->device);
    assert_int_equal(f->rows, (BATCHES - 1) * BATCH_ROWS + LAST_ROWS);
}

static void feeding_close(struct feeding *f)
{
    tr_feed_free(&f->feed);
    tr_device_close(&f->device);
}

/* The device's own clock tells how long it had nothing to do: all of the naps, and no more than the
 * clock on the wall less the time at work. */
static void test_stall_is_what_the_source_slept(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu", "delayed"};
    for (size_t i = 0; i < 2; i++) {
        static struct feeding f;
        feeding_open(&f, devices[i]);
        f.source.next = drowsy_next;
        double from_s = tr_now_s();
        feeding_run(&f);
        double wall_s = tr_now_s() - from_s;
        struct tr_feed_stats stats = tr_feed_get_stats(f.feed);
        assert_int_equal(stats.batches, BATCHES);
        assert_true(stats.stall_s >= 0.95 * (double)(NAPS * NAP_MS) * 1e-3);
        assert_true(stats.stall_s + stats.busy_s <= wall_s);
        feeding_close(&f);
    }
}

/* framed=true was asked for; decoding is what such a device needs. */
static void test_records_are_not_for_a_device_without_memory(void **state)
{
    (void)state;
    static struct feeding f;
    struct tr_sink sink = {&f.rows, count_step};
    struct tr_error error;
    int source_rc;
    feeding_open(&f, "cpu");
    f.fake.lends = 4;
    assert_int_equal(tr_feed_run(f.feed, &f.source, &sink, &source_rc, &error), -1);
    assert_non_null(strstr(error.text, "framed=true is for devices with memory of their own"));
    assert_int_equal(f.fake.released, f.fake.made);
    feeding_close(&f);
}

/* Pinned batches: nothing is allocated and copied from pageable memory once the state is steady;
 * batches that are not pinned are counted. */
static void test_steady_state_is_counted(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        static struct feeding f;
        bool pinned = way & 1;
        bool lends = way & 2;
        feeding_open(&f, "delayed");
        f.fake.pinned = pinned;
        f.fake.lends = lends ? 4 : 0;
        feeding_run(&f);
        struct tr_feed_stats stats = tr_feed_get_stats(f.feed);
        assert_int_equal(stats.late_allocs, 0);
        assert_int_equal(stats.late_pageable_copies, pinned ? 0 : BATCHES - 3);
        assert_int_equal(stats.batches_lent, lends ? BATCHES : 0);
        if (lends)
            assert_true(stats.slot_bytes >= SLOT_BYTES + BATCH_ROWS * STRIDE);
        else
            assert_int_equal(stats.slot_bytes, SLOT_BYTES);
        feeding_close(&f);
    }
}

struct replayed {
    uint64_t steps;
    float first[DIM];
};

static int replay_step(void *cookie, const struct tr_device_batch *batch, struct tr_error *error)
{
    struct replayed *replayed = cookie;
    (void)error;
    assert_int_equal(batch->host->rows, BATCH_ROWS);
    memcpy(replayed->first, batch->features, sizeof replayed->first);
    replayed->steps++;
    return 0;
}

/* The batch that was kept, and not what its slots hold by then. */
static void test_one_batch_is_replayed(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu", "delayed"};
    for (size_t i = 0; i < 2; i++) {
        static struct feeding f;
        struct replayed replayed = {0};
        struct tr_sink replay = {&replayed, replay_step};
        struct tr_error error;
        double steps_per_s;
        float want[DIM];
        feeding_open(&f, devices[i]);
        assert_int_equal(tr_feed_replay(f.feed, &replay, 0.01, &steps_per_s, &error), 0);
        assert_true(steps_per_s == 0.0 && replayed.steps == 0);
        tr_feed_keep(f.feed);
        feeding_run(&f);
        assert_int_equal(tr_feed_replay(f.feed, &replay, 0.01, &steps_per_s, &error), 0);
        assert_true(replayed.steps > 0 && steps_per_s > 0.0);
        fixture_fill(want, DIM, 1000U, 1.0F);
        assert_memory_equal(replayed.first, want, sizeof want);
        feeding_close(&f);
    }
}

/* Begins the training of a model that has not learnt any scaling. */
static void trainee_open(struct trainee *trainee, struct feeding *f)
{
    const struct tr_linear_config config = {.loss = TR_LOSS_SOFTMAX,
                                            .dim = DIM,
                                            .outputs = CLASSES,
                                            .batch_rows = BATCH_ROWS,
                                            .label_std = 1.0};
    struct tr_error error;
    feeding_open(f, "delayed");
    *trainee = (struct trainee){NULL, 0, 0};
    assert_int_equal(tr_linear_new(f->device, &config, &trainee->model, &error), 0);
}

static void test_source_error_is_passed_on_and_all_is_released(void **state)
{
    (void)state;
    static struct feeding f;
    struct trainee trainee;
    struct tr_sink sink = {&trainee, step};
    struct tr_error error;
    int source_rc = 0;
    trainee_open(&trainee, &f);
    f.fake.error_rc = PENSTOCK_E_NETWORK;
    assert_int_equal(tr_feed_run(f.feed, &f.source, &sink, &source_rc, &error), 0);
    assert_int_equal(source_rc, PENSTOCK_E_NETWORK);
    assert_int_equal(f.fake.released, BATCHES);

    memset(&f.fake, 0, sizeof f.fake); /* a failing step ends the run; what was lent comes back */
    f.fake.slot_count = 5;
    trainee.steps = 0;
    trainee.fail_at = 7;
    assert_int_equal(tr_feed_run(f.feed, &f.source, &sink, &source_rc, &error), -1);
    assert_string_equal(error.text, "step 7 failed");
    assert_int_equal(f.fake.made, 7);
    assert_int_equal(f.fake.released, 7);
    tr_linear_free(&trainee.model);
    feeding_close(&f);
}

/* After the first batch nothing is allocated any more. */
static void test_steady_state_allocates_nothing(void **state)
{
    (void)state;
    static struct feeding f;
    struct trainee trainee;
    struct tr_sink sink = {&trainee, step};
    struct tr_error error;
    int source_rc;
    uint64_t allocs = 0;
    trainee_open(&trainee, &f);
    for (int epoch = 0; epoch < 2; epoch++) {
        memset(&f.fake, 0, sizeof f.fake);
        f.fake.slot_count = 4;
        assert_int_equal(tr_feed_run(f.feed, &f.source, &sink, &source_rc, &error), 0);
        uint64_t now = f.device->counts.allocs;
        assert_true(epoch == 0 || now == allocs);
        allocs = now;
    }
    tr_linear_free(&trainee.model);
    tr_feed_free(&f.feed);
    feeding_close(&f); /* twice is fine */
}

/* --- a device that fails
 * --------------------------------------------------------------------------
 */

static uint32_t calls_left; /* the call that finds 1 fails; 0 = none does */

static bool fails_now(struct tr_device *device)
{
    bool now = calls_left > 0 && --calls_left == 0;
    if (now)
        snprintf(device->error, sizeof device->error, "injected");
    return now;
}

#define FAULTY(name, parameters, arguments)                                                        \
    static int faulty_##name parameters                                                            \
    {                                                                                              \
        return fails_now(device) ? -1 : tr_device_delayed.name arguments;                          \
    }

FAULTY(alloc, (struct tr_device * device, size_t n, void **out), (device, n, out))
FAULTY(upload, (struct tr_device * device, void *to, const void *from, size_t n),
       (device, to, from, n))
FAULTY(download, (struct tr_device * device, void *to, const void *from, size_t n),
       (device, to, from, n))
FAULTY(event_new, (struct tr_device * device, struct tr_event **out), (device, out))
FAULTY(event_record, (struct tr_device * device, struct tr_event *event, enum tr_stream stream),
       (device, event, stream))
FAULTY(event_query, (struct tr_device * device, struct tr_event *event), (device, event))
FAULTY(stream_wait, (struct tr_device * device, enum tr_stream stream, struct tr_event *event),
       (device, stream, event))
FAULTY(launch, (struct tr_device * device, enum tr_kernel kernel, const void *args, size_t n),
       (device, kernel, args, n))

/* Trains on a device whose k-th call fails; 0 when all went well. */
static int train_with_fault(uint32_t k, uint32_t lends, struct tr_error *error)
{
    static struct fake fake;
    static const float ones[DIM] = {1.0F, 1.0F, 1.0F};
    struct tr_linear_config config = {.loss = TR_LOSS_SOFTMAX,
                                      .dim = DIM,
                                      .outputs = CLASSES,
                                      .batch_rows = BATCH_ROWS,
                                      .use_bias = true,
                                      .mean = ones,
                                      .inv_std = ones,
                                      .label_std = 1.0};
    struct tr_device *device = fixture_device("delayed");
    struct tr_device_ops ops = tr_device_delayed;
    struct tr_source source = {&fake, fake_next, fake_release, fake_batch_bytes_max};
    struct trainee trainee = {NULL, 0, 0};
    struct tr_sink sink = {&trainee, step};
    struct tr_feed *feed = NULL;
    struct tr_stats sums;
    float weights[DIM * CLASSES];
    float bias[CLASSES];
    int source_rc;
    ops.alloc = faulty_alloc;
    ops.upload = faulty_upload;
    ops.download = faulty_download;
    ops.event_new = faulty_event_new;
    ops.event_record = faulty_event_record;
    ops.event_query = faulty_event_query;
    ops.stream_wait = faulty_stream_wait;
    ops.launch = faulty_launch;
    device->ops = &ops;
    memset(&fake, 0, sizeof fake);
    fake.slot_count = 3;
    fake.lends = lends;
    fake.made = BATCHES - 5;
    fake.released = fake.made;
    calls_left = k;
    int rc = tr_linear_new(device, &config, &trainee.model, error);
    if (rc == 0)
        rc = tr_feed_new(device, 2, &feed, error);
    if (rc == 0)
        rc = tr_feed_run(feed, &source, &sink, &source_rc, error);
    if (rc == 0)
        rc = tr_linear_read_sums(trainee.model, TR_SUMS_TRAIN, true, &sums, error);
    if (rc == 0)
        rc = tr_linear_export(trainee.model, 0, weights, bias, error);
    assert_int_equal(fake.released, fake.made);
    tr_feed_free(&feed);
    tr_linear_free(&trainee.model);
    tr_device_close(&device);
    return rc;
}

/* Whichever call fails: the reason is passed on, every batch comes back, nothing leaks (ASan). */
static void test_every_device_failure_is_reported(void **state)
{
    (void)state;
    for (uint32_t lends = 0; lends <= 4; lends += 4) {
        struct tr_error error;
        uint32_t k = 1;
        for (;; k++) {
            error.text[0] = '\0';
            if (train_with_fault(k, lends, &error) == 0)
                break;
            assert_string_equal(error.text, "device delayed: injected");
        }
        assert_true(calls_left > 0 && k > 60); /* the run has more calls than that */
        calls_left = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_trains_the_same_twice),
        cmocka_unit_test(test_delayed_late_copies_train_the_same),
        cmocka_unit_test(test_delayed_late_kernels_train_the_same),
        cmocka_unit_test(test_delayed_everything_late_trains_the_same),
        cmocka_unit_test(test_delayed_nothing_late_trains_the_same),
        cmocka_unit_test(test_delayed_makes_rows_of_records),
        cmocka_unit_test(test_delayed_with_one_host_slot_trains_the_same),
        cmocka_unit_test(test_head_changes_nothing),
        cmocka_unit_test(test_head_keeps_what_it_is_told),
        cmocka_unit_test(test_stall_is_what_the_source_slept),
        cmocka_unit_test(test_records_are_not_for_a_device_without_memory),
        cmocka_unit_test(test_steady_state_is_counted),
        cmocka_unit_test(test_one_batch_is_replayed),
        cmocka_unit_test(test_source_error_is_passed_on_and_all_is_released),
        cmocka_unit_test(test_steady_state_allocates_nothing),
        cmocka_unit_test(test_every_device_failure_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
