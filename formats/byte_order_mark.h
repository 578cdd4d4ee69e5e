/* SPDX-License-Identifier: Apache-2.0 */
/* formats/byte_order_mark.h - the UTF-8 byte order mark that a text object may start with.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_BYTE_ORDER_MARK_H
#define FORMATS_BYTE_ORDER_MARK_H

#include <string.h>

#include "formats/fmt.h"

/* Length of the mark at `in`, 0 or 3; FMT_MORE when the bytes given cannot tell. */
static inline enum fmt_rc fmt_find_mark(const uint8_t *in, size_t len, bool at_end,
                                        size_t *mark_bytes)
{
    static const uint8_t mark[3] = {0xef, 0xbb, 0xbf};
    size_t n = len < sizeof(mark) ? len : sizeof(mark);
    *mark_bytes = 0;
    if (memcmp(in, mark, n) != 0)
        return FMT_OK;
    if (n < sizeof(mark))
        return at_end ? FMT_OK : FMT_MORE;
    *mark_bytes = sizeof(mark);
    return FMT_OK;
}

#endif
