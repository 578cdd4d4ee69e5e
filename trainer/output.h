/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/output.h - a file that appears whole or not at all: written under a temporary name in the
 * same directory, flushed to the disk, then renamed.
 *
 * Owner: the caller owns the struct, which holds an open file between open and close.
 * Threads: one per output. Errors: functions return 0, or -1 with *error naming the file.
 */
#ifndef TRAINER_OUTPUT_H
#define TRAINER_OUTPUT_H

#include "trainer/error.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

/* Temporary names end so: SageMaker does not copy such files to S3. */
#define TR_OUTPUT_SUFFIX ".sagemaker-ignore"

struct tr_output {
    char path[PATH_MAX];
    char temporary[PATH_MAX + 64]; /* "" when there is none */
    FILE *file;                    /* NULL when closed */
    int sys_errno;                 /* of the first write that failed */
};

/* Makes the directory and its parents where they are missing, and checks that files can be made in
 * it. */
int tr_output_directory(const char *directory, struct tr_error *error);

/* Starts `directory`/`name`; a NULL directory takes name as a path. A directory of that name is an
 * error. */
int tr_output_open(struct tr_output *output, const char *directory, const char *name,
                   struct tr_error *error);

/* Writes bytes; a fmt_sink_fn with the output as cookie. Returns 0, or -1: tr_output_close will say
 * why. */
int tr_output_sink(void *output, const void *bytes, size_t len_bytes);

/* Flushes to the disk what was written so far; what goes wrong is said by tr_output_close. */
void tr_output_flush(struct tr_output *output);

/* Flushes to the disk and closes; the file still has its temporary name. */
int tr_output_close(struct tr_output *output, struct tr_error *error);

/* Renames to the final name. */
int tr_output_commit(struct tr_output *output, struct tr_error *error);

/* Closes, and removes the temporary file when it was not committed. */
void tr_output_discard(struct tr_output *output);

#endif
