/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/s3_xml.c - parse S3's XML answers. */
#include "pipe/s3_xml.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/error.h"

#define SIZE_BYTES_MAX (UINT64_C(1) << 50) /* S3 ends at 50 TB; leaves room to add sizes up */
#define DEPTH_MAX 16                       /* ListBucketResult/Contents/Owner/ID has 4 */
#define FIELD_BYTES_MAX                                                                            \
    (3 * PS_KEY_BYTES_MAX > PS_S3_TOKEN_MAX ? 3 * PS_KEY_BYTES_MAX : PS_S3_TOKEN_MAX)

/* The elements whose text matters. */
enum field {
    FIELD_NONE,
    FIELD_TRUNCATED,
    FIELD_TOKEN,
    FIELD_ENCODING,
    FIELD_KEY,
    FIELD_ETAG,
    FIELD_SIZE,
    FIELD_CODE,
    FIELD_MESSAGE,
    FIELD_REQUEST_ID,
    FIELD_REGION,
};

struct parse {
    XML_Parser xml;
    const char *fault; /* why the parse was stopped, NULL if it was not */
    unsigned depth;
    bool in_contents;
    enum field field;
    char text[FIELD_BYTES_MAX + 1]; /* of `field` */
    size_t text_len;

    struct ps_s3_page *page;     /* NULL: an error document is parsed */
    struct ps_s3_answer *answer; /* NULL: a listing is parsed */
    struct ps_s3_object object;  /* the Contents at hand */
    bool has_size, has_truncated, encoded;
    size_t objects_max;
    bool no_memory;
};

static void stop(struct parse *parse, const char *fault)
{
    if (!parse->fault)
        parse->fault = fault;
    XML_StopParser(parse->xml, XML_FALSE);
}

static enum field find_field(const struct parse *parse, const char *name)
{
    static const struct {
        const char *name;
        enum field field;
        unsigned depth;
        bool in_contents, in_error;
    } table[] = {
        {"IsTruncated", FIELD_TRUNCATED, 2, false, false},
        {"NextContinuationToken", FIELD_TOKEN, 2, false, false},
        {"EncodingType", FIELD_ENCODING, 2, false, false},
        {"Key", FIELD_KEY, 3, true, false},
        {"ETag", FIELD_ETAG, 3, true, false},
        {"Size", FIELD_SIZE, 3, true, false},
        {"Code", FIELD_CODE, 2, false, true},
        {"Message", FIELD_MESSAGE, 2, false, true},
        {"RequestId", FIELD_REQUEST_ID, 2, false, true},
        {"Region", FIELD_REGION, 2, false, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].depth == parse->depth && table[i].in_contents == parse->in_contents &&
            table[i].in_error == (parse->answer != NULL) && !strcmp(table[i].name, name))
            return table[i].field;
    return FIELD_NONE;
}

static void on_start(void *cookie, const char *name, const char **attributes)
{
    struct parse *parse = cookie;
    (void)attributes;
    parse->depth++;
    if (parse->depth > DEPTH_MAX) {
        stop(parse, "elements are nested too deep");
    } else if (parse->depth == 1) {
        if (strcmp(name, parse->page ? "ListBucketResult" : "Error"))
            stop(parse, parse->page ? "it is no ListBucketResult" : "it is no Error");
    } else if (parse->depth == 2 && parse->page && !strcmp(name, "Contents")) {
        parse->in_contents = true;
        parse->has_size = false;
        parse->object = (struct ps_s3_object){.key = "", .etag = ""};
    } else if (parse->field != FIELD_NONE) {
        stop(parse, "there is an element where text is expected");
    }
    if (!parse->fault && parse->field == FIELD_NONE) {
        parse->field = find_field(parse, name);
        parse->text_len = 0;
    }
}

