/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_device.c - see bench_device.h.
 *
 * Source of the workloads: the H100 profiles of DLIO, the benchmark behind MLPerf Storage. The name
 * is a mark of MLCommons: what is measured here is no result of theirs.
 */
#include "bench/bench_device.h"

#include <stddef.h>
#include <string.h>

static const struct bench_workload workloads[] = {
    {"unet3d", 0.323, UINT64_C(7) * 146600000},
    {"resnet50", 0.224, UINT64_C(400) * 114660},
    {"cosmoflow", 0.0035, UINT64_C(1) * 2830000},
};

uint64_t bench_device_step(struct bench_device *device, uint64_t now_ns)
{
    uint64_t begin_ns = now_ns;

    if (device->free_ns > now_ns)
        begin_ns = device->free_ns;
    else if (device->free_ns != 0)
        device->idle_ns += now_ns - device->free_ns;
    device->free_ns = begin_ns + device->step_ns;
    device->steps++;
    device->work_ns += device->step_ns;
    return begin_ns;
}

const struct bench_workload *bench_workload_find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}
