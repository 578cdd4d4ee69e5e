/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cuda/memory.c - the GPU, its memory, and host memory that it knows. */
#include "tests/cuda/emulator.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(default)

#define RANGES_MAX 4096U
#define GARBAGE 0xff /* of floats, that is not a number */
#define ALIGNMENT ((size_t)256)

struct range {
    unsigned char *from;
    size_t len_bytes;
};

struct ranges {
    struct range items[RANGES_MAX];
    uint32_t count;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the two */
static struct ranges device;
static struct ranges pinned;
static __thread cudaError_t newest;

cudaError_t emu_note(cudaError_t rc)
{
    if (rc != cudaSuccess && rc != cudaErrorNotReady)
        newest = rc;
    return rc;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t rc = newest;
    newest = cudaSuccess;
    return rc;
}

const char *cudaGetErrorString(cudaError_t rc)
{
    (void)rc;
    return "an error of emulated CUDA";
}

/* --- the GPU -------------------------------------------------------------------------------------
 */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int number)
{
    return number == 0 ? cudaSuccess : emu_note(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int number)
{
    *properties = (struct cudaDeviceProp){"emulated on the CPU", 9, 0};
    return cudaSetDevice(number);
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int text_bytes, int number)
{
    snprintf(text, (size_t)text_bytes, "emulated:%02x", (unsigned)number);
    return cudaSetDevice(number);
}

/* --- memory --------------------------------------------------------------------------------------
 */

static bool covers(struct ranges *all, const void *at, size_t len_bytes)
{
    const unsigned char *from = at;
    bool found = false;
    pthread_mutex_lock(&mutex);
    for (uint32_t i = 0; i < all->count && !found; i++) {
        const struct range *range = &all->items[i];
        found = from >= range->from && from + len_bytes <= range->from + range->len_bytes;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

static bool overlaps(const struct ranges *all, const unsigned char *from, size_t len_bytes)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct range *range = &all->items[i];
        if (from < range->from + range->len_bytes && range->from < from + len_bytes)
            return true;
    }
    return false;
}

static bool add(struct ranges *all, void *from, size_t len_bytes)
{
    pthread_mutex_lock(&mutex);
    bool fits = all->count < RANGES_MAX && !overlaps(all, from, len_bytes);
    if (fits)
        all->items[all->count++] = (struct range){from, len_bytes};
    pthread_mutex_unlock(&mutex);
    return fits;
}

static bool take(struct ranges *all, const void *from)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    for (uint32_t i = 0; i < all->count && !found; i++) {
        found = all->items[i].from == from;
        if (found)
            all->items[i] = all->items[--all->count];
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

bool emu_is_pinned(const void *at, size_t len_bytes)
{
    return covers(&pinned, at, len_bytes);
}

bool emu_is_device(const void *at, size_t len_bytes)
{
    return covers(&device, at, len_bytes);
}

cudaError_t cudaMalloc(void **out, size_t len_bytes)
{
    if (emu_is_capturing())
        return emu_note(cudaErrorStreamCaptureUnsupported);
    /* No more than asked for, so that AddressSanitizer knows where it ends. */
    *out = NULL;
    if (posix_memalign(out, ALIGNMENT, len_bytes) != 0 || !add(&device, *out, len_bytes))
        return emu_note(cudaErrorMemoryAllocation);
    memset(*out, GARBAGE, len_bytes);
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    if (!memory)
        return cudaSuccess;
    emu_drain();
    if (!take(&device, memory))
        return emu_note(cudaErrorInvalidValue);
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *base, size_t len_bytes, unsigned flags)
{
    (void)flags;
    if (!base || len_bytes == 0)
        return emu_note(cudaErrorInvalidValue);
    return add(&pinned, base, len_bytes) ? cudaSuccess
                                         : emu_note(cudaErrorHostMemoryAlreadyRegistered);
}

cudaError_t cudaHostUnregister(void *base)
{
    return take(&pinned, base) ? cudaSuccess : emu_note(cudaErrorHostMemoryNotRegistered);
}

/* --- copies --------------------------------------------------------------------------------------
 */

/* Of memory that is not pinned, what is to go to the device is taken at once. */
static struct emu_op *upload_of(const void *from, size_t len_bytes)
{
    bool late = emu_is_pinned(from, len_bytes) || emu_is_capturing();
    struct emu_op *op = emu_op_new(EMU_COPY, from, late ? 0 : len_bytes);
    op->from = late ? from : NULL;
    return op;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t len_bytes, int kind,
                            struct emu_stream *stream)
{
    bool up = kind == cudaMemcpyHostToDevice;
    if (len_bytes == 0)
        return cudaSuccess;
    if (emu_is_device(to, len_bytes) != up || emu_is_device(from, len_bytes) == up)
        return emu_note(cudaErrorInvalidValue);
    struct emu_op *op = up ? upload_of(from, len_bytes) : emu_op_new(EMU_COPY, NULL, 0);
    op->to = to;
    op->from = up ? op->from : from;
    op->len_bytes = len_bytes;
    cudaError_t rc = emu_give(stream, op);
    if (rc == cudaSuccess && !up && !emu_is_pinned(to, len_bytes) && !emu_is_capturing())
        rc = cudaStreamSynchronize(stream);
    return rc;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t len_bytes, struct emu_stream *stream)
{
    if (len_bytes == 0)
        return cudaSuccess;
    if (!emu_is_device(to, len_bytes))
        return emu_note(cudaErrorInvalidValue);
    struct emu_op *op = emu_op_new(EMU_SET, NULL, 0);
    op->to = to;
    op->value = value;
    op->len_bytes = len_bytes;
    return emu_give(stream, op);
}
