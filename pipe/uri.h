/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/uri.h - what a channel's URI names: objects of a bucket, files, or FIFOs.
 *
 *     s3://bucket[/prefix]      every key that starts with prefix
 *     file:///path  path        a file, or the files below a directory
 *     pipe:///path              FIFOs path_0, path_1, ..., one for each epoch
 *
 * Everything after the bucket, or after "file://" or "pipe://", is taken byte for byte: nothing is
 * decoded or normalised, so "//", "?", "#", "%41" and spaces are parts of a key or a path.
 *
 * Owner: the caller. Threads: pure function.
 */
#ifndef PIPE_URI_H
#define PIPE_URI_H

#include "pipe/penstock.h"

#define PS_KEY_BYTES_MAX 1024   /* S3: "Creating object key names" */
#define PS_BUCKET_BYTES_MAX 255 /* buckets of us-east-1 before 2018; 63 everywhere since */
#define PS_PATH_BYTES_MAX 4095  /* PATH_MAX less its NUL */

enum ps_uri_kind { PS_URI_S3, PS_URI_FILE, PS_URI_PIPE };

struct ps_uri {
    enum ps_uri_kind kind;
    char bucket[PS_BUCKET_BYTES_MAX + 1]; /* "" for files and FIFOs */
    char prefix[PS_PATH_BYTES_MAX + 1];   /* key prefix, may be ""; or the path, never "" */
};

/* An access point, which stands in a URI where a bucket does:
 * s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix. */
struct ps_access_point {
    char partition[16]; /* "aws", "aws-cn", ... */
    char region[64];
    char account[13];
    char name[51];
};

/* Reads the ARN of an access point, all of `text`. False for anything else. */
bool ps_access_point_read(const char *text, struct ps_access_point *out);

/* Parses `text`. Returns PENSTOCK_OK or PENSTOCK_E_ARGUMENT. */
int ps_uri_parse(const char *text, struct ps_uri *out, struct penstock_error *error);

/* Whether the bucket's name can be the first label of a host name (3 to 63 of a-z 0-9 . and -). */
bool ps_bucket_is_dns(const char *bucket);

/* The zone of a directory bucket of S3 Express One Zone, e.g. "usw2-az1" of
 * "base--usw2-az1--x-s3"; its access points end in "--xa-s3". Returns the zone's length, 0 for any
 * other bucket; *zone points into `bucket`. */
size_t ps_bucket_zone(const char *bucket, const char **zone);

#endif
