/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_write.h - encode dense recordio-protobuf records, byte for byte as the SageMaker
 * Python SDK (v2, write_numpy_to_dense_tensor) does: one frame a row, features and label under the
 * key "values".
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_RECORD_WRITE_H
#define FORMATS_RECORD_WRITE_H

#include "formats/array.h"

/* One side of a record. int64 becomes an int32_tensor, as in the SDK. */
struct fmt_tensor {
    enum fmt_type type;
    const void *values; /* of that type, aligned */
    uint32_t count;
};

/* Room that a frame of such a record may need. */
size_t fmt_record_bytes_max(const struct fmt_tensor *features, const struct fmt_tensor *label);

/* Writes one frame to out, which has fmt_record_bytes_max bytes; `label` may be NULL. *len receives
 * the frame's length. Returns FMT_OK, or FMT_E_FORMAT for an integer beyond 32 bits or a record of
 * 2^29 bytes or more, which RecordIO cannot hold in one frame. */
enum fmt_rc fmt_record_write(const struct fmt_tensor *features, const struct fmt_tensor *label,
                             uint8_t *out, size_t *len, struct fmt_error *error);

#endif
