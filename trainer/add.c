/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/add.c - see trainer/add.h. */
#include "trainer/add.h"

static void add_floats(float *restrict to, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static void add_doubles(double *restrict to, const double *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static void add_words(uint64_t *restrict to, const uint64_t *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

void tr_add(void *to, const void *from, size_t n, enum tr_number type)
{
    switch (type) {
    case TR_NUMBER_FLOAT:
        add_floats(to, from, n);
        return;
    case TR_NUMBER_DOUBLE:
        add_doubles(to, from, n);
        return;
    case TR_NUMBER_WORD:
        add_words(to, from, n);
        return;
    }
}
