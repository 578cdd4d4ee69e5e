/* SPDX-License-Identifier: Apache-2.0 */
/* formats/fmt.h - what every record format offers to the pipe: cut a byte stream into records,
 * learn the shape from the first one, decode records into rows.
 *
 * Two passes, two threads. The framer calls `cut` on the bytes at hand: it finds record boundaries
 * only, at many GB/s. Decode threads call `decode` on what was cut, each with a decoder of its own.
 *
 * Owner: the caller owns all memory; nothing here keeps a pointer between calls.
 * Threads: pure functions; a struct fmt_decoder belongs to one thread at a time.
 * Units: bytes, rows. Offsets in errors count from the `in` of the failing call.
 */
#ifndef FORMATS_FMT_H
#define FORMATS_FMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fmt_rc {
    FMT_OK = 0,
    FMT_MORE = 1,        /* flow: no complete record in the bytes given */
    FMT_E_FORMAT = -1,   /* the bytes are malformed: see struct fmt_error */
    FMT_E_ARGUMENT = -2, /* unusable option, e.g. an unknown content type */
    FMT_E_MEMORY = -3,
};

struct fmt_error {
    size_t offset_bytes; /* of the bad record's first byte, from `in` */
    uint32_t row;        /* index of the bad record in this call, from 0 */
    char text[360];      /* cause and cure, e.g. "field 3 is 'abc', not a number" */
};

/* Channel options, parsed from a content type by fmt_options_parse. */
struct fmt_options {
    const struct fmt_ops *ops; /* NULL for application/octet-stream: bytes without records */
    void *own;                 /* what ops->set_option filled in; NULL when options_bytes is 0 */
    uint32_t feature_dim;      /* what the channel demands; 0: as the first record has it */
    uint64_t seed;             /* of what decoders draw by lot */
    bool leave_records;        /* rows may stay in their records: see fmt_framing.lenient */
};

/* What a feature is stored as, where features are dense. Those of sparse rows are float32. */
enum fmt_feature_type { FMT_F32, FMT_F64, FMT_I32, FMT_U8 };

/* Rows that are left in their records, which all have the same size and hold the values at the same
 * place, little-endian, at any address. */
struct fmt_framing {
    size_t stride_bytes;    /* from record to record; 0: rows are decoded */
    size_t features_offset; /* from the record's first byte, feature_dim of feature_type */
    size_t labels_offset;   /* label_dim of label_type */
    enum fmt_feature_type feature_type;
    enum fmt_feature_type label_type;
    /* A record that holds them elsewhere may be a good one all the same: to be decoded, with the
     * same shape without a framing. Then shape.type is what that makes of its features. */
    bool lenient;
};

/* The shape that every record of a channel shares. */
struct fmt_shape {
    uint32_t
        feature_dim; /* dense: numbers in a row; sparse: columns, 0 when the data do not tell */
    uint32_t label_dim;
    uint32_t text_dim; /* texts, which are bytes of any length, in a row */
    enum fmt_feature_type type;
    bool sparse;                /* rows are (column, value) entries; there are no dense features */
    bool weighted;              /* a row has a weight */
    bool grouped;               /* a row has the number of a group, e.g. libsvm's qid */
    struct fmt_framing framing; /* decode then checks records, and writes nothing */
};

/* Whole records of one object, as `cut` found them, lead removed (blank lines may lie between). */
struct fmt_span {
    const uint8_t *in;
    size_t len;
    uint32_t rows;
    uint32_t epoch;
    uint64_t position;      /* of the first row in the stream's epoch, from 0 */
    const char *key;        /* of the object, or its path */
    uint64_t object_offset; /* of in[0] in the object */
    const uint8_t *value;   /* what a manifest says of the object beside its name; NULL: nothing */
    size_t value_len;
};

/* Entries of sparse rows, appended. */
struct fmt_entries {
    uint32_t *columns;
    float *values;
    size_t count;
    size_t room;
};

/* Texts, appended one behind the other without a gap. */
struct fmt_texts {
    uint8_t *bytes;
    size_t count;
    size_t room;
};

/* Where rows go: the first at each pointer. What the shape lacks is NULL and not touched. */
struct fmt_rows {
    void *features; /* (rows, feature_dim) of shape.type, row-major, without gaps */
    float *labels;  /* (rows, label_dim) */
    float *weights;
    uint64_t *groups;
    uint32_t *entry_ends; /* entries.count behind each row's */
    uint32_t *text_ends;  /* (rows, text_dim): texts.count behind each text */
    struct fmt_entries entries;
    struct fmt_texts texts;
};

