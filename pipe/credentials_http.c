/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_http.c - small requests to services that hand out keys. */
#include "pipe/credentials_sources.h"

#include "pipe/curl_common.h"
#include "pipe/text.h"

#include <string.h>
#include <time.h>

static size_t on_body(char *data, size_t one, size_t len_bytes, void *cookie)
{
    struct ps_key_answer *answer = cookie;

    (void)one;
    if (len_bytes >= sizeof answer->body - answer->len_bytes)
        return 0; /* libcurl ends the transfer */
    memcpy(answer->body + answer->len_bytes, data, len_bytes);
    answer->len_bytes += len_bytes;
    answer->body[answer->len_bytes] = '\0';
    return len_bytes;
}

static struct curl_slist *make_list(const char *const *headers)
{
    struct curl_slist *list = NULL;

    for (; *headers; headers++) {
        struct curl_slist *longer = curl_slist_append(list, *headers);

        if (!longer) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

static CURLcode set_options(CURL *easy, const struct ps_key_request *request,
                            struct ps_key_answer *answer, struct curl_slist *list)
{
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(easy, option, value)
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    SET(CURLOPT_HTTPHEADER, list);
    if (request->body)
        SET(CURLOPT_POSTFIELDS, request->body);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)answer);
    if (request->local)
        SET(CURLOPT_NOPROXY, "*");
    if (*request->ca_bundle)
        SET(CURLOPT_CAINFO, request->ca_bundle);
#undef SET
    return code;
}

static void ask_once(const struct ps_key_request *request, struct ps_key_answer *answer)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *list = make_list(request->headers);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;

    answer->status = 0;
    answer->len_bytes = 0;
    answer->body[0] = '\0';
    if (easy && (list || !request->headers[0]))
        code = set_options(easy, request, answer, list);
    if (code == CURLE_OK)
        code = curl_easy_perform(easy);
    if (code == CURLE_OK) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        answer->status = (int)status;
    }
    ps_text_copy(answer->why, sizeof answer->why, curl_easy_strerror(code));
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
}

void ps_key_ask(const struct ps_key_request *request, struct ps_key_answer *answer)
{
    const struct timespec second = {.tv_sec = 1};

    for (uint32_t attempt = 1;; attempt++) {
        ask_once(request, answer);
        if ((answer->status != 0 && answer->status < 500) || attempt >= request->attempts)
            return;
        nanosleep(&second, NULL);
    }
}

void ps_key_answer_wipe(struct ps_key_answer *answer)
{
    explicit_bzero(answer->body, sizeof answer->body);
}
