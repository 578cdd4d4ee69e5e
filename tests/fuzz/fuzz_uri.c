/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_uri.c - any text as a URI: what is accepted is kept byte for byte, and the URL of
 * a request for it decodes to the same key. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipe/s3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static unsigned hex_digit(char c)
{
    require((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* `encoded` is `key` in percent-encoding, and holds nothing that a URL's path may not. */
static void check_encoding(const char *encoded, const char *key)
{
    for (; *encoded; encoded++, key++) {
        unsigned char byte = (unsigned char)*encoded;
        if (*encoded == '%') {
            byte = (unsigned char)(hex_digit(encoded[1]) * 16 + hex_digit(encoded[2]));
            encoded += 2;
        } else {
            require(*encoded == '/' || ps_text_is_unreserved(*encoded));
        }
        require(byte == (unsigned char)*key);
    }
    require(!*key);
}

static void check_request(const struct ps_uri *uri)
{
    static const struct ps_s3_account account = {
        .credentials = {.keys = {.access_key_id = "AKID", .secret_access_key = "secret"}},
        .region = "us-east-1"};
    static struct ps_s3_request request;
    struct ps_sigv4_cache cache = {.scope = ""};
    struct ps_s3_site site;
    const struct ps_s3_request_spec spec = {.method = "GET", .key = uri->prefix};
    require(ps_s3_site_init(&account, uri->bucket, &site, NULL) == PENSTOCK_OK);
    require(ps_s3_request_build(&site, &spec, 0, &cache, &request, NULL) == PENSTOCK_OK);
    const char *path = request.target + 1;
    if (ps_s3_site_place(&site)->path_style) {
        require(!strncmp(path, uri->bucket, strlen(uri->bucket)));
        path += strlen(uri->bucket) + 1;
    }
    check_encoding(path, uri->prefix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_uri uri;
    struct penstock_error error = {.rc = PENSTOCK_OK};
    char again[sizeof uri.bucket + sizeof uri.prefix + 16];
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (ps_uri_parse(text, &uri, &error) != PENSTOCK_OK) {
        require(error.rc == PENSTOCK_E_ARGUMENT && *error.message);
    } else if (uri.kind == PS_URI_FILE) {
        const char *path = strncasecmp(text, "file:///", 8) ? text : text + 7;
        require(!strcmp(uri.prefix, path) && !*uri.bucket);
    } else {
        bool slash = strchr(text + 5, '/') != NULL;
        snprintf(again, sizeof again, "%.5s%s%s%s", text, uri.bucket, slash ? "/" : "", uri.prefix);
        require(!strcmp(again, text));
        check_request(&uri);
    }
    free(text);
    return 0;
}
