/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/error.h - fill a struct penstock_error: one call for the sentence, small ones for the place.
 *
 *     rc = ps_fail(error, PENSTOCK_E_NOT_FOUND, "bucket %s does not exist", bucket);
 *     ps_error_object(error, bucket, key, offset_bytes);
 *     return rc;
 *
 * Every function accepts a NULL error. Texts that do not fit are cut at a character boundary.
 * Control bytes, which a key or a server's answer may hold, become '?' in `message`, so that a
 * message is always one line; `bucket` and `key` are kept as they are.
 *
 * Owner: the caller. Threads: any, one at a time for a given error.
 */
#ifndef PIPE_ERROR_H
#define PIPE_ERROR_H

#include "pipe/penstock.h"

/* Clears *error, sets rc and message, and returns rc. Arguments may point into *error. */
int ps_fail(struct penstock_error *error, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: also sets sys_errno and appends ": " and the text of
 * `sys_errno`. */
int ps_fail_errno(struct penstock_error *error, int rc, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Where it happened. NULL means "". For files `bucket` is NULL and `key` the path. */
void ps_error_object(struct penstock_error *error, const char *bucket, const char *key,
                     uint64_t offset_bytes);

/* What the server said last, and how often it was asked. NULL means "". */
void ps_error_answer(struct penstock_error *error, int http_status, const char *s3_code,
                     const char *request_id, const char *remote_ip, uint32_t attempts);

#endif
