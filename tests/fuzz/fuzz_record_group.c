/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_record_group.c - groups of RecordIO records are the same, and end in the same
 * error, whether their bytes come at once or in runs.
 *
 * The input: a byte that chooses the number of records and the rule for parts, one that chooses the
 * lengths of the runs, and the stream.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/record_group.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came: a hash over the lengths and bytes of all items, and how it ended. */
struct outcome {
    uint64_t hash;
    uint32_t groups;
    enum fmt_rc rc;
    struct fmt_error error;
};

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void note_group(struct outcome *outcome, const struct fmt_item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        outcome->hash = hash_bytes(outcome->hash, &items[i].len_bytes, sizeof items[i].len_bytes);
        outcome->hash = hash_bytes(outcome->hash, items[i].data, items[i].len_bytes);
    }
    outcome->groups++;
}

/* Hands the stream over in runs of step 1 .. 64 bytes, each in memory of its own; 0: at once. */
static struct outcome drive(const uint8_t *in, size_t len, uint8_t shape, uint32_t step)
{
    uint32_t count = 1 + shape % 5;
    struct fmt_group *group = fmt_group_new(count, 1 << 16, (shape & 128) != 0);
    struct outcome outcome = {.rc = FMT_MORE};
    size_t at = 0;

    while (group && outcome.rc >= FMT_OK && at < len) {
        step = step ? step * 1103515245u + 12345u : 0;
        size_t run_len = step ? 1 + (step >> 16) % 64 : len;
        size_t used = 0;

        if (run_len > len - at)
            run_len = len - at;
        uint8_t *run = malloc(run_len);

        if (!run)
            abort();
        memcpy(run, in + at, run_len);
        outcome.rc = fmt_group_take(group, run, run_len, &used, &outcome.error);
        if (outcome.rc == FMT_OK)
            note_group(&outcome, fmt_group_items(group), count);
        if (outcome.rc == FMT_MORE && used != run_len)
            abort();
        at += used;
        free(run);
    }
    if (group && outcome.rc >= FMT_OK)
        outcome.rc = fmt_group_end(group, &outcome.error);
    fmt_group_free(group);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct outcome whole = drive(data + 2, size - 2, data[0], 0);
    struct outcome runs = drive(data + 2, size - 2, data[0], data[1] + 1u);

    if (whole.rc != runs.rc || whole.groups != runs.groups || whole.hash != runs.hash ||
        whole.error.offset_bytes != runs.error.offset_bytes ||
        strcmp(whole.error.text, runs.error.text) != 0) {
        fprintf(stderr, "at once: %u groups, %d '%s' at %zu; in runs: %u, %d '%s' at %zu\n",
                whole.groups, whole.rc, whole.error.text, whole.error.offset_bytes, runs.groups,
                runs.rc, runs.error.text, runs.error.offset_bytes);
        abort();
    }
    return 0;
}
