/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/call.h - a kernel that calls a function of the host where other kernels compute: with the
 * compute stream on cuda, in the stream's order on delayed, at once on cpu.
 *
 * Owner: the cookie is the caller's, until the stream has come past the call.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_CALL_H
#define TRAINER_CALL_H

#include "trainer/device.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tr_call_args {
    void (*call)(void *cookie, void *stream); /* stream: a cudaStream_t, or NULL */
    void *cookie;
};

static inline int tr_launch_call(struct tr_device *device, const struct tr_call_args *args)
{
    return device->ops->launch(device, TR_KERNEL_CALL, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
