/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_cuda.cu - the cuda device, built as the plug-in libpenstock_cuda.so.
 *
 * The CUDA run time is linked in; the driver is opened by it when there is one, and cuBLAS by us,
 * when it can be had: without it our own kernel multiplies. So the plug-in loads on any machine
 * and says what is missing. One symbol is exported: penstock_cuda_device_ops.
 *
 * Threads: trainer/device.h's rules; `pin` selects the GPU on whatever thread it runs.
 */
#include "trainer/cuda_device.cuh"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPABILITY_LEAST 8 /* compute capability 8.0: the oldest code in the plug-in */

typedef int (*blas_create_fn)(blas_handle *handle);
typedef int (*blas_set_stream_fn)(blas_handle handle, cudaStream_t stream);

struct tr_event {
    cudaEvent_t handle;
};

static struct tr_device_ops ops;

/* --- open and close ------------------------------------------------------------------------------
 */

/* Says in words why the first CUDA call failed. */
static int explain(cudaError_t rc, char *text, size_t text_bytes)
{
    if (rc == cudaErrorInsufficientDriver) { /* also when there is no driver at all */
        void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!driver)
            snprintf(text, text_bytes, "no CUDA driver (libcuda.so.1 not found)");
        else
            snprintf(text, text_bytes, "the CUDA driver is older than CUDA %d.%d needs",
                     CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
        if (driver)
            dlclose(driver);
    } else if (rc == cudaErrorStubLibrary) {
        snprintf(text, text_bytes, "no CUDA driver (libcuda.so.1 is the toolkit's stub)");
    } else if (rc == cudaErrorNoDevice) {
        snprintf(text, text_bytes, "no GPU found by the CUDA driver");
    } else {
        snprintf(text, text_bytes, "%s (CUDA error %d)", cudaGetErrorString(rc), (int)rc);
    }
    return -1;
}

