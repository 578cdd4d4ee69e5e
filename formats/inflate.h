/* SPDX-License-Identifier: Apache-2.0 */
/* formats/inflate.h - decompress an object as its bytes come: gzip, lz4 frames, zstd.
 *
 * Push style: hand over what there is of the object and what room there is for its contents, and be
 * told how far that went and what is wanted next. Any split of the bytes gives the same contents.
 * An object is one or more gzip members (zero bytes may follow the last), lz4 frames or zstd frames
 * (skippable ones among them), back to back; anything else, a wrong checksum or an object that ends
 * inside one of them is an error. Checksums are checked before the end is told, so contents whose
 * end was not told are not to be taken for whole.
 *
 * Owner: the caller owns a struct fmt_inflate and lends all bytes. Memory is allocated by
 *   fmt_inflate_new, and by liblz4 and libzstd when a frame begins that wants more than the ones
 *   before, up to fmt_inflate_memory_bytes.
 * Threads: a struct fmt_inflate belongs to one thread at a time. Units: bytes.
 */
#ifndef FORMATS_INFLATE_H
#define FORMATS_INFLATE_H

#include "formats/fmt.h"

enum fmt_codec {
    FMT_CODEC_NONE, /* contents as they are */
    FMT_CODEC_GZIP,
    FMT_CODEC_LZ4,
    FMT_CODEC_ZSTD,
    FMT_CODEC_AUTO, /* by each object's key: not for fmt_inflate_start */
    FMT_CODEC_OWN,  /* the content type's, see struct fmt_ops */
};

/* "none", "gzip", "lz4", "zstd", "auto"; false for anything else: no name means OWN. */
bool fmt_codec_parse(const char *name, enum fmt_codec *codec);

/* By the extension of an object's key, in any case: .gz and .gzip, .lz4, .zst and .zstd. */
enum fmt_codec fmt_codec_of_key(const char *key);

/* Most memory that decompression takes of `budget_bytes`, all in all: a few hundred KiB for gzip, 9
 * MiB for lz4, and for zstd a fourth of the budget, 9 to 129 MiB, which is what a frame's window
 * may take; for a format's own codec three fourths. */
size_t fmt_inflate_memory_bytes(enum fmt_codec codec, size_t budget_bytes);

/* Several threads, to do independent jobs at once. */
struct fmt_team {
    unsigned size; /* threads, the caller's among them */
    /* Calls job(arg, i) for each i below count, in any order, and returns when all are done. */
    void (*run)(void *cookie, unsigned count, void (*job)(void *arg, unsigned i), void *arg);
    void *cookie;
};

struct fmt_inflate;

/* For objects of `codec`, AUTO included, in the memory of the function above. `options` have to be
 * there, as long as the codec is, for OWN; else they may be NULL. NULL when memory is out. free
 * accepts NULL. */
struct fmt_inflate *fmt_inflate_new(enum fmt_codec codec, const struct fmt_options *options,
                                    size_t memory_bytes);
void fmt_inflate_free(struct fmt_inflate *inflate);

/* Whether any of its codecs has a use for a team. */
bool fmt_inflate_has_use(const struct fmt_inflate *inflate);

/* From the next object on blocks of lz4 frames that do not depend on each other, and columns of
 * Parquet files, are inflated by the team, which has to stay. NULL, as at first: by the caller
 * alone. Contents and errors are the same. */
void fmt_inflate_share(struct fmt_inflate *inflate, const struct fmt_team *team);

/* A new object begins, wherever the last one was left. `codec` is one that _new was told of. */
void fmt_inflate_start(struct fmt_inflate *inflate, enum fmt_codec codec);

struct fmt_inflate_step {
    const uint8_t *in; /* the object's bytes from the first that was not consumed */
    size_t in_bytes;   /* may be 0 */
    bool at_end;       /* the object ends there */
    bool in_stream;    /* OWN: it is a stream of objects back to back; the codec finds their ends */
    uint8_t *out;
    size_t out_bytes; /* >= 1 */

    size_t consumed_bytes; /* out: of `in` */
    size_t produced_bytes; /* out: written to `out` */
};

enum fmt_inflate_rc {
    FMT_INFLATE_IN,  /* all of `in` is consumed: more is wanted; never when at_end */
    FMT_INFLATE_OUT, /* `out` is full, or a good deal is made; there may be more to come without
                        further input */
    FMT_INFLATE_END, /* at_end, everything is consumed, and it was right */
    FMT_INFLATE_E_FORMAT, /* see struct fmt_error */
    FMT_INFLATE_E_MEMORY,
};

/* Goes on until one of the above. On E_FORMAT error->offset_bytes is the object's offset of the
 * member or frame at fault, whatever the steps were; what was produced before it is right as far as
 * that can be known. The object can only be started anew then. */
enum fmt_inflate_rc fmt_inflate_run(struct fmt_inflate *inflate, struct fmt_inflate_step *step,
                                    struct fmt_error *error);

#endif
