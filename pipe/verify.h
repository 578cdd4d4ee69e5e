/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/verify.h - objects compared with the checksums that S3 keeps of them, while they stream.
 *
 * The I/O thread of a part sums its bytes as they arrive, while they are in its cache; parts are
 * combined when head passes them, in stream order; the object's sum is compared before head passes
 * the object's last byte, so that no epoch ends well with a corrupt object in it.
 *
 * Where the checksum comes from: the answer to a GET of a whole object, which costs nothing; or,
 * for objects of several parts under verify=always, from a HEAD request. That goes out as a part of
 * no bytes in front of the object's first part: claimed, retried and failed like any part, at the
 * same time as the others, and head waits for it as for any part. Until its answer, parts are
 * summed with the algorithm of the last object and held back; a wrong guess costs a second look at
 * bytes that are still in the ring.
 *
 * A whole object is held back until it has been compared, and fetched once more if it is wrong:
 * but for the first part of a stream, whose bytes somebody waits for.
 *
 * Owner: the channel. Threads: functions for the I/O thread of the part, unless "lock held".
 */
#ifndef PIPE_VERIFY_H
#define PIPE_VERIFY_H

#include "pipe/channel.h"
#include "pipe/checksum.h"

/* Whether the part is a whole object. */
bool ps_verify_part_is_whole(const struct ps_part *part);

/* Whether the object that parts are being cut from wants a HEAD request before its first part,
 * which would have len_bytes. Lock held. */
bool ps_verify_asks_first(const struct ps_channel *channel, uint64_t len_bytes);

/* The part, asks and everything, was claimed. Lock held. */
void ps_verify_claimed(struct ps_channel *channel, struct ps_part *part);

/* The head of an answer to the part's request has come, and its body is what was asked for. */
void ps_verify_answer(struct ps_part *part, int status, const struct ps_checksum *checksum);

/* `len_bytes` more bytes of the part are in the ring, which filled_bytes does not count yet. */
void ps_verify_add(struct ps_part *part, uint64_t len_bytes);

/* The part is whole. True if it is not what it should be, nobody has seen it, and it was not
 * fetched twice yet: its bytes are forgotten, fetch it again. */
bool ps_verify_again(struct ps_part *part);

/* How many of the bytes of a part that is not done may be passed by head. Lock held. */
uint64_t ps_verify_shown_bytes(const struct ps_part *part);

/* Head passes the part, which is done. False, and the error, when it must not. Lock held. */
bool ps_verify_pass(struct ps_part *part, struct penstock_error *error);

#endif
