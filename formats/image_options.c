/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_options.c - the parameters of pictures. */
#include "formats/image_options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "formats/number.h"
#include "formats/recordio_join.h"

/* A side of what comes out, and labels of a record: no more than anybody has. */
enum { SIDE_MAX = 16384, LABELS_MAX = 65536 };

void fmt_image_options_init(void *own)
{
    struct fmt_image_options *image = own;
    *image = (struct fmt_image_options){.area_least = 0.08f,
                                        .area_most = 1,
                                        .aspect_least = 3 / 4.0f,
                                        .aspect_most = 4 / 3.0f,
                                        .planes = -1,
                                        .std = {1, 1, 1},
                                        .scale = 1,
                                        .label_width = UINT32_MAX,
                                        .label_pad_value = -1,
                                        .multipart = FMT_MULTIPART_DMLC};
}

void fmt_image_options_clear(void *own)
{
    struct fmt_image_options *image = own;
    free(image->lst_path);
    fmt_lst_free(image->lst);
}

static enum fmt_rc not_a_number(const char *name, const char *value, struct fmt_error *error)
{
    return fmt_refuse(error, "content type: %s must be a number, not '%.80s'", name, value);
}

/* Numbers with commas between them; *count is how many there may be, then how many there are. */
static enum fmt_rc parse_list(const char *name, const char *value, float *out, uint32_t *count,
                              struct fmt_error *error)
{
    const uint8_t *p = (const uint8_t *)value;
    const uint8_t *end = p + strlen(value);
    for (uint32_t i = 0; i < *count; i++) {
        while (p < end && *p == ' ')
            p++;
        p = fmt_number_scan(p, end, &out[i]);
        if (p == NULL || !(out[i] - out[i] == 0))
            return not_a_number(name, value, error);
        if (p == end) {
            *count = i + 1;
            return FMT_OK;
        }
        if (*p++ != ',')
            return not_a_number(name, value, error);
    }
    return fmt_refuse(error, "content type: %s has more than %" PRIu32 " numbers: '%.80s'", name,
                      *count, value);
}

static enum fmt_rc set_float(const char *name, const char *value, float least, float most,
                             float *out, struct fmt_error *error)
{
    uint32_t count = 1;
    float number;
    enum fmt_rc rc = parse_list(name, value, &number, &count, error);
    if (rc != FMT_OK)
        return rc;
    if (number < least || number > most)
        return fmt_refuse(error, "content type: %s must be from %g to %g, not '%.80s'", name,
                          (double)least, (double)most, value);
    *out = number;
    return FMT_OK;
}

/* One number for all channels, or one for each of three. */
static enum fmt_rc set_channels(struct fmt_image_options *image, const char *name,
                                const char *value, float *out, struct fmt_error *error)
{
    uint32_t count = 3;
    enum fmt_rc rc = parse_list(name, value, out, &count, error);
    if (rc != FMT_OK)
        return rc;
    if (count == 2)
        return fmt_refuse(error, "content type: %s must be one number or three, not '%.80s'", name,
                          value);
    if (count == 1)
        out[1] = out[2] = out[0];
    image->has_mean = true;
    return FMT_OK;
}

static enum fmt_rc set_shape(struct fmt_image_options *image, const char *name, const char *value,
                             struct fmt_error *error)
{
    float numbers[3];
    uint32_t count = 3;
    enum fmt_rc rc = parse_list(name, value, numbers, &count, error);
    bool good = rc == FMT_OK && count == 3 && (numbers[0] == 1 || numbers[0] == 3);
    for (int i = 1; i < 3 && good; i++)
        good = numbers[i] >= 1 && numbers[i] <= SIDE_MAX && numbers[i] == (float)(int)numbers[i];
    if (!good)
        return fmt_refuse(error,
                          "content type: %s must be CHANNELS,HEIGHT,WIDTH, e.g. 3,224,224, with 1 "
                          "or 3 channels and sides up to %d, not '%.80s'",
                          name, SIDE_MAX, value);
    image->channels = (uint32_t)numbers[0];
    image->height = (uint32_t)numbers[1];
    image->width = (uint32_t)numbers[2];
    return FMT_OK;
}

/* Parameters whose values are words; *done: whether `name` is one of them. */
static enum fmt_rc set_word(struct fmt_image_options *image, const char *name, const char *value,
                            bool *done, struct fmt_error *error)
{
    static const char *const crops[] = {"center", "random", "random_resized", "none", NULL};
    static const char *const mirrors[] = {"off", "on", "random", NULL};
    static const char *const orientations[] = {"apply", "keep", NULL};
    static const char *const switches[] = {"on", "off", NULL};
    static const char *const types[] = {"uint8", "float32", NULL};
    static const char *const layouts[] = {"nhwc", "nchw", NULL};
    static const struct {
        const char *name;
        const char *const *words;
    } parameters[] = {{"crop", crops},           {"mirror", mirrors}, {"orientation", orientations},
                      {"dct_scaling", switches}, {"dtype", types},    {"layout", layouts}};
    enum { COUNT = sizeof(parameters) / sizeof(parameters[0]) };
    uint32_t which = 0;
    uint32_t word = 0;
    while (which < COUNT && strcasecmp(name, parameters[which].name) != 0)
        which++;
    *done = which < COUNT;
    if (!*done)
        return FMT_OK;
    enum fmt_rc rc = fmt_option_word(name, value, parameters[which].words, &word, error);
    if (rc != FMT_OK)
        return rc;
    switch (which) {
    case 0:
        image->crop = (enum fmt_crop)word;
        break;
    case 1:
        image->mirror = (enum fmt_mirror)word;
        break;
    case 2:
        image->keep_orientation = word == 1;
        break;
    case 3:
        image->exact = word == 1;
        break;
    case 4:
        image->floats = word == 1;
        break;
    default:
        image->planes = (int)word;
        break;
    }
    return FMT_OK;
}

