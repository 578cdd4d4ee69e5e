/* SPDX-License-Identifier: Apache-2.0 */
/* formats/recordio_index.h - index files (.idx): where the records of a RecordIO object begin.
 *
 * A line for each record: KEY, a tab, OFFSET: decimal bytes from the object's start to the record's
 * first head. Keys need not ascend, as im2rec.py writes them in shuffled order, and are not looked
 * at here. mxnet's Python reader parts a line at tabs; dmlc's C++ reader at any white space, and
 * sorts by offset; both ways are taken.
 *
 * Owner: the caller owns the text; an index owns its offsets. Threads: pure functions. Units:
 * bytes, records.
 */
#ifndef FORMATS_RECORDIO_INDEX_H
#define FORMATS_RECORDIO_INDEX_H

#include "formats/fmt.h"
#include "formats/split.h"

struct fmt_recordio_index {
    uint64_t *offsets; /* ascending */
    size_t count;
};

/* Reads an index file. FMT_OK: *index is to be given to fmt_recordio_index_free. FMT_E_FORMAT:
 * error->row is the line, from 0; also for an offset that is no multiple of 4, or comes twice.
 * FMT_E_MEMORY. */
enum fmt_rc fmt_recordio_index_read(const char *text, size_t len, struct fmt_recordio_index *index,
                                    struct fmt_error *error);
void fmt_recordio_index_free(struct fmt_recordio_index *index);

/* The bytes of share `share` of `share_count`, by dmlc's rule: ceil(count / share_count) records
 * each, so that the last ones may get fewer, or none (from == to). The last record goes up to
 * `size_bytes`, the object's end. */
struct fmt_range fmt_recordio_index_share(const struct fmt_recordio_index *index,
                                          uint64_t size_bytes, uint32_t share,
                                          uint32_t share_count);

enum { FMT_RECORDIO_INDEX_LINE_BYTES = 43 }; /* of two numbers, and a NUL */

/* Writes a line, with its end; returns its length. */
size_t fmt_recordio_index_line(uint64_t key, uint64_t offset,
                               char out[FMT_RECORDIO_INDEX_LINE_BYTES]);

#endif
