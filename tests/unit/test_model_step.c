/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_model_step.c - a step as one piece of work, as a graph of a GPU is. */
#include "tests/unit/trainer_fixture.h"

#include "trainer/model.h"

struct zeroing {
    struct tr_model base;
    float *memory; /* on the device */
    bool fails;
};

static int zero_step(struct tr_model *model, const struct tr_device_batch *batch,
                     struct tr_error *error)
{
    struct zeroing *zeroing = (struct zeroing *)(void *)model;
    (void)batch;
    assert_int_equal(model->device->ops->zero(model->device, zeroing->memory, sizeof(float)), 0);
    return zeroing->fails ? tr_fail(error, "half a step") : 0;
}

/* Work of a step that fails half-way is not done; that of one that is good starts when it ends. */
static void test_a_step_is_given_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct tr_model_ops ops = {.name = "zeroing", .step = zero_step};
    struct tr_device *device = fixture_device("delayed");
    struct zeroing zeroing = {{&ops, device, NULL}, NULL, true};
    const struct tr_device_batch batch = {.slot = 1};
    const float one = 1.0F;
    float seen = 0.0F;
    void *memory;
    struct tr_error error;
    assert_int_equal(device->ops->alloc(device, sizeof one, &memory), 0);
    zeroing.memory = memory;
    assert_int_equal(device->ops->upload(device, memory, &one, sizeof one), 0);
    device->ops->drain(device);
    assert_int_equal(tr_model_step(&zeroing.base, &batch, &error), -1);
    assert_string_equal(error.text, "half a step");
    assert_int_equal(device->ops->download(device, &seen, memory, sizeof seen), 0);
    device->ops->drain(device);
    assert_true(seen == 1.0F);
    zeroing.fails = false;
    assert_int_equal(tr_model_step(&zeroing.base, &batch, &error), 0);
    assert_int_equal(device->ops->download(device, &seen, memory, sizeof seen), 0);
    device->ops->drain(device);
    assert_true(seen == 0.0F);
    device->ops->dealloc(device, memory);
    tr_device_close(&device);
}

static int allocating_step(struct tr_model *model, const struct tr_device_batch *batch,
                           struct tr_error *error)
{
    struct tr_device *device = model->device;
    struct tr_event *event;
    void *memory;
    (void)batch;
    assert_int_equal(device->ops->event_new(device, &event), 0);
    assert_int_equal(device->ops->event_record(device, event, TR_STREAM_COMPUTE), -1);
    assert_int_equal(device->ops->event_wait(device, event), -1);
    device->ops->event_free(device, event);
    return device->ops->alloc(device, 1, &memory) < 0 ? tr_fail(error, "%s", device->error) : 0;
}

static int allocating_prepare(struct tr_model *model, const struct tr_device_batch *batch,
                              struct tr_error *error)
{
    void *memory;
    (void)batch;
    (void)error;
    assert_int_equal(model->device->ops->alloc(model->device, 1, &memory), 0);
    model->device->ops->dealloc(model->device, memory);
    return 0;
}

/* As on a GPU, whose graphs hold neither. */
static void test_a_recorded_step_neither_allocates_nor_waits(void **state)
{
    (void)state;
    static const struct tr_model_ops ops = {
        .name = "allocating", .prepare = allocating_prepare, .step = allocating_step};
    struct tr_device *device = fixture_device("delayed");
    struct tr_model model = {&ops, device, NULL};
    const struct tr_device_batch batch = {.slot = 0};
    struct tr_error error;
    assert_int_equal(tr_model_step(&model, &batch, &error), -1);
    assert_string_equal(error.text, "an allocation in a step that is recorded");
    tr_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_is_given_whole_or_not_at_all),
        cmocka_unit_test(test_a_recorded_step_neither_allocates_nor_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
