/* SPDX-License-Identifier: Apache-2.0 */
/* formats/thrift.h - read Apache Thrift's compact protocol, in which Parquet writes its heads
 * (thrift/doc/specs/thrift-compact-protocol.md).
 *
 * A reader that fails stays failed: every call after that returns nothing and moves nowhere, so
 * that a caller may read a whole struct and look at `cause` once.
 *
 *     struct fmt_thrift_field field = {.id = 0};
 *     while (fmt_thrift_next(reader, &field))
 *         if (field.id == 1)
 *             count = fmt_thrift_int(reader, &field);
 *         else
 *             fmt_thrift_skip(reader, &field);
 *
 * Owner: the caller lends the bytes; what is returned of them points into them.
 * Threads: a reader belongs to one thread at a time. Units: bytes.
 */
#ifndef FORMATS_THRIFT_H
#define FORMATS_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On the wire a boolean field's type is its value; in a list each takes a byte. */
enum fmt_thrift_type {
    FMT_THRIFT_TRUE = 1,
    FMT_THRIFT_FALSE = 2,
    FMT_THRIFT_I8 = 3,
    FMT_THRIFT_I16 = 4,
    FMT_THRIFT_I32 = 5,
    FMT_THRIFT_I64 = 6,
    FMT_THRIFT_DOUBLE = 7,
    FMT_THRIFT_BINARY = 8,
    FMT_THRIFT_LIST = 9,
    FMT_THRIFT_SET = 10,
    FMT_THRIFT_MAP = 11,
    FMT_THRIFT_STRUCT = 12,
};

struct fmt_thrift {
    const uint8_t *at;
    const uint8_t *end;
    const char *cause; /* NULL until it fails; then `at` is where */
};

struct fmt_thrift_field {
    int32_t id; /* 0 before a struct's first field */
    uint8_t type;
};

struct fmt_thrift_bytes {
    const uint8_t *bytes;
    size_t len_bytes;
};

/* The next field of the struct that is being read; false at its end, or on failure. */
bool fmt_thrift_next(struct fmt_thrift *reader, struct fmt_thrift_field *field);

/* The value of the field just read, of any width; 0 on failure. */
int64_t fmt_thrift_int(struct fmt_thrift *reader, const struct fmt_thrift_field *field);
bool fmt_thrift_bool(struct fmt_thrift *reader, const struct fmt_thrift_field *field);
struct fmt_thrift_bytes fmt_thrift_binary(struct fmt_thrift *reader,
                                          const struct fmt_thrift_field *field);

/* Enters a field that is a struct; false on failure. Its fields are then read by a field of their
 * own. */
bool fmt_thrift_struct(struct fmt_thrift *reader, const struct fmt_thrift_field *field);

/* Enters a field that is a list of structs. Returns how many follow, each to be read to its end; no
 * more than there are bytes. */
uint32_t fmt_thrift_structs(struct fmt_thrift *reader, const struct fmt_thrift_field *field);

/* Passes over the value of the field just read. */
void fmt_thrift_skip(struct fmt_thrift *reader, const struct fmt_thrift_field *field);

/* Passes over a struct that has been entered, or is an element of a list. */
void fmt_thrift_skip_struct(struct fmt_thrift *reader);

/* LEB128, as other parts of Parquet use it too. */
uint64_t fmt_thrift_varint(struct fmt_thrift *reader);

static inline int64_t fmt_thrift_zigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

#endif
