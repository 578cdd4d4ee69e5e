/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cuda/emulator.h - what tests/cuda/cuda_runtime.h and the emulator's files share: streams
 * that are threads, and kernels whose threads take turns on one of them.
 *
 * It is as unkind as CUDA allows. Work on streams happens late and beside the host; between two
 * streams nothing is ordered, in the eyes of ThreadSanitizer either, but by events. Blocks of a
 * kernel come in any order, and so do the threads of a block between barriers; their races and
 * what they do outside of arrays are seen by the sanitizers. Device memory is garbage at first.
 *
 *     EMULATED_CUDA_FAIL=N    from the N-th operation of all streams on the GPU is lost
 *     EMULATED_CUDA_RACES=1   ThreadSanitizer tells the threads of a block apart, which is slow
 *
 * Threads: any; the functions of kernels those of streams alone.
 */
#ifndef TESTS_CUDA_EMULATOR_H
#define TESTS_CUDA_EMULATOR_H

#include "tests/cuda/runtime_api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMU_THREADS_MAX 1024U /* of a block */
#define EMU_WARP 32U

/* What a stream does, one after the other; clones of it are what graphs are made of. */
struct emu_op {
    struct emu_op *_Atomic next;
    enum { EMU_KERNEL, EMU_COPY, EMU_SET, EMU_CALL, EMU_RECORD, EMU_WAIT } kind;
    uint32_t grid[3];
    uint32_t block[3];
    void (*run)(void *closure); /* a thread of the kernel; or the call */
    void *to;
    const void *from; /* NULL: `closure` */
    size_t len_bytes;
    int value;
    struct emu_event *event;
    uint64_t version;
    size_t closure_bytes;
    _Alignas(16) unsigned char closure[];
};

/* Gives the stream, or the graph that it captures, an operation, which is its from then on. */
cudaError_t emu_give(struct emu_stream *stream, struct emu_op *op);
struct emu_op *emu_op_new(int kind, const void *closure, size_t closure_bytes);

/* Remembers the newest error of this thread, for cudaGetLastError. */
cudaError_t emu_note(cudaError_t rc);

/* Runs all blocks of a kernel on this thread. */
void emu_run_kernel(struct emu_op *op);
/* Gives back what this thread has for that. */
void emu_end_kernels(void);

/* Waits for all streams, as cudaFree does. */
void emu_drain(void);

/* Whether the calling thread captures, and may not ask for what a graph cannot hold. */
bool emu_is_capturing(void);

/* Whether copies from or to there are the device's own business: pinned, or its own. */
bool emu_is_pinned(const void *at, size_t len_bytes);
bool emu_is_device(const void *at, size_t len_bytes);

/* --- inside kernels ------------------------------------------------------------------------------
 */

struct emu_place {
    struct {
        uint32_t x, y, z;
    } thread, block, block_dim, grid_dim;
};

extern __thread struct emu_place emu_here;

void emu_sync_block(void);
/* Each lane of the warp gives a value and takes that of lane `from`; all lanes have to come. */
uint64_t emu_exchange(uint32_t mask, uint64_t value, uint32_t from);

#ifdef __cplusplus
}
#endif
#endif
