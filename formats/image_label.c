/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_label.c - the labels of a picture to its row. */
#include "formats/image_label.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/number.h"

static bool is_count(const struct fmt_image_options *image, uint32_t count)
{
    uint32_t dim = fmt_image_label_dim(image);
    return image->label_pad_width > 0 ? count <= dim : count == dim;
}

static enum fmt_rc fail_count(const struct fmt_image_options *image, uint32_t count,
                              struct fmt_error *error)
{
    return fmt_fail(error, 0, 0,
                    "the record has %u labels, not %s%u: set label_width or label_pad_width", count,
                    image->label_pad_width > 0 ? "up to " : "", fmt_image_label_dim(image));
}

enum fmt_rc fmt_image_put_labels(const struct fmt_image_options *image, const uint8_t *values,
                                 uint32_t count, float *out, struct fmt_error *error)
{
    uint32_t dim = fmt_image_label_dim(image);
    if (!is_count(image, count))
        return fail_count(image, count, error);
    for (uint32_t i = 0; i < dim; i++) {
        uint32_t bits = i < count ? fmt_load_le32(values + (size_t)i * 4) : 0;
        memcpy(&out[i], &bits, sizeof(bits));
        if (i >= count)
            out[i] = image->label_pad_value;
    }
    return FMT_OK;
}

static const uint8_t *skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* Reads numbers with commas between them up to `end`; *count is how many there are. False: there is
 * something else. */
static bool read_numbers(const uint8_t *p, const uint8_t *end, float *out, uint32_t room,
                         uint32_t *count)
{
    *count = 0;
    p = skip_blanks(p, end);
    while (p < end) {
        float number;
        p = fmt_number_scan(p, end, &number);
        if (p == NULL)
            return false;
        if (*count < room)
            out[*count] = number;
        *count += 1;
        p = skip_blanks(p, end);
        if (p == end)
            return true;
        if (*p != ',')
            return false;
        p = skip_blanks(p + 1, end);
        if (p == end)
            return false;
    }
    return true;
}

enum fmt_rc fmt_image_put_value(const struct fmt_image_options *image, const uint8_t *text,
                                size_t len, float *out, struct fmt_error *error)
{
    uint32_t dim = fmt_image_label_dim(image);
    const uint8_t *p = skip_blanks(text, text + len);
    const uint8_t *end = text + len;
    uint32_t count;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    bool is_list = end - p >= 2 && p[0] == '[' && end[-1] == ']';
    bool good = is_list ? read_numbers(p + 1, end - 1, out, dim, &count)
                        : read_numbers(p, end, out, dim, &count) && count == 1;
    if (!good)
        return fmt_fail(error, 0, 0,
                        "the manifest's label is %.*s, neither a number nor a list of numbers",
                        (int)(len < 80 ? len : 80), (const char *)text);
    if (!is_count(image, count))
        return fail_count(image, count, error);
    for (uint32_t i = count; i < dim; i++)
        out[i] = image->label_pad_value;
    return FMT_OK;
}
