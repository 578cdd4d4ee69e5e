/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/source.c - see source.h. */
#include "pipe/source.h"

#include "pipe/error.h"
#include "pipe/text.h"

#include <stdlib.h>
#include <string.h>

int ps_source_open(struct ps_source *source, const char *text, const struct ps_uri *uri,
                   const struct ps_s3_account *account, struct penstock_error *error)
{
    source->uri = *uri;
    source->text = strdup(text);
    if (!source->text)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    if (uri->kind == PS_URI_S3)
        return ps_s3_site_init(account, uri->bucket, &source->site, error);
    return PENSTOCK_OK;
}

void ps_source_close(struct ps_source *source)
{
    free(source->text);
    source->text = NULL;
}

void ps_source_name(const struct ps_source *source, const struct ps_object *object, char *out,
                    size_t size)
{
    struct ps_text text = ps_text_in(out, size);

    if (source->uri.kind == PS_URI_S3)
        ps_text_addf(&text, "s3://%s/", source->uri.bucket);
    ps_text_add(&text, object->key);
}

/* What lies beside records, and is none. */
static bool is_companion(const char *key)
{
    static const char *const endings[] = {".idx", ".lst", ".manifest"};
    size_t key_bytes = strlen(key);

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t len = strlen(endings[i]);

        if (key_bytes >= len && strcmp(key + key_bytes - len, endings[i]) == 0)
            return true;
    }
    return false;
}

int ps_source_bad_record(struct penstock_error *error, const char *channel_name,
                         const struct ps_source *source, const struct ps_object *object,
                         uint64_t offset_bytes, const char *cause)
{
    char name[1400];

    ps_source_name(source, object, name, sizeof name);
    ps_fail(error, PENSTOCK_E_FORMAT, "channel %s: %s, record at byte %llu: %s%s", channel_name,
            name, (unsigned long long)offset_bytes, cause,
            is_companion(object->key)
                ? "; by its name it is no records, but lies beside them: give "
                  "the suffix of those, such as .rec, as key_suffix"
                : "");
    ps_error_object(error, source->uri.bucket, object->key, offset_bytes);
    return PENSTOCK_E_FORMAT;
}
