/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cpu_gather.c - trainer/gather.h on the cpu. */
#include "trainer/gather.h"

#include "trainer/cpu_kernels.h"

#include <string.h>

static void take(float *to, const uint8_t *from, uint32_t count, bool are_wide)
{
    double wide;
    if (!are_wide) {
        memcpy(to, from, count * sizeof *to);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&wide, from + i * sizeof wide, sizeof wide);
        to[i] = (float)wide;
    }
}

int tr_cpu_gather(const struct tr_blas *blas, const void *args)
{
    const struct tr_gather_args *a = args;
    const uint8_t *record = a->records;
    (void)blas;
    for (size_t row = 0; row < a->rows; row++, record += a->stride_bytes) {
        if (a->dim > 0)
            take(a->features + row * a->dim, record + a->features_offset, a->dim,
                 a->features_are_wide);
        if (a->label_dim > 0)
            take(a->labels + row * a->label_dim, record + a->labels_offset, a->label_dim,
                 a->labels_are_wide);
    }
    return 0;
}
