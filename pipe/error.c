/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/error.c - fill a struct penstock_error. */
#include "pipe/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pipe/text.h"

static void fail_v(struct penstock_error *error, int rc, int sys_errno, const char *format,
                   va_list args)
{
    /* Composed aside: the arguments may point into *error. */
    char message[sizeof error->message];
    int len = vsnprintf(message, sizeof message, format, args);
    memset(error, 0, sizeof *error);
    error->rc = rc;
    error->sys_errno = sys_errno;
    if (len < 0)
        return;
    if (sys_errno) {
        char reason[128];
        const char *text = strerror_r(sys_errno, reason, sizeof reason);
        size_t end = strnlen(message, sizeof message - 1);
        snprintf(message + end, sizeof message - end, ": %s", text);
    }
    ps_text_copy(error->message, sizeof error->message, message);
    for (char *c = error->message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

int ps_fail(struct penstock_error *error, int rc, const char *format, ...)
{
    if (!error)
        return rc;
    va_list args;
    va_start(args, format);
    fail_v(error, rc, 0, format, args);
    va_end(args);
    return rc;
}

int ps_fail_errno(struct penstock_error *error, int rc, int sys_errno, const char *format, ...)
{
    if (!error)
        return rc;
    va_list args;
    va_start(args, format);
    fail_v(error, rc, sys_errno, format, args);
    va_end(args);
    return rc;
}

void ps_error_object(struct penstock_error *error, const char *bucket, const char *key,
                     uint64_t offset_bytes)
{
    if (!error)
        return;
    ps_text_copy(error->bucket, sizeof error->bucket, bucket ? bucket : "");
    ps_text_copy(error->key, sizeof error->key, key ? key : "");
    error->offset_bytes = offset_bytes;
}

void ps_error_answer(struct penstock_error *error, int http_status, const char *s3_code,
                     const char *request_id, const char *remote_ip, uint32_t attempts)
{
    if (!error)
        return;
    error->http_status = http_status;
    error->attempts = attempts;
    ps_text_copy(error->s3_code, sizeof error->s3_code, s3_code ? s3_code : "");
    ps_text_copy(error->request_id, sizeof error->request_id, request_id ? request_id : "");
    ps_text_copy(error->remote_ip, sizeof error->remote_ip, remote_ip ? remote_ip : "");
}
