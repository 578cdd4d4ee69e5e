/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/cmd_train.h - the command `penstock train`.
 *
 * Threads: the main thread.
 */
#ifndef TRAINER_CMD_TRAIN_H
#define TRAINER_CMD_TRAIN_H

/* argv[0] is the command's name. Returns the exit code: 0 success, 1 failure, 2 usage error, 128 +
 * the signal's number when interrupted. */
int penstock_cmd_train(int argc, char **argv);

#endif
