/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_http.c - small requests to services that hand out keys. */
#include "pipe/credentials_sources.h"

#include "pipe/curl_common.h"
#include "pipe/text.h"

#include <string.h>
#include <time.h>

#define POLL_MS 50 /* how often the stop flag is looked at */

static bool is_stopped(const atomic_bool *stop)
{
    return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

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

/* Runs the transfer to its end, or until the stop flag is set. */
static CURLcode perform(CURL *easy, const atomic_bool *stop)
{
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int running = 1, left;

    if (!multi || curl_multi_add_handle(multi, easy) != CURLM_OK) {
        curl_multi_cleanup(multi);
        return CURLE_OUT_OF_MEMORY;
    }
    while (running && !is_stopped(stop))
        if (curl_multi_perform(multi, &running) != CURLM_OK ||
            (running && curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK))
            break;
    CURLMsg *message = running ? NULL : curl_multi_info_read(multi, &left);

    if (message && message->msg == CURLMSG_DONE)
        code = message->data.result;
    curl_multi_remove_handle(multi, easy);
    curl_multi_cleanup(multi);
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
        code = perform(easy, request->stop);
    if (code == CURLE_OK) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        answer->status = (int)status;
    }
    ps_text_copy(answer->why, sizeof answer->why, curl_easy_strerror(code));
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
}

/* The security token service refuses with 400 what it takes a moment later. */
static bool is_throttled(const struct ps_key_answer *answer)
{
    return answer->status == 429 ||
           (answer->status == 400 && (strstr(answer->body, "<Code>Throttl") ||
                                      strstr(answer->body, "<Code>IDPCommunicationError<")));
}

void ps_key_ask(const struct ps_key_request *request, struct ps_key_answer *answer)
{
    for (uint32_t attempt = 1;; attempt++) {
        ask_once(request, answer);
        if ((answer->status != 0 && answer->status < 500 && !is_throttled(answer)) ||
            attempt >= request->attempts)
            return;
        for (uint32_t ms = 0; ms < 1000; ms += POLL_MS) {
            const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

            if (is_stopped(request->stop))
                return;
            nanosleep(&pause, NULL);
        }
    }
}

void ps_key_answer_wipe(struct ps_key_answer *answer)
{
    explicit_bzero(answer->body, sizeof answer->body);
}