static void on_text(void *cookie, const char *text, int len)
{
    struct parse *parse = cookie;
    size_t more = (size_t)len;
    if (parse->field == FIELD_NONE)
        return;
    if (more > FIELD_BYTES_MAX - parse->text_len) {
        if (parse->page) {
            stop(parse, "a key or a token is too long");
            return;
        }
        more = FIELD_BYTES_MAX - parse->text_len;
    }
    memcpy(parse->text + parse->text_len, text, more);
    parse->text_len += more;
}

/* Keeps the text at hand in the page. */
static const char *keep(struct parse *parse)
{
    struct ps_s3_page *page = parse->page;
    size_t size = parse->text_len + 1;
    if (size > page->capacity - page->text_bytes) {
        stop(parse, "its texts are longer than itself"); /* each is shorter with its tags off */
        return "";
    }
    char *kept = page->text + page->text_bytes;
    memcpy(kept, parse->text, size);
    page->text_bytes += size;
    return kept;
}

static void read_size(struct parse *parse)
{
    uint64_t size = 0;
    for (const char *c = parse->text; *c; c++) {
        if (*c < '0' || *c > '9' || size > SIZE_BYTES_MAX / 10) {
            stop(parse, "a Size is no number, or too large");
            return;
        }
        size = size * 10 + (uint64_t)(*c - '0');
    }
    parse->has_size = parse->text_len > 0;
    parse->object.size_bytes = size;
}

static void read_truncated(struct parse *parse)
{
    bool yes = !strcmp(parse->text, "true");
    if (!yes && strcmp(parse->text, "false"))
        stop(parse, "IsTruncated is neither true nor false");
    parse->has_truncated = true;
    parse->page->truncated = yes;
}

static void end_field(struct parse *parse)
{
    struct ps_s3_answer *answer = parse->answer;
    parse->text[parse->text_len] = '\0';
    switch (parse->field) {
    case FIELD_NONE:
        break;
    case FIELD_TRUNCATED:
        read_truncated(parse);
        break;
    case FIELD_TOKEN:
        ps_text_copy(parse->page->token, sizeof parse->page->token, parse->text);
        break;
    case FIELD_ENCODING:
        parse->encoded = !strcmp(parse->text, "url");
        break;
    case FIELD_KEY:
        parse->object.key = keep(parse);
        break;
    case FIELD_ETAG:
        parse->object.etag = keep(parse);
        break;
    case FIELD_SIZE:
        read_size(parse);
        break;
    case FIELD_CODE:
        ps_text_copy(answer->code, sizeof answer->code, parse->text);
        break;
    case FIELD_MESSAGE:
        ps_text_copy(answer->message, sizeof answer->message, parse->text);
        break;
    case FIELD_REQUEST_ID:
        ps_text_copy(answer->request_id, sizeof answer->request_id, parse->text);
        break;
    case FIELD_REGION:
        ps_text_copy(answer->region, sizeof answer->region, parse->text);
        break;
    }
    parse->field = FIELD_NONE;
}

static void end_contents(struct parse *parse)
{
    struct ps_s3_page *page = parse->page;
    parse->in_contents = false;
    if (!*parse->object.key || !parse->has_size) {
        stop(parse, "an entry has no Key or no Size");
        return;
    }
    if (page->count == parse->objects_max) {
        size_t more = parse->objects_max ? 2 * parse->objects_max : 1024;
        struct ps_s3_object *objects = realloc(page->objects, more * sizeof *objects);
        if (!objects) {
            parse->no_memory = true;
            stop(parse, "out of memory");
            return;
        }
        page->objects = objects;
        parse->objects_max = more;
    }
    page->objects[page->count++] = parse->object;
}

static void on_end(void *cookie, const char *name)
{
    struct parse *parse = cookie;
    (void)name;
    if (parse->fault)
        return;
    end_field(parse);
    if (parse->depth == 2 && parse->in_contents)
        end_contents(parse);
    parse->depth--;
}

/* No entities, no expansion: S3 never sends a document type. */
static void on_doctype(void *cookie, const char *name, const char *system_id, const char *public_id,
                       int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    stop(cookie, "it has a document type declaration");
}

