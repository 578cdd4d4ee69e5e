/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cuda/blocks.c - runs kernels: the threads of a block are coroutines, each with a stack,
 * that go on in an order of chance until a barrier or their end; blocks come in an order of chance.
 */
#include "tests/cuda/emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMU_RACES) /* this file itself is not instrumented: its lanes share everything */
#include <sanitizer/tsan_interface.h>
#endif

#define STACK_BYTES ((size_t)64 << 10)

enum state { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

struct lane {
    void *stack_top; /* while it does not run */
    enum state state;
    uint32_t mask; /* of the warp's barrier */
    void *tsan;
    struct emu_place place;
};

/* Of a stream's thread. */
struct runner {
    struct lane lanes[EMU_THREADS_MAX];
    uint64_t given[EMU_THREADS_MAX]; /* what lanes exchange */
    unsigned char *stacks;
    uint32_t made;   /* lanes that have a stack */
    void *stack_top; /* of the stream's own thread, while a lane runs; and where its stack is */
    const void *stack;
    size_t stack_bytes;
    void *tsan;
    uint32_t current;
    uint32_t threads;
    bool barriers; /* the kernel has some: then its blocks use one shared memory in turn */
    bool races; /* ThreadSanitizer has to tell lanes apart: $EMULATED_CUDA_RACES, for it is slow */
    char begin, barrier, end; /* of a kernel: what release and acquire go by, and nothing else */
    uint64_t random;
    struct emu_op *op;
};

__thread struct emu_place emu_here;
static __thread struct runner *runner;

/* Leaves the running stack, whose top is kept in *from, for another one. */
void emu_switch(void **from, void *to);
__asm__(".text\n"
        ".globl emu_switch\n"
        ".hidden emu_switch\n"
        ".type emu_switch, @function\n"
        "emu_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size emu_switch, . - emu_switch\n");

static void fatal(const char *what)
{
    fprintf(stderr, "emulated CUDA: %s\n", what);
    abort();
}

static uint32_t chance(struct runner *r, uint32_t below)
{
    r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((r->random >> 33) % below);
}

/* --- between the scheduler and lanes -------------------------------------------------------------
 */

static void enter_lane(struct runner *r, uint32_t number)
{
    struct lane *lane = &r->lanes[number];
    r->current = number;
    emu_here = lane->place;
#if defined(EMU_RACES)
    if (r->races)
        __tsan_switch_to_fiber(lane->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void *fake;
    __sanitizer_start_switch_fiber(&fake, r->stacks + number * STACK_BYTES, STACK_BYTES);
#endif
    emu_switch(&r->stack_top, lane->stack_top);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static void leave_lane(struct runner *r, enum state state)
{
    struct lane *lane = &r->lanes[r->current];
    lane->state = state;
#if defined(EMU_RACES)
    if (r->races)
        __tsan_switch_to_fiber(r->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void *fake;
    __sanitizer_start_switch_fiber(&fake, r->stack, r->stack_bytes);
#endif
    emu_switch(&lane->stack_top, r->stack_top);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, &r->stack, &r->stack_bytes);
#endif
}

/* What was before is seen by what comes after, in the eyes of ThreadSanitizer. */
static void release(void *what)
{
#if defined(EMU_RACES)
    if (runner->races)
        __tsan_release(what);
#else
    (void)what;
#endif
}

static void acquire(void *what)
{
#if defined(EMU_RACES)
    if (runner->races)
        __tsan_acquire(what);
#else
    (void)what;
#endif
}

static void lane_main(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &runner->stack, &runner->stack_bytes);
#endif
    for (;;) {
        acquire(&runner->begin); /* what was before the kernel */
        runner->op->run(runner->op->closure);
        release(&runner->end);
        leave_lane(runner, DONE);
    }
}

static void make_lanes(struct runner *r, uint32_t count)
{
    for (; r->made < count; r->made++) {
        struct lane *lane = &r->lanes[r->made];
        uintptr_t top = (uintptr_t)(r->stacks + (r->made + 1) * STACK_BYTES) & ~(uintptr_t)15;
        void **at = (void **)(top - 64);
        memset(at, 0, 64);
        at[6] = (void *)(uintptr_t)lane_main; /* above six registers; then rsp % 16 is 8 */
        lane->stack_top = at;
#if defined(EMU_RACES)
        lane->tsan = r->races ? __tsan_create_fiber(0) : NULL;
#endif
    }
}

static struct runner *this_runner(void)
{
    static _Atomic uint64_t seed = 1;
    if (runner)
        return runner;
    runner = calloc(1, sizeof *runner);
    if (!runner)
        fatal("no memory");
    runner->stacks = mmap(NULL, EMU_THREADS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (runner->stacks == MAP_FAILED)
        fatal("no memory for stacks");
    runner->random = seed++;
    runner->races = getenv("EMULATED_CUDA_RACES") != NULL;
#if defined(EMU_RACES)
    runner->tsan = __tsan_get_current_fiber();
#endif
    return runner;
}

void emu_end_kernels(void)
{
    if (!runner)
        return;
#if defined(EMU_RACES)
    for (uint32_t i = 0; i < runner->made && runner->races; i++)
        __tsan_destroy_fiber(runner->lanes[i].tsan);
#endif
    munmap(runner->stacks, EMU_THREADS_MAX * STACK_BYTES);
    free(runner);
}

/* --- barriers ------------------------------------------------------------------------------------
 */

void emu_sync_block(void)
{
    struct runner *r = runner;
    r->barriers = true;
    release(&r->barrier);
    leave_lane(r, AT_BLOCK_BARRIER);
    acquire(&r->barrier);
}

static void sync_warp(struct runner *r, uint32_t mask)
{
    void *warp = &r->given[r->current / EMU_WARP * EMU_WARP];
    r->lanes[r->current].mask = mask;
    release(warp);
    leave_lane(r, AT_WARP_BARRIER);
    acquire(warp);
}

uint64_t emu_exchange(uint32_t mask, uint64_t value, uint32_t from)
{
    struct runner *r = runner;
    uint32_t self = r->current;
    uint32_t first = self / EMU_WARP * EMU_WARP;
    if (!(mask >> from & 1) || !(mask >> (self - first) & 1))
        fatal("a lane outside of the mask of a shuffle");
    r->given[self] = value;
    sync_warp(r, mask);
    value = r->given[first + from];
    sync_warp(r, mask);
    return value;
}

/* Lets a warp go on whose lanes have all come; those that have ended never will. */
static bool open_warp(struct runner *r, uint32_t first)
{
    uint32_t come = 0;
    uint32_t mask = 0;
    for (uint32_t i = 0; i < EMU_WARP && first + i < r->threads; i++) {
        if (r->lanes[first + i].state == AT_WARP_BARRIER) {
            come |= 1U << i;
            mask = r->lanes[first + i].mask;
        }
    }
    if (come == 0 || come != mask)
        return false;
    for (uint32_t i = 0; i < EMU_WARP && first + i < r->threads; i++) {
        if (come >> i & 1)
            r->lanes[first + i].state = READY;
    }
    return true;
}

/* After all have gone as far as they can: whether any can go on. */
static bool open_barriers(struct runner *r)
{
    uint32_t counts[DONE + 1] = {0};
    bool opened = false;
    for (uint32_t i = 0; i < r->threads; i++)
        counts[r->lanes[i].state]++;
    if (counts[DONE] == r->threads)
        return false;
    for (uint32_t i = 0; i < r->threads && counts[AT_WARP_BARRIER] > 0; i += EMU_WARP)
        opened = open_warp(r, i) || opened;
    if (opened)
        return true;
    if (counts[AT_BLOCK_BARRIER] + counts[DONE] != r->threads)
        fatal("threads wait at barriers to which others of their warp or block do not come");
    for (uint32_t i = 0; i < r->threads; i++) {
        if (r->lanes[i].state == AT_BLOCK_BARRIER)
            r->lanes[i].state = READY;
    }
    return true;
}

/* --- blocks --------------------------------------------------------------------------------------
 */

static void place_lane(struct runner *r, uint32_t number, const uint32_t block[3])
{
    const struct emu_op *op = r->op;
    const uint32_t *dim = op->block;
    struct emu_place *place = &r->lanes[number].place;
    *place = (struct emu_place){
        .thread = {number % dim[0], number / dim[0] % dim[1], number / dim[0] / dim[1]},
        .block = {block[0], block[1], block[2]},
        .block_dim = {dim[0], dim[1], dim[2]},
        .grid_dim = {op->grid[0], op->grid[1], op->grid[2]},
    };
    r->lanes[number].state = READY;
}

static uint32_t common_factor(uint32_t a, uint32_t b)
{
    return b == 0 ? a : common_factor(b, a % b);
}

/* A step by which a walk around n places comes to all of them. */
static uint32_t step_around(struct runner *r, uint32_t n)
{
    uint32_t step = 1 + chance(r, n);
    while (common_factor(step, n) != 1)
        step++;
    return step;
}

static void run_block(struct runner *r, const uint32_t block[3])
{
    for (uint32_t i = 0; i < r->threads; i++)
        place_lane(r, i, block);
    do {
        uint32_t at = chance(r, r->threads);
        uint32_t step = step_around(r, r->threads);
        for (uint32_t i = 0; i < r->threads; i++, at = (at + step) % r->threads) {
            if (r->lanes[at].state == READY)
                enter_lane(r, at);
        }
    } while (open_barriers(r));
    if (r->barriers) {
        acquire(&r->end);
        release(&r->begin);
    }
}

void emu_run_kernel(struct emu_op *op)
{
    struct runner *r = this_runner();
    uint32_t blocks = op->grid[0] * op->grid[1] * op->grid[2];
    uint32_t at = chance(r, blocks);
    uint32_t step = step_around(r, blocks);
    r->op = op;
    r->threads = op->block[0] * op->block[1] * op->block[2];
    r->barriers = false;
    make_lanes(r, r->threads);
    release(&r->begin);
    for (uint32_t i = 0; i < blocks; i++, at = (uint32_t)(((uint64_t)at + step) % blocks)) {
        const uint32_t block[3] = {at % op->grid[0], at / op->grid[0] % op->grid[1],
                                   at / op->grid[0] / op->grid[1]};
        run_block(r, block);
    }
    acquire(&r->end);
}
