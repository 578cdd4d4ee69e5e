/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/replace_file.h - a small file that appears whole or not at all, for other processes to read.
 */
#ifndef PIPE_REPLACE_FILE_H
#define PIPE_REPLACE_FILE_H

#include "pipe/penstock.h"

/* Writes `path`.new and renames it to `path`, mode 0644. Not flushed to the disk: what reads it
 * lives on this machine now. Returns PENSTOCK_OK or PENSTOCK_E_SYSTEM. */
int ps_replace_file(const char *path, const void *bytes, size_t len_bytes,
                    struct penstock_error *error);

/* Writes all of it to a file that blocks, or fails: returns 0 or an errno. */
int ps_write_whole(int fd, const void *bytes, size_t len_bytes);

#endif