/* Result of `cut`, and its memory between calls that returned FMT_MORE for the same record: zero it
 * before the first call and whenever `in` has moved on. */
struct fmt_cut {
    size_t lead_bytes;    /* out: bytes at `in` that belong to no record (BOM); not to be decoded */
    size_t len_bytes;     /* out: whole records found, in bytes from `in`, lead included */
    uint32_t rows;        /* out: number of records in them; may be 0 (blank lines only) */
    size_t scanned_bytes; /* private: prefix of `in` already searched in vain */
    uint32_t scan_state;  /* private */
};

enum { FMT_LEARNT_MAX = 128 };

struct fmt_codec_ops;
struct fmt_decoder; /* one thread's decoder: options, shape and what was learnt of the records */

struct fmt_ops {
    const char *content_type; /* without parameters */

    /* Parameters of the content type, for messages: "label_size, delimiter"; NULL: there are none,
     * and the next four fields are 0. Several content types may share the struct behind `own`. */
    const char *parameters;
    size_t options_bytes;
    void (*options_init)(void *own); /* puts defaults into zeroed memory; NULL: zero they are */
    /* One parameter; `value` without its quotes. Returns FMT_OK; or FMT_E_ARGUMENT, with the cause
     * in *error, or with an empty text if there is no parameter of that name. */
    enum fmt_rc (*set_option)(void *own, const char *name, const char *value,
                              struct fmt_error *error);
    /* All parameters are set: whether they go together. NULL: they always do. */
    enum fmt_rc (*check_options)(void *own, struct fmt_error *error);
    void (*options_clear)(void *own); /* frees what `own` points to; NULL: it owns nothing */

    /* A file that the options name and whose bytes decoding needs, e.g. a list of labels: its path
     * or URI, or NULL when there is none. The caller reads it and gives its bytes to take_file,
     * before `learn`; an error there concerns the file. NULL: there never is one. */
    const char *(*file_wanted)(const void *own);
    enum fmt_rc (*take_file)(void *own, const uint8_t *in, size_t len, struct fmt_error *error);

    /* Objects hold their rows in another way than one record behind the other: this makes records
     * of them, before `cut` (formats/inflate_codecs.h). NULL: they are records as they are. */
    const struct fmt_codec_ops *codec;

    /* Objects may come with values (fmt_span.value); it is told, before anything but the options
     * above, that they do. NULL: the format has no use for values. */
    void (*expect_values)(void *own);

    /* Finds as many whole records as `in` holds, at most rows_max (>= 1) of them. A record whose
     * contents are bad is found all the same, wherever its end can be told.
     *   at_start  `in` is the first byte of an object
     *   at_end    in + len is the end of the object: the last record needs no terminator, and an
     *             incomplete one is FMT_E_FORMAT ("truncated")
     * Returns FMT_OK with cut->len_bytes > 0, or FMT_MORE (never when at_end), or FMT_E_FORMAT. On
     * FMT_E_FORMAT whole records before the bad one were reported by an earlier FMT_OK: an error
     * always concerns the record at `in`. Called again from in + cut->len_bytes. len is >= 1. */
    enum fmt_rc (*cut)(const struct fmt_options *options, const uint8_t *in, size_t len,
                       bool at_start, bool at_end, uint32_t rows_max, struct fmt_cut *cut,
                       struct fmt_error *error);

    /* After `cut` returned FMT_E_FORMAT for the record at `in`: where the next one begins that can
     * be told to be one, at *skip_bytes >= 1 from `in`, or in + len if none is found and at_end.
     * `offset` is that of `in` in the object. FMT_MORE: the bytes do not tell; *skip_bytes of them
     * (0 or more) need not be shown again. NULL: nothing after such a record can be read. */
    enum fmt_rc (*resync)(const struct fmt_options *options, const uint8_t *in, size_t len,
                          uint64_t offset, bool at_end, size_t *skip_bytes);

    /* Reads the shape off the first record of [in, in + len), which `cut` returned with rows >= 1
     * (lead removed). */
    enum fmt_rc (*learn)(const struct fmt_options *options, const uint8_t *in, size_t len,
                         struct fmt_shape *shape, struct fmt_error *error);

