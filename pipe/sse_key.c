/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/sse_key.c - a customer's encryption key, from a file: 32 bytes as they are, or in base64.
 *
 * Source: Amazon S3 User Guide, "Using server-side encryption with customer-provided keys (SSE-C)".
 */
#include "pipe/s3.h"

#include "pipe/error.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES 32
#define KEY_TEXT_LEN 44 /* in base64 */

/* The 32 bytes of 44 characters, with or without a line end. */
static bool decode(const unsigned char *text, size_t len_bytes, unsigned char key[KEY_BYTES])
{
    unsigned char out[KEY_TEXT_LEN / 4 * 3];

    while (len_bytes > 0 && strchr("\r\n", text[len_bytes - 1]))
        len_bytes--;
    bool good = len_bytes == KEY_TEXT_LEN && text[KEY_TEXT_LEN - 1] == '=' &&
                EVP_DecodeBlock(out, text, KEY_TEXT_LEN) == sizeof out;

    if (good)
        memcpy(key, out, KEY_BYTES);
    explicit_bzero(out, sizeof out);
    return good;
}

int ps_sse_key_read(const char *path, struct ps_s3_account *out, struct penstock_error *error)
{
    unsigned char text[KEY_TEXT_LEN + 4], key[KEY_BYTES], md5[EVP_MAX_MD_SIZE];
    FILE *file = fopen(path, "re");
    int rc = PENSTOCK_OK;

    if (!file)
        return ps_fail_errno(error, PENSTOCK_E_ARGUMENT, errno,
                             "cannot read the customer's encryption key %s", path);
    setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer */
    size_t len_bytes = fread(text, 1, sizeof text, file);

    fclose(file);
    if (len_bytes == KEY_BYTES)
        memcpy(key, text, KEY_BYTES);
    else if (!decode(text, len_bytes, key))
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "the customer's encryption key %s is neither 32 bytes nor 44 characters of "
                     "base64",
                     path);
    if (rc == PENSTOCK_OK && EVP_Digest(key, KEY_BYTES, md5, NULL, EVP_md5(), NULL) != 1)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "MD5, which S3 wants of an encryption key, is not to be had from OpenSSL");
    if (rc == PENSTOCK_OK) {
        EVP_EncodeBlock((unsigned char *)out->sse_key, key, KEY_BYTES);
        EVP_EncodeBlock((unsigned char *)out->sse_key_md5, md5, 16);
    }
    explicit_bzero(text, sizeof text);
    explicit_bzero(key, sizeof key);
    return rc;
}
