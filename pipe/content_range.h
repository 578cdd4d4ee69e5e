/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/content_range.h - parse the value of a Content-Range header: "bytes 0-8388607/195035136".
 *
 * Source: RFC 9110, 14.4. Pure.
 */
#ifndef PIPE_CONTENT_RANGE_H
#define PIPE_CONTENT_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ps_content_range {
    uint64_t first;
    uint64_t last;        /* included; >= first */
    uint64_t total_bytes; /* of the whole object */
};

/* False for anything but a satisfied byte range with a known total. */
bool ps_content_range_parse(const char *value, size_t len, struct ps_content_range *out);

#endif