static enum fmt_rc set_path(char **path, const char *value, struct fmt_error *error)
{
    free(*path);
    *path = strdup(value);
    if (*path != NULL)
        return FMT_OK;
    (void)fmt_refuse(error, "out of memory");
    return FMT_E_MEMORY;
}

enum fmt_rc fmt_image_set_option(void *own, const char *name, const char *value,
                                 struct fmt_error *error)
{
    struct fmt_image_options *image = own;
    bool done;
    enum fmt_rc rc = set_word(image, name, value, &done, error);
    if (done)
        return rc;
    if (strcasecmp(name, "image_shape") == 0)
        return set_shape(image, name, value, error);
    if (strcasecmp(name, "resize") == 0)
        return fmt_option_u32(name, value, 0, SIDE_MAX, &image->resize, error);
    if (strcasecmp(name, "min_random_area") == 0)
        return set_float(name, value, 0.0001f, 1, &image->area_least, error);
    if (strcasecmp(name, "max_random_area") == 0)
        return set_float(name, value, 0.0001f, 1, &image->area_most, error);
    if (strcasecmp(name, "min_aspect_ratio") == 0)
        return set_float(name, value, 0.01f, 100, &image->aspect_least, error);
    if (strcasecmp(name, "max_aspect_ratio") == 0)
        return set_float(name, value, 0.01f, 100, &image->aspect_most, error);
    if (strcasecmp(name, "mean") == 0)
        return set_channels(image, name, value, image->mean, error);
    if (strcasecmp(name, "std") == 0)
        return set_channels(image, name, value, image->std, error);
    if (strcasecmp(name, "scale") == 0) {
        image->has_mean = true;
        return set_float(name, value, -1e30f, 1e30f, &image->scale, error);
    }
    if (strcasecmp(name, "label_width") == 0)
        return fmt_option_u32(name, value, 0, LABELS_MAX, &image->label_width, error);
    if (strcasecmp(name, "label_pad_width") == 0)
        return fmt_option_u32(name, value, 1, LABELS_MAX, &image->label_pad_width, error);
    if (strcasecmp(name, "label_pad_value") == 0)
        return set_float(name, value, -1e30f, 1e30f, &image->label_pad_value, error);
    if (strcasecmp(name, "seed") == 0) {
        image->has_seed = true;
        return fmt_option_u32(name, value, 0, UINT32_MAX, &image->seed, error);
    }
    if (strcasecmp(name, "lst") == 0)
        return set_path(&image->lst_path, value, error);
    return FMT_E_ARGUMENT;
}

static void make_store(struct fmt_image_options *image)
{
    image->store = (struct fmt_image_store){.channels = image->channels,
                                            .height = image->height,
                                            .width = image->width,
                                            .floats = image->floats,
                                            .planes = image->planes == -1 ? image->floats
                                                                          : image->planes == 1};
    for (int c = 0; c < 3; c++) {
        double factor = (double)image->scale / (double)image->std[c];
        image->store.scale[c] = (float)factor;
        image->store.offset[c] = (float)(-(double)image->mean[c] * factor);
    }
}

enum fmt_rc fmt_image_check_options(void *own, struct fmt_error *error)
{
    struct fmt_image_options *image = own;
    if (image->channels == 0)
        return fmt_refuse(error, "content type: image_shape is missing, e.g. image_shape=3,224,224 "
                                 "(channels, height, width)");
    if (image->has_mean && !image->floats)
        return fmt_refuse(error,
                          "content type: mean, std and scale make floats of bytes: they need "
                          "dtype=float32");
    for (int c = 0; c < 3; c++)
        if (image->std[c] == 0)
            return fmt_refuse(error, "content type: std is 0");
    if (image->area_least > image->area_most || image->aspect_least > image->aspect_most)
        return fmt_refuse(error, "content type: min_random_area or min_aspect_ratio is larger than "
                                 "its max_");
    if (image->resize > 0 &&
        (image->crop == FMT_CROP_RANDOM_RESIZED || image->crop == FMT_CROP_NONE))
        return fmt_refuse(error, "content type: crop=%s scales to image_shape: leave out resize",
                          image->crop == FMT_CROP_NONE ? "none" : "random_resized");
    if (image->label_pad_width > 0 && image->label_width != UINT32_MAX)
        return fmt_refuse(error, "content type: label_width says that records have as many labels, "
                                 "label_pad_width that they have up to that: leave out one");
    make_store(image);
    return FMT_OK;
}

uint32_t fmt_image_feature_dim(const struct fmt_image_options *image)
{
    return image->channels * image->height * image->width;
}

uint32_t fmt_image_label_dim(const struct fmt_image_options *image)
{
    return image->label_pad_width > 0 ? image->label_pad_width : image->label_width;
}
