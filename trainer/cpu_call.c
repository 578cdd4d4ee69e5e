/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_call.c - trainer/call.h on the cpu. */
#include "trainer/call.h"
#include "trainer/cpu_kernels.h"

int tr_cpu_call(const struct tr_blas *blas, const void *args)
{
    const struct tr_call_args *a = args;
    (void)blas;
    a->call(a->cookie, NULL);
    return 0;
}
