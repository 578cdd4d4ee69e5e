/* SPDX-License-Identifier: Apache-2.0 */
/* tests/frames.h - RecordIO objects under construction, for tests and fuzz targets: frames as
 * SageMaker's SDK writes them, parts as ml-io's test data has them, records as dmlc-core writes
 * them.
 */
#ifndef TESTS_FRAMES_H
#define TESTS_FRAMES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct frames {
    uint8_t *bytes;
    size_t len_bytes;
    size_t room;
};

static inline void frames_put(struct frames *frames, const void *bytes, size_t len)
{
    if (frames->len_bytes + len > frames->room) {
        frames->room = (frames->len_bytes + len) * 2;
        frames->bytes = realloc(frames->bytes, frames->room);
        if (frames->bytes == NULL)
            abort();
    }
    if (len > 0)
        memcpy(frames->bytes + frames->len_bytes, bytes, len);
    frames->len_bytes += len;
}

static inline void frames_put_u32(struct frames *frames, uint32_t word)
{
    uint8_t bytes[] = {(uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16),
                       (uint8_t)(word >> 24)};
    frames_put(frames, bytes, 4);
}

/* One frame; flag 0 is a whole record. */
static inline void frames_put_part(struct frames *frames, uint32_t flag, const void *body,
                                   size_t len)
{
    frames_put_u32(frames, 0xced7230a);
    frames_put_u32(frames, flag << 29 | (uint32_t)len);
    frames_put(frames, body, len);
    frames_put(frames, "\0\0", -len & 3);
}

/* A record as dmlc-core's RecordIOWriter::WriteRecord writes it. */
static inline void frames_put_dmlc(struct frames *frames, const uint8_t *body, size_t len)
{
    size_t from = 0;
    for (size_t i = 0; i + 4 <= len; i += 4) {
        if (memcmp(body + i, "\x0a\x23\xd7\xce", 4) != 0)
            continue;
        frames_put_part(frames, from == 0 ? 1 : 2, body + from, i - from);
        from = i + 4;
    }
    frames_put_part(frames, from == 0 ? 0 : 3, body + from, len - from);
}

static inline void frames_free(struct frames *frames)
{
    free(frames->bytes);
    memset(frames, 0, sizeof(*frames));
}

#endif
