/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/checkpoint_files.h - the names of checkpoints in their directory.
 *
 * Owner: the caller. Threads: one. Errors: int functions return 0, or -1 with *error.
 */
#ifndef TRAINER_CHECKPOINT_FILES_H
#define TRAINER_CHECKPOINT_FILES_H

#include "trainer/error.h"

#include <stddef.h>
#include <stdint.h>

#define TR_CHECKPOINT_NAME_BYTES 64

struct tr_checkpoint_names {
    char (*names)[TR_CHECKPOINT_NAME_BYTES]; /* newest first */
    size_t count;
};

void tr_checkpoint_name(char name[TR_CHECKPOINT_NAME_BYTES], uint32_t epoch, uint64_t batch);

/* Lists the directory's; *out is to be freed, whatever is returned. */
int tr_checkpoint_list(const char *directory, struct tr_checkpoint_names *out,
                       struct tr_error *error);
void tr_checkpoint_names_free(struct tr_checkpoint_names *names);

/* Removes all but the newest `keep`; what cannot be removed stays. */
void tr_checkpoint_prune(const char *directory, uint32_t keep);

/* Removes what was not finished by processes that are gone. */
void tr_checkpoint_sweep(const char *directory);

#endif
