/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_group_tcp.c - what ranks do together over TCP: the bits of sums are those of the
 * plainest group there is (group_fixture.h), whatever the number of ranks and values.
 */
#include "tests/unit/mesh_fixture.h"

/* Numbers of very different size, so that another order of adding gives other bits. */
static void *make_values(uint32_t rank, size_t n, enum tr_number type)
{
    uint64_t state = 1000 * rank + n;
    void *values = malloc(n * tr_number_bytes(type) + 1);
    group_check(values != NULL);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = fixture_random(&state);
        double value = ((double)(bits >> 20) - 0x1p43) * (double)(1U << (bits % 20));
        if (type == TR_NUMBER_FLOAT)
            ((float *)values)[i] = (float)value;
        else if (type == TR_NUMBER_DOUBLE)
            ((double *)values)[i] = value * 1e-30;
        else
            ((uint64_t *)values)[i] = bits;
    }
    return values;
}

static const size_t sizes[] = {0, 1, 7, 1000, 2049, 100003, 1000000};
#define SIZES (sizeof sizes / sizeof *sizes)

/* [size][type] of the reference, of rank 0 */
struct sums {
    void *of[SIZES][3];
    bool reference;
};

static void sum_all(struct tr_group *group, struct tr_device *device, void *cookie)
{
    struct sums *sums = cookie;
    (void)device;
    for (size_t s = 0; s < SIZES; s++) {
        for (int type = TR_NUMBER_FLOAT; type <= TR_NUMBER_WORD; type++) {
            void *values = make_values(group->rank, sizes[s], (enum tr_number)type);
            struct tr_error error;
            group_check(tr_group_sum(group, values, sizes[s], (enum tr_number)type, &error) == 0);
            if (!sums->reference)
                group_check(memcmp(values, sums->of[s][type],
                                   sizes[s] * tr_number_bytes((enum tr_number)type)) == 0);
            if (sums->reference && group->rank == 0)
                sums->of[s][type] = values;
            else
                free(values);
        }
    }
}

static void the_bits_of_sums_are_the_plain_groups(void **state)
{
    static const uint32_t counts[] = {2, 3, 4, 8};
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct sums sums = {.reference = true};
        group_run(counts[c], "cpu", sum_all, &sums);
        sums.reference = false;
        tcp_run(counts[c], sum_all, &sums);
        for (size_t s = 0; s < SIZES; s++) {
            for (int type = 0; type < 3; type++)
                free(sums.of[s][type]);
        }
    }
}

/* Calls of all kinds one behind the other, of lengths that differ and are known to all. */
static void mix(struct tr_group *group, struct tr_device *device, void *cookie)
{
    uint64_t state = 7;
    struct tr_error error;
    (void)device;
    (void)cookie;
    for (uint32_t step = 0; step < 150; step++) {
        size_t n = fixture_random(&state) % (step % 10 == 0 ? 300000 : 300);
        uint8_t *bytes = malloc(n + 1);
        uint64_t *words = malloc((n + 1) * sizeof *words);
        struct tr_gathered all;
        struct tr_heard heard;
        uint32_t mine = step % group->count == group->rank ? TR_SAYS_STOP : TR_SAYS_MORE;
        group_check(bytes && words);
        group_check(tr_group_say(group, mine, group->rank + step, &error) == 0);
        group_check(tr_group_beat(group, &error) == 0);
        memset(bytes, group->rank == 0 ? (int)step : 255, n);
        group_check(tr_group_broadcast(group, bytes, n, &error) == 0);
        for (size_t i = 0; i < n; i++) {
            group_check(bytes[i] == (uint8_t)step);
            words[i] = i + group->rank;
        }
        group_check(tr_group_sum(group, words, n, TR_NUMBER_WORD, &error) == 0);
        for (size_t i = 0; i < n; i++)
            group_check(words[i] == i * group->count + group->count * (group->count - 1) / 2);
        size_t own = (n + group->rank * 17) % (n + 1);
        group_check(tr_group_gather(group, words, own, &all, &error) == 0);
        for (uint32_t r = 0; r < group->count; r++) {
            group_check(all.begins[r + 1] - all.begins[r] == (n + r * 17) % (n + 1));
            group_check(
                memcmp(all.bytes + all.begins[r], words, all.begins[r + 1] - all.begins[r]) == 0);
        }
        tr_gathered_free(&all);
        group_check(tr_group_hear(group, &heard, &error) == 0);
        group_check(heard.any == (TR_SAYS_STOP | TR_SAYS_MORE) && heard.all == 0);
        group_check(heard.rows == group->count * (group->count - 1) / 2 + step * group->count);
        group_check(heard.rows_before == group->rank * (group->rank - 1) / 2 + step * group->rank);
        group_check(heard.first == (step % group->count == 0 ? TR_SAYS_STOP : TR_SAYS_MORE));
        free(bytes);
        free(words);
    }
}

static void calls_of_all_kinds_in_turn(void **state)
{
    (void)state;
    tcp_run(2, mix, NULL);
    tcp_run(5, mix, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_of_sums_are_the_plain_groups),
        cmocka_unit_test(calls_of_all_kinds_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
