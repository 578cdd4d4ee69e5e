/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/symbols.h - what is used of a library that was opened at run time.
 *
 * Threads: see dlsym.
 */
#ifndef TRAINER_SYMBOLS_H
#define TRAINER_SYMBOLS_H

#include <stddef.h>

/* A function's or object's name, and the pointer that is to have its address. */
struct tr_symbol {
    const char *name;
    void *to;
};

/* Sets them all; returns NULL, or the name of the first that the library lacks. */
const char *tr_symbols_find(void *library, const struct tr_symbol *symbols, size_t count);

#endif
