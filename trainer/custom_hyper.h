/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/custom_hyper.h - hyperparameters of custom: the library, what the loop itself needs, and
 * all others, which are the library's.
 *
 * Owner: the caller; the struct holds no pointer. Threads: pure functions.
 */
#ifndef TRAINER_CUSTOM_HYPER_H
#define TRAINER_CUSTOM_HYPER_H

#include "trainer/hyper.h"

#define TR_CUSTOM_PARAMETERS_MAX 128U

struct tr_custom_hyper {
    struct tr_hyper_common common;
    char library[1024];
    uint32_t parameter_count;
    uint32_t text_bytes;
    char text[6144]; /* name, NUL, value, NUL of each */
};

extern const struct tr_hyper_table tr_custom_hyper_table;

#endif
