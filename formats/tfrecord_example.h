/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tfrecord_example.h - tf.train.Example, read in place. Its features are a map of lists:
 *
 *   Example   features = 1             Features
 *   Features  feature = 1              map<string, Feature>: entries { key = 1, value = 2 }
 *   Feature   oneof                    bytes_list = 1, float_list = 2, int64_list = 3
 *   lists     value = 1                repeated bytes, float, int64
 *
 * Of features of one name the last counts, as in every protobuf reader; of two kinds of list in
 * one feature the later.
 *
 * Source: tensorflow/core/example/{example,feature}.proto.
 * Owner: the caller owns all memory. Threads: pure functions.
 */
#ifndef FORMATS_TFRECORD_EXAMPLE_H
#define FORMATS_TFRECORD_EXAMPLE_H

#include "formats/wire.h"

struct fmt_example_name {
    const char *text;
    size_t len_bytes;
};

/* Finds each named feature in the Example body[len]; found[i].at is NULL for one that is not there.
 * False: the bytes are no Example. */
bool fmt_example_find(const uint8_t *body, size_t len, const struct fmt_example_name *names,
                      uint32_t name_count, struct fmt_wire *found);

enum fmt_example_kind {
    FMT_EXAMPLE_EMPTY, /* the feature has no list */
    FMT_EXAMPLE_BYTES,
    FMT_EXAMPLE_FLOATS,
    FMT_EXAMPLE_INTEGERS,
};

struct fmt_example_values {
    enum fmt_example_kind kind;
    uint64_t count;
    struct fmt_wire bytes; /* the last, of BYTES */
};

/* Reads a feature that was found. Numbers go to out[out_max], integers rounded to float32; what is
 * beyond is only counted. False: the bytes are no Feature. */
bool fmt_example_read(struct fmt_wire feature, float *out, uint64_t out_max,
                      struct fmt_example_values *values);

#endif
