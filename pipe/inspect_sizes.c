/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect_sizes.c - problems found, and those of keys and sizes. See inspect.h. */
#include "pipe/inspect.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *ps_problem_name(enum ps_problem problem)
{
    static const char *const names[PS_PROBLEMS] = {
        "malformed_record", "other_shape",   "other_format",  "mixed_compression",
        "corrupt_contents", "csv_header",    "csv_delimiter", "no_final_newline",
        "not_finite",       "empty_objects", "key_order",     "unbalanced_sizes",
    };

    return names[problem];
}

void ps_inspect_problem(struct ps_inspect *inspect, enum ps_problem problem, const char *key,
                        uint64_t offset_bytes, const char *format, ...)
{
    struct ps_problem_list *list = &inspect->problems[problem];
    va_list args;

    if (list->count++ >= PS_EXAMPLES_MAX)
        return;
    struct ps_example *example = &list->examples[list->count - 1];

    example->key = key;
    example->offset_bytes = offset_bytes;
    va_start(args, format);
    (void)vsnprintf(example->text, sizeof example->text, format, args);
    va_end(args);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Byte order, but for runs of digits, which compare as numbers. */
static int compare_naturally(const char *a, const char *b)
{
    while (*a && *b) {
        if (is_digit(*a) && is_digit(*b)) {
            while (*a == '0')
                a++;
            while (*b == '0')
                b++;
            size_t a_digits = strspn(a, "0123456789");
            size_t b_digits = strspn(b, "0123456789");
            int order =
                a_digits != b_digits ? (a_digits > b_digits ? 1 : -1) : strncmp(a, b, a_digits);
            if (order != 0)
                return order;
            a += a_digits;
            b += b_digits;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return (*a != '\0') - (*b != '\0');
}

static void check_order(struct ps_inspect *inspect)
{
    const struct ps_sizes *sizes = &inspect->sizes;

    for (size_t i = 1; i < sizes->count; i++)
        if (strcmp(sizes->keys[i - 1], sizes->keys[i]) < 0 &&
            compare_naturally(sizes->keys[i - 1], sizes->keys[i]) > 0)
            ps_inspect_problem(inspect, PS_PROBLEM_ORDER, sizes->keys[i], 0,
                               "comes after '%.100s': keys are streamed in byte order, so write "
                               "numbers with leading zeros",
                               sizes->keys[i - 1]);
}

static void check_balance(struct ps_inspect *inspect, size_t most_no)
{
    const struct ps_sizes *sizes = &inspect->sizes;
    uint64_t others_bytes = sizes->total_bytes - sizes->most_bytes;

    if (sizes->count < 2 ||
        (double)sizes->most_bytes * (double)(sizes->count - 1) <= 2 * (double)others_bytes)
        return;
    ps_inspect_problem(inspect, PS_PROBLEM_UNBALANCED, sizes->keys[most_no], 0,
                       "%llu bytes, more than twice the mean of the others, %llu: shards of whole "
                       "objects will not be of one size",
                       (unsigned long long)sizes->most_bytes,
                       (unsigned long long)(others_bytes / (sizes->count - 1)));
}

int ps_inspect_sizes(struct ps_inspect *inspect)
{
    struct ps_sizes *sizes = &inspect->sizes;
    size_t most_no = 0;

    if (sizes->empty_count > 0)
        ps_inspect_problem(inspect, PS_PROBLEM_EMPTY, NULL, 0,
                           "%llu objects have no bytes; they are passed over",
                           (unsigned long long)sizes->empty_count);
    if (sizes->count == 0)
        return PENSTOCK_OK;
    uint64_t *sorted = malloc(sizes->count * sizeof *sorted);

    if (!sorted)
        return PENSTOCK_E_MEMORY;
    memcpy(sorted, sizes->bytes, sizes->count * sizeof *sorted);
    qsort(sorted, sizes->count, sizeof *sorted, by_size);
    sizes->least_bytes = sorted[0];
    sizes->median_bytes = sorted[(sizes->count - 1) / 2];
    sizes->most_bytes = sorted[sizes->count - 1];
    free(sorted);
    for (size_t i = 0; i < sizes->count; i++) {
        sizes->total_bytes += sizes->bytes[i];
        if (sizes->bytes[i] > sizes->bytes[most_no])
            most_no = i;
    }
    check_order(inspect);
    check_balance(inspect, most_no);
    return PENSTOCK_OK;
}