/* Feeds the whole body to the parser. Returns what is wrong with it, or NULL. */
static const char *run(struct parse *parse, const char *body, size_t len, unsigned long *line)
{
    enum XML_Status status;
    const char *fault = NULL;

    *line = 0;
    parse->xml = XML_ParserCreate("UTF-8"); /* whatever the document says of itself */
    if (!parse->xml) {
        parse->no_memory = true;
        return "out of memory";
    }
    XML_SetUserData(parse->xml, parse);
    XML_SetElementHandler(parse->xml, on_start, on_end);
    XML_SetCharacterDataHandler(parse->xml, on_text);
    XML_SetStartDoctypeDeclHandler(parse->xml, on_doctype);
    status = XML_Parse(parse->xml, body, (int)len, XML_TRUE);
    if (parse->fault)
        fault = parse->fault;
    else if (status != XML_STATUS_OK)
        fault = XML_ErrorString(XML_GetErrorCode(parse->xml));
    *line = XML_GetCurrentLineNumber(parse->xml);
    XML_ParserFree(parse->xml);
    return fault;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes encoding-type=url in place: '+' is a space, as botocore reads it (unquote_plus). Returns
 * false for a '%' that is no code, and for NUL, which no key holds. */
static bool decode_key(char *key)
{
    char *out = key;
    for (; *key; key++) {
        if (*key == '+') {
            *out++ = ' ';
        } else if (*key == '%') {
            int high = hex_value(key[1]);
            int low = high < 0 ? -1 : hex_value(key[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            *out++ = (char)(high * 16 + low);
            key += 2;
        } else {
            *out++ = *key;
        }
    }
    *out = '\0';
    return true;
}

static const char *check_page(const struct parse *parse, struct ps_s3_page *page)
{
    if (!parse->has_truncated)
        return "it has no IsTruncated";
    if (page->truncated && !*page->token)
        return "it is truncated but has no NextContinuationToken";
    for (size_t i = 0; i < page->count; i++) {
        char *key = page->text + (page->objects[i].key - page->text);
        if (parse->encoded && !decode_key(key))
            return "a key is not encoded as encoding-type=url says";
        if (strlen(key) > PS_KEY_BYTES_MAX)
            return "a key is longer than 1024 bytes";
    }
    return NULL;
}

int ps_s3_xml_page(const char *body, size_t len, struct ps_s3_page *page,
                   struct penstock_error *error)
{
    struct parse parse = {.page = page};
    unsigned long line = 0;
    const char *fault;

    ps_s3_page_free(page);
    if (len > PS_S3_PAGE_BYTES_MAX)
        return ps_fail(error, PENSTOCK_E_HTTP, "the listing has %zu bytes, too many for one page",
                       len);
    page->text = malloc(len + 1);
    if (!page->text)
        return ps_fail(error, PENSTOCK_E_MEMORY, "no memory for a listing of %zu bytes", len);
    page->capacity = len + 1;
    fault = run(&parse, body, len, &line);
    if (!fault)
        fault = check_page(&parse, page);
    if (!fault)
        return PENSTOCK_OK;
    ps_s3_page_free(page);
    if (parse.no_memory)
        return ps_fail(error, PENSTOCK_E_MEMORY, "no memory for a listing of %zu bytes", len);
    return ps_fail(error, PENSTOCK_E_HTTP, "the listing cannot be used: %s (line %lu)", fault,
                   line);
}

void ps_s3_xml_answer(const char *body, size_t len, struct ps_s3_answer *out)
{
    struct parse parse = {.answer = out};
    unsigned long line;
    memset(out, 0, sizeof *out);
    if (len <= PS_S3_PAGE_BYTES_MAX)
        run(&parse, body, len, &line);
}

void ps_s3_page_free(struct ps_s3_page *page)
{
    free(page->objects);
    free(page->text);
    memset(page, 0, sizeof *page);
}
