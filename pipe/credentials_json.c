/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/credentials_json.c - keys as the container endpoint, the instance and programs write them.
 */
#include "pipe/credentials_sources.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

int64_t ps_key_parse_time(const char *text)
{
    struct tm when = {.tm_sec = 0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &when);

    if (!rest)
        return 0;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0 && strcmp(rest, "+0000") != 0)
        return 0;
    return timegm(&when);
}

/* The text of a member, "" if there is none. */
static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static int take(const json_t *object, struct ps_credentials *out, struct penstock_error *error)
{
    static const char *const names[3] = {"AccessKeyId", "SecretAccessKey", "the session token"};
    const char *token = member(object, "Token");
    const char *expiration = member(object, "Expiration");
    const char *origin = out->origin;

    if (!*token)
        token = member(object, "SessionToken");
    if (!*member(object, "AccessKeyId") || !*member(object, "SecretAccessKey"))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "%s gave no AccessKeyId and SecretAccessKey%s%.*s", origin,
                       *member(object, "Message") ? ": " : "", 300, member(object, "Message"));
    if (!ps_text_copy(out->keys.access_key_id, sizeof out->keys.access_key_id,
                      member(object, "AccessKeyId")) ||
        !ps_text_copy(out->keys.secret_access_key, sizeof out->keys.secret_access_key,
                      member(object, "SecretAccessKey")) ||
        !ps_text_copy(out->keys.session_token, sizeof out->keys.session_token, token))
        return ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s gave keys that are too long", origin);
    out->expires_s = ps_key_parse_time(expiration);
    if (*expiration && out->expires_s == 0)
        return ps_fail(error, PENSTOCK_E_CREDENTIALS,
                       "%s gave keys that expire at '%.40s', which "
                       "is no time",
                       origin, expiration);
    return ps_key_check(out, names, error);
}

int ps_key_parse_json(const char *text, size_t len_bytes, struct ps_credentials *out,
                      struct penstock_error *error)
{
    json_error_t where;
    json_t *object = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, &where);
    int rc;

    if (json_is_object(object))
        rc = take(object, out, error);
    else
        rc = ps_fail(error, PENSTOCK_E_CREDENTIALS, "%s gave something that is no JSON object",
                     out->origin);
    json_decref(object);
    return rc;
}
