/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_write.h - encode recordio-protobuf records, byte for byte as the SageMaker Python
 * SDK (v2, write_numpy_to_dense_tensor and write_spmatrix_to_sparse_tensor) does: one frame a row,
 * features and label under the key "values"; or under other names, and several.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_RECORD_WRITE_H
#define FORMATS_RECORD_WRITE_H

#include "formats/array.h"

/* One entry of a record: a tensor. int64 becomes an int32_tensor, as in the SDK. */
struct fmt_record_entry {
    const char *name; /* NULL: "values" */
    bool is_label;    /* entries of features come first */
    enum fmt_type type;
    const void *values; /* of that type, aligned */
    uint32_t count;
    /* Sparse: count keys, and the number of columns. Dense: no keys, 0 columns. */
    const uint64_t *keys;
    uint64_t columns;
};

/* Room that a frame of such a record may need; values and keys do not matter. */
size_t fmt_record_bytes_max(const struct fmt_record_entry *entries, size_t entry_count);

/* Writes one frame to out, which has fmt_record_bytes_max bytes. *len receives the frame's length.
 * Returns FMT_OK, or FMT_E_FORMAT for an integer beyond 32 bits or a record of 2^29 bytes or more,
 * which RecordIO cannot hold in one frame. */
enum fmt_rc fmt_record_write(const struct fmt_record_entry *entries, size_t entry_count,
                             uint8_t *out, size_t *len, struct fmt_error *error);

#endif
