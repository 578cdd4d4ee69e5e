/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device.h - the device table: memory, copies, events and model kernels of one device.
 *
 * Three implementations: `cpu` (device_cpu.c, OpenBLAS), `cuda` (device_cuda.cu, a plug-in opened
 * at run time) and, for tests, `delayed` (device_delayed.c: copies happen as late as allowed).
 *
 * A device has two streams. Work on one stream happens in the order it was given; between the two
 * streams, and between a stream and the host, only events order anything. On the cpu device every
 * call has finished when it returns, so its events are always done.
 *
 * Owner: the caller owns the device, its memory and its events, and frees memory and events before
 *   the device. Arrays given to copies and kernels must live until an event recorded after the
 *   call is done; argument structs are copied by the call.
 * Threads: one thread calls a device, except `pin` and `unpin`, which any thread may call.
 * Units: bytes.
 * Errors: int functions return 0, or -1 with the reason in device->error.
 *
 * Compiles as C11 and as C++17 (nvcc).
 */
#ifndef TRAINER_DEVICE_H
#define TRAINER_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised with every change of this file; a plug-in of another number is refused. */
#define TR_DEVICE_ABI 7

enum tr_stream { TR_STREAM_COPY = 0, TR_STREAM_COMPUTE = 1, TR_STREAM_COUNT = 2 };

/* A piece of the arithmetic of models: the headers of kernels
 * (trainer/kernels.h, trainer/net_kernels.h) say what each does and takes. */
enum tr_kernel {
    TR_KERNEL_SCALE,
    TR_KERNEL_FORWARD,
    TR_KERNEL_LOSS,
    TR_KERNEL_GRADIENT,
    TR_KERNEL_UPDATE,
    TR_KERNEL_SUM,
    TR_KERNEL_CSR_ORDER, /* trainer/sparse_kernels.h, as the next ones */
    TR_KERNEL_CSR_UPDATE,
    TR_KERNEL_CSR_FORWARD,
    TR_KERNEL_CSR_GRADIENT,
    TR_KERNEL_FM_FORWARD, /* trainer/fm_kernels.h */
    TR_KERNEL_LOAD,       /* trainer/net_kernels.h, as the following */
    TR_KERNEL_FINISH,
    TR_KERNEL_UNFINISH,
    TR_KERNEL_BACKWARD,
    TR_KERNEL_PATCHES,
    TR_KERNEL_UNPATCH,
    TR_KERNEL_MEAN,
    TR_KERNEL_SPREAD,
    TR_KERNEL_MOMENTS, /* trainer/moments.h, as the next */
    TR_KERNEL_CHECKSUM,
    TR_KERNEL_NEAREST, /* trainer/cluster.h, as the following */
    TR_KERNEL_COLLECT,
    TR_KERNEL_MOVE,
    TR_KERNEL_CALL,   /* trainer/call.h */
    TR_KERNEL_GATHER, /* trainer/gather.h */
    TR_KERNEL_COUNT
};

/* Most bytes of a kernel's arguments. */
#define TR_KERNEL_ARGS_BYTES_MAX 256U

struct tr_event; /* each implementation has its own */
struct tr_device_ops;

/* Slots of tr_device_ops.step_end. */
#define TR_GRAPHS_MAX 4U

/* What a device was asked for since it was opened. */
struct tr_device_counts {
    uint64_t allocs;
    uint64_t alloc_bytes; /* all of them, also of what was freed again */
    uint64_t uploads;
    uint64_t uploaded_bytes;
    uint64_t host_waits; /* event_wait calls whose event was not done yet */
};

/* The start of every implementation's device. */
struct tr_device {
    const struct tr_device_ops *ops;
    struct tr_device_counts counts;
    char error[256]; /* reason of the last failure */
    char place[32];  /* which one it is of this machine's, e.g. "0000:1b:00.0"; "": unknown */
    /* Asked again and again by tr_device_await while the host waits for this device: -1, with a
     * reason, ends the wait, as the device waits for something that does not come. NULL: nobody
     * has to be asked. */
    int (*watch)(void *cookie, char *text, size_t text_bytes);
    void *watch_cookie;
};

struct tr_device_ops {
    uint32_t abi; /* TR_DEVICE_ABI */
    const char *name;

    /* The device computes straight from host memory: batches need no copy. */
    bool reads_host_memory;

    /* Floats of scratch that a model should keep a block of rows within, 0 = no bound. A block
     * that stays in the cache is as fast as a whole batch and bounds the memory. */
    size_t block_floats;

