/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/wrap.h - functions of the C library that can be refused. The program is linked with
 * --wrap for each of them, and has `static bool refused(void)` before it includes this.
 */
#ifndef TESTS_UNIT_WRAP_H
#define TESTS_UNIT_WRAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRAP(type, name, parameters, arguments, refusal, number)                                   \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        if (!refused())                                                                            \
            return __real_##name arguments;                                                        \
        errno = number;                                                                            \
        return refusal;                                                                            \
    }

WRAP(void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL, ENOMEM)
WRAP(char *, strdup, (const char *text), (text), NULL, ENOMEM)

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;

    if (refused())
        return -1;
    va_start(args, format);
    int len = vasprintf(out, format, args);

    va_end(args);
    return len;
}

#endif
