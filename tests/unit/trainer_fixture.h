/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/trainer_fixture.h - what the trainer's unit tests share: numbers from a seed, devices
 * by name, and arrays between canaries.
 */
#ifndef TRAINER_FIXTURE_H
#define TRAINER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/mix.h"
#include "trainer/device.h"

#define CANARY_FLOATS 16U
#define CANARY_BITS UINT32_C(0x7fc0beef) /* a NaN: spoils every sum that reads it */

static inline uint64_t fixture_random(uint64_t *state)
{
    return fmt_mix_next(state);
}

/* Uniform in [-1, 1). */
static inline float fixture_float(uint64_t *state)
{
    return (float)((double)(int32_t)(fixture_random(state) >> 32) / 2147483648.0);
}

static inline void fixture_fill(float *out, size_t n, uint64_t seed, float scale)
{
    for (size_t i = 0; i < n; i++)
        out[i] = fixture_float(&seed) * scale;
}

/* The path of what was built, from this program's directory: "../fake_nccl.so". */
static inline bool fixture_path(const char *relative, char *path, size_t room_bytes)
{
    ssize_t len = readlink("/proc/self/exe", path, room_bytes - 1);
    path[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(relative) >= room_bytes)
        return false;
    memcpy(slash + 1, relative, strlen(relative) + 1);
    return true;
}

/* Which CUDA plug-in, where the environment does not say: that of nvcc where there is a GPU, and
 * else the one on the CPU (tests/cuda/emulator.h), if it was built. */
static inline void fixture_choose_plugin(void)
{
    char real[4096];
    char emulated[4096];
    if (!fixture_path("../../libpenstock_cuda.so", real, sizeof real) ||
        !fixture_path("../emulated_cuda.so", emulated, sizeof emulated))
        return;
    bool has_gpu = access("/dev/nvidiactl", F_OK) == 0 && access(real, R_OK) == 0;
    bool emulates = !has_gpu && access(emulated, R_OK) == 0;
    setenv("PENSTOCK_CUDA_PLUGIN", emulates ? emulated : real, 0);
    if (emulates)
        setenv("PENSTOCK_CUBLAS", "off", 0);
}

/* Opens a device for a test; skips the test, with the reason, where cuda cannot be had. */
static inline struct tr_device *fixture_device(const char *name)
{
    char line[600];
    struct tr_device *device;
    if (strcmp(name, "cuda") == 0)
        fixture_choose_plugin();
    int rc = tr_device_open(name, &device, line, sizeof line);
    if (rc < 0 && strcmp(name, "cuda") == 0) {
        printf("# %s\n", line);
        skip();
    }
    if (rc < 0)
        fail_msg("%s", line);
    return device;
}

/* n floats on the device with canaries on both sides. Tests move data with whole waits. */
static inline float *fixture_array(struct tr_device *device, const float *values, size_t n)
{
    size_t all = n + 2 * CANARY_FLOATS;
    uint32_t *host = malloc(all * sizeof *host);
    struct tr_event *event;
    void *memory;
    assert_non_null(host);
    for (size_t i = 0; i < all; i++)
        host[i] = CANARY_BITS;
    if (values)
        memcpy(host + CANARY_FLOATS, values, n * sizeof *values);
    assert_int_equal(device->ops->alloc(device, all * sizeof *host, &memory), 0);
    assert_int_equal(device->ops->event_new(device, &event), 0);
    assert_int_equal(device->ops->upload(device, memory, host, all * sizeof *host), 0);
    assert_int_equal(device->ops->event_record(device, event, TR_STREAM_COPY), 0);
    assert_int_equal(device->ops->event_wait(device, event), 0);
    device->ops->event_free(device, event);
    free(host);
    return (float *)memory + CANARY_FLOATS;
}

/* Reads an array of fixture_array back (out may be NULL), checks its canaries, frees it. */
static inline void fixture_take(struct tr_device *device, float *array, float *out, size_t n)
{
    size_t all = n + 2 * CANARY_FLOATS;
    float *memory = array - CANARY_FLOATS;
    uint32_t *host = malloc(all * sizeof *host);
    struct tr_event *event;
    assert_non_null(host);
    assert_int_equal(device->ops->event_new(device, &event), 0);
    assert_int_equal(device->ops->download(device, host, memory, all * sizeof *host), 0);
    assert_int_equal(device->ops->event_record(device, event, TR_STREAM_COMPUTE), 0);
    assert_int_equal(device->ops->event_wait(device, event), 0);
    device->ops->event_free(device, event);
    for (size_t i = 0; i < CANARY_FLOATS; i++) {
        assert_int_equal(host[i], CANARY_BITS);
        assert_int_equal(host[CANARY_FLOATS + n + i], CANARY_BITS);
    }
    if (out)
        memcpy(out, host + CANARY_FLOATS, n * sizeof *out);
    device->ops->dealloc(device, memory);
    free(host);
}

#endif
