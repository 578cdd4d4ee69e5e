/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record.h - inside recordio-protobuf: finds, in one aialgs.data.Record
 * (formats/record.proto), the values that a channel wants. Two parsers with one result:
 * fmt_record_walk is fast and takes the shapes that writers produce; fmt_record_unpack (protobuf-c)
 * takes everything.
 *
 * A record has two maps, `features` and `label`. A value is wanted by its name in one of them; or
 * without a name: then it is the entry "values", or the only one there is that is not wanted by its
 * name. The last entry of a name wins.
 *
 * Owner: the caller owns all memory. Threads: pure functions.
 */
#ifndef FORMATS_RECORD_H
#define FORMATS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FMT_RECORD_WANTED_MAX 66u

struct fmt_record_wanted {
    const char *name; /* NULL: see above; of one value in each map at most */
    size_t name_bytes;
    bool is_label; /* in the map `label`; else in `features` */
};

/* What is wanted of the records of a channel. No two of one map have the same name. */
struct fmt_record_query {
    struct fmt_record_wanted wanted[FMT_RECORD_WANTED_MAX];
    uint32_t count;
};

enum fmt_record_verdict {
    FMT_RECORD_PARSED,    /* valid protobuf, but for varints that fmt_record_numbers refuses */
    FMT_RECORD_MALFORMED, /* not protobuf */
    FMT_RECORD_REFUSED,   /* fmt_record_walk only: leave it to fmt_record_unpack */
    FMT_RECORD_NO_MEMORY, /* fmt_record_unpack only */
};

enum fmt_record_kind {
    FMT_RECORD_ABSENT,    /* there is no such entry */
    FMT_RECORD_AMBIGUOUS, /* several names, none of them "values" */
    FMT_RECORD_EMPTY,     /* the entry has no value */
    FMT_RECORD_TENSOR,
    FMT_RECORD_BYTES,
};

enum fmt_record_type { FMT_RECORD_F32, FMT_RECORD_F64, FMT_RECORD_I32 };

/* One wanted value. */
struct fmt_record_value {
    enum fmt_record_kind kind;
    enum fmt_record_type type; /* of a tensor */

    /* Values and keys are as on the wire, in one piece: little-endian, or varints. Else they are
     * arrays of the machine: float, double or int32_t, and uint64_t. */
    bool is_wire;
    bool has_shape;
    uint64_t shape_product; /* UINT64_MAX if it is as large or larger; 1 without a shape */
    const uint8_t *values;  /* FMT_RECORD_BYTES: the last of its byte strings */
    size_t values_bytes;
    uint64_t value_count; /* FMT_RECORD_BYTES: how many byte strings there are */
    const uint8_t *keys;
    size_t keys_bytes;
    uint64_t key_count;
};

/* A tensor that is sparse: it has keys, or is an empty row: a shape alone. */
static inline bool fmt_record_is_sparse(const struct fmt_record_value *value)
{
    return value->key_count > 0 || (value->value_count == 0 && value->has_shape);
}

/* Parses body[len]. When they return FMT_RECORD_PARSED, values[query->count] say where what is
 * wanted lies: in the body; or, after fmt_record_unpack, in a message that is to be freed. */
enum fmt_record_verdict fmt_record_walk(const uint8_t *body, size_t len,
                                        const struct fmt_record_query *query,
                                        struct fmt_record_value *values);
enum fmt_record_verdict fmt_record_unpack(const uint8_t *body, size_t len,
                                          const struct fmt_record_query *query,
                                          struct fmt_record_value *values, void **message);
void fmt_record_free(void *message); /* accepts NULL */

#endif
