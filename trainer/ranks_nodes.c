/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/ranks_nodes.c - see trainer/ranks_nodes.h. */
#include "trainer/ranks_nodes.h"

#include <string.h>

static const char digits[] = "0123456789";

/* Ranges from behind '[' on. Returns the length of the first number, and in *len that of all with
 * the ']'; 0 where they are not "01-04,7]". */
static size_t first_number(const char *ranges, size_t *len)
{
    size_t first = strspn(ranges, digits);
    const char *p = ranges;
    for (;;) {
        size_t number = strspn(p, digits);
        p += number;
        if (number > 0 && *p == '-') {
            number = strspn(++p, digits);
            p += number;
        }
        if (number == 0)
            return 0;
        if (*p != ',')
            break;
        p++;
    }
    *len = (size_t)(p - ranges) + 1;
    return *p == ']' ? first : 0;
}

int tr_ranks_first_node(const char *list, char *host, size_t host_bytes)
{
    size_t at = 0;
    while (*list && *list != ',') {
        const char *from = list;
        size_t ranges = 0;
        size_t len = strcspn(list, "[],");
        if (*list == '[') {
            from = list + 1;
            len = first_number(from, &ranges);
            list = from + ranges;
        } else {
            list += len;
        }
        if (len == 0 || len >= host_bytes - at)
            return -1;
        memcpy(host + at, from, len);
        at += len;
    }
    host[at] = '\0';
    return at > 0 ? 0 : -1;
}
