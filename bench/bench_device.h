/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_device.h - an accelerator that is not there: steps of a set length, one after
 * another, on the wall clock.
 *
 * As a training loop does, the host gives a batch to the device while the step before it runs, and
 * no more than that one: a batch that comes while a step runs costs nothing, one that comes later
 * leaves the device idle. That time is the stall, whatever the host did meanwhile.
 *
 * Owner: the caller; zero it, but for step_ns. Threads: one. Units: ns on the monotonic clock.
 */
#ifndef BENCH_BENCH_DEVICE_H
#define BENCH_BENCH_DEVICE_H

#include <stdint.h>

struct bench_device {
    uint64_t step_ns;
    uint64_t free_ns; /* when the last step given to it ends; 0: none was */
    uint64_t steps;
    uint64_t work_ns; /* of those steps */
    uint64_t idle_ns; /* between steps; waiting for the first one is the start, no stall */
};

/* A batch is there at `now_ns`. Returns when its step begins, which is when the host may bring the
 * next one. */
uint64_t bench_device_step(struct bench_device *device, uint64_t now_ns);

/* A kind of training, as MLPerf Storage emulates it on an H100. */
struct bench_workload {
    const char *name;
    double step_s;
    uint64_t step_bytes; /* batch size times sample size */
};

/* NULL: there is none of that name. */
const struct bench_workload *bench_workload_find(const char *name);

#endif
