/* SPDX-License-Identifier: Apache-2.0 */
/* tests/record_reference.h - a plain recordio-protobuf decoder that the real one is compared with:
 * frames read here, one byte at a time, records by protobuf-c. For tests and fuzz targets only.
 */
#ifndef TESTS_RECORD_REFERENCE_H
#define TESTS_RECORD_REFERENCE_H

#include "formats/record.h"
#include "tests/drive.h"

static inline uint32_t reference_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* Reads a record's frames at *at, and joins its parts in body (large enough). False when they are
 * malformed or do not end. */
static inline bool reference_frames(const uint8_t *in, size_t len, size_t *at, uint8_t *body,
                                    size_t *body_bytes)
{
    *body_bytes = 0;
    for (bool inside = false;; inside = true) {
        if (len - *at < 8 || reference_u32(in + *at) != 0xced7230a)
            return false;
        uint32_t flag = reference_u32(in + *at + 4) >> 29;
        size_t part_bytes = reference_u32(in + *at + 4) & 0x1fffffff;
        size_t padded_bytes = part_bytes % 4 == 0 ? part_bytes : part_bytes + 4 - part_bytes % 4;
        if (flag > 3 || (inside ? flag < 2 : flag > 1) || len - *at - 8 < padded_bytes)
            return false;
        if (part_bytes > 0)
            memcpy(body + *body_bytes, in + *at + 8, part_bytes);
        *body_bytes += part_bytes;
        *at += 8 + padded_bytes;
        if (flag == 0 || flag == 3)
            return true;
    }
}

/* Parses with protobuf-c, and checks what a channel of r's shape wants (no shape yet: learns). The
 * row's memory is the caller's to free. */
static inline bool reference_row(const uint8_t *body, size_t body_bytes, struct drive_result *r,
                                 float **features, float **labels)
{
    struct fmt_record record = {0};
    if (fmt_record_unpack(body, body_bytes, &record) != FMT_RECORD_PARSED ||
        record.features.problem != FMT_RECORD_GOOD || record.features.count == 0 ||
        (record.labels.problem != FMT_RECORD_GOOD && record.labels.problem != FMT_RECORD_ABSENT))
        return false;
    struct fmt_shape shape = {.feature_dim = (uint32_t)record.features.count,
                              .label_dim = (uint32_t)record.labels.count};
    if (r->shape.feature_dim == 0)
        r->shape = shape;
    if (shape.feature_dim != r->shape.feature_dim || shape.label_dim != r->shape.label_dim)
        return false;
    *features = drive_allocate(shape.feature_dim * sizeof(float));
    *labels = drive_allocate(shape.label_dim * sizeof(float));
    record.features.out = *features;
    record.features.out_max = shape.feature_dim;
    record.labels.out = *labels;
    record.labels.out_max = shape.label_dim;
    return fmt_record_unpack(body, body_bytes, &record) == FMT_RECORD_PARSED;
}

/* Decodes the object [in, in + len). */
static inline void record_reference(const uint8_t *in, size_t len, struct drive_result *r)
{
    memset(r, 0, sizeof(*r));
    uint8_t *body = drive_allocate(len);
    for (size_t at = 0; at < len && !r->failed;) {
        size_t start = at;
        size_t body_bytes;
        float *features = NULL;
        float *labels = NULL;
        if (reference_frames(in, len, &at, body, &body_bytes) &&
            reference_row(body, body_bytes, r, &features, &labels)) {
            drive_add_row(r, features, labels);
        } else {
            r->failed = true;
            r->error_offset_bytes = start;
        }
        free(features);
        free(labels);
    }
    free(body);
}

#endif
