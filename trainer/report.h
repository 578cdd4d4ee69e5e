/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/report.h - what `penstock train` prints: lines for people, and metric lines in the form
 * that SageMaker's regular expressions look for ("Linear learner metrics" in the developer guide).
 *
 * Lines go to stdout, the progress line to stderr when that is a terminal. With `quiet` only the
 * metric lines, which start with '#', are printed.
 *
 * Owner: the caller. Threads: one. Units: seconds, rows, bytes.
 */
#ifndef TRAINER_REPORT_H
#define TRAINER_REPORT_H

#include "trainer/clock.h"
#include "trainer/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tr_report {
    bool quiet;
    bool silent; /* of another rank than 0: nothing at all is printed */
    bool terminal;
    bool progress_shown;
    double progress_at_s;  /* when the progress line was last drawn */
    char host[64];         /* "algo-1", or what SageMaker calls this machine */
    const char *title;     /* of the model, as tr_report_model was told */
    const char *objective; /* likewise */
};

/* One pass over a channel. */
struct tr_pass {
    uint64_t rows;
    uint64_t batches;
    uint64_t batch_bytes; /* of features and labels */
    double seconds;
    double started_at_s; /* seconds since 1970 */
    struct tr_results results;
};

/* Seconds since 1970. */
double tr_calendar_s(void);

/* The value of "current_host" in SageMaker's resourceconfig.json, when it is an ordinary host name;
 * else "algo-1". text may be NULL. */
void tr_report_host(const char *text, char *host, size_t host_bytes);

/* base  where a training container's files are; NULL: /opt/ml, if it is there */
void tr_report_init(struct tr_report *report, bool quiet, bool silent, const char *base);

/* The model's name in metric lines, and its objective's; both stay the caller's. */
void tr_report_model(struct tr_report *report, const char *title, const char *objective);

/* A line for people; takes the progress line off first. */
void tr_report_line(struct tr_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether it is time to draw the progress line again. */
bool tr_report_progress_due(const struct tr_report *report, double now_s);
void tr_report_progress(struct tr_report *report, uint32_t epoch, uint32_t epochs,
                        const struct tr_pass *so_far);

/* After an epoch: its line, and the metric lines of training. `validation` may be NULL. Counts are
 * of the whole run so far. */
void tr_report_epoch(struct tr_report *report, uint32_t epoch, uint32_t epochs,
                     const struct tr_pass *train, const struct tr_pass *validation,
                     uint64_t rows_seen, uint64_t batches_seen);

/* The quality of the final model on a held-out channel, "validation" or "test". */
void tr_report_quality(struct tr_report *report, const char *channel, const struct tr_pass *pass);

/* How well the data kept up. */
struct tr_data_figures {
    double first_batch_s;
    double waited_s;         /* the host, for data */
    double device_stalled_s; /* the device, between two batches, by its own clock */
    double seconds;          /* of training */
    double headroom; /* streamed rate over the rate of one batch replayed; 0: not measured */
};

void tr_report_data(struct tr_report *report, const struct tr_data_figures *figures);

/* Which rows were seen: their number, and a checksum that does not depend on their order. */
void tr_report_seen(struct tr_report *report, uint64_t rows, uint64_t checksum);

#endif
