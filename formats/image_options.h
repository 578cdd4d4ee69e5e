/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_options.h - what a channel of pictures is to be made into: the parameters of
 * application/x-image and application/x-recordio.
 *
 * Names are those of SageMaker's image classification and of mxnet's ImageRecordIter where these
 * have the thing. image_shape=C,H,W is required. A picture is turned the way its EXIF orientation
 * says; then
 *   resize=N          scales its shorter side to N, the other in proportion, rounded down (0: not)
 *   crop=center       takes W x H from the middle of that; the other choices are `random`: from
 *                     anywhere; `random_resized`: a part of min_random_area to max_random_area of
 *                     the picture, of min_aspect_ratio to max_aspect_ratio, scaled to W x H; and
 *                     `none`: all of it, scaled to W x H whatever its proportions
 *   mirror=off|on|random
 * Values are bytes (dtype=uint8), or (byte - mean) / std * scale as float32, rounded twice.
 *
 * Threads: pure functions; options do not change once checked.
 */
#ifndef FORMATS_IMAGE_OPTIONS_H
#define FORMATS_IMAGE_OPTIONS_H

#include "formats/image_store.h"
#include "formats/lst.h"

enum fmt_crop { FMT_CROP_CENTER, FMT_CROP_RANDOM, FMT_CROP_RANDOM_RESIZED, FMT_CROP_NONE };
enum fmt_mirror { FMT_MIRROR_OFF, FMT_MIRROR_ON, FMT_MIRROR_RANDOM };

struct fmt_image_options {
    uint32_t channels, height, width; /* of what comes out */
    uint32_t resize;
    enum fmt_crop crop;
    enum fmt_mirror mirror;
    float area_least, area_most;     /* parts of the picture */
    float aspect_least, aspect_most; /* width / height */
    bool keep_orientation;           /* the file's rows and columns, whatever EXIF says */
    bool exact;                      /* JPEG files are not reduced while they are decoded */
    bool floats;
    int planes; /* NCHW; -1: not said: floats are planes, bytes are not */
    float mean[3], std[3], scale;
    bool has_mean; /* or std or scale */
    struct fmt_image_store store;

    uint32_t label_width; /* labels of a record; UINT32_MAX: not said */
    uint32_t label_pad_width;
    float label_pad_value;
    uint32_t seed;
    bool has_seed;
    bool labels_said;   /* label_width or label_pad_width is */
    uint32_t multipart; /* enum fmt_multipart, of a RecordIO record's parts */

    char *lst_path; /* NULL: none */
    struct fmt_lst *lst;
};

#define FMT_IMAGE_PARAMETERS                                                                       \
    "image_shape, resize, crop, mirror, min_random_area, max_random_area, min_aspect_ratio, "      \
    "max_aspect_ratio, orientation, dct_scaling, dtype, layout, mean, std, scale, label_width, "   \
    "label_pad_width, label_pad_value, seed"

/* For struct fmt_ops, of both content types. */
void fmt_image_options_init(void *own);
enum fmt_rc fmt_image_set_option(void *own, const char *name, const char *value,
                                 struct fmt_error *error);
enum fmt_rc fmt_image_check_options(void *own, struct fmt_error *error);
void fmt_image_options_clear(void *own);

/* Numbers of a row's features, and of its labels. */
uint32_t fmt_image_feature_dim(const struct fmt_image_options *image);
uint32_t fmt_image_label_dim(const struct fmt_image_options *image);

#endif
