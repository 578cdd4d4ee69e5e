/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/clock.h - a clock that only goes forward. */
#ifndef TRAINER_CLOCK_H
#define TRAINER_CLOCK_H

#include <time.h>

/* Seconds since some moment. */
static inline double tr_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
