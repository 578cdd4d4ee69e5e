/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_frame.c - see trainer/mesh_frame.h. */
#include "trainer/mesh_frame.h"

#include <string.h>

#define FRAME_MARK UINT32_C(0x4b545350) /* PSTK */
#define HEAD_MARK UINT32_C(0x44545350)  /* PSTD */
#define HELLO_MAGIC "penstock ranks"

static uint8_t *put(uint8_t *to, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        *to++ = (uint8_t)(value >> 8 * i);
    return to;
}

/* Payloads are read by this: what is missing reads as 0, and is noted. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool cut;
};

static uint64_t take(struct reader *in, uint32_t bytes)
{
    uint64_t value = 0;
    if ((size_t)(in->end - in->at) < bytes) {
        in->cut = true;
        return 0;
    }
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)in->at[i] << 8 * i;
    in->at += bytes;
    return value;
}

static uint8_t clean(uint8_t byte)
{
    return byte < ' ' || byte == 0x7f ? '?' : byte;
}

/* A text with its length in front, of at most room_bytes - 1 bytes. */
static uint8_t *put_text(uint8_t *to, const char *text, size_t room_bytes)
{
    size_t len = strnlen(text, room_bytes - 1);
    to = put(to, len, 1);
    memcpy(to, text, len);
    return to + len;
}

static void take_text(struct reader *in, char *text, size_t room_bytes)
{
    size_t len = (size_t)take(in, 1);
    if (len >= room_bytes || (size_t)(in->end - in->at) < len) {
        in->cut = true;
        len = 0;
    }
    for (size_t i = 0; i < len; i++)
        text[i] = (char)clean(in->at[i]);
    text[len] = '\0';
    in->at += len;
}

static struct reader reader_of(const struct tr_frame *frame)
{
    return (struct reader){frame->payload, frame->payload + frame->len_bytes, false};
}

static int whole(const struct reader *in)
{
    return in->cut || in->at != in->end ? -1 : 0;
}

ssize_t tr_frame_read(const uint8_t *bytes, size_t len_bytes, struct tr_frame *frame)
{
    struct reader in = {bytes, bytes + len_bytes, false};
    if (len_bytes < TR_FRAME_HEADER_BYTES)
        return 0;
    if (take(&in, 4) != FRAME_MARK)
        return -1;
    uint64_t type = take(&in, 1);
    if (type < TR_FRAME_HELLO || type > TR_FRAME_END || take(&in, 1) != 0)
        return -1;
    frame->type = (enum tr_frame_type)type;
    frame->len_bytes = (uint16_t)take(&in, 2);
    frame->sequence = take(&in, 8);
    frame->payload = in.at;
    if (frame->len_bytes > TR_FRAME_PAYLOAD_BYTES_MAX)
        return -1;
    size_t all = TR_FRAME_HEADER_BYTES + frame->len_bytes;
    return len_bytes < all ? 0 : (ssize_t)all;
}

size_t tr_frame_write(uint8_t *to, const struct tr_frame *frame)
{
    uint8_t *at = put(to, FRAME_MARK, 4);
    at = put(at, frame->type, 1);
    at = put(at, 0, 1);
    at = put(at, frame->len_bytes, 2);
    at = put(at, frame->sequence, 8);
    if (frame->len_bytes > 0)
        memcpy(at, frame->payload, frame->len_bytes);
    return TR_FRAME_HEADER_BYTES + frame->len_bytes;
}

void tr_frame_text(const struct tr_frame *frame, char *text, size_t room_bytes)
{
    size_t len = frame->len_bytes < room_bytes ? frame->len_bytes : room_bytes - 1;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)clean(frame->payload[i]);
    text[len] = '\0';
}

size_t tr_hello_write(const struct tr_hello *hello, uint8_t *payload)
{
    memcpy(payload, HELLO_MAGIC, sizeof HELLO_MAGIC);
    uint8_t *at = put(payload + sizeof HELLO_MAGIC, hello->version, 4);
    at = put(at, hello->purpose, 1);
    at = put(at, hello->rank, 4);
    at = put(at, hello->count, 4);
    at = put(at, hello->token, 8);
    at = put(at, hello->port, 2);
    at = put_text(at, hello->job, sizeof hello->job);
    at = put_text(at, hello->host, sizeof hello->host);
    return (size_t)(at - payload);
}

