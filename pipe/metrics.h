/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/metrics.h - what streams have counted, for Prometheus: --metrics FILE of the commands, which
 * is replaced every second, or --metrics [ADDRESS]:PORT, to be asked (127.0.0.1). The text format,
 * version 0.0.4.
 *
 * Owner: the caller. Threads: one of its own, that writes or answers; the functions may be called
 *   by any other, but open and close by one alone. Strings are the caller's and outlive it.
 */
#ifndef PIPE_METRICS_H
#define PIPE_METRICS_H

#include "pipe/penstock.h"

enum { PS_METRICS_CHANNELS_MAX = 20, PS_METRICS_FIGURES_MAX = 16 };
enum { PS_METRICS_VALUE_BYTES = 256, PS_METRICS_LABEL_BYTES = 600 };

struct ps_metrics;

/* Whether what --metrics was given is an address and port, not a file. */
bool ps_metrics_is_port(const char *text);

/* Returns PENSTOCK_OK; PENSTOCK_E_ARGUMENT: no such address; PENSTOCK_E_SYSTEM: the file cannot be
 * written, or the port not be had. */
int ps_metrics_open(const char *where, struct ps_metrics **out, struct penstock_error *error);

/* The port that is answered at (port 0 takes one that is free); 0: it is a file. */
unsigned ps_metrics_port(const struct ps_metrics *metrics);

/* The stream whose counters are told from now on, and the names of its channels. NULL before it is
 * closed: then what it counted last stays. Accepts NULL metrics, as the others do. */
void ps_metrics_watch(struct ps_metrics *metrics, const struct penstock *stream,
                      const char *const *names, size_t count);

/* A figure besides: "train_loss" becomes penstock_train_loss, a counter if it ends in _total. */
void ps_metrics_set(struct ps_metrics *metrics, const char *name, const char *what, double value);

/* Writes the file once more. */
void ps_metrics_close(struct ps_metrics *metrics);

/* Puts name="value", escaped, of a long value the beginning, into out[PS_METRICS_LABEL_BYTES], and
 * returns it. */
const char *ps_metrics_label(char *out, const char *name, const char *value);

/* Replaces a file as a whole, for a collector may come at any time. Returns as ps_metrics_open. */
int ps_metrics_replace(const char *path, const char *text, size_t len_bytes,
                       struct penstock_error *error);

#endif
