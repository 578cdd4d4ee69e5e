/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate.c - see inflate.h: names, extensions, and the way to each codec. */
#include "formats/inflate.h"

#include "formats/inflate_codecs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB ((size_t)1 << 20)
#define GZIP_BYTES ((size_t)256 << 10) /* ISA-L's state, with 64 KiB of history */
/* lz4: two blocks of 4 MiB, and the history before them or a checksum; a zstd window of 8 MiB, as
 * level 19 makes. */
#define FRAMES_BYTES_LEAST (9 * MIB)
#define FRAMES_BYTES_MOST (129 * MIB)
#define ZSTD_SHARE 4

enum { CODECS = FMT_CODEC_OWN + 1 };

struct fmt_inflate {
    const struct fmt_codec_ops *own; /* NULL: the content type has none */
    void *codecs[CODECS];            /* those not wanted are NULL */
    enum fmt_codec codec;            /* of the object under way */
    uint64_t in_offset;              /* of its next byte */
};

/* NULL: contents as they are. */
static const struct fmt_codec_ops *ops_of(const struct fmt_inflate *inflate, enum fmt_codec codec)
{
    switch (codec) {
    case FMT_CODEC_GZIP:
        return &fmt_codec_gzip;
    case FMT_CODEC_LZ4:
        return &fmt_codec_lz4;
    case FMT_CODEC_ZSTD:
        return &fmt_codec_zstd;
    case FMT_CODEC_OWN:
        return inflate->own;
    case FMT_CODEC_NONE:
    case FMT_CODEC_AUTO:
        break;
    }
    return NULL;
}

bool fmt_codec_parse(const char *name, enum fmt_codec *codec)
{
    static const char *const names[] = {[FMT_CODEC_NONE] = "none",
                                        [FMT_CODEC_GZIP] = "gzip",
                                        [FMT_CODEC_LZ4] = "lz4",
                                        [FMT_CODEC_ZSTD] = "zstd",
                                        [FMT_CODEC_AUTO] = "auto"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *codec = (enum fmt_codec)i;
            return true;
        }
    return false;
}

enum fmt_codec fmt_codec_of_key(const char *key)
{
    static const struct {
        const char *extension;
        enum fmt_codec codec;
    } known[] = {{".gz", FMT_CODEC_GZIP},
                 {".gzip", FMT_CODEC_GZIP},
                 {".lz4", FMT_CODEC_LZ4},
                 {".zst", FMT_CODEC_ZSTD},
                 {".zstd", FMT_CODEC_ZSTD}};
    const char *dot = strrchr(key, '.');

    for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
        if (strcasecmp(dot, known[i].extension) == 0)
            return known[i].codec;
    return FMT_CODEC_NONE;
}

size_t fmt_inflate_memory_bytes(enum fmt_codec codec, size_t budget_bytes)
{
    size_t share_bytes = budget_bytes / ZSTD_SHARE;

    switch (codec) {
    case FMT_CODEC_NONE:
        return 0;
    case FMT_CODEC_GZIP:
        return GZIP_BYTES;
    case FMT_CODEC_LZ4:
        return FRAMES_BYTES_LEAST;
    case FMT_CODEC_OWN:
        return budget_bytes / 4 * 3;
    case FMT_CODEC_ZSTD:
    case FMT_CODEC_AUTO:
        break;
    }
    if (share_bytes < FRAMES_BYTES_LEAST)
        return FRAMES_BYTES_LEAST;
    return share_bytes < FRAMES_BYTES_MOST ? share_bytes : FRAMES_BYTES_MOST;
}

struct fmt_inflate *fmt_inflate_new(enum fmt_codec codec, const struct fmt_options *options,
                                    size_t memory_bytes)
{
    struct fmt_inflate *inflate = calloc(1, sizeof *inflate);

    if (!inflate)
        return NULL;
    if (codec == FMT_CODEC_OWN)
        inflate->own = options->ops->codec;
    for (int i = 0; i < CODECS; i++) {
        const struct fmt_codec_ops *ops = ops_of(inflate, (enum fmt_codec)i);

        if (!ops || (codec != FMT_CODEC_AUTO && (int)codec != i))
            continue;
        inflate->codecs[i] = ops->open(options, memory_bytes);
        if (!inflate->codecs[i]) {
            fmt_inflate_free(inflate);
            return NULL;
        }
    }
    return inflate;
}

void fmt_inflate_free(struct fmt_inflate *inflate)
{
    for (int i = 0; inflate && i < CODECS; i++) {
        const struct fmt_codec_ops *ops = ops_of(inflate, (enum fmt_codec)i);

        if (ops)
            ops->close(inflate->codecs[i]);
    }
    free(inflate);
}

bool fmt_inflate_has_use(const struct fmt_inflate *inflate)
{
    bool has_use = false;

    for (int i = 0; i < CODECS; i++) {
        const struct fmt_codec_ops *ops = ops_of(inflate, (enum fmt_codec)i);

        has_use |= ops && inflate->codecs[i] && ops->share;
    }
    return has_use;
}

void fmt_inflate_share(struct fmt_inflate *inflate, const struct fmt_team *team)
{
    for (int i = 0; i < CODECS; i++) {
        const struct fmt_codec_ops *ops = ops_of(inflate, (enum fmt_codec)i);

        if (ops && inflate->codecs[i] && ops->share)
            ops->share(inflate->codecs[i], team);
    }
}

void fmt_inflate_start(struct fmt_inflate *inflate, enum fmt_codec codec)
{
    const struct fmt_codec_ops *ops = ops_of(inflate, codec);

    inflate->codec = codec;
    inflate->in_offset = 0;
    if (ops)
        ops->start(inflate->codecs[codec]);
}

static enum fmt_inflate_rc copy(struct fmt_inflate_step *step)
{
    size_t len_bytes = step->in_bytes < step->out_bytes ? step->in_bytes : step->out_bytes;

    memcpy(step->out, step->in, len_bytes);
    step->consumed_bytes = step->produced_bytes = len_bytes;
    if (len_bytes < step->in_bytes)
        return FMT_INFLATE_OUT;
    return step->at_end ? FMT_INFLATE_END : FMT_INFLATE_IN;
}

enum fmt_inflate_rc fmt_inflate_run(struct fmt_inflate *inflate, struct fmt_inflate_step *step,
                                    struct fmt_error *error)
{
    const struct fmt_codec_ops *ops = ops_of(inflate, inflate->codec);

    step->consumed_bytes = step->produced_bytes = 0;
    enum fmt_inflate_rc rc =
        ops ? ops->run(inflate->codecs[inflate->codec], step, inflate->in_offset, error)
            : copy(step);

    inflate->in_offset += step->consumed_bytes;
    return rc;
}
