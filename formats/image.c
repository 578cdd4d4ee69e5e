/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image.c - application/x-image: an object is a picture, its labels stand in a list or in a
 * manifest.
 */
#include "formats/image_decoder.h"

#include <stdlib.h>

#include "formats/image_label.h"

static enum fmt_rc image_check_options(void *own, struct fmt_error *error)
{
    struct fmt_image_options *image = own;
    image->labels_said = image->label_width != UINT32_MAX || image->label_pad_width > 0;
    if (!image->labels_said && image->lst_path == NULL)
        image->label_width = 0;
    return fmt_image_check_options(own, error);
}

static void image_expect_values(void *own)
{
    struct fmt_image_options *image = own;
    if (!image->labels_said)
        image->label_width = 1;
}

static const char *image_file_wanted(const void *own)
{
    return ((const struct fmt_image_options *)own)->lst_path;
}

static enum fmt_rc image_take_file(void *own, const uint8_t *in, size_t len,
                                   struct fmt_error *error)
{
    struct fmt_image_options *image = own;
    fmt_lst_free(image->lst);
    enum fmt_rc rc = fmt_lst_new(in, len, &image->lst, error);
    if (rc == FMT_OK && !image->labels_said)
        image->label_width = fmt_lst_width(image->lst);
    return rc;
}

static enum fmt_rc image_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                             bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                             struct fmt_error *error)
{
    (void)options, (void)in, (void)at_start, (void)rows_max, (void)error;
    if (!at_end)
        return FMT_MORE;
    *cut = (struct fmt_cut){.len_bytes = len, .rows = 1};
    return FMT_OK;
}

enum fmt_rc fmt_image_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                            struct fmt_shape *shape, struct fmt_error *error)
{
    const struct fmt_image_options *image = options->own;
    (void)in, (void)len;
    if (image->lst_path != NULL && image->lst == NULL)
        return fmt_fail(error, 0, 0, "the list %s was not read", image->lst_path);
    *shape = (struct fmt_shape){.feature_dim = fmt_image_feature_dim(image),
                                .label_dim = fmt_image_label_dim(image),
                                .type = image->floats ? FMT_F32 : FMT_U8};
    return FMT_OK;
}

void fmt_image_decoder_free(struct fmt_decoder *decoder)
{
    if (decoder == NULL)
        return;
    fmt_image_reader_free(decoder->reader);
    fmt_joiner_clear(&decoder->joiner);
    free(decoder);
}

struct fmt_decoder *fmt_image_decoder_new(const struct fmt_options *options,
                                          const struct fmt_shape *shape)
{
    struct fmt_decoder *decoder = calloc(1, sizeof(*decoder));
    if (decoder == NULL)
        return NULL;
    decoder->image = options->own;
    decoder->joiner.multipart = (enum fmt_multipart)decoder->image->multipart;
    decoder->seed = decoder->image->has_seed ? decoder->image->seed : options->seed;
    decoder->row_bytes = shape->feature_dim * fmt_feature_bytes(shape->type);
    decoder->label_dim = shape->label_dim;
    decoder->reader = fmt_image_reader_new();
    if (decoder->reader != NULL)
        return decoder;
    free(decoder);
    return NULL;
}

static enum fmt_rc find_labels(const struct fmt_decoder *decoder, const struct fmt_span *span,
                               float *out, struct fmt_error *error)
{
    const struct fmt_image_options *image = decoder->image;
    uint32_t count;
    if (decoder->label_dim == 0)
        return FMT_OK;
    if (span->value != NULL)
        return fmt_image_put_value(image, span->value, span->value_len, out, error);
    if (image->lst == NULL)
        return fmt_fail(error, 0, 0,
                        "the picture has no label: neither a list (lst) nor an augmented manifest "
                        "says one");
    const float *labels = fmt_lst_find(image->lst, span->key, &count);
    if (labels == NULL)
        return fmt_fail(error, 0, 0, "%s has no line for the picture", image->lst_path);
    return fmt_image_put_labels(image, (const uint8_t *)labels, count, out, error);
}

static enum fmt_rc image_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                                struct fmt_rows *rows, struct fmt_error *error)
{
    struct fmt_lot lot = {decoder->seed, span->position, span->epoch};
    enum fmt_rc rc = find_labels(decoder, span, rows->labels, error);
    if (rc != FMT_OK)
        return rc;
    return fmt_image_read(decoder->reader, decoder->image, lot, span->in, span->len, rows->features,
                          error);
}

const struct fmt_ops fmt_image = {
    .content_type = "application/x-image",
    .parameters = FMT_IMAGE_PARAMETERS ", lst",
    .options_bytes = sizeof(struct fmt_image_options),
    .options_init = fmt_image_options_init,
    .set_option = fmt_image_set_option,
    .check_options = image_check_options,
    .options_clear = fmt_image_options_clear,
    .file_wanted = image_file_wanted,
    .take_file = image_take_file,
    .expect_values = image_expect_values,
    .cut = image_cut,
    .learn = fmt_image_learn,
    .decoder_new = fmt_image_decoder_new,
    .decoder_free = fmt_image_decoder_free,
    .decode = image_decode,
};
