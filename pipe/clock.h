/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/clock.h - the monotonic clock, in nanoseconds. */
#ifndef PIPE_CLOCK_H
#define PIPE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PS_NS_PER_MS UINT64_C(1000000)
#define PS_NS_PER_S UINT64_C(1000000000)

static inline uint64_t ps_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * PS_NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline struct timespec ps_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / PS_NS_PER_S),
                             .tv_nsec = (long)(ns % PS_NS_PER_S)};
}

#endif
