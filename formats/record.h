/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record.h - inside recordio-protobuf: one aialgs.data.Record (formats/record.proto) to one
 * row of features and labels. Two parsers with one result: fmt_record_walk is fast and takes the
 * shapes that writers produce; fmt_record_unpack (protobuf-c) takes everything.
 *
 * Which tensor counts: of the map `features` the entry "values", or the only one there is; of the
 * map `label` likewise. The last entry of a name wins.
 *
 * Owner: the caller owns all memory. Threads: pure functions.
 */
#ifndef FORMATS_RECORD_H
#define FORMATS_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum fmt_record_verdict {
    FMT_RECORD_PARSED,    /* valid protobuf; see fmt_record_map.problem */
    FMT_RECORD_MALFORMED, /* not protobuf */
    FMT_RECORD_REFUSED,   /* fmt_record_walk only: leave it to fmt_record_unpack */
    FMT_RECORD_NO_MEMORY, /* fmt_record_unpack only */
};

/* Why a map has no dense tensor to offer. */
enum fmt_record_problem {
    FMT_RECORD_GOOD,
    FMT_RECORD_ABSENT,    /* the map is empty */
    FMT_RECORD_AMBIGUOUS, /* several names, none of them "values" */
    FMT_RECORD_NO_TENSOR, /* the entry has no value */
    FMT_RECORD_BYTES,     /* the value is of type bytes */
    FMT_RECORD_SPARSE,    /* it has keys, or a shape and no values (an empty sparse row) */
    FMT_RECORD_SHAPE,     /* the shape's product is not the number of values */
};

enum fmt_record_type { FMT_RECORD_F32, FMT_RECORD_F64, FMT_RECORD_I32 };

/* One of a record's two maps, reduced to its tensor. */
struct fmt_record_map {
    float *out;       /* in: where values go, as float32 */
    uint64_t out_max; /* in: at most so many of them; what is beyond is only counted */
    enum fmt_record_problem problem;
    uint64_t count;
    /* Out: where the values are when fmt_record_walk saw them in one piece; else NULL. */
    const uint8_t *run;
    size_t run_bytes;
    enum fmt_record_type type; /* of run */
};

struct fmt_record {
    struct fmt_record_map features;
    struct fmt_record_map labels;
};

/* Parses body[len]. When it returns FMT_RECORD_PARSED both maps are filled in. */
enum fmt_record_verdict fmt_record_walk(const uint8_t *body, size_t len, struct fmt_record *record);
enum fmt_record_verdict fmt_record_unpack(const uint8_t *body, size_t len,
                                          struct fmt_record *record);

#endif
