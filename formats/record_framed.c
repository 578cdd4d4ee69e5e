/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_framed.c - see record_framed.h. */
#include "formats/record_framed.h"

#include <inttypes.h>

#include "formats/record_row.h"

static enum fmt_rc locate(const struct fmt_record_value *value, const char *what, const uint8_t *in,
                          size_t *offset, enum fmt_feature_type *type, struct fmt_error *error)
{
    if (value->type == FMT_RECORD_I32)
        return fmt_fail(error, 0, 0,
                        "framed=true needs values of constant size: %s of type int32 have none",
                        what);
    if (fmt_record_is_sparse(value))
        return fmt_fail(error, 0, 0, "framed=true needs dense records: this one has sparse %s",
                        what);
    if (!value->is_wire)
        return fmt_fail(error, 0, 0, "framed=true needs %s in one piece", what);
    *offset = (size_t)(value->values - in);
    *type = value->type == FMT_RECORD_F32 ? FMT_F32 : FMT_F64;
    return FMT_OK;
}

enum fmt_rc fmt_record_learn_framing(const struct fmt_record_options *options,
                                     const struct fmt_record_value *values, const uint8_t *in,
                                     const struct fmt_recordio_record *place,
                                     struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_framing *framing = &shape->framing;
    if (place->part_count != 1)
        return fmt_fail(error, 0, 0, "framed=true needs records in one part: this one has %" PRIu32,
                        place->part_count);
    framing->stride_bytes = place->len_bytes;
    enum fmt_rc rc = locate(&values[0], "features", in, &framing->features_offset,
                            &framing->feature_type, error);
    if (rc != FMT_OK || shape->label_dim == 0)
        return rc;
    return locate(&values[fmt_record_label_no(options)], "labels", in, &framing->labels_offset,
                  &framing->label_type, error);
}

bool fmt_record_may_stay(const struct fmt_record_options *options, const struct fmt_shape *shape)
{
    return options->type == FMT_F32 && options->feature_count == 1 && !shape->sparse &&
           !shape->weighted && shape->text_dim == 0 && shape->feature_dim > 0;
}

enum fmt_rc fmt_record_check_framing(const struct fmt_record_options *options,
                                     const struct fmt_record_value *values, const uint8_t *in,
                                     const struct fmt_recordio_record *place,
                                     const struct fmt_shape *shape, struct fmt_error *error)
{
    struct fmt_shape own;
    uint32_t dims[FMT_RECORD_FEATURES_MAX];
    const struct fmt_framing *framing = &shape->framing;
    enum fmt_rc rc = fmt_record_learn(options, values, &own, dims, error);
    if (rc == FMT_OK)
        rc = fmt_record_learn_framing(options, values, in, place, &own, error);
    if (rc != FMT_OK)
        return rc;
    if (own.feature_dim != shape->feature_dim || own.label_dim != shape->label_dim)
        return fmt_fail(error, 0, 0,
                        "record has %" PRIu32 " features and %" PRIu32 " labels, the channel has "
                        "%" PRIu32 " and %" PRIu32,
                        own.feature_dim, own.label_dim, shape->feature_dim, shape->label_dim);
    if (own.framing.stride_bytes != framing->stride_bytes)
        return fmt_fail(error, 0, 0,
                        "framed=true needs records of one size: this one has %zu bytes, the first "
                        "has %zu",
                        own.framing.stride_bytes, framing->stride_bytes);
    if (own.framing.feature_type != framing->feature_type ||
        own.framing.label_type != framing->label_type ||
        own.framing.features_offset != framing->features_offset ||
        own.framing.labels_offset != framing->labels_offset)
        return fmt_fail(error, 0, 0,
                        "framed=true needs values of one type, always at the same place: they are "
                        "not where those of the first record are");
    return FMT_OK;
}