    /* Where records that go together need not tell the same, e.g. the base of libsvm's indices:
     * what `learn` found, in up to FMT_LEARNT_MAX words[]. Returns how many; more: they do not fit.
     * learn_again does as `learn` did, from those words alone, which may be anything; FMT_E_FORMAT
     * if they cannot be learn's. NULL: every good record tells the same. */
    size_t (*learnt)(const struct fmt_options *options, const struct fmt_shape *shape,
                     uint32_t *words);
    enum fmt_rc (*learn_again)(const struct fmt_options *options, const uint32_t *words,
                               size_t count, struct fmt_shape *shape, struct fmt_error *error);

    /* Whether records can be read from one in the middle of an object on, without the object's
     * beginning. NULL: they can. */
    bool (*begins_anywhere)(const struct fmt_options *options);

    /* Makes a decoder for records of `shape`; NULL when memory is out. free accepts NULL. */
    struct fmt_decoder *(*decoder_new)(const struct fmt_options *options,
                                       const struct fmt_shape *shape);
    void (*decoder_free)(struct fmt_decoder *decoder);

    /* Decodes the span's rows. Never reads outside it, never writes outside the rows. Entries and
     * texts grow by the functions below. On FMT_E_FORMAT rows before error->row are decoded, and
     * nothing of later ones is in entries or texts; error->offset_bytes is where the bad one begins
     * in the span. */
    enum fmt_rc (*decode)(struct fmt_decoder *decoder, const struct fmt_span *span,
                          struct fmt_rows *rows, struct fmt_error *error);
};

/* Bytes of one feature. */
static inline size_t fmt_feature_bytes(enum fmt_feature_type type)
{
    return type == FMT_F64 ? 8 : type == FMT_U8 ? 1 : 4;
}

/* Makes room for `more` entries (0: there is memory at least) behind those there are; false when
 * memory is out, or there would be more than 2^31 - 1. Memory grows by doubling, and is the
 * caller's of decode to free. */
bool fmt_entries_reserve(struct fmt_entries *entries, size_t more)
    __attribute__((warn_unused_result));

/* The same for bytes of texts. */
bool fmt_texts_reserve(struct fmt_texts *texts, size_t more) __attribute__((warn_unused_result));

/* Parses a content type, e.g. "text/csv;label_size=1" (RFC 9110, 8.3.1: case-insensitive names,
 * blanks allowed around ";", values may be quoted, with \" and \\ inside; "csv" alone is accepted
 * as SageMaker's containers do). Unknown types and parameters are refused, except charset=utf-8.
 * On FMT_OK *options is to be given to fmt_options_free; on failure it holds nothing. */
enum fmt_rc fmt_options_parse(const char *content_type, struct fmt_options *options,
                              struct fmt_error *error);

/* Whether any content type has a parameter name[len_bytes]. */
bool fmt_is_parameter(const char *name, size_t len_bytes);

/* Frees what the options own, and zeroes them. */
void fmt_options_free(struct fmt_options *options);

/* For set_option: a number from `least` to `most`, or FMT_E_ARGUMENT with the cause. */
enum fmt_rc fmt_option_u32(const char *name, const char *value, uint32_t least, uint32_t most,
                           uint32_t *out, struct fmt_error *error);

/* For set_option: the place of `value` in words[], which ends with NULL, or FMT_E_ARGUMENT with a
 * cause that lists them. Case does not count. */
enum fmt_rc fmt_option_word(const char *name, const char *value, const char *const words[],
                            uint32_t *out, struct fmt_error *error);

/* Records text (printf style) and returns FMT_E_ARGUMENT. */
enum fmt_rc fmt_refuse(struct fmt_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Records text (printf style) and place in *error (which may be NULL) and returns FMT_E_FORMAT. */
enum fmt_rc fmt_fail(struct fmt_error *error, size_t offset_bytes, uint32_t row, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));

extern const struct fmt_ops fmt_recordio_protobuf; /* formats/record.c */
extern const struct fmt_ops fmt_csv;               /* formats/csv.c */
extern const struct fmt_ops fmt_libsvm;            /* formats/libsvm.c */
extern const struct fmt_ops fmt_parquet;           /* formats/parquet.c */
extern const struct fmt_ops fmt_jsonl;             /* formats/jsonl.c */
extern const struct fmt_ops fmt_image;             /* formats/image.c */
extern const struct fmt_ops fmt_image_record;      /* formats/image_record.c */
extern const struct fmt_ops fmt_tfrecord;          /* formats/tfrecord_rows.c */

#endif
