/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_device_open.c - which of several GPUs is taken; they are those of
 * tests/fake_cuda.c. And who watches while the host waits for a device.
 */
#include "tests/unit/trainer_fixture.h"

#include "trainer/device_delayed.h"
#include "trainer/device_use.h"

static int use_fake_gpus(void **state)
{
    char path[4096];
    (void)state;
    return fixture_path("../fake_cuda.so", path, sizeof path)
               ? setenv("PENSTOCK_CUDA_PLUGIN", path, 1)
               : -1;
}

static void opens(const char *name, uint32_t local_rank, const char *expected)
{
    struct tr_device *device;
    char line[600];
    if (tr_device_open_for(name, local_rank, &device, line, sizeof line) < 0)
        fail_msg("%s: %s", name, line);
    assert_string_equal(line, expected);
    tr_device_close(&device);
}

static void refuses(const char *name, const char *expected)
{
    struct tr_device *device;
    char line[600];
    assert_int_equal(tr_device_open_for(name, 0, &device, line, sizeof line), -1);
    assert_null(device);
    assert_string_equal(line, expected);
}

static void ranks_take_gpus_in_turn(void **state)
{
    (void)state;
    setenv("FAKE_GPUS", "3", 1);
    opens("auto", 0, "device: cuda (fake GPU 0)");
    opens("auto", 2, "device: cuda (fake GPU 2)");
    opens("cuda", 1, "device: cuda (fake GPU 1): asked for");
    opens("cuda", 4, "device: cuda (fake GPU 1): asked for");
    setenv("FAKE_GPUS", "1", 1);
    opens("auto", 5, "device: cuda (fake GPU 0)");
}

static void a_gpu_can_be_named(void **state)
{
    (void)state;
    setenv("FAKE_GPUS", "3", 1);
    opens("cuda:2", 1, "device: cuda (fake GPU 2): asked for");
    opens("cuda:0", 1, "device: cuda (fake GPU 0): asked for");
    refuses("cuda:3", "device cuda:3 cannot be used: there is no GPU 3");
    const char *const bad[] = {"cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda: 1", "cuda:1024"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char expected[200];
        snprintf(expected, sizeof expected,
                 "there is no device '%s': choose auto, cpu, cuda, cuda:NUMBER or delayed", bad[i]);
        refuses(bad[i], expected);
    }
}

static void without_a_gpu_the_cpu_is_taken(void **state)
{
    (void)state;
    setenv("FAKE_GPUS", "0", 1);
    unsetenv("OPENBLAS_NUM_THREADS");
    opens("auto", 1, "device: cpu (OpenBLAS, 1 thread): there is no GPU 0");
    refuses("cuda", "device cuda cannot be used: there is no GPU 0");
}

/* --- the watch -----------------------------------------------------------------------------------
 */

struct watch {
    int looks;
    int looks_most;
};

static int look(void *cookie, char *text, size_t text_bytes)
{
    struct watch *watch = cookie;
    if (watch->looks++ < watch->looks_most)
        return 0;
    snprintf(text, text_bytes, "nothing comes any more");
    return -1;
}

/* A copy on a held stream starts when it is asked for the third time. */
static void wait_watched(struct watch *watch, int expected, const char *reason)
{
    struct tr_device *device = fixture_device("delayed");
    struct tr_event *event;
    struct tr_error error = {""};
    float value = 1.5F;
    float *memory = tr_device_allocate(device, 1, sizeof *memory, &error);
    assert_non_null(memory);
    device->watch = look;
    device->watch_cookie = watch;
    assert_int_equal(device->ops->event_new(device, &event), 0);
    assert_int_equal(tr_device_put(device, event, memory, &value, sizeof value, &error), expected);
    assert_string_equal(error.text, reason);
    assert_true(device->counts.host_waits > 0);
    device->ops->event_free(device, event);
    device->ops->dealloc(device, memory);
    tr_device_close(&device);
}

static void a_watch_is_asked_and_can_end_a_wait(void **state)
{
    struct watch patient = {.looks_most = 1000000};
    struct watch hasty = {.looks_most = 0};
    (void)state;
    wait_watched(&patient, 0, "");
    assert_true(patient.looks > 0);
    wait_watched(&hasty, -1, "device delayed: nothing comes any more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_take_gpus_in_turn),
        cmocka_unit_test(a_gpu_can_be_named),
        cmocka_unit_test(without_a_gpu_the_cpu_is_taken),
        cmocka_unit_test(a_watch_is_asked_and_can_end_a_wait),
    };
    return cmocka_run_group_tests(tests, use_fake_gpus, NULL);
}
