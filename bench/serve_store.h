/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_store.h - buckets and objects as directories and files.
 *
 * A bucket is a directory directly below the root (or a symbolic link to one, made by whoever owns
 * the root). A key is the path of a regular file below it, byte for byte. No key leads out of its
 * bucket: "..", absolute symbolic links and links that climb out are refused by the kernel
 * (openat2, RESOLVE_BENEATH). Keys that no file can have are not found: those with an empty, "." or
 * ".." component or a NUL, or longer than 1024 bytes. The key "dir/" is the file "dir/.folder".
 *
 * Threads: any. Owner: the caller owns the descriptors returned.
 */
#ifndef BENCH_SERVE_STORE_H
#define BENCH_SERVE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { SERVE_KEY_MAX = 1024, SERVE_BUCKET_MAX = 255 };

/* The file whose presence makes its directory a key "dir/"; itself no key. */
#define SERVE_FOLDER_FILE ".folder"

/* The name of uploads that are not complete, in the bucket's directory; no key either. */
#define SERVE_UPLOAD_PREFIX ".penstock-upload."

enum { SERVE_ETAG_LEN = 34 }; /* 32 hexadecimal digits in quotes */

/* Opens the directory of bucket `name`. Returns a descriptor, or -1 with errno (ENOENT: there is no
 * such bucket). */
int serve_store_open_bucket(int root_fd, const char *name);

/* Opens a key's regular file for reading and fills *st. Returns a descriptor, or -1 with errno:
 * ENOENT for every key that is not there, EACCES when the file may not be read. */
int serve_store_open_key(int bucket_fd, const char *key, size_t key_len_bytes, struct stat *st);

/* Opens `path` below the bucket with `flags`, never leaving it. Returns a descriptor or -1. */
int serve_store_open_beneath(int bucket_fd, const char *path, int flags);

/* An upload: bytes go to a temporary file, which takes the key's place in one step. */
struct serve_upload {
    int bucket_fd; /* lent */
    int fd;        /* -1: none begun */
    char name[64];
};

int serve_store_upload_begin(struct serve_upload *upload, int bucket_fd);

/* Gives the upload's bytes the name `key`, making directories on the way. Returns 0 and fills *st,
 * or -1 with errno; ends the upload either way. */
int serve_store_upload_commit(struct serve_upload *upload, const char *key, size_t key_len_bytes,
                              struct stat *st);

/* Throws an upload away; does nothing when none is under way. */
void serve_store_upload_abort(struct serve_upload *upload);

/* Removes a key's file. Returns 0, also when there was none, or -1 with errno. */
int serve_store_delete(int bucket_fd, const char *key, size_t key_len_bytes);

/* The entity tag of a file, in quotes: the same as long as the file is not written or replaced. */
void serve_store_etag(uint64_t size_bytes, int64_t mtime_ns, uint64_t inode,
                      char etag[SERVE_ETAG_LEN + 1]);

int64_t serve_store_mtime_ns(const struct stat *st);

/* Whether a directory entry's name is one that is never part of a key. */
bool serve_store_name_hidden(const char *name);

#endif
