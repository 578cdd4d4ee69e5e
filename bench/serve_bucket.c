/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_bucket.c - answers about a bucket: HeadBucket, GetBucketLocation, ListObjectsV2. */
#include "bench/serve_express.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_KEYS = 1000,
    TOKEN_MAX = 4 * (SERVE_KEY_MAX + 3) / 3 + 4,
    DELIMITER_MAX = 64,
};

/* A listing that was asked for. */
struct listing {
    struct serve_list_query query;
    bool url_encoded;
    bool has_token;
    bool has_start_after;
    bool has_delimiter;
    char prefix[SERVE_KEY_MAX + 1];
    char delimiter[DELIMITER_MAX + 1];
    char start_after[SERVE_KEY_MAX + 1];
    char token[TOKEN_MAX + 1];
    char token_key[SERVE_KEY_MAX + 3];
};

/* A continuation token is base64 of 'k' and the last key handed out, or of 'p' and the last common
 * prefix. Base64 with '+', '/' and '=', like S3's: a client that does not encode it is found out.
 */
static void add_token(struct serve_text *xml, const struct serve_list_item *last)
{
    unsigned char plain[SERVE_KEY_MAX + 1];
    char token[TOKEN_MAX + 1];

    plain[0] = last->is_prefix ? 'p' : 'k';
    memcpy(plain + 1, last->key, last->key_len_bytes);
    EVP_EncodeBlock((unsigned char *)token, plain, (int)last->key_len_bytes + 1);
    serve_text_format(xml, "<NextContinuationToken>%s</NextContinuationToken>", token);
}

static bool read_token(struct listing *listing)
{
    size_t len_bytes = strlen(listing->token);
    unsigned char plain[TOKEN_MAX];
    int plain_bytes = EVP_DecodeBlock(plain, (const unsigned char *)listing->token, (int)len_bytes);

    if (len_bytes == 0 || plain_bytes < 2 || (plain[0] != 'k' && plain[0] != 'p'))
        return false;
    /* EVP_DecodeBlock counts the bytes that the padding stands for. */
    for (size_t i = len_bytes; i > len_bytes - 2 && listing->token[i - 1] == '='; i--)
        plain_bytes--;
    if (plain_bytes < 2 || plain_bytes > SERVE_KEY_MAX + 1 ||
        memchr(plain, '\0', (size_t)plain_bytes))
        return false;
    memcpy(listing->token_key, plain + 1, (size_t)plain_bytes - 1);
    listing->token_key[plain_bytes - 1] = '\0';
    listing->query.after = listing->token_key;
    listing->query.after_prefix = plain[0] == 'p';
    listing->query.use_snapshot = true;
    return true;
}

static bool read_max_keys(const struct serve_request *request, uint32_t *max_keys)
{
    char text[16], *end;
    unsigned long value;

    *max_keys = MAX_KEYS;
    if (!serve_request_has(request, "max-keys"))
        return true;
    if (!serve_request_parameter(request, "max-keys", text, sizeof text) || text[0] < '0' ||
        text[0] > '9')
        return false;
    value = strtoul(text, &end, 10);
    if (value < MAX_KEYS)
        *max_keys = (uint32_t)value;
    return *end == '\0';
}

/* A parameter that need not be there, but has to fit when it is. */
static bool read_optional(const struct serve_request *request, const char *name, char *out,
                          size_t out_bytes, bool *seen)
{
    out[0] = '\0';
    *seen = serve_request_has(request, name);
    return !*seen || serve_request_parameter(request, name, out, out_bytes);
}

/* What a directory bucket does not have. It lists from the last key to the first, which is one of
 * many ways not to be in order. */
static const char *check_directory_listing(struct listing *listing)
{
    size_t prefix_bytes = strlen(listing->prefix);

    listing->query.backwards = true;
    if (prefix_bytes > 0 && listing->prefix[prefix_bytes - 1] != '/')
        return "This bucket does not support a prefix that does not end in a delimiter";
    if (listing->has_start_after || listing->has_delimiter)
        return "This server lists directory buckets without start-after and delimiter";
    return NULL;
}

/* Reads the query. Returns NULL, or what is wrong with it. */
static const char *read_listing(const struct serve_request *request, struct listing *listing)
{
    char encoding[8];
    bool seen;

    *listing = (struct listing){.query = {.prefix = listing->prefix,
                                          .delimiter = listing->delimiter,
                                          .after = listing->start_after}};
    if (!read_optional(request, "prefix", listing->prefix, sizeof listing->prefix, &seen))
        return "The prefix provided is not valid";
    if (!read_optional(request, "delimiter", listing->delimiter, sizeof listing->delimiter,
                       &listing->has_delimiter))
        return "The delimiter provided is not valid";
    if (!read_optional(request, "start-after", listing->start_after, sizeof listing->start_after,
                       &listing->has_start_after))
        return "The start-after key provided is not valid";
    if (!read_optional(request, "encoding-type", encoding, sizeof encoding,
                       &listing->url_encoded) ||
        (listing->url_encoded && strcmp(encoding, "url") != 0))
        return "Invalid Encoding Method specified in Request";
    if (!read_max_keys(request, &listing->query.max_keys))
        return "Provided max-keys not an integer or within integer range";
    if (!read_optional(request, "continuation-token", listing->token, sizeof listing->token,
                       &listing->has_token) ||
        (listing->has_token && !read_token(listing)))
        return "The continuation token provided is incorrect";
    return serve_express_is_bucket(request->bucket) ? check_directory_listing(listing) : NULL;
}

