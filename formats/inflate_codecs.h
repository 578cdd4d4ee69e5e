/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate_codecs.h - the codecs behind formats/inflate.h.
 *
 * A codec's `run` is fmt_inflate_run's, with the object's offset of in[0] added: it keeps where the
 * member or frame under way began, for errors.
 *
 * Owner, threads: as inflate.h.
 */
#ifndef FORMATS_INFLATE_CODECS_H
#define FORMATS_INFLATE_CODECS_H

#include "formats/inflate.h"

struct fmt_codec_ops {
    /* NULL when memory is out. The options are the channel's, for a format's own codec. */
    void *(*open)(const struct fmt_options *options, size_t memory_bytes);
    void (*close)(void *codec); /* accepts NULL */
    void (*start)(void *codec);
    enum fmt_inflate_rc (*run)(void *codec, struct fmt_inflate_step *step, uint64_t in_offset,
                               struct fmt_error *error);
    void (*share)(void *codec, const struct fmt_team *team); /* NULL: it has no use for a team */
};

extern const struct fmt_codec_ops fmt_codec_gzip; /* inflate_gzip.c */
extern const struct fmt_codec_ops fmt_codec_lz4;  /* inflate_lz4.c */
extern const struct fmt_codec_ops fmt_codec_zstd; /* inflate_frames.c */

#endif
