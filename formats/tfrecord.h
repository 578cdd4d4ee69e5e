/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tfrecord.h - TFRecord frames, as TensorFlow's TFRecordWriter writes them:
 *
 *   8 bytes  length of the data, little-endian
 *   4 bytes  masked CRC32C of those 8 bytes
 *   length   data
 *   4 bytes  masked CRC32C of the data
 *
 * Masked: the sum turned right by 15 bits, plus 0xa282ead8. There is no magic number, no header and
 * no padding: a record may begin at any byte.
 *
 * Source: tensorflow/core/lib/io/record_writer.h, tensorflow/core/lib/hash/crc32c.h.
 * Owner: the caller owns all memory. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_TFRECORD_H
#define FORMATS_TFRECORD_H

#include "formats/fmt.h"

enum { FMT_TFRECORD_HEAD_BYTES = 12, FMT_TFRECORD_TAIL_BYTES = 4 };

/* The masked CRC32C of in[len]. */
uint32_t fmt_tfrecord_sum(const uint8_t *in, size_t len);

/* fmt_ops.cut: the sums of lengths are checked, those of data are fmt_tfrecord_read's. */
enum fmt_rc fmt_tfrecord_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                             bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                             struct fmt_error *error);

/* The first place from `from` on at which a length stands whose sum is right; a value beyond
 * len - FMT_TFRECORD_HEAD_BYTES when there is none. */
size_t fmt_tfrecord_find_head(const uint8_t *in, size_t len, size_t from);
size_t fmt_tfrecord_find_head_plainly(const uint8_t *in, size_t len, size_t from);

/* fmt_ops.resync: the next length whose sum is right. */
enum fmt_rc fmt_tfrecord_resync(const struct fmt_options *options, const uint8_t *in, size_t len,
                                uint64_t offset, bool at_end, size_t *skip_bytes);

/* One record as it lies in the stream. */
struct fmt_tfrecord {
    const uint8_t *data;
    size_t data_bytes;
    size_t len_bytes; /* with head and tail */
};

/* Reads the record at `in` and checks its data. Returns FMT_OK; FMT_MORE when it does not end
 * within `len`; or FMT_E_FORMAT, with error->offset_bytes 0. */
enum fmt_rc fmt_tfrecord_read(const uint8_t *in, size_t len, struct fmt_tfrecord *record,
                              struct fmt_error *error);

#endif
