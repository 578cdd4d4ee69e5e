/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/size.c - see pipe/size.h. */
#include "pipe/size.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

bool ps_parse_size(const char *text, size_t *len_bytes)
{
    static const struct {
        const char *name;
        unsigned long long factor;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"KiB", 1ULL << 10},
                 {"MiB", 1ULL << 20},
                 {"GiB", 1ULL << 30},
                 {"TiB", 1ULL << 40},
                 {"KB", 1000ULL},
                 {"MB", 1000000ULL},
                 {"GB", 1000000000ULL},
                 {"TB", 1000000000000ULL}};
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(end, units[i].name) != 0)
            continue;
        if (errno != 0 || number > (size_t)-1 / units[i].factor)
            return false;
        *len_bytes = (size_t)(number * units[i].factor);
        return true;
    }
    return false;
}
