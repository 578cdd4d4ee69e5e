/* SPDX-License-Identifier: Apache-2.0 */
/* tests/hasty_clock.c - a clock on which a second ends between any two looks at it, for a program
 * that is run with this library in LD_PRELOAD.
 */
#include <stdatomic.h>
#include <time.h>

#pragma GCC visibility push(default)

time_t time(time_t *out)
{
    static atomic_int looks;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    time_t seconds = now.tv_sec + atomic_fetch_add(&looks, 1);

    if (out)
        *out = seconds;
    return seconds;
}
