/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_cpu.c - the cpu device: host memory, OpenBLAS for matrix products, everything done
 * when the call returns.
 *
 * The same calls give the same bits: sums run in row order, OpenBLAS keeps one number of threads.
 * That number is 1 unless $OPENBLAS_NUM_THREADS says otherwise: products with few outputs are
 * bound by memory (2.5 GB/s of features on one Xeon core at 784 x 10, and 2.3 GB/s on two), and
 * OpenBLAS's idle threads spin on cores that the decoders need.
 */
#include "trainer/blas.h"
#include "trainer/device.h"
#include "trainer/linear_math.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 512 KiB of features: scaled, multiplied and multiplied again while they are in the L2 cache. */
#define BLOCK_FLOATS (128U * 1024U)

struct cpu {
    struct tr_device base;
    const struct tr_blas *blas;
};

struct tr_event {
    char unused;
};

static struct tr_event always_done;

static const struct tr_blas *blas_of(struct tr_device *device)
{
    return ((struct cpu *)(void *)device)->blas;
}

static int cpu_open(struct tr_device **out, char *text, size_t text_bytes)
{
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
    (void)event;
}

static int cpu_event_record(struct tr_device *device, struct tr_event *event, enum tr_stream stream)
{
    (void)device;
    (void)event;
    (void)stream;
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
    return cpu_event_record(device, event, stream);
}

static void cpu_drain(struct tr_device *device)
{
    (void)device;
}

static int cpu_scale(struct tr_device *device, const struct tr_scale_args *a)
{
    const float *restrict mean = a->mean;
    const float *restrict inv_std = a->inv_std;
    uint32_t dim = a->dim;
    (void)device;
    for (uint32_t i = 0; i < a->rows; i++) {
        const float *restrict x = a->x + (size_t)i * dim;
        float *restrict y = a->y + (size_t)i * dim;
        for (uint32_t j = 0; j < dim; j++)
            y[j] = tr_scale_one(x[j], mean[j], inv_std[j]);
    }
    return 0;
}

static int cpu_forward(struct tr_device *device, const struct tr_forward_args *a)
{
    blasint rows = (blasint)a->rows;
    blasint dim = (blasint)a->dim;
    blasint outputs = (blasint)a->outputs;
    for (uint32_t i = 0; i < a->rows; i++)
        memcpy(a->z + (size_t)i * a->outputs, a->b, a->outputs * sizeof(float));
    blas_of(device)->sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, outputs, dim, 1.0F,
                           a->x, dim, a->w, outputs, 1.0F, a->z, outputs);
    return 0;
}

static int cpu_loss(struct tr_device *device, const struct tr_loss_args *a)
{
    double loss_sum = 0.0;
    double correct = 0.0;
    (void)device;
    for (uint32_t i = 0; i < a->rows; i++) {
        float hit;
        loss_sum += (double)tr_loss_row(a, i, &hit);
        correct += (double)hit;
    }
    a->stats->loss_sum += loss_sum;
    a->stats->correct += correct;
    a->stats->rows += (double)a->rows;
    return 0;
}

static int cpu_gradient(struct tr_device *device, const struct tr_gradient_args *a)
{
    blasint rows = (blasint)a->rows;
    blasint dim = (blasint)a->dim;
    blasint outputs = (blasint)a->outputs;
    blas_of(device)->sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, dim, outputs, rows, 1.0F, a->x,
                           dim, a->dz, outputs, a->accumulate ? 1.0F : 0.0F, a->dw, outputs);
    if (!a->accumulate)
        memset(a->db, 0, a->outputs * sizeof(float));
    for (uint32_t i = 0; i < a->rows; i++) {
        for (uint32_t j = 0; j < a->outputs; j++)
            a->db[j] += a->dz[(size_t)i * a->outputs + j];
    }
    return 0;
}

static int cpu_update(struct tr_device *device, const struct tr_update_args *a)
{
    (void)device;
    for (size_t i = 0; i < a->n; i++)
        tr_update_one(a, i);
    return 0;
}

const struct tr_device_ops tr_device_cpu = {
    .abi = TR_DEVICE_ABI,
    .name = "cpu",
    .reads_host_memory = true,
    .block_floats = BLOCK_FLOATS,
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .dealloc = cpu_dealloc,
    .upload = cpu_copy,
    .download = cpu_copy,
    .zero = cpu_zero,
    .event_new = cpu_event_new,
    .event_free = cpu_event_free,
    .event_record = cpu_event_record,
    .event_query = cpu_event_query,
    .event_wait = cpu_event_wait,
    .stream_wait = cpu_stream_wait,
    .drain = cpu_drain,
    .scale = cpu_scale,
    .forward = cpu_forward,
    .loss = cpu_loss,
    .gradient = cpu_gradient,
    .update = cpu_update,
};
