/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/inspect.h - penstock inspect's parts: what bytes are, what their records hold, what is
 * wrong with them.
 *
 * Owner: the caller owns a struct ps_inspect; keys that it keeps belong to the stream. Threads:
 * one. Units: bytes, rows.
 */
#ifndef PIPE_INSPECT_H
#define PIPE_INSPECT_H

#include "formats/fmt.h"
#include "formats/inflate.h"
#include "pipe/penstock.h"

#include <stdio.h>

enum ps_kind {
    PS_KIND_UNKNOWN, /* not enough bytes to tell: for ps_inspect_kind only */
    PS_KIND_RECORD_PROTOBUF,
    PS_KIND_RECORDIO,       /* with payloads of any other sort */
    PS_KIND_IMAGE_RECORDIO, /* mxnet's: a head with labels, then a picture */
    PS_KIND_CSV,
    PS_KIND_CSV_OTHER, /* with another delimiter than the comma */
    PS_KIND_LIBSVM,
    PS_KIND_JSON_LINES,
    PS_KIND_JSON,
    PS_KIND_LST,            /* mxnet's list of pictures and labels */
    PS_KIND_RECORDIO_INDEX, /* mxnet's .idx: where records begin */
    PS_KIND_TEXT,
    PS_KIND_TFRECORD,
    PS_KIND_PARQUET,
    PS_KIND_NPY,
    PS_KIND_ZIP,
    PS_KIND_IDX,
    PS_KIND_AVRO,
    PS_KIND_JPEG,
    PS_KIND_PNG,
    PS_KIND_BINARY
};

/* What an object is, by its first bytes. PS_KIND_UNKNOWN when more are wanted; never if `whole`,
 * when there are no more to be had. */
enum ps_kind ps_inspect_kind(const uint8_t *in, size_t len, bool whole);
const char *ps_kind_name(enum ps_kind kind);
bool ps_kind_is_text(enum ps_kind kind);
enum fmt_codec ps_inspect_codec(const uint8_t *in, size_t len);

/* The content type, with parameters, by which penstock reads objects of that kind, which begin with
 * [in, in + len): parameters that the bytes do not tell are examples. (inspect_type.c) */
void ps_inspect_type(enum ps_kind kind, const uint8_t *in, size_t len, char *out, size_t room);

/* Whether that content type can be decoded by as it is. */
bool ps_inspect_type_is_whole(enum ps_kind kind);

/* The character between the numbers of the first line of PS_KIND_CSV_OTHER that has some. */
char ps_inspect_delimiter(const uint8_t *in, size_t len);

/* The RecordIO record's head of mxnet's with a picture behind it: where in the payload that is; 0
 * if it is none. */
size_t ps_inspect_picture_at(const uint8_t *payload, size_t len);

/* Whether none of the first line's fields is a number. */
bool ps_inspect_is_header(const uint8_t *in, size_t len, char delimiter);

/* ---- numbers ---- */

enum { PS_DISTINCT_MAX = 20, PS_LABELS_SHOWN = 16, PS_TYPE_BYTES = 512 };

/* Of a column, or of all features together. */
struct ps_numbers {
    uint64_t count; /* finite ones */
    uint64_t nan_count;
    uint64_t inf_count;
    double least; /* of the finite ones */
    double most;
    double mean;
    bool fractions;          /* not all of them are whole numbers */
    uint32_t distinct_count; /* PS_DISTINCT_MAX + 1: more than those below */
    float distinct[PS_DISTINCT_MAX];
    uint64_t distinct_rows[PS_DISTINCT_MAX];
};

/* Takes n numbers that are `step` apart. */
void ps_numbers_take(struct ps_numbers *numbers, const float *values, size_t n, size_t step,
                     bool distinct);

/* ---- problems ---- */

enum ps_problem {
    PS_PROBLEM_MALFORMED,
    PS_PROBLEM_SHAPE,
    PS_PROBLEM_FORMAT,
    PS_PROBLEM_COMPRESSION,
    PS_PROBLEM_CORRUPT,
    PS_PROBLEM_HEADER,
    PS_PROBLEM_DELIMITER,
    PS_PROBLEM_NEWLINE,
    PS_PROBLEM_NUMBERS,
    PS_PROBLEM_EMPTY,
    PS_PROBLEM_ORDER,
    PS_PROBLEM_UNBALANCED,
    PS_PROBLEMS
};

enum { PS_EXAMPLES_MAX = 10 };

struct ps_example {
    const char *key; /* NULL: of no object */
    uint64_t offset_bytes;
    char text[300];
};

