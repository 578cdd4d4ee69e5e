/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_http_head.c - heads and chunks of HTTP answers: bytes that come one by one give
 * what the whole gives, nothing outside is read, and an unfinished chunked body is left as it is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool held)
{
    if (!held)
        abort();
}

/* A copy of exactly `size` bytes, so that the sanitizer sees an over-read. */
static char *copy_of(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);

    check(copy != NULL);
    memcpy(copy, data, size);
    return copy;
}

static void fuzz_head(const uint8_t *data, size_t size)
{
    char *in = copy_of(data, size);
    struct ps_http_head whole, growing;
    size_t scanned = 0;
    enum ps_http_rc want = ps_http_head_parse(in, size, &scanned, &whole);
    enum ps_http_rc got = PS_HTTP_MORE;

    scanned = 0;
    for (size_t len = 0; len <= size && got == PS_HTTP_MORE; len++)
        got = ps_http_head_parse(in, len, &scanned, &growing);
    check(got == want);
    if (want == PS_HTTP_OK) {
        check(whole.len_bytes == growing.len_bytes && whole.status == growing.status);
        check(whole.content_length == growing.content_length && whole.chunked == growing.chunked);
        check(whole.len_bytes <= size && whole.status >= 100);
    }
    free(in);
}

static void fuzz_chunks(const uint8_t *data, size_t size)
{
    char *in = copy_of(data, size);
    size_t body_bytes = 0;
    size_t taken_bytes = 0;

    if (ps_http_unchunk(in, size, &body_bytes, &taken_bytes) == PS_HTTP_OK)
        check(body_bytes < taken_bytes && taken_bytes <= size);
    else
        check(memcmp(in, data, size) == 0);
    free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 20000)
        return 0;
    fuzz_head(data, size);
    fuzz_chunks(data, size);
    return 0;
}
