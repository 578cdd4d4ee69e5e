/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/group_checks.h - what every implementation of groups has to do: each function is what
 * a rank runs, on a device of its own.
 */
#ifndef GROUP_CHECKS_H
#define GROUP_CHECKS_H

#include "tests/unit/group_fixture.h"

#include "trainer/device_use.h"
#include "trainer/tally.h"

#define GROUP_CHECKS_VALUES 1000U

/* Three sums one behind the other, between kernels of the compute stream: 2 * (1 + .. + ranks) is
 * what each sum makes of twice the rank's number. */
static inline void group_checks_sum_on(struct tr_group *group, struct tr_device *device,
                                       void *cookie)
{
    struct tr_error error;
    float host[GROUP_CHECKS_VALUES];
    double total = 0.5 * group->count * (group->count + 1.0);
    (void)cookie;
    struct tr_event *event;
    group_check(device->ops->event_new(device, &event) == 0);
    float *values = tr_device_allocate(device, GROUP_CHECKS_VALUES, sizeof *values, &error);
    float *ones = tr_device_allocate(device, GROUP_CHECKS_VALUES, sizeof *ones, &error);
    float *scaled = tr_device_allocate(device, GROUP_CHECKS_VALUES, sizeof *scaled, &error);
    float *zeros = tr_device_allocate(device, GROUP_CHECKS_VALUES, sizeof *zeros, &error);
    float factors[GROUP_CHECKS_VALUES];
    for (uint32_t i = 0; i < GROUP_CHECKS_VALUES; i++) {
        host[i] = (float)(group->rank + 1) * (float)(i % 7);
        factors[i] = 2.0F;
    }
    group_check(tr_device_put(device, event, values, host, sizeof host, &error) == 0);
    group_check(tr_device_put(device, event, ones, factors, sizeof factors, &error) == 0);
    for (int round = 0; round < 3; round++) {
        const struct tr_scale_args twice = {
            round % 2 ? scaled : values, zeros, ones,
            round % 2 ? values : scaled, 1,     GROUP_CHECKS_VALUES};
        group_check(tr_launch_scale(device, &twice) == 0);
        group_check(tr_group_sum_on(group, device, twice.y, GROUP_CHECKS_VALUES, TR_NUMBER_FLOAT,
                                    &error) == 0);
    }
    group_check(tr_device_take(device, event, host, scaled, sizeof host, &error) == 0);
    double factor = total * 2.0 * 2.0 * group->count * 2.0 * group->count;
    for (uint32_t i = 0; i < GROUP_CHECKS_VALUES; i++)
        group_check(host[i] == (float)(factor * (double)(i % 7)));
    group_check(
        tr_group_fold_on(group, device, scaled, GROUP_CHECKS_VALUES, TR_NUMBER_FLOAT, &error) == 0);
    group_check(tr_device_take(device, event, host, scaled, sizeof host, &error) == 0);
    factor *= group->rank == 0 ? group->count : 0.0;
    for (uint32_t i = 0; i < GROUP_CHECKS_VALUES; i++)
        group_check(host[i] == (float)(factor * (double)(i % 7)));
    device->ops->dealloc(device, values);
    device->ops->dealloc(device, ones);
    device->ops->dealloc(device, scaled);
    device->ops->dealloc(device, zeros);
    device->ops->event_free(device, event);
}

/* What was tallied on three ranks is read by all, and, folded, is rank 0's alone. */
static inline void group_checks_tally(struct tr_group *group, struct tr_device *device,
                                      void *cookie)
{
    struct tr_tally tally;
    struct tr_stats sums[2];
    struct tr_stats host[2] = {{.rows = group->rank + 1.0, .loss_sum = 0.5},
                               {.rows = 10.0, .correct = group->rank}};
    struct tr_error error;
    (void)cookie;
    group_check(tr_tally_open(&tally, device, group, 2, &error) == 0);
    group_check(tr_device_put(device, tally.ready, tally.sums, host, sizeof host, &error) == 0);
    for (int round = 0; round < 2; round++) {
        group_check(tr_tally_read(&tally, TR_SUMS_TRAIN, false, sums, &error) == 0);
        group_check(sums[0].rows == 6.0 && sums[0].loss_sum == 1.5);
        group_check(sums[1].rows == 30.0 && sums[1].correct == 3.0);
        group_check(tr_tally_fold(&tally, &error) == 0);
    }
    group_check(tr_device_take(device, tally.ready, host, tally.sums, sizeof host, &error) == 0);
    group_check(host[0].rows == (group->rank == 0 ? 6.0 : 0.0));
    /* Restored on every rank, it counts once. */
    group_check(tr_group_broadcast(group, host, sizeof host, &error) == 0);
    group_check(tr_device_put(device, tally.ready, tally.sums, host, sizeof host, &error) == 0);
    group_check(tr_tally_unfold(&tally, &error) == 0);
    group_check(tr_tally_read(&tally, TR_SUMS_TRAIN, false, sums, &error) == 0);
    group_check(sums[0].rows == 6.0 && sums[1].correct == 3.0);
    group_check(tr_tally_read(&tally, TR_SUMS_TRAIN, true, sums, &error) == 0);
    group_check(tr_tally_read(&tally, TR_SUMS_TRAIN, true, sums, &error) == 0);
    group_check(sums[1].rows == 0.0);
    tr_tally_close(&tally);
}

/* Gathering and broadcasting bytes of different lengths, and the flags of a hundred steps. */
static inline void group_checks_talk(struct tr_group *group, struct tr_device *device, void *cookie)
{
    (void)device;
    char own[GROUP_RANKS_MAX + 1] = "abcdefgh";
    struct tr_gathered all;
    (void)cookie;
    group_check(tr_group_gather(group, own, group->rank, &all, NULL) == 0);
    group_check(all.begins[group->count] == (size_t)group->count * (group->count - 1) / 2);
    for (uint32_t r = 0; r < group->count; r++)
        group_check(all.begins[r + 1] - all.begins[r] == r &&
                    memcmp(all.bytes + all.begins[r], "abcdefgh", r) == 0);
    tr_gathered_free(&all);
    own[0] = (char)('0' + group->rank);
    group_check(tr_group_broadcast(group, own, sizeof own, NULL) == 0);
    group_check(strcmp(own, "0bcdefgh") == 0);
    for (uint32_t step = 0; step < 100; step++) {
        struct tr_heard heard;
        uint32_t mine = step % group->count == group->rank ? TR_SAYS_STOP : TR_SAYS_MORE;
        group_check(tr_group_say(group, mine, group->rank + step, NULL) == 0);
        group_check(tr_group_hear(group, &heard, NULL) == 0);
        group_check(heard.any == (TR_SAYS_STOP | TR_SAYS_MORE) && heard.all == 0);
        uint32_t lower = group->rank * (group->rank - 1) / 2;
        group_check(heard.rows == group->count * (group->count - 1) / 2 + step * group->count);
        group_check(heard.rows_before == lower + step * group->rank);
        group_check(heard.first == (step % group->count == 0 ? TR_SAYS_STOP : TR_SAYS_MORE));
    }
}

#endif
