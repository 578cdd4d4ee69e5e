/* SPDX-License-Identifier: Apache-2.0 */
/* formats/tfrecord_rows.h - application/x-tfrecord: what a channel wants of its records.
 *
 *   (nothing)              each record's data as one text
 *   example=NAME[,NAME...] tf.train.Example: numbers of these features, one behind the other
 *   label=NAME             numbers of this one as labels
 *   text=NAME[,NAME...]    the bytes of these as texts
 *
 * Owner: struct fmt_options, through fmt_tfrecord. Threads: constant once parsed, but for what
 * fmt_ops.learn notes before a decoder is made.
 */
#ifndef FORMATS_TFRECORD_ROWS_H
#define FORMATS_TFRECORD_ROWS_H

#include "formats/tfrecord_example.h"

#define FMT_TFRECORD_NAMES_MAX 64u /* in all */

struct fmt_tfrecord_options {
    char *example; /* names, as they were given and cut apart; or NULL; likewise: */
    char *label;
    char *text;

    /* Features wanted: numbers, then the label if any, then texts. */
    struct fmt_example_name names[FMT_TFRECORD_NAMES_MAX];
    uint32_t feature_count;
    uint32_t label_count;
    uint32_t text_count;

    /* What learn noted: the numbers of each feature and of the label; all 0 before. */
    uint32_t dims[FMT_TFRECORD_NAMES_MAX];
};

#endif
