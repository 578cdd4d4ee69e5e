/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/ini.h - scan the INI dialect of ~/.aws/config and ~/.aws/credentials.
 *
 * Follows what botocore reads with Python's configparser: sections, "name = value" or "name: value"
 * (names in any case), whole-line comments with '#' or ';', a byte order mark, CR LF. An indented
 * line belongs to the option above it: as a nested option if that one has an empty value ("s3 ="),
 * else as a continuation of its value.
 *
 * Owner: the caller. Threads: pure function. Units: lines count from 1.
 */
#ifndef PIPE_INI_H
#define PIPE_INI_H

#include <stddef.h>

/* Called for every option, in file order. `section` is the text between the brackets, trimmed.
 * `parent` is NULL, or the name of the option that a nested one is indented under. Names are in
 * lower case. A continued value holds the line breaks. The texts live for the call only. */
typedef void (*ps_ini_fn)(void *cookie, const char *section, const char *parent, const char *name,
                          const char *value);

/* Scans `text` (`len` bytes, and one more byte that may be overwritten), which is changed in place.
 * Returns 0, or the number of the first line that is no option, section or comment. */
size_t ps_ini_scan(char *text, size_t len, ps_ini_fn each, void *cookie);

#endif
