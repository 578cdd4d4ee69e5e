/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/device_delayed.h - what tests can ask of the `delayed` device beyond the device table.
 *
 * Threads: the thread that calls the device.
 */
#ifndef TRAINER_DEVICE_DELAYED_H
#define TRAINER_DEVICE_DELAYED_H

#include "trainer/device.h"

/* Work on a held stream starts only when somebody waits for it: the host or another stream, or the
 * third query of an event that covers it. From the start the copy stream is held, the compute
 * stream is not. Takes effect for work not yet started. */
void tr_delayed_hold(struct tr_device *device, enum tr_stream stream, bool held);

#endif
