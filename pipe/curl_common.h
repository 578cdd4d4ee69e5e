/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/curl_common.h - what every libcurl transfer of penstock has in common.
 *
 * Owner: the caller owns the handles. Threads: any, one at a time for a given handle.
 */
#ifndef PIPE_CURL_COMMON_H
#define PIPE_CURL_COMMON_H

#include <curl/curl.h>

#include "pipe/retry.h"
#include "pipe/s3_xml.h"

/* Initialises libcurl once per process. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_curl_start(struct penstock_error *error);

/* Sets the options that do not depend on the request: HTTP/1.1, no redirects, no signals, paths as
 * they are, verification with the account's CA file, time-outs (connect 5 s, and 15 s with less
 * than 1 KiB/s), TCP_NODELAY, and `detail` (CURL_ERROR_SIZE bytes, lent as long as the handle
 * lives) for the words of an error. Returns PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_curl_prepare(CURL *easy, const struct ps_s3_site *site, char *detail,
                    struct penstock_error *error);

/* Sets URL and headers of `request`. The list, which the caller frees after the transfer, is lent
 * to the handle. Returns NULL without memory. */
struct curl_slist *ps_curl_request(CURL *easy, const struct ps_s3_request_spec *spec,
                                   const struct ps_s3_request *request);

/* What the server said: reads status, request id, region and <Error> from the headers and the body
 * of a finished transfer. `remote_ip` is lent as long as the handle lives and sends nothing else.
 */
void ps_curl_answer(CURL *easy, const char *body, size_t body_len, struct ps_s3_answer *answer,
                    int *http_status, const char **remote_ip);

/* What libcurl's result means. */
enum ps_transfer ps_curl_transfer(CURLcode code);

#endif
