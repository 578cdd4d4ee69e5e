/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tensor.h - named float32 arrays, and how the writers of model files hand out bytes.
 *
 * Owner: the caller owns everything; nothing here keeps a pointer.
 * Threads: pure functions. Units: elements in shapes, bytes elsewhere.
 */
#ifndef FORMATS_TENSOR_H
#define FORMATS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#define FMT_TENSOR_DIMS_MAX 4U

struct fmt_tensor {
    const char *name;  /* ASCII letters, digits, '_', '.', '-' */
    const float *data; /* row-major, without gaps */
    uint32_t dim_count;
    uint64_t shape[FMT_TENSOR_DIMS_MAX];
};

/* Takes the next bytes of a file; anything but 0 stops the writer, which returns it. */
typedef int (*fmt_sink_fn)(void *cookie, const void *bytes, size_t len_bytes);

static inline uint64_t fmt_tensor_bytes(const struct fmt_tensor *tensor)
{
    uint64_t len_bytes = sizeof(float);
    for (uint32_t i = 0; i < tensor->dim_count; i++)
        len_bytes *= tensor->shape[i];
    return len_bytes;
}

#endif