/* Opens cuBLAS when it can be had; PENSTOCK_CUBLAS=off does without. */
static void open_blas(struct cuda_device *d, char *name, size_t name_bytes)
{
    static const char *const libraries[] = {"libcublas.so.13", "libcublas.so.12",
                                            "/usr/local/cuda/lib64/libcublas.so.13",
                                            "/usr/local/cuda/lib64/libcublas.so.12"};
    const char *wish = getenv("PENSTOCK_CUBLAS");
    void *library = NULL;
    size_t i = 0;
    snprintf(name, name_bytes, "own kernels");
    if (wish && strcmp(wish, "off") == 0)
        return;
    while (!library && i < sizeof libraries / sizeof *libraries)
        library = dlopen(libraries[i++], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    blas_create_fn create = (blas_create_fn)dlsym(library, "cublasCreate_v2");
    blas_set_stream_fn set_stream = (blas_set_stream_fn)dlsym(library, "cublasSetStream_v2");
    d->blas_destroy = (blas_destroy_fn)dlsym(library, "cublasDestroy_v2");
    d->sgemm = (blas_sgemm_fn)dlsym(library, "cublasSgemm_v2");
    if (!create || !set_stream || !d->blas_destroy || !d->sgemm || create(&d->blas) != BLAS_OK) {
        d->blas = NULL;
        return;
    }
    if (set_stream(d->blas, d->streams[TR_STREAM_COMPUTE]) != BLAS_OK) {
        d->blas_destroy(d->blas);
        d->blas = NULL;
        return;
    }
    snprintf(name, name_bytes, "cuBLAS %s", strstr(libraries[i - 1], ".so.") + 4);
}

/* After a sticky error the streams are dead and this returns at once. */
static void cuda_drain(struct tr_device *device)
{
    for (int i = 0; i < TR_STREAM_COUNT; i++) {
        if (cuda_of(device)->streams[i])
            cudaStreamSynchronize(cuda_of(device)->streams[i]);
    }
}

static void cuda_close(struct tr_device **device)
{
    struct cuda_device *d = cuda_of(*device);
    if (!d)
        return;
    cuda_drain(*device);
    for (uint32_t i = 0; i < TR_GRAPHS_MAX; i++) {
        if (d->graphs[i])
            cudaGraphExecDestroy(d->graphs[i]);
    }
    if (d->blas)
        d->blas_destroy(d->blas);
    for (int i = 0; i < TR_STREAM_COUNT; i++) {
        if (d->streams[i])
            cudaStreamDestroy(d->streams[i]);
    }
    free(d);
    *device = NULL;
}

static uint32_t cuda_count(void)
{
    int count = 0;
    if (cudaGetDeviceCount(&count) == cudaSuccess)
        return (uint32_t)count;
    cudaGetLastError();
    return 0;
}

static int cuda_open(uint32_t number, struct tr_device **out, char *text, size_t text_bytes)
{
    struct cudaDeviceProp properties;
    char blas[32];
    int count = 0;
    cudaError_t rc = cudaGetDeviceCount(&count);
    *out = NULL;
    if (rc == cudaSuccess && count == 0)
        rc = cudaErrorNoDevice;
    if (rc == cudaSuccess && number >= (uint32_t)count) {
        snprintf(text, text_bytes, "there is no GPU %u: the last one is %d", number, count - 1);
        return -1;
    }
    if (rc == cudaSuccess)
        rc = cudaGetDeviceProperties(&properties, (int)number);
    if (rc != cudaSuccess)
        return explain(rc, text, text_bytes);
    if (properties.major < CAPABILITY_LEAST) {
        snprintf(text, text_bytes, "%s has compute capability %d.%d, and %d.0 is needed",
                 properties.name, properties.major, properties.minor, CAPABILITY_LEAST);
        return -1;
    }
    struct cuda_device *d = (struct cuda_device *)calloc(1, sizeof *d);
    if (!d) {
        snprintf(text, text_bytes, "no memory");
        return -1;
    }
    d->base.ops = &ops;
    d->number = (int)number;
    *out = &d->base;
    if (cudaDeviceGetPCIBusId(d->base.place, sizeof d->base.place, d->number) != cudaSuccess) {
        cudaGetLastError();
        d->base.place[0] = '\0';
    }
    rc = cudaSetDevice(d->number);
    for (int i = 0; i < TR_STREAM_COUNT && rc == cudaSuccess; i++)
        rc = cudaStreamCreateWithFlags(&d->streams[i], cudaStreamNonBlocking);
    if (rc != cudaSuccess) {
        cuda_close(out);
        return explain(rc, text, text_bytes);
    }
    open_blas(d, blas, sizeof blas);
    if (count > 1)
        snprintf(text, text_bytes, "%s, number %u of %d, %s", properties.name, number, count, blas);
    else
        snprintf(text, text_bytes, "%s, %s", properties.name, blas);
    return 0;
}

/* --- memory and copies ---------------------------------------------------------------------------
 */

static int cuda_alloc(struct tr_device *device, size_t len_bytes, void **out)
{
    cudaStream_t stream = cuda_of(device)->streams[TR_STREAM_COMPUTE];
    size_t whole = len_bytes > 0 ? len_bytes : 1;
    device->counts.allocs++;
    device->counts.alloc_bytes += len_bytes;
    *out = NULL;
    if (check(device, cudaMalloc(out, whole), "cudaMalloc") < 0)
        return -1;
    if (check(device, cudaMemsetAsync(*out, 0, whole, stream), "cudaMemsetAsync") < 0 ||
        check(device, cudaStreamSynchronize(stream), "cudaStreamSynchronize") < 0) {
        cudaFree(*out);
        *out = NULL;
        return -1;
    }
    return 0;
}

static void cuda_dealloc(struct tr_device *, void *memory)
{
    cudaFree(memory);
}

/* Any thread: the device's error text is not touched, and CUDA's own is taken off again. */
static int cuda_pin(struct tr_device *device, void *base, size_t len_bytes)
{
    if (cudaSetDevice(cuda_of(device)->number) == cudaSuccess &&
        cudaHostRegister(base, len_bytes, cudaHostRegisterDefault) == cudaSuccess)
        return 0;
    cudaGetLastError();
    return -1;
}

static void cuda_unpin(struct tr_device *, void *base, size_t)
{
    if (cudaHostUnregister(base) != cudaSuccess)
        cudaGetLastError();
}

static int cuda_upload(struct tr_device *device, void *to, const void *from, size_t len_bytes)
{
    cudaStream_t stream = cuda_of(device)->streams[TR_STREAM_COPY];
    device->counts.uploads++;
    device->counts.uploaded_bytes += len_bytes;
    return check(device, cudaMemcpyAsync(to, from, len_bytes, cudaMemcpyHostToDevice, stream),
                 "copy to the device");
}

static int cuda_download(struct tr_device *device, void *to, const void *from, size_t len_bytes)
{
    cudaStream_t stream = cuda_of(device)->streams[TR_STREAM_COMPUTE];
    return check(device, cudaMemcpyAsync(to, from, len_bytes, cudaMemcpyDeviceToHost, stream),
                 "copy from the device");
}

static int cuda_zero(struct tr_device *device, void *memory, size_t len_bytes)
{
    cudaStream_t stream = cuda_of(device)->streams[TR_STREAM_COMPUTE];
    return check(device, cudaMemsetAsync(memory, 0, len_bytes, stream), "cudaMemsetAsync");
}

/* --- events --------------------------------------------------------------------------------------
 */

static int new_event(struct tr_device *device, unsigned flags, struct tr_event **out)
{
    struct tr_event *event = (struct tr_event *)calloc(1, sizeof *event);
    *out = NULL;
    if (!event) {
        snprintf(device->error, sizeof device->error, "no memory for an event");
        return -1;
    }
    /* A host that waits sleeps instead of spinning: the decoders need its core. */
    flags |= cudaEventBlockingSync;
    if (check(device, cudaEventCreateWithFlags(&event->handle, flags), "cudaEventCreate") < 0) {
        free(event);
        return -1;
    }
    *out = event;
    return 0;
}

static int cuda_event_new(struct tr_device *device, struct tr_event **out)
{
    return new_event(device, cudaEventDisableTiming, out);
}

static int cuda_timer_new(struct tr_device *device, struct tr_event **out)
{
    return new_event(device, 0, out);
}

static int cuda_elapsed(struct tr_device *device, struct tr_event *from, struct tr_event *to,
                        double *seconds)
{
    float milliseconds = 0;
    int rc = check(device, cudaEventElapsedTime(&milliseconds, from->handle, to->handle),
                   "cudaEventElapsedTime");
    *seconds = (double)milliseconds * 1e-3;
    return rc;
}

static void cuda_event_free(struct tr_device *, struct tr_event *event)
{
    if (event) {
        cudaEventDestroy(event->handle);
        free(event);
    }
}

static int cuda_event_record(struct tr_device *device, struct tr_event *event,
                             enum tr_stream stream)
{
    return check(device, cudaEventRecord(event->handle, cuda_of(device)->streams[stream]),
                 "cudaEventRecord");
}

static int cuda_event_query(struct tr_device *device, struct tr_event *event)
{
    cudaError_t rc = cudaEventQuery(event->handle);
    if (rc == cudaErrorNotReady)
        return 0;
    return check(device, rc, "cudaEventQuery") < 0 ? -1 : 1;
}

static int cuda_event_wait(struct tr_device *device, struct tr_event *event)
{
    if (cudaEventQuery(event->handle) == cudaErrorNotReady)
        device->counts.host_waits++;
    return check(device, cudaEventSynchronize(event->handle), "cudaEventSynchronize");
}

static int cuda_stream_wait(struct tr_device *device, enum tr_stream stream, struct tr_event *event)
{
    return check(device, cudaStreamWaitEvent(cuda_of(device)->streams[stream], event->handle, 0),
                 "cudaStreamWaitEvent");
}

static int cuda_launch(struct tr_device *device, enum tr_kernel kernel, const void *args, size_t)
{
    return tr_cuda_kernels[kernel](cuda_of(device), args);
}

/* --- graphs --------------------------------------------------------------------------------------
 */

static int cuda_step_begin(struct tr_device *device)
{
    cudaStream_t stream = compute_of(cuda_of(device));
    return check(device, cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                 "cudaStreamBeginCapture");
}

/* The graph of the slot's last step, with this one's arguments; a new one when they are not alike,
 * e.g. since the batch is shorter. */
static int update_graph(struct tr_device *device, cudaGraphExec_t *exec, cudaGraph_t graph)
{
    cudaGraphExecUpdateResultInfo why;
    if (*exec && cudaGraphExecUpdate(*exec, graph, &why) == cudaSuccess)
        return 0;
    cudaGetLastError();
    if (*exec)
        cudaGraphExecDestroy(*exec);
    *exec = NULL;
    return check(device, cudaGraphInstantiate(exec, graph, 0), "cudaGraphInstantiate");
}

static int cuda_step_end(struct tr_device *device, uint32_t slot, bool launch)
{
    struct cuda_device *d = cuda_of(device);
    cudaGraph_t graph = NULL;
    if (check(device, cudaStreamEndCapture(compute_of(d), &graph), "cudaStreamEndCapture") < 0)
        return -1;
    int rc = launch ? update_graph(device, &d->graphs[slot], graph) : 0;
    cudaGraphDestroy(graph);
    if (rc == 0 && launch)
        rc = check(device, cudaGraphLaunch(d->graphs[slot], compute_of(d)), "cudaGraphLaunch");
    return rc;
}

/* Off unless asked for: no GPU was at hand to show that it pays. */
static bool graphs_are_wanted(void)
{
    const char *wish = getenv("PENSTOCK_CUDA_GRAPHS");
    return wish && strcmp(wish, "on") == 0;
}

extern "C" __attribute__((visibility("default"))) const struct tr_device_ops *
penstock_cuda_device_ops(void)
{
    ops.abi = TR_DEVICE_ABI;
    ops.name = "cuda";
    ops.reads_host_memory = false;
    ops.block_floats = 0;
    ops.count = cuda_count;
    ops.open = cuda_open;
    ops.close = cuda_close;
    ops.alloc = cuda_alloc;
    ops.dealloc = cuda_dealloc;
    ops.pin = cuda_pin;
    ops.unpin = cuda_unpin;
    ops.upload = cuda_upload;
    ops.download = cuda_download;
    ops.zero = cuda_zero;
    ops.event_new = cuda_event_new;
    ops.event_free = cuda_event_free;
    ops.event_record = cuda_event_record;
    ops.event_query = cuda_event_query;
    ops.event_wait = cuda_event_wait;
    ops.timer_new = cuda_timer_new;
    ops.elapsed = cuda_elapsed;
    ops.stream_wait = cuda_stream_wait;
    ops.drain = cuda_drain;
    ops.launch = cuda_launch;
    ops.step_begin = graphs_are_wanted() ? cuda_step_begin : NULL;
    ops.step_end = graphs_are_wanted() ? cuda_step_end : NULL;
    return &ops;
}
