/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/gather.h - the kernel that makes matrices of records that were copied as they were
 * received: what decoding on the host would have made, bit for bit.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_GATHER_H
#define TRAINER_GATHER_H

#include "trainer/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values are float32, or float64 that is rounded to float32, little-endian. */
struct tr_gather_args {
    const uint8_t *records; /* (rows), stride_bytes apart; as all offsets, of any alignment */
    size_t stride_bytes;
    size_t features_offset; /* in a record, of `dim` values */
    size_t labels_offset;   /* of label_dim values */
    float *features;        /* (rows, dim); NULL when dim is 0 */
    float *labels;          /* (rows, label_dim); NULL when label_dim is 0 */
    uint32_t rows;
    uint32_t dim;
    uint32_t label_dim;
    bool features_are_wide; /* float64 */
    bool labels_are_wide;
};

static inline int tr_launch_gather(struct tr_device *device, const struct tr_gather_args *args)
{
    return device->ops->launch(device, TR_KERNEL_GATHER, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif

#endif
