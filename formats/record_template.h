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

#include <stdbool.h>

#include "formats/fmt.h"
#include "formats/record.h"

#define FMT_TEMPLATE_BLOCKS_MAX 12u

/* 16 bytes: one register where the machine has such, else the compiler makes do. */
typedef uint64_t fmt_block __attribute__((vector_size(16)));

struct fmt_template {
    size_t len_bytes; /* of the record, with head and pad; 0: nothing was learnt */
    struct fmt_template_run {
        size_t at;
        size_t len_bytes;
        uint32_t count;
        enum fmt_record_type type;
    } features, labels;
    uint32_t block_count;
    struct fmt_template_block {
        fmt_block bytes; /* what must be in the 16 bytes at `at`, where mask is set */
        fmt_block mask;
        size_t at;
    } blocks[FMT_TEMPLATE_BLOCKS_MAX]; /* these cover all but the values and the pad */
};

/* Learns from the record in one part at `in`, that has body_bytes of payload and that
 * fmt_record_walk parsed. False, and nothing learnt, when its values are not in one piece, or there
 * is too much between them. */
bool fmt_template_learn(struct fmt_template *template, const uint8_t *in, size_t body_bytes,
                        const struct fmt_record *record);

/* Decodes records from `in` for as long as they match, at most rows of them. Returns how many they
 * were, each template->len_bytes long. */
uint32_t fmt_template_decode(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t rows, float *features, float *labels);

#endif
