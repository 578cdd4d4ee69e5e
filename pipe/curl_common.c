/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/curl_common.c - what every libcurl transfer of penstock has in common. */
#include "pipe/curl_common.h"

#include <pthread.h>
#include <string.h>

#include "pipe/error.h"

#define CONNECT_TIMEOUT_MS 5000L
#define STALL_BYTES_S 1024L  /* a transfer slower than this ... */
#define STALL_S 15L          /* ... for this long is given up; a paused one is not counted */
#define IDLE_CONNECTION_S 4L /* S3 closes idle connections after about 5 s */

static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static CURLcode start_result;

static void start(void)
{
    start_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int ps_curl_start(struct penstock_error *error)
{
    pthread_once(&start_once, start);
    if (start_result != CURLE_OK)
        return ps_fail(error, PENSTOCK_E_MEMORY, "libcurl does not start: %s",
                       curl_easy_strerror(start_result));
    return PENSTOCK_OK;
}

int ps_curl_prepare(CURL *easy, const struct ps_s3_site *site, char *detail,
                    struct penstock_error *error)
{
    const char *ca_bundle = site->account->ca_bundle;
    CURLcode code = CURLE_OK;
    detail[0] = '\0';
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(easy, option, value)
    SET(CURLOPT_ERRORBUFFER, detail);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a close does not wait for a name server */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* a redirect must not receive a signed request */
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (*ca_bundle)
        SET(CURLOPT_CAINFO, ca_bundle);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_S);
    SET(CURLOPT_LOW_SPEED_TIME, STALL_S);
#undef SET
    if (code != CURLE_OK)
        return ps_fail(error, PENSTOCK_E_MEMORY, "libcurl cannot be set up: %s",
                       curl_easy_strerror(code));
    return PENSTOCK_OK;
}

struct curl_slist *ps_curl_request(CURL *easy, const struct ps_s3_request_spec *spec,
                                   const struct ps_s3_request *request)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        struct curl_slist *longer = curl_slist_append(list, request->headers[i]);
        if (!longer) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    bool head = !strcmp(spec->method, "HEAD");
    if (curl_easy_setopt(easy, CURLOPT_URL, request->url) != CURLE_OK ||
        curl_easy_setopt(easy, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list) != CURLE_OK) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}

static void copy_header(CURL *easy, const char *name, char *out, size_t size)
{
    struct curl_header *header;
    if (!*out && curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        ps_text_copy(out, size, header->value);
}

void ps_curl_answer(CURL *easy, const char *body, size_t body_len, struct ps_s3_answer *answer,
                    int *http_status, const char **remote_ip)
{
    char retry_after[40] = "";
    char date[40] = "";
    long status = 0;
    char *ip = NULL;

    memset(answer, 0, sizeof *answer);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip);
    *http_status = (int)status;
    *remote_ip = ip ? ip : "";
    if (status >= 300)
        ps_s3_xml_answer(body, body_len, answer);
    copy_header(easy, "x-amz-request-id", answer->request_id, sizeof answer->request_id);
    copy_header(easy, "x-amz-bucket-region", answer->region, sizeof answer->region);
    copy_header(easy, "retry-after", retry_after, sizeof retry_after);
    copy_header(easy, "location", answer->location, sizeof answer->location);
    copy_header(easy, "date", date, sizeof date);
    answer->server_time = ps_retry_date(date);
    answer->retry_after_ms = ps_retry_after_ms(retry_after, time(NULL));
}

enum ps_transfer ps_curl_transfer(CURLcode code)
{
    static const struct {
        CURLcode code;
        enum ps_transfer transfer;
    } table[] = {
        {CURLE_OK, PS_TRANSFER_OK},
        {CURLE_COULDNT_RESOLVE_HOST, PS_TRANSFER_RESOLVE},
        {CURLE_COULDNT_RESOLVE_PROXY, PS_TRANSFER_RESOLVE},
        {CURLE_COULDNT_CONNECT, PS_TRANSFER_CONNECT},
        {CURLE_PROXY, PS_TRANSFER_CONNECT},
        {CURLE_SSL_CONNECT_ERROR, PS_TRANSFER_TLS},
        {CURLE_PEER_FAILED_VERIFICATION, PS_TRANSFER_CERTIFICATE},
        {CURLE_SSL_CACERT_BADFILE, PS_TRANSFER_CERTIFICATE},
        {CURLE_SSL_ISSUER_ERROR, PS_TRANSFER_CERTIFICATE},
        {CURLE_PARTIAL_FILE, PS_TRANSFER_RESET},
        {CURLE_GOT_NOTHING, PS_TRANSFER_RESET},
        {CURLE_SEND_ERROR, PS_TRANSFER_RESET},
        {CURLE_RECV_ERROR, PS_TRANSFER_RESET},
        {CURLE_OPERATION_TIMEDOUT, PS_TRANSFER_STALL},
        {CURLE_WEIRD_SERVER_REPLY, PS_TRANSFER_BAD_ANSWER},
        {CURLE_UNSUPPORTED_PROTOCOL, PS_TRANSFER_BAD_ANSWER},
        {CURLE_WRITE_ERROR, PS_TRANSFER_BAD_ANSWER}, /* our callback refused what came */
        {CURLE_OUT_OF_MEMORY, PS_TRANSFER_NO_MEMORY},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].transfer;
    return PS_TRANSFER_LOCAL_FAILURE;
}
