/* SPDX-License-Identifier: Apache-2.0 */
/* formats/thrift.c - see thrift.h. */
#include "formats/thrift.h"

/* Structs, lists and maps inside one another that are passed over. */
enum { DEPTH_MAX = 32 };

static void fail(struct fmt_thrift *reader, const char *cause)
{
    if (!reader->cause)
        reader->cause = cause;
}

static size_t left(const struct fmt_thrift *reader)
{
    return (size_t)(reader->end - reader->at);
}

static uint8_t take_byte(struct fmt_thrift *reader)
{
    if (reader->cause)
        return 0;
    if (left(reader) == 0) {
        fail(reader, "it ends early");
        return 0;
    }
    return *reader->at++;
}

static void take_bytes(struct fmt_thrift *reader, uint64_t len_bytes)
{
    if (reader->cause)
        return;
    if (len_bytes > left(reader))
        fail(reader, "it ends early");
    else
        reader->at += len_bytes;
}

uint64_t fmt_thrift_varint(struct fmt_thrift *reader)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(reader);

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return reader->cause ? 0 : value;
    }
    fail(reader, "a number in it is longer than 64 bits");
    return 0;
}

bool fmt_thrift_next(struct fmt_thrift *reader, struct fmt_thrift_field *field)
{
    uint8_t head = take_byte(reader);

    if (reader->cause || head == 0)
        return false;
    field->type = head & 0x0f;
    if (field->type == 0 || field->type > FMT_THRIFT_STRUCT) {
        reader->at--;
        fail(reader, "a field in it has a type that does not exist");
        return false;
    }
    if (head >> 4)
        field->id += head >> 4;
    else
        field->id = (int16_t)fmt_thrift_zigzag(fmt_thrift_varint(reader));
    return !reader->cause;
}

static bool is_int(uint8_t type)
{
    return type == FMT_THRIFT_I16 || type == FMT_THRIFT_I32 || type == FMT_THRIFT_I64;
}

int64_t fmt_thrift_int(struct fmt_thrift *reader, const struct fmt_thrift_field *field)
{
    if (field->type == FMT_THRIFT_I8)
        return (int8_t)take_byte(reader);
    if (is_int(field->type))
        return fmt_thrift_zigzag(fmt_thrift_varint(reader));
    fail(reader, "a field in it that should be a number is not");
    return 0;
}

bool fmt_thrift_bool(struct fmt_thrift *reader, const struct fmt_thrift_field *field)
{
    if (field->type != FMT_THRIFT_TRUE && field->type != FMT_THRIFT_FALSE)
        fail(reader, "a field in it that should be true or false is not");
    return field->type == FMT_THRIFT_TRUE;
}

struct fmt_thrift_bytes fmt_thrift_binary(struct fmt_thrift *reader,
                                          const struct fmt_thrift_field *field)
{
    struct fmt_thrift_bytes none = {.bytes = reader->at};

    if (field->type != FMT_THRIFT_BINARY)
        fail(reader, "a field in it that should be text is not");
    uint64_t len_bytes = fmt_thrift_varint(reader);
    const uint8_t *bytes = reader->at;

    take_bytes(reader, len_bytes);
    return reader->cause
               ? none
               : (struct fmt_thrift_bytes){.bytes = bytes, .len_bytes = (size_t)len_bytes};
}

bool fmt_thrift_struct(struct fmt_thrift *reader, const struct fmt_thrift_field *field)
{
    if (field->type != FMT_THRIFT_STRUCT)
        fail(reader, "a field in it that should be a struct is not");
    return !reader->cause;
}

/* A list's head: its elements' number and type. */
static uint32_t take_list(struct fmt_thrift *reader, uint8_t *type)
{
    uint8_t head = take_byte(reader);
    uint64_t count = head >> 4;

    *type = head & 0x0f;
    if (count == 15)
        count = fmt_thrift_varint(reader);
    if (count > left(reader)) /* each takes a byte at least */
        fail(reader, "a list in it is longer than the bytes there are");
    return reader->cause ? 0 : (uint32_t)(count > UINT32_MAX ? UINT32_MAX : count);
}

uint32_t fmt_thrift_structs(struct fmt_thrift *reader, const struct fmt_thrift_field *field)
{
    uint8_t type = FMT_THRIFT_STRUCT;
    uint32_t count = 0;

    if (field->type == FMT_THRIFT_LIST)
        count = take_list(reader, &type);
    if (field->type != FMT_THRIFT_LIST || (type != FMT_THRIFT_STRUCT && count > 0))
        fail(reader, "a field in it that should be a list of structs is not");
    return reader->cause ? 0 : count;
}

static void skip_value(struct fmt_thrift *reader, uint8_t type, bool in_list, int depth);

static void skip_fields(struct fmt_thrift *reader, int depth)
{
    struct fmt_thrift_field field = {.id = 0};

    while (fmt_thrift_next(reader, &field))
        skip_value(reader, field.type, false, depth);
}

static void skip_elements(struct fmt_thrift *reader, int depth)
{
    uint8_t type;
    uint32_t count = take_list(reader, &type);

    for (uint32_t i = 0; i < count && !reader->cause; i++)
        skip_value(reader, type, true, depth);
}

static void skip_pairs(struct fmt_thrift *reader, int depth)
{
    uint64_t count = fmt_thrift_varint(reader);
    uint8_t types = count > 0 ? take_byte(reader) : 0;

    if (count > left(reader))
        fail(reader, "a map in it is longer than the bytes there are");
    for (uint64_t i = 0; i < count && !reader->cause; i++) {
        skip_value(reader, types >> 4, true, depth);
        skip_value(reader, types & 0x0f, true, depth);
    }
}

static void skip_value(struct fmt_thrift *reader, uint8_t type, bool in_list, int depth)
{
    if (depth >= DEPTH_MAX) {
        fail(reader, "structs in it are too deep inside one another");
        return;
    }
    switch ((enum fmt_thrift_type)type) {
    case FMT_THRIFT_TRUE:
    case FMT_THRIFT_FALSE:
        take_bytes(reader, in_list);
        return;
    case FMT_THRIFT_I8:
        take_bytes(reader, 1);
        return;
    case FMT_THRIFT_I16:
    case FMT_THRIFT_I32:
    case FMT_THRIFT_I64:
        fmt_thrift_varint(reader);
        return;
    case FMT_THRIFT_DOUBLE:
        take_bytes(reader, 8);
        return;
    case FMT_THRIFT_BINARY:
        take_bytes(reader, fmt_thrift_varint(reader));
        return;
    case FMT_THRIFT_LIST:
    case FMT_THRIFT_SET:
        skip_elements(reader, depth + 1);
        return;
    case FMT_THRIFT_MAP:
        skip_pairs(reader, depth + 1);
        return;
    case FMT_THRIFT_STRUCT:
        skip_fields(reader, depth + 1);
        return;
    }
    fail(reader, "a value in it has a type that does not exist");
}

void fmt_thrift_skip(struct fmt_thrift *reader, const struct fmt_thrift_field *field)
{
    skip_value(reader, field->type, false, 0);
}

void fmt_thrift_skip_struct(struct fmt_thrift *reader)
{
    skip_fields(reader, 0);
}