struct ps_problem_list {
    uint64_t count;
    struct ps_example examples[PS_EXAMPLES_MAX]; /* of the first of them */
};

/* "malformed_record", ... */
const char *ps_problem_name(enum ps_problem problem);

/* ---- the inspection ---- */

struct ps_sizes {
    uint64_t *bytes; /* in listing order */
    const char **keys;
    size_t count;
    uint64_t empty_count;
    uint64_t total_bytes;
    uint64_t least_bytes;
    uint64_t median_bytes; /* the lower of the two in the middle */
    uint64_t most_bytes;
};

struct ps_inspect {
    /* Set by the caller; content_type may be NULL. */
    const char *content_type;
    bool codec_given;
    enum fmt_codec codec; /* the first object's, unless given; AUTO: by each one's key */
    uint32_t rows_wanted; /* how many of the first rows to keep */

    enum ps_kind kind;        /* the first object's */
    char type[PS_TYPE_BYTES]; /* as ps_inspect_type has it */
    struct fmt_options options;
    bool codecs_differ;
    struct fmt_shape shape;
    struct fmt_decoder *decoder; /* NULL: no shape is learnt */
    struct fmt_rows decoded;     /* one row */
    float *row;                  /* labels, then features, or a sparse row's values */
    size_t row_room;
    float *row_kept;  /* rows_kept of these, if dense and without texts; else NULL */
    char **line_kept; /* rows_kept of these, as penstock cat --decode writes them; else NULL */
    uint32_t rows_kept;
    uint64_t entries; /* of sparse rows */
    uint64_t text_bytes;

    uint64_t objects; /* begun, and read to their end */
    uint64_t objects_ended;
    uint64_t bytes_read; /* as they lie in the store */
    uint64_t content_bytes;
    uint64_t records;
    uint64_t records_in_parts; /* of RecordIO, of more than one part */
    uint64_t payload_least_bytes;
    uint64_t payload_most_bytes;
    uint64_t payload_total_bytes;
    char payload_kind[16]; /* of the first one */
    struct ps_numbers features;
    struct ps_numbers labels[PS_LABELS_SHOWN];

    struct ps_sizes sizes;
    struct ps_problem_list problems[PS_PROBLEMS];

    /* The object under way. */
    const char *key;
    bool object_open;
    bool passed_over; /* its rest is not looked at */
    bool kind_known;
    enum fmt_codec object_codec;
    struct fmt_inflate *inflate;
    uint8_t *pending; /* contents not yet cut into records */
    size_t pending_bytes;
    size_t pending_room;
    uint64_t pending_offset;
    struct fmt_cut cut;
    uint8_t last_byte;
};

/* Begins; content_type and the other fields of the caller are set. */
int ps_inspect_open(struct ps_inspect *inspect, struct penstock_error *error);
void ps_inspect_close(struct ps_inspect *inspect);

/* The next span of the objects' bytes, in order. PENSTOCK_OK or PENSTOCK_E_MEMORY. */
int ps_inspect_take(struct ps_inspect *inspect, const struct penstock_span *span);

/* The sample ends here: what can be told of an object that was begun is told. */
int ps_inspect_finish(struct ps_inspect *inspect);

/* The object's contents, or their next piece; the object's end. (inspect_records.c) */
int ps_inspect_contents(struct ps_inspect *inspect, const uint8_t *in, size_t len, bool at_end);

/* A record's row, or what is wrong with it. PENSTOCK_OK or PENSTOCK_E_MEMORY. (inspect_rows.c) */
int ps_inspect_row(struct ps_inspect *inspect, const uint8_t *in, size_t len,
                   uint64_t offset_bytes);
void ps_inspect_rows_close(struct ps_inspect *inspect);

void ps_inspect_problem(struct ps_inspect *inspect, enum ps_problem problem, const char *key,
                        uint64_t offset_bytes, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Adds up inspect->sizes, and says what is wrong with keys and sizes. */
int ps_inspect_sizes(struct ps_inspect *inspect);

/* The content type to give to penstock train or run, and the compression. */
void ps_inspect_content_type(const struct ps_inspect *inspect, char *out, size_t room);
const char *ps_inspect_compression(const struct ps_inspect *inspect);

/* Reports; `all`: every object. (inspect_report.c, inspect_json.c) */
void ps_inspect_print(const struct ps_inspect *inspect, bool all, FILE *to);
int ps_inspect_print_json(const struct ps_inspect *inspect, bool all, FILE *to);

#endif
