/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cuda/streams.c - streams, events and graphs. A stream is a thread that takes operations
 * from a queue. What the host gave is seen by it, and what it did by a host that waited: nothing
 * else, so that ThreadSanitizer finds work of two streams that no event orders.
 */
#include "tests/cuda/emulator.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(default)

#define STREAMS_MAX 64U
#define POLL_US 20
#define LATE_US 300U /* an operation in so many of LATE_OF comes late by at most so much */
#define LATE_OF 8U

struct emu_graph {
    struct emu_op *first;
    struct emu_op **end;
};

struct emu_stream {
    /* first: for libraries that know nothing else of streams (tests/cuda/fake_cublas.c) */
    cudaError_t (*call)(struct emu_stream *stream, void (*run)(void *), const void *closure,
                        size_t closure_bytes);
    pthread_t thread;
    struct emu_op *oldest;        /* the thread's end of the queue: done already */
    struct emu_op *newest;        /* the host's end */
    sem_t given;                  /* how many wait */
    _Atomic uint64_t given_count; /* by the host */
    _Atomic uint64_t done;        /* of these */
    struct emu_graph *graph;      /* being captured; NULL: none */
    pthread_t capturing;          /* the thread that does */
    cudaError_t capture_rc;
    uint32_t random;
};

struct emu_event {
    _Atomic uint32_t users; /* the host and operations */
    uint64_t recorded;
    _Atomic uint64_t done;
    double at_s; /* when that was */
    bool captured;
    bool no_timing;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the list */
static struct emu_stream *streams[STREAMS_MAX];
static __thread uint32_t captures;  /* of this thread */
static _Atomic uint64_t operations; /* of all streams */
static _Atomic bool lost;           /* the GPU, and with it what was given and is not done */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct emu_op *emu_op_new(int kind, const void *closure, size_t closure_bytes)
{
    struct emu_op *op = calloc(1, sizeof *op + closure_bytes);
    if (!op)
        abort();
    op->kind = kind;
    op->closure_bytes = closure_bytes;
    if (closure_bytes > 0)
        memcpy(op->closure, closure, closure_bytes);
    return op;
}

static struct emu_op *copy_of(const struct emu_op *op)
{
    struct emu_op *copy = emu_op_new(op->kind, op->closure, op->closure_bytes);
    memcpy(copy, op, sizeof *op);
    copy->next = NULL;
    return copy;
}

/* --- a stream's thread ---------------------------------------------------------------------------
 */

static void let_go(struct emu_event *event)
{
    if (--event->users == 0)
        free(event);
}

static void come_late(struct emu_stream *s)
{
    s->random = s->random * 1664525U + 1013904223U;
    if ((s->random >> 16) % LATE_OF == 0)
        usleep((s->random >> 8) % LATE_US);
}

static void run(struct emu_op *op)
{
    switch (op->kind) {
    case EMU_KERNEL:
        emu_run_kernel(op);
        break;
    case EMU_COPY:
        memcpy(op->to, op->from ? op->from : op->closure, op->len_bytes);
        break;
    case EMU_SET:
        memset(op->to, op->value, op->len_bytes);
        break;
    case EMU_CALL:
        op->run(op->closure);
        break;
    case EMU_RECORD:
        op->event->at_s = now_s();
        op->event->done = op->version;
        break;
    case EMU_WAIT:
        while (!lost && op->event->done < op->version)
            usleep(POLL_US);
        break;
    }
}

/* A call of nothing ends it. */
static void *stream_main(void *cookie)
{
    struct emu_stream *s = cookie;
    for (uint64_t done = 1;; done++) {
        while (sem_wait(&s->given) < 0)
            ;
        struct emu_op *op = s->oldest->next;
        free(s->oldest);
        s->oldest = op;
        if (op->kind == EMU_CALL && !op->run)
            break;
        come_late(s);
        if (!lost)
            run(op);
        if (op->event)
            let_go(op->event);
        s->done = done;
    }
    free(s->oldest);
    emu_end_kernels();
    return NULL;
}

static void put(struct emu_stream *s, struct emu_op *op)
{
    s->newest->next = op;
    s->newest = op;
    s->given_count++;
    sem_post(&s->given);
}

/* --- a GPU that is lost --------------------------------------------------------------------------
 */

/* As after a fault of a kernel: nothing works any more, and nobody waits for what is not done. */
static cudaError_t check_lost(void)
{
    return lost ? emu_note(cudaErrorLaunchFailure) : cudaSuccess;
}

static cudaError_t count_operation(void)
{
    const char *last = getenv("EMULATED_CUDA_FAIL");
    if (last && ++operations >= strtoull(last, NULL, 10))
        lost = true;
    return check_lost();
}

static void drop(struct emu_op *op)
{
    if (op->event)
        let_go(op->event);
    free(op);
}

/* --- what the host gives -------------------------------------------------------------------------
 */

bool emu_is_capturing(void)
{
    return captures > 0;
}

static bool fits(const struct emu_op *op)
{
    uint64_t threads = (uint64_t)op->block[0] * op->block[1] * op->block[2];
    return op->grid[0] > 0 && op->grid[1] > 0 && op->grid[2] > 0 && op->grid[0] <= INT32_MAX &&
           op->grid[1] <= UINT16_MAX && op->grid[2] <= UINT16_MAX && threads > 0 &&
           threads <= EMU_THREADS_MAX;
}

cudaError_t emu_give(struct emu_stream *s, struct emu_op *op)
{
    cudaError_t rc = count_operation();
    if (rc == cudaSuccess && op->kind == EMU_KERNEL && !fits(op))
        rc = emu_note(cudaErrorInvalidConfiguration);
    if (rc != cudaSuccess) {
        drop(op);
        return rc;
    }
    if (!s->graph) {
        put(s, op);
        return cudaSuccess;
    }
    if (op->kind == EMU_RECORD || op->kind == EMU_WAIT) {
        drop(op);
        return emu_note(s->capture_rc = cudaErrorStreamCaptureIsolation);
    }
    *s->graph->end = op;
    s->graph->end = (struct emu_op **)&op->next;
    return cudaSuccess;
}

static cudaError_t call(struct emu_stream *s, void (*run_it)(void *), const void *closure,
                        size_t closure_bytes)
{
    struct emu_op *op = emu_op_new(EMU_CALL, closure, closure_bytes);
    op->run = run_it;
    return emu_give(s, op);
}

cudaError_t cudaStreamCreateWithFlags(struct emu_stream **out, unsigned flags)
{
    static _Atomic uint32_t made;
    struct emu_stream *s = calloc(1, sizeof *s);
    (void)flags;
    s->call = call;
    s->random = ++made;
    s->oldest = s->newest = emu_op_new(EMU_CALL, NULL, 0);
    if (sem_init(&s->given, 0, 0) < 0 || pthread_create(&s->thread, NULL, stream_main, s) != 0)
        abort();
    pthread_mutex_lock(&mutex);
    uint32_t i = 0;
    while (streams[i])
        if (++i == STREAMS_MAX)
            abort();
    streams[i] = s;
    pthread_mutex_unlock(&mutex);
    *out = s;
    return cudaSuccess;
}

static void wait_for(struct emu_stream *s)
{
    while (s->done < s->given_count)
        usleep(POLL_US);
}

cudaError_t cudaStreamDestroy(struct emu_stream *s)
{
    pthread_mutex_lock(&mutex);
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        if (streams[i] == s)
            streams[i] = NULL;
    }
    pthread_mutex_unlock(&mutex);
    put(s, emu_op_new(EMU_CALL, NULL, 0));
    pthread_join(s->thread, NULL);
    sem_destroy(&s->given);
    free(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(struct emu_stream *s)
{
    if (s->graph)
        return emu_note(s->capture_rc = cudaErrorStreamCaptureUnsupported);
    wait_for(s);
    return check_lost();
}

void emu_drain(void)
{
    pthread_mutex_lock(&mutex);
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        if (streams[i])
            wait_for(streams[i]);
    }
    pthread_mutex_unlock(&mutex);
}

/* --- events --------------------------------------------------------------------------------------
 */

cudaError_t cudaEventCreateWithFlags(struct emu_event **out, unsigned flags)
{
    *out = calloc(1, sizeof **out);
    (*out)->users = 1;
    (*out)->no_timing = flags & cudaEventDisableTiming;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(struct emu_event *event)
{
    let_go(event);
    return cudaSuccess;
}

static struct emu_op *of_event(int kind, struct emu_event *event)
{
    struct emu_op *op = emu_op_new(kind, NULL, 0);
    event->users++;
    op->event = event;
    op->version = event->recorded;
    return op;
}

cudaError_t cudaEventRecord(struct emu_event *event, struct emu_stream *s)
{
    event->recorded++;
    event->captured = s->graph;
    return emu_give(s, of_event(EMU_RECORD, event));
}

cudaError_t cudaStreamWaitEvent(struct emu_stream *s, struct emu_event *event, unsigned flags)
{
    (void)flags;
    return emu_give(s, of_event(EMU_WAIT, event));
}

cudaError_t cudaEventQuery(struct emu_event *event)
{
    if (event->captured)
        return emu_note(cudaErrorCapturedEvent);
    if (check_lost() != cudaSuccess)
        return cudaErrorLaunchFailure;
    return event->done < event->recorded ? emu_note(cudaErrorNotReady) : cudaSuccess;
}

cudaError_t cudaEventSynchronize(struct emu_event *event)
{
    if (event->captured)
        return emu_note(cudaErrorCapturedEvent);
    while (!lost && event->done < event->recorded)
        usleep(POLL_US);
    return check_lost();
}

cudaError_t cudaEventElapsedTime(float *milliseconds, struct emu_event *from, struct emu_event *to)
{
    if (from->no_timing || to->no_timing || from->recorded == 0 || to->recorded == 0)
        return emu_note(cudaErrorInvalidResourceHandle);
    if (from->done < from->recorded || to->done < to->recorded)
        return emu_note(cudaErrorNotReady);
    *milliseconds = (float)((to->at_s - from->at_s) * 1e3);
    return cudaSuccess;
}

/* --- graphs --------------------------------------------------------------------------------------
 */

static struct emu_graph *graph_new(void)
{
    struct emu_graph *graph = calloc(1, sizeof *graph);
    graph->end = &graph->first;
    return graph;
}

static struct emu_graph *graph_of(const struct emu_graph *other)
{
    struct emu_graph *graph = graph_new();
    for (const struct emu_op *op = other->first; op; op = op->next) {
        *graph->end = copy_of(op);
        graph->end = (struct emu_op **)&(*graph->end)->next;
    }
    return graph;
}

cudaError_t cudaGraphDestroy(struct emu_graph *graph)
{
    for (struct emu_op *op = graph->first, *next; op; op = next) {
        next = op->next;
        free(op);
    }
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(struct emu_graph *exec)
{
    return cudaGraphDestroy(exec);
}

cudaError_t cudaStreamBeginCapture(struct emu_stream *s, int mode)
{
    (void)mode;
    if (s->graph)
        return emu_note(cudaErrorStreamCaptureUnsupported);
    s->graph = graph_new();
    s->capture_rc = cudaSuccess;
    captures++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(struct emu_stream *s, struct emu_graph **out)
{
    *out = NULL;
    if (!s->graph)
        return emu_note(cudaErrorInvalidValue);
    captures--;
    if (s->capture_rc == cudaSuccess)
        *out = s->graph;
    else
        cudaGraphDestroy(s->graph);
    s->graph = NULL;
    return emu_note(s->capture_rc);
}

cudaError_t cudaGraphInstantiate(struct emu_graph **out, struct emu_graph *graph,
                                 unsigned long long flags)
{
    (void)flags;
    *out = graph_of(graph);
    return cudaSuccess;
}

/* The same kinds of nodes, kernels and lengths of copies; grids and arguments may be others. */
static bool alike(const struct emu_graph *a, const struct emu_graph *b)
{
    const struct emu_op *p = a->first;
    const struct emu_op *q = b->first;
    for (; p && q; p = p->next, q = q->next) {
        if (p->kind != q->kind || p->run != q->run || p->closure_bytes != q->closure_bytes)
            return false;
    }
    return !p && !q;
}

cudaError_t cudaGraphExecUpdate(struct emu_graph *exec, struct emu_graph *graph,
                                cudaGraphExecUpdateResultInfo *why)
{
    (void)why;
    if (!alike(exec, graph))
        return emu_note(cudaErrorGraphExecUpdateFailure);
    struct emu_graph *other = graph_of(graph);
    struct emu_graph old = *exec;
    *exec = *other;
    *other = old;
    return cudaGraphDestroy(other);
}

cudaError_t cudaGraphLaunch(struct emu_graph *exec, struct emu_stream *s)
{
    cudaError_t rc = count_operation();
    for (const struct emu_op *op = exec->first; op && rc == cudaSuccess; op = op->next)
        put(s, copy_of(op));
    return rc;
}
