/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_template.h - records that are alike but for their values, at the speed of memcpy.
 *
 * Writers give every dense record of a channel the same length and the same bytes around the
 * values. Once one such record has been parsed, another is known to be valid, and where its values
 * are, when its bytes outside the values are the same: heads, tags, lengths and names at once.
 *
 * Owner: the caller owns all memory. Threads: pure functions.
 */
#ifndef FORMATS_RECORD_TEMPLATE_H
#define FORMATS_RECORD_TEMPLATE_H

#include "formats/fmt.h"
#include "formats/record_options.h"

#define FMT_TEMPLATE_BLOCKS_MAX 16u
#define FMT_TEMPLATE_RUNS_MAX 10u
#define FMT_TEMPLATE_BLOCK_BYTES 32u

enum fmt_template_target { FMT_TEMPLATE_FEATURES, FMT_TEMPLATE_LABELS, FMT_TEMPLATE_WEIGHT };

struct fmt_template {
    size_t len_bytes;  /* of the record, with head and pad; 0: nothing was learnt */
    size_t look_bytes; /* of the input, for comparing one: those of a block at least */
    enum fmt_feature_type type;
    size_t row_bytes;   /* of features */
    uint32_t label_dim; /* of the channel */
    bool is_copied;     /* all values go to the row as they are */
    bool is_wide;       /* the machine has what record_template_x86.c needs */
    uint32_t run_count;
    struct fmt_template_run { /* values, one behind the other */
        size_t at;
        size_t len_bytes;
        uint32_t count;
        enum fmt_record_type from;
        enum fmt_template_target target;
        size_t offset_bytes;       /* in the row's features */
    } runs[FMT_TEMPLATE_RUNS_MAX]; /* in the order in which they are wanted */
    uint32_t block_count;
    struct fmt_template_block {
        uint8_t bytes[FMT_TEMPLATE_BLOCK_BYTES]; /* what must be at `at`, where mask is set */
        uint8_t mask[FMT_TEMPLATE_BLOCK_BYTES];
        size_t at;
    } blocks[FMT_TEMPLATE_BLOCKS_MAX]; /* these cover all but the values and the pad */
};

/* Where the bytes of a run go. */
struct fmt_template_move {
    size_t at; /* in the record */
    size_t len_bytes;
    uint8_t *to; /* of the first record's; and of one record's from that of the record before */
    size_t stride_bytes;
};

/* Learns from the record in one part at `in`, that has body_bytes of payload, where fmt_record_walk
 * found the values, and which is a row of the shape. False, and nothing learnt, when values have
 * not always the same length, or there is too much between them. */
bool fmt_template_learn(struct fmt_template *template, const struct fmt_record_options *options,
                        const struct fmt_shape *shape, const struct fmt_record_value *values,
                        const uint8_t *in, size_t body_bytes);

/* Decodes records from `in` for as long as they match, at most row_count of them, to rows->...[row]
 * and on. Returns how many they were, each template->len_bytes long. */
uint32_t fmt_template_decode(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t row_count, const struct fmt_rows *rows, uint32_t row);

/* How many records from `in` match, at most row_count, as far as the bytes around their values go:
 * varints among these may be longer than the template says. */
uint32_t fmt_template_match(const struct fmt_template *template, const uint8_t *in, size_t len,
                            uint32_t row_count);

#endif
