/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_options.h - what a channel wants of recordio-protobuf: the parameters of its
 * content type.
 *
 * Owner: struct fmt_options, through fmt_recordio_protobuf. Threads: constant once parsed, but for
 * what fmt_ops.learn notes before a decoder is made.
 */
#ifndef FORMATS_RECORD_OPTIONS_H
#define FORMATS_RECORD_OPTIONS_H

#include "formats/fmt.h"
#include "formats/record.h"
#include "formats/recordio_join.h"

#define FMT_RECORD_FEATURES_MAX 32u
#define FMT_RECORD_TEXTS_MAX 32u

/* The parameters, for messages. */
#define FMT_RECORD_PARAMETERS "type, layout, features, label, weight, text, multipart, framed"

enum fmt_record_layout {
    FMT_LAYOUT_AUTO, /* as the first record */
    FMT_LAYOUT_DENSE,
    FMT_LAYOUT_SPARSE,
};

struct fmt_record_options {
    enum fmt_feature_type type; /* of dense features */
    enum fmt_record_layout layout;
    enum fmt_multipart multipart;
    bool framed;    /* rows stay in their records: formats/record_framed.h */
    char *features; /* names, as they were given, or NULL; likewise: */
    char *label;
    char *weight;
    char *text;

    /* The values wanted: features, label, weight if any, texts. */
    struct fmt_record_query query;
    uint32_t feature_count;
    uint32_t text_count;

    /* What learn noted: the numbers of each feature; all 0 before. */
    uint32_t dims[FMT_RECORD_FEATURES_MAX];
};

/* The options; those of a channel that has none given (options or options->own is NULL). */
const struct fmt_record_options *fmt_record_options(const struct fmt_options *options);

static inline uint32_t fmt_record_label_no(const struct fmt_record_options *options)
{
    return options->feature_count;
}

static inline uint32_t fmt_record_text_no(const struct fmt_record_options *options)
{
    return options->feature_count + (options->weight != NULL ? 2 : 1);
}

/* fmt_ops.options_init, .set_option, .check_options and .options_clear. */
void fmt_record_options_init(void *own);
enum fmt_rc fmt_record_set_option(void *own, const char *name, const char *value,
                                  struct fmt_error *error);
enum fmt_rc fmt_record_check_options(void *own, struct fmt_error *error);
void fmt_record_options_clear(void *own);

#endif