static void add_element(struct serve_text *xml, const struct listing *listing, const char *name,
                        const char *text, size_t len_bytes)
{
    serve_text_format(xml, "<%s>", name);
    if (listing->url_encoded)
        serve_text_url(xml, text, len_bytes, "/+");
    else
        serve_text_xml(xml, text, len_bytes);
    serve_text_format(xml, "</%s>", name);
}

static void add_head(struct serve_text *xml, const struct serve_request *request,
                     const struct listing *listing, const struct serve_list_page *page)
{
    serve_text_format(xml,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                      "<Name>%s</Name>",
                      request->bucket);
    add_element(xml, listing, "Prefix", listing->prefix, strlen(listing->prefix));
    if (listing->has_delimiter)
        add_element(xml, listing, "Delimiter", listing->delimiter, strlen(listing->delimiter));
    if (listing->has_start_after)
        add_element(xml, listing, "StartAfter", listing->start_after, strlen(listing->start_after));
    if (listing->url_encoded)
        serve_text_str(xml, "<EncodingType>url</EncodingType>");
    if (listing->has_token) {
        serve_text_str(xml, "<ContinuationToken>");
        serve_text_xml(xml, listing->token, strlen(listing->token));
        serve_text_str(xml, "</ContinuationToken>");
    }
    serve_text_format(
        xml, "<KeyCount>%u</KeyCount><MaxKeys>%u</MaxKeys><IsTruncated>%s</IsTruncated>",
        page->item_count, listing->query.max_keys, page->truncated ? "true" : "false");
}

static void add_item(struct serve_text *xml, const struct listing *listing,
                     const struct serve_list_item *item)
{
    char modified[32], etag[SERVE_ETAG_LEN + 1];
    time_t seconds = (time_t)(item->mtime_ns / 1000000000);
    struct tm tm;

    if (item->is_prefix) {
        serve_text_str(xml, "<CommonPrefixes>");
        add_element(xml, listing, "Prefix", item->key, item->key_len_bytes);
        serve_text_str(xml, "</CommonPrefixes>");
        return;
    }
    gmtime_r(&seconds, &tm);
    strftime(modified, sizeof modified, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    serve_store_etag(item->size_bytes, item->mtime_ns, item->inode, etag);
    serve_text_str(xml, "<Contents>");
    add_element(xml, listing, "Key", item->key, item->key_len_bytes);
    serve_text_format(xml, "<LastModified>%s</LastModified><ETag>", modified);
    serve_text_xml(xml, etag, SERVE_ETAG_LEN);
    serve_text_format(xml,
                      "</ETag><Size>%llu</Size><StorageClass>STANDARD</StorageClass></Contents>",
                      (unsigned long long)item->size_bytes);
}

static enum MHD_Result answer_listing(struct serve_request *request, struct listing *listing)
{
    struct serve_list_page page;
    struct serve_text xml = {0};

    if (!serve_request_pick_fault(request, SERVE_FAULT_OP_LIST, listing->prefix))
        return MHD_YES;
    if (request->fault && request->fault->kind == SERVE_FAULT_STATUS)
        return serve_reply_fault_status(request);
    if (serve_list_page(request->serve->list, request->bucket, request->bucket_fd, &listing->query,
                        &page) != 0)
        return serve_reply_simple_error(request, 500, "InternalError",
                                        "The server ran out of memory.");
    add_head(&xml, request, listing, &page);
    if (page.truncated && page.item_count > 0)
        add_token(&xml, &page.items[page.item_count - 1]);
    for (uint32_t i = 0; i < page.item_count; i++)
        add_item(&xml, listing, &page.items[i]);
    serve_text_str(&xml, "</ListBucketResult>");
    serve_list_page_free(&page);
    return serve_reply_xml(request, 200, &xml);
}

static enum MHD_Result answer_get(struct serve_request *request)
{
    struct listing *listing;
    struct serve_text xml = {0};
    char type[4];
    const char *wrong;
    enum MHD_Result result;

    if (serve_request_has(request, "location")) {
        const char *region = request->serve->config->policy.region;

        /* The first region is the one without a name: S3 has it so, and clients expect it. */
        serve_text_format(&xml,
                          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint "
                          "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
                          "</LocationConstraint>",
                          strcmp(region, "us-east-1") == 0 ? "" : region);
        return serve_reply_xml(request, 200, &xml);
    }
    if (serve_express_is_bucket(request->bucket) && serve_request_has(request, "session"))
        return serve_express_answer(request);
    if (!serve_request_parameter(request, "list-type", type, sizeof type) || strcmp(type, "2") != 0)
        return serve_reply_simple_error(request, 501, "NotImplemented",
                                        "This server lists with ListObjectsV2 (list-type=2) only.");
    listing = malloc(sizeof *listing);
    if (!listing)
        return serve_reply_simple_error(request, 500, "InternalError",
                                        "The server ran out of memory.");
    wrong = read_listing(request, listing);
    if (wrong)
        result = serve_reply_simple_error(request, 400, "InvalidArgument", wrong);
    else
        result = answer_listing(request, listing);
    free(listing);
    return result;
}

enum MHD_Result serve_answer_bucket(struct serve_request *request)
{
    enum MHD_Result result;

    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        return serve_answer_method_not_allowed(request, "GET, HEAD");
    if (!serve_request_open_bucket(request, &result))
        return result;
    if (strcmp(request->method, "GET") == 0)
        return answer_get(request);
    return serve_reply_empty(request, 200, "x-amz-bucket-region",
                             request->serve->config->policy.region, NULL);
}
