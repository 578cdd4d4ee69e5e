/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/list_files.h - the files below a directory, in the order S3 would list them as keys.
 *
 * Threads: the caller's.
 */
#ifndef PIPE_LIST_FILES_H
#define PIPE_LIST_FILES_H

#include "pipe/penstock.h"

#include <stdatomic.h>
#include <sys/stat.h>

#define PS_FILE_IDENTITY_BYTES 64

/* Takes one file: its whole path, its identity (see ps_file_identity) and size. Non-zero stops the
 * walk and becomes its result. */
typedef int (*ps_file_fn)(void *cookie, const char *path, const char *identity,
                          uint64_t size_bytes);

/* Calls `take` for the regular file `path`, or for every regular file below the directory `path`
 * (symbolic links are followed), in byte order of the paths. Stops when *stop becomes true. Returns
 * PENSTOCK_OK, what `take` returned, PENSTOCK_E_NOT_FOUND, _DENIED, _SYSTEM, _MEMORY, or _STOPPED.
 */
int ps_list_files(const char *path, const atomic_bool *stop, ps_file_fn take, void *cookie,
                  struct penstock_error *error);

/* What plays the part of an entity tag for a file: it changes when the content does. */
void ps_file_identity(const struct stat *status, char out[PS_FILE_IDENTITY_BYTES]);

/* PENSTOCK_E_NOT_FOUND, _DENIED or _SYSTEM for the errno of a failed open, stat or read. */
int ps_file_rc(int sys_errno);

#endif
