/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/checksum.h - the checksum of an object, as an answer's head tells it.
 *
 * Source: Amazon S3 API Reference, GetObject and HeadObject; User Guide, "Checking object
 * integrity". Only a sum over the whole object can be compared with a stream: of type FULL_OBJECT,
 * which is each one without a type and without a "-N" behind it. One of type COMPOSITE is a sum
 * over the sums of uploaded parts, whose ends are not known here. The head of a ranged answer says
 * nothing: it may have the sum of an uploaded part without its "-N" (botocore issue 3346).
 *
 * Threads: pure functions.
 */
#ifndef PIPE_CHECKSUM_H
#define PIPE_CHECKSUM_H

#include "formats/crc.h"

#include <stdbool.h>

/* All zeros: nothing was told. */
struct ps_checksum {
    bool told;      /* there is a checksum, of whatever kind */
    bool composite; /* of the parts' sums */
    bool has_sum;   /* kind and sum are set */
    enum fmt_crc_kind kind;
    uint64_t sum;
};

/* Takes note of a header field; others than x-amz-checksum-... are ignored. */
void ps_checksum_take(struct ps_checksum *checksum, const char *name, size_t name_len,
                      const char *value, size_t value_len);

/* Whether a stream can be compared with it. */
static inline bool ps_checksum_is_comparable(const struct ps_checksum *checksum)
{
    return checksum->has_sum && !checksum->composite;
}

#endif
