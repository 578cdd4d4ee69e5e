/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_upload.c - PutObject, its body as it comes in, and DeleteObject. */
#include "bench/serve_request.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SHA256_HEX_LEN = 2 * SHA256_DIGEST_LENGTH };

/* "STREAMING-...": the body would come in signed chunks, which this server does not take apart. */
static bool is_chunked(const struct serve_request *request)
{
    const char *payload = serve_request_header(request, "x-amz-content-sha256");

    return payload && strncmp(payload, "STREAMING-", 10) == 0;
}

static bool has_hash(const struct serve_request *request)
{
    const char *payload = serve_request_header(request, "x-amz-content-sha256");

    return payload && strlen(payload) == SHA256_HEX_LEN;
}

/* The checksum that came with the body, if one did that this server knows. */
static void begin_sum(struct serve_request *request)
{
    for (int kind = 0; kind < FMT_CRC_KINDS && !request->upload_summed; kind++)
        if (serve_request_header(request, serve_checksum_header((enum fmt_crc_kind)kind))) {
            request->upload_summed = true;
            request->upload_sum_kind = (enum fmt_crc_kind)kind;
        }
}

void serve_upload_begin(struct serve_request *request)
{
    if (!request->verdict.accepted || request->uri_bad || request->key_len_bytes == 0 ||
        is_chunked(request))
        return;
    request->bucket_fd = serve_store_open_bucket(request->serve->root_fd, request->bucket);
    if (request->bucket_fd < 0)
        return;
    if (serve_store_upload_begin(&request->upload, request->bucket_fd) != 0)
        request->upload_errno = errno;
    begin_sum(request);
    if (!has_hash(request))
        return;
    request->upload_sha256 = EVP_MD_CTX_new();
    if (!request->upload_sha256 ||
        EVP_DigestInit_ex(request->upload_sha256, EVP_sha256(), NULL) != 1)
        request->upload_errno = ENOMEM;
}

void serve_upload_data(struct serve_request *request, const char *data, size_t len_bytes)
{
    if (request->upload.fd < 0 || request->upload_errno)
        return;
    if (request->upload_sha256 && EVP_DigestUpdate(request->upload_sha256, data, len_bytes) != 1)
        request->upload_errno = ENOMEM;
    if (request->upload_summed)
        request->upload_sum = fmt_crc(request->upload_sum_kind, request->upload_sum,
                                      (const uint8_t *)data, len_bytes);
    while (len_bytes > 0 && !request->upload_errno) {
        ssize_t n = write(request->upload.fd, data, len_bytes);

        if (n < 0 && errno != EINTR)
            request->upload_errno = errno;
        if (n > 0) {
            data += n;
            len_bytes -= (size_t)n;
        }
    }
}

static bool hash_is_right(const struct serve_request *request)
{
    const char *payload = serve_request_header(request, "x-amz-content-sha256");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[SHA256_HEX_LEN + 1];

    if (!request->upload_sha256)
        return true;
    if (EVP_DigestFinal_ex(request->upload_sha256, digest, NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return payload && strcasecmp(hex, payload) == 0;
}

static bool sum_is_right(const struct serve_request *request)
{
    char text[FMT_CRC_TEXT_BYTES];

    if (!request->upload_summed)
        return true;
    fmt_crc_text(request->upload_sum_kind, request->upload_sum, text);
    return strcmp(text, serve_request_header(request,
                                             serve_checksum_header(request->upload_sum_kind))) == 0;
}

static enum MHD_Result answer_not_stored(struct serve_request *request, int why)
{
    char message[160];

    switch (why) {
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV:
    case ELOOP:
        return serve_reply_simple_error(request, 403, "AccessDenied", "Access Denied");
    case ENAMETOOLONG:
        return serve_reply_simple_error(request, 400, "KeyTooLongError", "Your key is too long");
    case EINVAL:
    case EEXIST:
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
        return serve_reply_simple_error(request, 400, "InvalidRequest",
                                        "No file can have this key in this bucket: keys are paths, "
                                        "and a file cannot be a directory as well.");
    default:
        snprintf(message, sizeof message, "The object could not be stored (error %d).", why);
        return serve_reply_simple_error(request, 500, "InternalError", message);
    }
}

enum MHD_Result serve_answer_put(struct serve_request *request)
{
    char etag[SERVE_ETAG_LEN + 1];
    enum MHD_Result result;
    struct stat st;

    if (is_chunked(request) || serve_request_header(request, "x-amz-copy-source"))
        return serve_reply_simple_error(request, 501, "NotImplemented",
                                        "This server takes plain bodies only: no signed chunks, no "
                                        "copies.");
    if (!serve_request_open_bucket(request, &result))
        return result;
    if (request->upload_errno || request->upload.fd < 0)
        return answer_not_stored(request, request->upload_errno);
    if (!hash_is_right(request))
        return serve_reply_simple_error(request, 400, "XAmzContentSHA256Mismatch",
                                        "The provided 'x-amz-content-sha256' header does not match "
                                        "what was computed.");
    if (!sum_is_right(request))
        return serve_reply_simple_error(request, 400, "BadDigest",
                                        "The checksum that you specified did not match what was "
                                        "received.");
    if (serve_store_upload_commit(&request->upload, request->key, request->key_len_bytes, &st) != 0)
        return answer_not_stored(request, errno);
    serve_store_etag((uint64_t)st.st_size, serve_store_mtime_ns(&st), st.st_ino, etag);
    return serve_reply_empty(request, 200, "ETag", etag, NULL);
}

enum MHD_Result serve_answer_delete(struct serve_request *request)
{
    enum MHD_Result result;

    if (!serve_request_open_bucket(request, &result))
        return result;
    if (serve_store_delete(request->bucket_fd, request->key, request->key_len_bytes) != 0)
        return answer_not_stored(request, errno);
    return serve_reply_empty(request, 204, NULL);
}
