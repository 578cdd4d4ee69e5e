/* SPDX-License-Identifier: Apache-2.0 */
/* formats/wire.h - protobuf's wire format, read in place: a message is a run of bytes, and so are
 * the messages in it. Source: protobuf.dev, "Encoding".
 *
 * Nothing is read outside the run. Where a function returns false the bytes are malformed, and the
 * rest of the run is of no use. Threads: pure functions. Units: bytes.
 */
#ifndef FORMATS_WIRE_H
#define FORMATS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fmt_wire_type {
    FMT_WIRE_VARINT = 0,
    FMT_WIRE_64BIT = 1,
    FMT_WIRE_BYTES = 2,
    FMT_WIRE_32BIT = 5,
};

/* What is left of a message. */
struct fmt_wire {
    const uint8_t *at;
    const uint8_t *end;
};

static inline size_t fmt_wire_left(const struct fmt_wire *wire)
{
    return (size_t)(wire->end - wire->at);
}

static inline bool fmt_wire_varint(struct fmt_wire *wire, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 70 && wire->at < wire->end; shift += 7) {
        uint8_t byte = *wire->at++;
        sum |= (uint64_t)(byte & 0x7f) << shift; /* bits beyond 64 are dropped */
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false;
}

static inline bool fmt_wire_field(struct fmt_wire *wire, uint32_t *number, uint32_t *type)
{
    uint64_t tag;
    if (!fmt_wire_varint(wire, &tag) || tag > UINT32_MAX)
        return false;
    *number = (uint32_t)(tag >> 3);
    *type = (uint32_t)(tag & 7);
    return *number != 0;
}

/* A length, and as many bytes. */
static inline bool fmt_wire_bytes(struct fmt_wire *wire, struct fmt_wire *bytes)
{
    uint64_t len;
    if (!fmt_wire_varint(wire, &len) || len > fmt_wire_left(wire))
        return false;
    *bytes = (struct fmt_wire){wire->at, wire->at + len};
    wire->at += len;
    return true;
}

/* The value of a field that nobody asks for. Groups, which nobody writes, are malformed. */
static inline bool fmt_wire_skip(struct fmt_wire *wire, uint32_t type)
{
    struct fmt_wire bytes;
    uint64_t value;
    if (type == FMT_WIRE_VARINT)
        return fmt_wire_varint(wire, &value);
    if (type == FMT_WIRE_BYTES)
        return fmt_wire_bytes(wire, &bytes);
    size_t len = type == FMT_WIRE_64BIT ? 8 : type == FMT_WIRE_32BIT ? 4 : SIZE_MAX;
    if (len > fmt_wire_left(wire))
        return false;
    wire->at += len;
    return true;
}

#endif
