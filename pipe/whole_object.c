/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/whole_object.c - see whole_object.h. */
#include "pipe/whole_object.h"

#include "pipe/engine.h"
#include "pipe/error.h"
#include "pipe/list_files.h"
#include "pipe/s3_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Lists of labels have a line of some 50 bytes for a picture: ten million of them. */
#define FORMAT_FILE_BYTES_MAX ((uint64_t)512 << 20)

static int read_file(const char *path, uint64_t size_most, const char *what, uint8_t **out,
                     size_t *len_bytes, struct penstock_error *error)
{
    FILE *file = fopen(path, "re");
    struct stat status;
    int rc = PENSTOCK_OK;

    if (!file || fstat(fileno(file), &status) != 0)
        rc = ps_fail_errno(error, ps_file_rc(errno), errno, "cannot open %s %s", what, path);
    else if (!S_ISREG(status.st_mode))
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT, "%s %s is no regular file", what, path);
    else if ((uint64_t)status.st_size > size_most)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT, "%s %s has more than %llu bytes", what, path,
                     (unsigned long long)size_most);
    else if ((*out = malloc((size_t)status.st_size + 1)) == NULL)
        rc = ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %s %s", what, path);
    else if ((*len_bytes = fread(*out, 1, (size_t)status.st_size, file)) < (size_t)status.st_size)
        rc = ps_fail_errno(error, PENSTOCK_E_SYSTEM, errno, "cannot read %s %s", what, path);
    if (rc != PENSTOCK_OK)
        ps_error_object(error, NULL, path, 0);
    if (file)
        fclose(file);
    return rc;
}

int ps_whole_object_read(struct ps_channel *ch, struct ps_source *source, const char *key,
                         uint64_t size_most, const char *what, uint8_t **out, size_t *len_bytes,
                         struct penstock_error *error)
{
    uint64_t requests = 0;

    if (source->uri.kind != PS_URI_S3)
        return read_file(key, size_most, what, out, len_bytes, error);
    int rc = ps_s3_read_object(&source->site, key, size_most, &ch->stream->stopping, out, len_bytes,
                               &requests, error);

    atomic_fetch_add(&ch->counts.list_requests, requests);
    return rc;
}

/* The key, if the URI names an object in the bucket of the channel's first URI. */
static int key_of(const struct ps_channel *ch, const char *text, struct ps_uri *uri,
                  struct penstock_error *error)
{
    const struct ps_source *source = &ch->sources[0];
    int rc = ps_uri_parse(text, uri, error);

    if (rc != PENSTOCK_OK)
        return rc;
    if (source->uri.kind != PS_URI_S3 || strcmp(uri->bucket, source->uri.bucket) != 0)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "channel %s: %s, which its content type names, has to be in the bucket of "
                       "%s, or a file",
                       ch->name, text, source->text);
    return PENSTOCK_OK;
}

int ps_whole_object_for_format(struct ps_channel *ch, struct penstock_error *error)
{
    const struct fmt_ops *ops = ch->options.ops;
    const char *text = ops && ops->file_wanted ? ops->file_wanted(ch->options.own) : NULL;
    struct fmt_error cause = {.text = ""};
    struct ps_uri uri;
    uint8_t *bytes = NULL;
    size_t len_bytes = 0;
    int rc = PENSTOCK_OK;

    if (!text)
        return PENSTOCK_OK;
    if (strncmp(text, "s3://", 5) == 0) {
        rc = key_of(ch, text, &uri, error);
        if (rc == PENSTOCK_OK)
            rc = ps_whole_object_read(ch, &ch->sources[0], uri.prefix, FORMAT_FILE_BYTES_MAX,
                                      "the file", &bytes, &len_bytes, error);
    } else {
        rc = read_file(text, FORMAT_FILE_BYTES_MAX, "the file", &bytes, &len_bytes, error);
    }
    if (rc == PENSTOCK_OK && ops->take_file(ch->options.own, bytes, len_bytes, &cause) != FMT_OK)
        rc = ps_fail(error, PENSTOCK_E_FORMAT, "channel %s: %s, which its content type names: %s",
                     ch->name, text, *cause.text ? cause.text : "out of memory");
    free(bytes);
    return rc;
}
