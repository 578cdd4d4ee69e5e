/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_xml.c - keys in the XML of the security token service, and of CreateSession. */
#include "pipe/credentials_sources.h"

#include "pipe/text.h"

#include <expat.h>
#include <string.h>

static void on_start(void *cookie, const char *name, const char **attributes)
{
    struct ps_key_xml *parse = cookie;

    (void)attributes;
    ps_text_copy(parse->element, sizeof parse->element, name);
}

static void on_end(void *cookie, const char *name)
{
    struct ps_key_xml *parse = cookie;

    (void)name;
    parse->element[0] = '\0';
}

static void on_text(void *cookie, const char *text, int len)
{
    struct ps_key_xml *parse = cookie;
    struct ps_keys *keys = &parse->out->keys;
    const struct {
        const char *name;
        char *out;
        size_t size;
    } fields[] = {
        {"AccessKeyId", keys->access_key_id, sizeof keys->access_key_id},
        {"SecretAccessKey", keys->secret_access_key, sizeof keys->secret_access_key},
        {"SessionToken", keys->session_token, sizeof keys->session_token},
        {"Expiration", parse->expiration, sizeof parse->expiration},
        {"Code", parse->code, sizeof parse->code},
        {"Message", parse->message, sizeof parse->message},
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, parse->element) == 0) {
            size_t used = strlen(fields[i].out);
            size_t room = fields[i].size - 1 - used;

            parse->cut |= i < 4 && (size_t)len > room;
            memcpy(fields[i].out + used, text, (size_t)len < room ? (size_t)len : room);
        }
}

bool ps_key_parse_xml(const char *text, size_t len_bytes, struct ps_key_xml *parse)
{
    XML_Parser xml = XML_ParserCreate(NULL);
    struct ps_credentials *out = parse->out;

    if (!xml)
        return false;
    XML_SetUserData(xml, parse);
    XML_SetElementHandler(xml, on_start, on_end);
    XML_SetCharacterDataHandler(xml, on_text);
    bool good = XML_Parse(xml, text, (int)len_bytes, 1) == XML_STATUS_OK;

    XML_ParserFree(xml);
    out->expires_s = ps_key_parse_time(parse->expiration);
    return good && !parse->cut && *out->keys.access_key_id && *out->keys.secret_access_key &&
           *out->keys.session_token && out->expires_s != 0;
}
