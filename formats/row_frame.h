/* SPDX-License-Identifier: Apache-2.0 */
/* formats/row_frame.h - rows as a stream of frames: what a codec makes of a file that does not have
 * its rows one behind the other, and the way from there to batches.
 *
 * A frame, little-endian, of a multiple of 4 bytes:
 *
 *     u32 len_bytes      of the frame, these included
 *     u32 features       how many
 *     u32 labels         how many; the highest bit: there is a weight
 *     u32 texts          how many
 *     f32 features[], labels[], weight
 *     u32 ends[]         of texts, from the first one's beginning
 *     u8  texts, zeros to fill up
 *
 * It is never stored or sent: one version of this file writes and reads it.
 *
 * Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_ROW_FRAME_H
#define FORMATS_ROW_FRAME_H

#include "formats/fmt.h"

enum { FMT_ROW_HEAD_BYTES = 16 };

#define FMT_ROW_WEIGHTED ((uint32_t)1 << 31)

/* Of a frame's head and numbers. */
static inline size_t fmt_row_fixed_bytes(const struct fmt_shape *shape)
{
    return FMT_ROW_HEAD_BYTES +
           4 * ((size_t)shape->feature_dim + shape->label_dim + shape->weighted + shape->text_dim);
}

/* Writes the head of a frame of that length. */
void fmt_row_put_head(const struct fmt_shape *shape, uint32_t len_bytes, uint8_t *out);

/* As in struct fmt_ops. */
enum fmt_rc fmt_row_cut(const struct fmt_options *options, const uint8_t *in, size_t len,
                        bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                        struct fmt_error *error);
enum fmt_rc fmt_row_learn(const struct fmt_options *options, const uint8_t *in, size_t len,
                          struct fmt_shape *shape, struct fmt_error *error);
struct fmt_decoder *fmt_row_decoder_new(const struct fmt_options *options,
                                        const struct fmt_shape *shape);
void fmt_row_decoder_free(struct fmt_decoder *decoder);
enum fmt_rc fmt_row_decode(struct fmt_decoder *decoder, const struct fmt_span *span,
                           struct fmt_rows *rows, struct fmt_error *error);

#endif
