/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_download.h - File mode: all objects of a channel into a new directory, in the order
 * of the stream.
 *
 * Owner: the caller; bench_download_remove. Threads: one. Units: seconds.
 */
#ifndef BENCH_BENCH_DOWNLOAD_H
#define BENCH_BENCH_DOWNLOAD_H

#include "pipe/penstock.h"

struct bench_download {
    char dir[512];
    int fd; /* of the file being written, or -1 */
    uint32_t files;
    double took_s, read_s;
    double first_object_s, first_connection_s; /* of the download itself */
};

/* Makes a directory in `wished`, or $TMPDIR, or /tmp. Returns PENSTOCK_OK, or an error. */
int bench_directory_make(const char *wished, char *dir, size_t size, struct penstock_error *error);

/* Removes a directory with all that is in it, but not what is mounted there. */
void bench_directory_remove(const char *dir);

/* Makes the directory. */
int bench_download_open(struct bench_download *download, const char *wished,
                        struct penstock_error *error);

/* The bytes of the objects of the channel, once. Returns as penstock_open; PENSTOCK_E_STOPPED after
 * a signal. */
int bench_download(struct bench_download *download, const struct penstock_config *base,
                   const struct penstock_channel_config *channel, struct penstock_error *error);

/* Reads all files so many times. */
int bench_download_read(struct bench_download *download, uint32_t passes, uint64_t *bytes,
                        struct penstock_error *error);

/* Removes what was written, and the directory. */
void bench_download_remove(struct bench_download *download);

#endif