int tr_hello_read(const struct tr_frame *frame, struct tr_hello *hello)
{
    struct reader in = reader_of(frame);
    *hello = (struct tr_hello){0};
    if (frame->type != TR_FRAME_HELLO || frame->len_bytes < sizeof HELLO_MAGIC ||
        memcmp(in.at, HELLO_MAGIC, sizeof HELLO_MAGIC) != 0)
        return -1;
    in.at += sizeof HELLO_MAGIC;
    hello->version = (uint32_t)take(&in, 4);
    if (hello->version != TR_MESH_VERSION)
        return in.cut ? -1 : 0;
    uint64_t purpose = take(&in, 1);
    hello->purpose = purpose <= TR_PURPOSE_DATA ? (enum tr_purpose)purpose : TR_PURPOSE_JOIN;
    hello->rank = (uint32_t)take(&in, 4);
    hello->count = (uint32_t)take(&in, 4);
    hello->token = take(&in, 8);
    hello->port = (uint16_t)take(&in, 2);
    take_text(&in, hello->job, sizeof hello->job);
    take_text(&in, hello->host, sizeof hello->host);
    return purpose > TR_PURPOSE_DATA ? -1 : whole(&in);
}

size_t tr_place_write(const struct tr_place *place, uint8_t *payload)
{
    uint8_t *at = put(payload, place->token, 8);
    at = put(at, place->family, 1);
    memcpy(at, place->address, sizeof place->address);
    at = put(at + sizeof place->address, place->port, 2);
    at = put_text(at, place->host, sizeof place->host);
    return (size_t)(at - payload);
}

int tr_place_read(const struct tr_frame *frame, struct tr_place *place)
{
    struct reader in = reader_of(frame);
    *place = (struct tr_place){0};
    place->token = take(&in, 8);
    place->family = (uint8_t)take(&in, 1);
    for (size_t i = 0; i < sizeof place->address; i++)
        place->address[i] = (uint8_t)take(&in, 1);
    place->port = (uint16_t)take(&in, 2);
    take_text(&in, place->host, sizeof place->host);
    if (frame->type != TR_FRAME_TABLE || (place->family != 4 && place->family != 6))
        return -1;
    return whole(&in);
}

size_t tr_said_write(const struct tr_said *said, uint8_t *payload)
{
    put(put(payload, said->flags, 4), said->rows, 4);
    return 8;
}

int tr_said_read(const struct tr_frame *frame, struct tr_said *said)
{
    struct reader in = reader_of(frame);
    said->flags = (uint32_t)take(&in, 4);
    said->rows = (uint32_t)take(&in, 4);
    return frame->type == TR_FRAME_STEP ? whole(&in) : -1;
}

size_t tr_call_write(const struct tr_call *call, uint8_t *payload)
{
    uint8_t *at = put(payload, call->number, 8);
    at = put(at, call->size_bytes, 8);
    at = put(at, call->kind, 1);
    at = put(at, call->values, 1);
    return (size_t)(at - payload);
}

int tr_call_read(const struct tr_frame *frame, struct tr_call *call)
{
    struct reader in = reader_of(frame);
    call->number = take(&in, 8);
    call->size_bytes = take(&in, 8);
    call->kind = (uint8_t)take(&in, 1);
    call->values = (uint8_t)take(&in, 1);
    return frame->type == TR_FRAME_ENTER || frame->type == TR_FRAME_BEAT ? whole(&in) : -1;
}

void tr_head_write(const struct tr_head *head, uint8_t *to)
{
    to = put(to, HEAD_MARK, 4);
    to = put(to, head->call.kind, 1);
    to = put(to, head->call.values, 1);
    to = put(to, head->part, 1);
    to = put(to, 0, 1);
    to = put(to, head->call.number, 8);
    to = put(to, head->call.size_bytes, 8);
    put(to, head->len_bytes, 8);
}

int tr_head_read(const uint8_t *bytes, struct tr_head *head)
{
    struct reader in = {bytes, bytes + TR_HEAD_BYTES, false};
    if (take(&in, 4) != HEAD_MARK)
        return -1;
    head->call.kind = (uint8_t)take(&in, 1);
    head->call.values = (uint8_t)take(&in, 1);
    head->part = (uint8_t)take(&in, 1);
    if (take(&in, 1) != 0)
        return -1;
    head->call.number = take(&in, 8);
    head->call.size_bytes = take(&in, 8);
    head->len_bytes = take(&in, 8);
    return 0;
}
