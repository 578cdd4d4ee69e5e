/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_cpu.c - the cpu device: host memory, OpenBLAS for matrix products, everything done
 * when the call returns.
 *
 * The same calls give the same bits: sums run in row order, OpenBLAS keeps one number of threads.
 * That number is 1 unless $OPENBLAS_NUM_THREADS says otherwise: products with few outputs are
 * bound by memory (2.5 GB/s of features on one Xeon core at 784 x 10, and 2.3 GB/s on two), and
 * OpenBLAS's idle threads spin on cores that the decoders need.
 */
#include "trainer/clock.h"
#include "trainer/cpu_kernels.h"
#include "trainer/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* 512 KiB of features: scaled, multiplied and multiplied again while they are in the L2 cache. */
#define BLOCK_FLOATS (128U * 1024U)

struct cpu {
    struct tr_device base;
    const struct tr_blas *blas;
};

struct tr_event {
    double at_s; /* of a timer */
};

static struct tr_event always_done;

static const struct tr_blas *blas_of(struct tr_device *device)
{
    return ((struct cpu *)(void *)device)->blas;
}

static uint32_t cpu_count(void)
{
    return 1;
}

static int cpu_open(uint32_t number, struct tr_device **out, char *text, size_t text_bytes)
{
    (void)number;
    const struct tr_blas *blas = tr_blas_open(text, text_bytes);
    struct cpu *cpu = blas ? calloc(1, sizeof *cpu) : NULL;
    *out = cpu ? &cpu->base : NULL;
    if (!blas)
        return -1;
    if (!cpu) {
        snprintf(text, text_bytes, "no memory");
        return -1;
    }
    cpu->base.ops = &tr_device_cpu;
    cpu->blas = blas;
    snprintf(text, text_bytes, "OpenBLAS, %d thread%s", blas->threads,
             blas->threads == 1 ? "" : "s");
    return 0;
}

static void cpu_close(struct tr_device **device)
{
    free(*device);
    *device = NULL;
}

static int cpu_alloc(struct tr_device *device, size_t len_bytes, void **out)
{
    size_t whole = (len_bytes + 63) / 64 * 64;
    device->counts.allocs++;
    device->counts.alloc_bytes += len_bytes;
    *out = aligned_alloc(64, whole > 0 ? whole : 64);
    if (!*out) {
        snprintf(device->error, sizeof device->error, "no memory for %zu bytes", len_bytes);
        return -1;
    }
    memset(*out, 0, len_bytes);
    return 0;
}

static void cpu_dealloc(struct tr_device *device, void *memory)
{
    (void)device;
    free(memory);
}

static int cpu_copy(struct tr_device *device, void *to, const void *from, size_t len_bytes)
{
    (void)device;
    memcpy(to, from, len_bytes);
    return 0;
}

static int cpu_upload(struct tr_device *device, void *to, const void *from, size_t len_bytes)
{
    device->counts.uploads++;
    device->counts.uploaded_bytes += len_bytes;
    return cpu_copy(device, to, from, len_bytes);
}

static int cpu_zero(struct tr_device *device, void *memory, size_t len_bytes)
{
    (void)device;
    memset(memory, 0, len_bytes);
    return 0;
}

static int cpu_event_new(struct tr_device *device, struct tr_event **out)
{
    (void)device;
    *out = &always_done;
    return 0;
}

static void cpu_event_free(struct tr_device *device, struct tr_event *event)
{
    (void)device;
    if (event != &always_done)
        free(event);
}

static int cpu_timer_new(struct tr_device *device, struct tr_event **out)
{
    *out = calloc(1, sizeof **out);
    if (*out)
        return 0;
    snprintf(device->error, sizeof device->error, "no memory for a timer");
    return -1;
}

static int cpu_event_record(struct tr_device *device, struct tr_event *event, enum tr_stream stream)
{
    (void)device;
    (void)stream;
    if (event != &always_done)
        event->at_s = tr_now_s();
    return 0;
}

static int cpu_elapsed(struct tr_device *device, struct tr_event *from, struct tr_event *to,
                       double *seconds)
{
    (void)device;
    *seconds = to->at_s - from->at_s;
    return 0;
}

static int cpu_event_query(struct tr_device *device, struct tr_event *event)
{
    (void)device;
    (void)event;
    return 1;
}

static int cpu_event_wait(struct tr_device *device, struct tr_event *event)
{
    (void)device;
    (void)event;
    return 0;
}

static int cpu_stream_wait(struct tr_device *device, enum tr_stream stream, struct tr_event *event)
{
    (void)device;
    (void)stream;
    (void)event;
    return 0;
}

static void cpu_drain(struct tr_device *device)
{
    (void)device;
}

static int cpu_launch(struct tr_device *device, enum tr_kernel kernel, const void *args,
                      size_t args_bytes)
{
    (void)args_bytes;
    return tr_cpu_kernels[kernel](blas_of(device), args);
}

const struct tr_device_ops tr_device_cpu = {
    .abi = TR_DEVICE_ABI,
    .name = "cpu",
    .reads_host_memory = true,
    .block_floats = BLOCK_FLOATS,
    .count = cpu_count,
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .dealloc = cpu_dealloc,
    .upload = cpu_upload,
    .download = cpu_copy,
    .zero = cpu_zero,
    .event_new = cpu_event_new,
    .event_free = cpu_event_free,
    .event_record = cpu_event_record,
    .event_query = cpu_event_query,
    .event_wait = cpu_event_wait,
    .timer_new = cpu_timer_new,
    .elapsed = cpu_elapsed,
    .stream_wait = cpu_stream_wait,
    .drain = cpu_drain,
    .launch = cpu_launch,
};
