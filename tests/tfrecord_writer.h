/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tfrecord_writer.h - TFRecord objects under construction, and the messages in them, for
 * tests and fuzz targets. Its CRC32C goes bit by bit and shares nothing with formats/crc.c.
 */
#ifndef TESTS_TFRECORD_WRITER_H
#define TESTS_TFRECORD_WRITER_H

#include "tests/frames.h"

static inline uint32_t tfrecord_masked_crc32c(const uint8_t *in, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= in[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    crc ^= 0xffffffff;
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static inline void tfrecord_put(struct frames *object, const void *data, size_t len)
{
    frames_put_u32(object, (uint32_t)len);
    frames_put_u32(object, (uint32_t)((uint64_t)len >> 32));
    frames_put_u32(object, tfrecord_masked_crc32c(object->bytes + object->len_bytes - 8, 8));
    frames_put(object, data, len);
    frames_put_u32(object, tfrecord_masked_crc32c(data, len));
}

/* A field of bytes, up to 127 of them. */
static inline void wire_put(struct frames *message, uint32_t number, const void *bytes, size_t len)
{
    uint8_t head[] = {(uint8_t)(number << 3 | 2), (uint8_t)len};
    frames_put(message, head, 2);
    frames_put(message, bytes, len);
}

/* An entry of an Example's map, in a Features of its own: readers put them together. */
static inline void example_put(struct frames *example, const char *name, const void *feature,
                               size_t len)
{
    struct frames entry = {0};
    struct frames features = {0};
    wire_put(&entry, 1, name, strlen(name));
    wire_put(&entry, 2, feature, len);
    wire_put(&features, 1, entry.bytes, entry.len_bytes);
    wire_put(example, 1, features.bytes, features.len_bytes);
    frames_free(&entry);
    frames_free(&features);
}

#endif
