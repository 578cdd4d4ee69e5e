/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_trainer.h - a real model on a real device, fed as penstock train feeds it: the head
 * of the stream makes the model, tr_feed_run brings batches to the device, timers on the device's
 * own compute stream tell how long it worked and how long it waited.
 *
 * Owner: the caller; bench_trainer_close after the stream is closed, whose memory it has pinned.
 * Threads: one, but for what penstock_open has pinned.
 */
#ifndef BENCH_BENCH_TRAINER_H
#define BENCH_BENCH_TRAINER_H

#include "bench/bench_device.h"
#include "pipe/penstock.h"
#include "trainer/model.h"

enum { BENCH_HYPER_MAX = 64 };

/* What is trained, and where. */
struct bench_model {
    const struct tr_model_ops *ops; /* NULL: no model */
    const char *device;             /* "auto", "cpu", "cuda" */
    _Alignas(double) char hyper[TR_HYPER_BYTES_MAX];
};

/* What became of it beside struct bench_device. */
struct bench_trained {
    uint64_t pinned_bytes;
    double pin_s;              /* time that registering took */
    uint64_t device_bytes;     /* allocated on the device */
    uint64_t on_device_ns;     /* when the first batch was there, on the monotonic clock; */
    uint64_t first_step_ns;    /* and when the first step had been done; 0: they were not */
    double replay_steps_per_s; /* with one batch over and over; 0: not measured */
    char device_line[160];
};

struct bench_trainer;

/* Opens the device. Returns PENSTOCK_OK, or an error with *error. */
int bench_trainer_open(const struct bench_model *model, struct bench_trainer **out,
                       struct penstock_error *error);

/* Lets penstock_open register its memory with the device. */
void bench_trainer_pin(struct bench_trainer *trainer, struct penstock_config *config);

/* Trains on what the source brings until it ends. *device is kept up to date meanwhile. Returns
 * what ended it: PENSTOCK_END, or an error of the source, or PENSTOCK_E_SYSTEM with *error when
 * model or device refused. */
int bench_trainer_run(struct bench_trainer *trainer, const struct tr_source *source,
                      struct bench_device *device, struct penstock_error *error);

/* How fast steps follow each other when one batch is given over and over, for so long. */
int bench_trainer_replay(struct bench_trainer *trainer, double seconds,
                         struct penstock_error *error);

const struct bench_trained *bench_trainer_trained(const struct bench_trainer *trainer);

void bench_trainer_close(struct bench_trainer **trainer); /* accepts NULL */

#endif
