/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect.c - objects as they come, and what they hold if they are compressed. See inspect.h.
 */
#include "pipe/inspect.h"

#include "formats/record_options.h"
#include "pipe/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_CODEC_MEMORY_BYTES ((size_t)8 << 30) /* of which it touches what files need */

enum { INFLATE_MEMORY_BYTES = 256 << 20, INFLATED_BYTES = 256 << 10 };

/* What a content type is told for. */
static enum ps_kind kind_of(const struct fmt_ops *ops)
{
    static const struct {
        const struct fmt_ops *ops;
        enum ps_kind kind;
    } kinds[] = {
        {&fmt_recordio_protobuf, PS_KIND_RECORD_PROTOBUF},
        {&fmt_csv, PS_KIND_CSV},
        {&fmt_libsvm, PS_KIND_LIBSVM},
        {&fmt_jsonl, PS_KIND_JSON_LINES},
        {&fmt_image, PS_KIND_JPEG},
        {&fmt_image_record, PS_KIND_IMAGE_RECORDIO},
        {&fmt_tfrecord, PS_KIND_TFRECORD},
        {&fmt_parquet, PS_KIND_PARQUET},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ops == kinds[i].ops)
            return kinds[i].kind;
    return PS_KIND_BINARY;
}

int ps_inspect_open(struct ps_inspect *inspect, struct penstock_error *error)
{
    struct fmt_error why;

    if (!inspect->content_type)
        return PENSTOCK_OK;
    if (fmt_options_parse(inspect->content_type, &inspect->options, &why) != FMT_OK)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "--content-type: %s", why.text);
    if (inspect->options.ops == &fmt_recordio_protobuf) {
        struct fmt_record_options *options = inspect->options.own;

        options->framed = false; /* rows are looked at one by one */
    }
    snprintf(inspect->type, sizeof inspect->type, "%s", inspect->content_type);
    inspect->kind = kind_of(inspect->options.ops);
    return PENSTOCK_OK;
}

void ps_inspect_close(struct ps_inspect *inspect)
{
    ps_inspect_rows_close(inspect);
    fmt_options_free(&inspect->options);
    fmt_inflate_free(inspect->inflate);
    free(inspect->pending);
    free(inspect->sizes.bytes);
    free(inspect->sizes.keys);
}

/* ---- compression ---- */

static const char *codec_name(enum fmt_codec codec)
{
    static const char *const names[] = {"none", "gzip", "lz4", "zstd", "auto"};

    return names[codec];
}

const char *ps_inspect_compression(const struct ps_inspect *inspect)
{
    return codec_name(inspect->codecs_differ ? FMT_CODEC_AUTO : inspect->codec);
}

/* What a format with a codec of its own makes of its objects is inspected as anything else. */
static bool has_own_codec(const struct ps_inspect *inspect)
{
    return inspect->content_type && inspect->options.ops && inspect->options.ops->codec;
}

static int begin_codec(struct ps_inspect *inspect, const struct penstock_span *span)
{
    enum fmt_codec codec = ps_inspect_codec(span->data, span->len_bytes);

    if (has_own_codec(inspect))
        codec = FMT_CODEC_OWN;
    else if (inspect->codec_given)
        codec = inspect->codec == FMT_CODEC_AUTO ? fmt_codec_of_key(span->key) : inspect->codec;
    else if (inspect->objects == 1)
        inspect->codec = codec;
    else if (codec != inspect->codec)
        inspect->codecs_differ = true;
    if (!inspect->codec_given && inspect->codecs_differ && codec != fmt_codec_of_key(span->key))
        ps_inspect_problem(
            inspect, PS_PROBLEM_COMPRESSION, span->key, 0,
            "compression is %s, that of the first object %s, and the key's extension "
            "does not tell",
            codec_name(codec), codec_name(inspect->codec));
    inspect->object_codec = codec;
    if (codec == FMT_CODEC_NONE)
        return PENSTOCK_OK;
    if (!inspect->inflate && codec == FMT_CODEC_OWN)
        inspect->inflate =
            fmt_inflate_new(FMT_CODEC_OWN, &inspect->options, OWN_CODEC_MEMORY_BYTES);
    else if (!inspect->inflate)
        inspect->inflate = fmt_inflate_new(FMT_CODEC_AUTO, NULL, INFLATE_MEMORY_BYTES);
    if (!inspect->inflate)
        return PENSTOCK_E_MEMORY;
    fmt_inflate_start(inspect->inflate, codec);
    return PENSTOCK_OK;
}

/* Inflates what there is, and hands it on. */
static int inflate(struct ps_inspect *inspect, const uint8_t *in, size_t len, bool at_end)
{
    uint8_t *out = malloc(INFLATED_BYTES);
    int rc = out ? PENSTOCK_OK : PENSTOCK_E_MEMORY;
    enum fmt_inflate_rc step_rc = FMT_INFLATE_OUT;

    while (rc == PENSTOCK_OK && step_rc == FMT_INFLATE_OUT && !inspect->passed_over) {
        struct fmt_inflate_step step = {
            .in = in, .in_bytes = len, .at_end = at_end, .out = out, .out_bytes = INFLATED_BYTES};
        struct fmt_error why;

        step_rc = fmt_inflate_run(inspect->inflate, &step, &why);
        if (step_rc == FMT_INFLATE_E_MEMORY) {
            rc = PENSTOCK_E_MEMORY;
        } else if (step_rc == FMT_INFLATE_E_FORMAT) {
            rc = ps_inspect_contents(inspect, out, step.produced_bytes, false);
            inspect->passed_over = true;
            ps_inspect_problem(inspect, PS_PROBLEM_CORRUPT, inspect->key, why.offset_bytes, "%s",
                               why.text);
        } else {
            in += step.consumed_bytes;
            len -= step.consumed_bytes;
            rc = ps_inspect_contents(inspect, out, step.produced_bytes, step_rc == FMT_INFLATE_END);
        }
    }
    free(out);
    return rc;
}

/* ---- spans ---- */

static int begin_object(struct ps_inspect *inspect, const struct penstock_span *span)
{
    inspect->objects++;
    inspect->key = span->key;
    inspect->object_open = true;
    inspect->passed_over = false;
    inspect->kind_known = inspect->content_type != NULL;
    inspect->pending_bytes = 0;
    inspect->pending_offset = 0;
    inspect->cut = (struct fmt_cut){.rows = 0};
    inspect->last_byte = '\n';
    return begin_codec(inspect, span);
}

int ps_inspect_take(struct ps_inspect *inspect, const struct penstock_span *span)
{
    int rc = PENSTOCK_OK;

    if (span->object_offset == 0)
        rc = begin_object(inspect, span);
    inspect->bytes_read += span->len_bytes;
    if (rc == PENSTOCK_OK && !inspect->passed_over)
        rc = inspect->object_codec == FMT_CODEC_NONE
                 ? ps_inspect_contents(inspect, span->data, span->len_bytes, span->ends_object)
                 : inflate(inspect, span->data, span->len_bytes, span->ends_object);
    if (span->ends_object) {
        inspect->objects_ended++;
        inspect->object_open = false;
    }
    return rc;
}

void ps_inspect_content_type(const struct ps_inspect *inspect, char *out, size_t room)
{
    snprintf(out, room, "%s", inspect->type[0] ? inspect->type : "application/octet-stream");
}
