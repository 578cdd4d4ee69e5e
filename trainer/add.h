/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/add.h - adding arrays of numbers up.
 *
 * Threads: any; pure.
 */
#ifndef TRAINER_ADD_H
#define TRAINER_ADD_H

#include "trainer/group.h"

/* to[i] += from[i]; n elements, aligned as their type, that do not overlap. */
void tr_add(void *to, const void *from, size_t n, enum tr_number type);

#endif
