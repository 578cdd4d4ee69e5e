/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/error.h - what went wrong in the trainer: one complete sentence for the user.
 *
 * Owner: the caller owns the struct; it holds no pointer.
 * Threads: none of its own.
 */
#ifndef TRAINER_ERROR_H
#define TRAINER_ERROR_H

struct tr_error {
    char text[2048]; /* room for a whole struct penstock_error message */
};

/* Writes the sentence (printf style) to *error, which may be NULL. Returns -1 always, so that a
 * failing function can end in `return tr_fail(...)`. */
int tr_fail(struct tr_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