    /* How many devices of this kind there are; 0 also where that cannot be known. */
    uint32_t (*count)(void);
    /* Opens one of them, the first being 0. *out receives it, NULL on failure; text receives what
     * it is, e.g. "OpenBLAS, 1 thread", or why there is none, e.g. "no CUDA driver". */
    int (*open)(uint32_t number, struct tr_device **out, char *text, size_t text_bytes);
    void (*close)(struct tr_device **device); /* accepts NULL; drains */

    int (*alloc)(struct tr_device *device, size_t len_bytes, void **out); /* filled with zeros */
    void (*dealloc)(struct tr_device *device, void *memory);              /* accepts NULL */

    /* Registers host memory for copies that run beside the host. NULL: the device has no use for
     * that. pin returns 0, or -1 (without touching device->error). */
    int (*pin)(struct tr_device *device, void *base, size_t len_bytes);
    void (*unpin)(struct tr_device *device, void *base, size_t len_bytes);

    /* Host to device, on the copy stream. */
    int (*upload)(struct tr_device *device, void *to, const void *from_host, size_t len_bytes);
    /* Device to host, on the compute stream. */
    int (*download)(struct tr_device *device, void *to_host, const void *from, size_t len_bytes);
    /* Fills with zeros, on the compute stream. */
    int (*zero)(struct tr_device *device, void *memory, size_t len_bytes);

    int (*event_new)(struct tr_device *device, struct tr_event **out);    /* done from the start */
    void (*event_free)(struct tr_device *device, struct tr_event *event); /* accepts NULL */
    /* The event is done when all work given to `stream` so far is done. */
    int (*event_record)(struct tr_device *device, struct tr_event *event, enum tr_stream stream);
    /* Returns 1 done, 0 not yet, -1 failure. */
    int (*event_query)(struct tr_device *device, struct tr_event *event);
    int (*event_wait)(struct tr_device *device, struct tr_event *event); /* blocks the host */
    /* Later work on `stream` starts after the event as recorded last. */
    int (*stream_wait)(struct tr_device *device, enum tr_stream stream, struct tr_event *event);

    /* An event that knows when it was reached, which costs more; and the seconds from one to a
     * later one of the same stream, both done, by the device's own clock. */
    int (*timer_new)(struct tr_device *device, struct tr_event **out);
    int (*elapsed)(struct tr_device *device, struct tr_event *from, struct tr_event *to,
                   double *seconds);

    /* Waits until all work given to both streams is done, or can no longer happen. */
    void (*drain)(struct tr_device *device);

    /* Runs a kernel on the compute stream; `args` is the struct that trainer/kernels.h has for it,
     * copied by the call. */
    int (*launch)(struct tr_device *device, enum tr_kernel kernel, const void *args,
                  size_t args_bytes);

    /* Around the kernels, zeros and downloads of one step: they are recorded, and start together as
     * one graph when the step ends. Steps of the same `slot`, below TR_GRAPHS_MAX, are alike but
     * for their arguments. Without `launch` what was recorded is dropped. NULL, both: every call
     * starts on its own. Nothing else is asked of the device in between. */
    int (*step_begin)(struct tr_device *device);
    int (*step_end)(struct tr_device *device, uint32_t slot, bool launch);
};

extern const struct tr_device_ops tr_device_cpu;     /* trainer/device_cpu.c */
extern const struct tr_device_ops tr_device_delayed; /* trainer/device_delayed.c */

/* The one symbol that libpenstock_cuda.so exports, and its type. */
#define TR_CUDA_SYMBOL "penstock_cuda_device_ops"
typedef const struct tr_device_ops *(*tr_cuda_entry_fn)(void);

/* Opens the device of this name: "auto" (cuda when it can be had, else cpu), "cpu", "cuda",
 * "cuda:1" (the second GPU) or "delayed". `line` receives one line that says which device runs and
 * why, e.g. "device: cpu (OpenBLAS, 1 thread): no CUDA driver (libcuda.so.1 not found)", or on
 * failure the reason. Returns 0 with *out, or -1. */
int tr_device_open(const char *name, struct tr_device **out, char *line, size_t line_bytes);

/* The same for one of several processes of this machine, counted from 0: where the name does not
 * say which GPU, they take one after the other in turn. */
int tr_device_open_for(const char *name, uint32_t local_rank, struct tr_device **out, char *line,
                       size_t line_bytes);

/* Closes and clears *device; accepts NULL. */
void tr_device_close(struct tr_device **device);

#ifdef __cplusplus
}
#endif
#endif
