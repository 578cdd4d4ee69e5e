/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/net_kernels.h - kernels of networks of layers, beside those of trainer/kernels.h: what
 * each takes and gives.
 *
 * Owner: arguments are copied by the call; the arrays in them are device memory of the caller.
 * Units: rows. Arrays are row-major float32 without gaps; a comment gives the shape.
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_NET_KERNELS_H
#define TRAINER_NET_KERNELS_H

#include "trainer/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tr_activation { TR_ACTIVATION_NONE = 0, TR_ACTIVATION_RELU = 1, TR_ACTIVATION_TANH = 2 };

/* y = (x - mean) * inv_std, channel by channel, of bytes or floats, of pixels or planes. */
struct tr_load_args {
    const void *x;        /* (rows, pixels, channels), or (rows, channels, pixels) with planes */
    const float *mean;    /* (channels); NULL: 0 */
    const float *inv_std; /* (channels); NULL: 1 */
    float *y;             /* (rows, pixels, channels); not x */
    uint32_t rows;
    uint32_t pixels;
    uint32_t channels;
    bool bytes; /* x is uint8, else float32 */
    bool planes;
};

/* Outputs that training drops: element i of a batch, counted from its first row, if random number i
 * of the seed is below `share` of 2^32; the others are divided by 1 - share. share 0: none. */
struct tr_dropout {
    uint64_t seed;
    uint64_t first; /* number of the array's first element */
    uint32_t below; /* share * 2^32 */
    float scale;    /* 1 / (1 - share) */
};

/* a = dropout(activation(a + residual)). */
struct tr_finish_args {
    float *a;              /* (n) */
    const float *residual; /* (n), or NULL */
    size_t n;
    enum tr_activation activation;
    struct tr_dropout dropout;
};

/* d, the derivative by what tr_finish_args left in a, becomes that by a before it, and by the
 * residual. */
struct tr_unfinish_args {
    const float *a;   /* (n) */
    float *d;         /* (n) */
    float *dresidual; /* (n), or NULL */
    size_t n;
    enum tr_activation activation;
    bool accumulate; /* onto dresidual */
    struct tr_dropout dropout;
};

/* dx = dz w'; added to dx when accumulate. */
struct tr_backward_args {
    const float *dz; /* (rows, outputs) */
    const float *w;  /* (dim, outputs) */
    float *dx;       /* (rows, dim) */
    uint32_t rows;
    uint32_t dim;
    uint32_t outputs;
    bool accumulate;
};

/* Every pixel of a convolution's output gets the kernel x kernel pixels that it is made of, zeros
 * outside the picture. */
struct tr_patches_args {
    const float *x; /* (rows, height, width, channels) */
    float *patches; /* (rows, out_height, out_width, kernel, kernel, channels) */
    uint32_t rows;
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    uint32_t kernel; /* odd; padded by kernel / 2 */
    uint32_t stride;
    uint32_t out_height; /* (height - 1) / stride + 1 */
    uint32_t out_width;
};

/* The other way: every pixel gets the sum of its places in the patches, in their order; added to dx
 * when accumulate. */
struct tr_unpatch_args {
    struct tr_patches_args shape; /* x and patches are not looked at */
    const float *dpatches;
    float *dx;
    bool accumulate;
};

/* y = mean over pixels. */
struct tr_mean_args {
    const float *x; /* (rows, pixels, channels) */
    float *y;       /* (rows, channels) */
    uint32_t rows;
    uint32_t pixels;
    uint32_t channels;
};

/* dx = dy / pixels for every pixel; added to dx when accumulate. */
struct tr_spread_args {
    const float *dy; /* (rows, channels) */
    float *dx;       /* (rows, pixels, channels) */
    uint32_t rows;
    uint32_t pixels;
    uint32_t channels;
    bool accumulate;
};

static inline int tr_launch_load(struct tr_device *device, const struct tr_load_args *args)
{
    return device->ops->launch(device, TR_KERNEL_LOAD, args, sizeof *args);
}

static inline int tr_launch_finish(struct tr_device *device, const struct tr_finish_args *args)
{
    return device->ops->launch(device, TR_KERNEL_FINISH, args, sizeof *args);
}

static inline int tr_launch_unfinish(struct tr_device *device, const struct tr_unfinish_args *args)
{
    return device->ops->launch(device, TR_KERNEL_UNFINISH, args, sizeof *args);
}

static inline int tr_launch_backward(struct tr_device *device, const struct tr_backward_args *args)
{
    return device->ops->launch(device, TR_KERNEL_BACKWARD, args, sizeof *args);
}

static inline int tr_launch_patches(struct tr_device *device, const struct tr_patches_args *args)
{
    return device->ops->launch(device, TR_KERNEL_PATCHES, args, sizeof *args);
}

static inline int tr_launch_unpatch(struct tr_device *device, const struct tr_unpatch_args *args)
{
    return device->ops->launch(device, TR_KERNEL_UNPATCH, args, sizeof *args);
}

static inline int tr_launch_mean(struct tr_device *device, const struct tr_mean_args *args)
{
    return device->ops->launch(device, TR_KERNEL_MEAN, args, sizeof *args);
}

static inline int tr_launch_spread(struct tr_device *device, const struct tr_spread_args *args)
{
    return device->ops->launch(device, TR_KERNEL_SPREAD, args, sizeof *args);
}

#ifdef __cplusplus
}
#endif
#endif
