/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/symbols.c - see trainer/symbols.h. */
#include "trainer/symbols.h"

#include <dlfcn.h>
#include <string.h>

/* Pointers to functions and to objects have the same size and form (POSIX, dlsym). */
const char *tr_symbols_find(void *library, const struct tr_symbol *symbols, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (!address)
            return symbols[i].name;
        memcpy(symbols[i].to, &address, sizeof address);
    }
    return NULL;
}
