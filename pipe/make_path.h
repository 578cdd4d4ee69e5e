/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/make_path.h - a directory and those above it.
 *
 * Threads: any.
 */
#ifndef PIPE_MAKE_PATH_H
#define PIPE_MAKE_PATH_H

#include "pipe/penstock.h"

/* Makes `path` and every directory above it that is missing. Returns PENSTOCK_OK, or
 * PENSTOCK_E_SYSTEM or PENSTOCK_E_ARGUMENT (too long) with *error, which names what is in the way.
 */
int ps_make_path(const char *path, struct penstock_error *error);

#endif
