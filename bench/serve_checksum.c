/* SPDX-License-Identifier: Apache-2.0 */
/* bench/serve_checksum.c - see serve_checksum.h. */
#include "bench/serve_checksum.h"

#include "bench/serve_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A place for each hash of an entity tag: of two files with the same one, the later is kept. */
enum { PLACE_COUNT = 65536, READ_BYTES = 256 * 1024 };

struct place {
    char etag[SERVE_ETAG_LEN + 1]; /* "": empty */
    uint64_t sum;
};

struct serve_checksums {
    enum fmt_crc_kind kind;
    pthread_mutex_t lock; /* guards the places */
    struct place places[PLACE_COUNT];
};

struct serve_checksums *serve_checksums_create(enum fmt_crc_kind kind)
{
    struct serve_checksums *checksums = calloc(1, sizeof *checksums);

    if (!checksums)
        return NULL;
    checksums->kind = kind;
    pthread_mutex_init(&checksums->lock, NULL);
    return checksums;
}

void serve_checksums_destroy(struct serve_checksums *checksums)
{
    if (!checksums)
        return;
    pthread_mutex_destroy(&checksums->lock);
    free(checksums);
}

const char *serve_checksum_header(enum fmt_crc_kind kind)
{
    static const char *const names[FMT_CRC_KINDS] = {[FMT_CRC32] = "x-amz-checksum-crc32",
                                                     [FMT_CRC32C] = "x-amz-checksum-crc32c",
                                                     [FMT_CRC64NVME] = "x-amz-checksum-crc64nvme"};

    return names[kind];
}

static bool sum_file(int fd, enum fmt_crc_kind kind, uint64_t *sum)
{
    uint8_t *bytes = malloc(READ_BYTES);
    off_t offset = 0;
    ssize_t n = -1;

    *sum = 0;
    while (bytes && ((n = pread(fd, bytes, READ_BYTES, offset)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) {
            *sum = fmt_crc(kind, *sum, bytes, (size_t)n);
            offset += n;
        }
    free(bytes);
    return n == 0;
}

bool serve_checksum_of(struct serve_checksums *checksums, int fd, const char *etag,
                       struct serve_checksum *out)
{
    uint64_t hash = fmt_crc(FMT_CRC64NVME, 0, (const uint8_t *)etag, strlen(etag));
    struct place *place = &checksums->places[hash % PLACE_COUNT];
    uint64_t sum = 0;

    pthread_mutex_lock(&checksums->lock);
    bool known = strcmp(place->etag, etag) == 0;

    if (known)
        sum = place->sum;
    pthread_mutex_unlock(&checksums->lock);
    if (!known) {
        if (!sum_file(fd, checksums->kind, &sum))
            return false;
        pthread_mutex_lock(&checksums->lock);
        memcpy(place->etag, etag, strlen(etag) + 1);
        place->sum = sum;
        pthread_mutex_unlock(&checksums->lock);
    }
    out->name = serve_checksum_header(checksums->kind);
    fmt_crc_text(checksums->kind, sum, out->text);
    return true;
}
