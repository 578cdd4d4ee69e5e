/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fake_cuda.c - a plug-in of $FAKE_GPUS GPUs (PENSTOCK_CUDA_PLUGIN) that can be opened and
 * closed, and no more: for tests of which one is taken.
 */
#include "trainer/device.h"

#include <stdio.h>
#include <stdlib.h>

static const struct tr_device_ops ops;

static uint32_t fake_count(void)
{
    const char *text = getenv("FAKE_GPUS");
    return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static int fake_open(uint32_t number, struct tr_device **out, char *text, size_t text_bytes)
{
    *out = NULL;
    if (number >= fake_count()) {
        snprintf(text, text_bytes, "there is no GPU %u", number);
        return -1;
    }
    *out = calloc(1, sizeof **out);
    if (!*out)
        return -1;
    (*out)->ops = &ops;
    snprintf(text, text_bytes, "fake GPU %u", number);
    return 0;
}

static void fake_close(struct tr_device **device)
{
    free(*device);
    *device = NULL;
}

static const struct tr_device_ops ops = {
    .abi = TR_DEVICE_ABI,
    .name = "cuda",
    .count = fake_count,
    .open = fake_open,
    .close = fake_close,
};

__attribute__((visibility("default"))) const struct tr_device_ops *penstock_cuda_device_ops(void);

const struct tr_device_ops *penstock_cuda_device_ops(void)
{
    return &ops;
}
