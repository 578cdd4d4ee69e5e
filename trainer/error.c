/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/error.c - see trainer/error.h. */
#include "trainer/error.h"

#include <stdarg.h>
#include <stdio.h>

int tr_fail(struct tr_error *error, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return -1;
}
