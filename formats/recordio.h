/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio.h - RecordIO frames: the cutter, and one record at a time.
 *
 * A frame is: magic 0xced7230a; a word with a 3-bit flag (top) and a 29-bit length; that many
 * bytes of payload; 0 to 3 pad bytes of any value. Flag 0: a whole record. 1, 2, 3: first, middle,
 * last part of a record. AWS's readers join parts by plain concatenation, and so does
 * recordio-protobuf here; dmlc's readers put the magic back between them.
 *
 * Owner: the caller owns all memory. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_RECORDIO_H
#define FORMATS_RECORDIO_H

#include "formats/fmt.h"

#define FMT_RECORDIO_MAGIC 0xced7230au
#define FMT_RECORDIO_HEAD_BYTES 8u
#define FMT_RECORDIO_BODY_BYTES_MAX ((1u << 29) - 1) /* of a frame */

enum fmt_recordio_flag {
    FMT_RECORDIO_WHOLE = 0,
    FMT_RECORDIO_FIRST = 1,
    FMT_RECORDIO_MIDDLE = 2,
    FMT_RECORDIO_LAST = 3
};

/* A frame's head, and what follows from it. */
struct fmt_recordio_part {
    uint32_t flag;
    uint32_t body_bytes;
    size_t len_bytes; /* head, payload and pad */
};

/* Reads the frame at `in`. `inside`: the part before it was a first or middle one. FMT_MORE when
 * the frame does not end within `len`; *part is then set if its head does. */
enum fmt_rc fmt_recordio_read_part(const uint8_t *in, size_t len, bool inside,
                                   struct fmt_recordio_part *part, struct fmt_error *error);

/* One record as it lies in the stream. */
struct fmt_recordio_record {
    size_t len_bytes;    /* all its frames, with heads and pads */
    size_t body_bytes;   /* its payload, parts added up */
    uint32_t part_count; /* 1: the payload is at in + FMT_RECORDIO_HEAD_BYTES */
};

/* fmt_ops.cut for any content type made of RecordIO frames. */
enum fmt_rc fmt_recordio_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                             bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                             struct fmt_error *error);

/* Reads the heads of the record at `in`. Returns FMT_OK, or FMT_E_FORMAT when the record is
 * malformed or does not end within `len`; error->offset_bytes is then 0. */
enum fmt_rc fmt_recordio_read(const uint8_t *in, size_t len, struct fmt_recordio_record *record,
                              struct fmt_error *error);

/* Joins the parts of a record that fmt_recordio_read accepted into to[record->body_bytes], or, with
 * the magic number between them, as dmlc's writers cut them, into 4 bytes more for each part but
 * the first. Returns the length. */
size_t fmt_recordio_join(const uint8_t *in, const struct fmt_recordio_record *record,
                         bool magic_between, uint8_t *to);

#endif
