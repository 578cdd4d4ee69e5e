/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cuda_call.cu - trainer/call.h on the GPU. */
#include "trainer/call.h"
#include "trainer/cuda_device.cuh"

int tr_cuda_call(struct cuda_device *d, const void *args)
{
    const struct tr_call_args *a = (const struct tr_call_args *)args;
    a->call(a->cookie, compute_of(d));
    return check_launch(&d->base, "a callback");
}
