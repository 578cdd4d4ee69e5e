/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/container.h - the contract of a SageMaker training container: BASE/input/config says what
 * the channels, the hyperparameters and the hosts are, BASE/input/data holds the data, and the
 * model goes to BASE/model, the reason of a failure to BASE/output/failure. BASE is /opt/ml, or
 * $SAGEMAKER_BASE_DIR.
 *
 * Owner: the caller owns the struct, which owns the texts that the options point to.
 * Threads: one. Errors: functions return 0, or -1 with *error naming the file.
 */
#ifndef TRAINER_CONTAINER_H
#define TRAINER_CONTAINER_H

#include "trainer/train.h"

#include <limits.h>

#define TR_CONTAINER_URI_BYTES (PATH_MAX + 32)

struct tr_container {
    char base[PATH_MAX - 128]; /* room for what goes below it */
    char model_dir[PATH_MAX];
    char checkpoint_dir[PATH_MAX];
    char uris[TR_CHANNEL_COUNT][TR_CONTAINER_URI_BYTES];
    char content_types[TR_CHANNEL_COUNT][256 + 1]; /* as long as CreateTrainingJob allows */
};

/* Finds BASE: `base` if not NULL, else $SAGEMAKER_BASE_DIR, else /opt/ml. Returns 1 if this is a
 * training container, which takes one of the first two or an inputdataconfig.json in the third, 0
 * if it is none, or -1. */
int tr_container_find(struct tr_container *container, const char *base, struct tr_error *error);

/* Fills what the files say into the options: channels, hyperparameters, and the model's directory
 * and content types where they are not set. */
int tr_container_read(struct tr_container *container, struct tr_train_options *options,
                      struct tr_error *error);

/* Where the file that names the hosts is, if it is there. */
void tr_container_resources(const struct tr_container *container, char path[PATH_MAX]);

/* Writes BASE/output/failure, cut to what SageMaker shows of it. A failure to do so is ignored: the
 * message is on standard error as well. */
void tr_container_failure(const struct tr_container *container, const char *message);

#endif
