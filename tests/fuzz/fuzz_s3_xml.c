/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_s3_xml.c - any bytes as S3's XML: a page holds only what the plan may rely on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_page(const struct ps_s3_page *page)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct ps_s3_object *object = &page->objects[i];
        require(*object->key && strlen(object->key) <= PS_KEY_BYTES_MAX);
        require(strlen(object->etag) < page->capacity);
        require(sum + object->size_bytes >= sum);
        sum += object->size_bytes;
    }
    require(!page->truncated || *page->token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_s3_page page = {.count = 0};
    struct ps_s3_answer answer;
    struct penstock_error error = {.rc = PENSTOCK_OK};

    if (ps_s3_xml_page((const char *)data, size, &page, &error) == PENSTOCK_OK)
        check_page(&page);
    else
        require(error.rc != PENSTOCK_OK && *error.message && !page.objects && !page.text);
    ps_s3_page_free(&page);

    ps_s3_xml_answer((const char *)data, size, &answer);
    require(strlen(answer.code) < sizeof answer.code);
    require(strlen(answer.message) < sizeof answer.message);
    require(strlen(answer.request_id) < sizeof answer.request_id);
    require(strlen(answer.region) < sizeof answer.region);
    return 0;
}
