/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_mesh.c - what a stranger may send to a rank: frames with all they can hold, and
 * heads of data. What is read and written again reads the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/mesh_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool held)
{
    if (!held)
        abort();
}

/* Reads the payload again from memory of its exact size. */
static struct tr_frame again(enum tr_frame_type type, const uint8_t *payload, size_t len_bytes)
{
    uint8_t *copy = malloc(len_bytes ? len_bytes : 1);
    check(copy && len_bytes <= TR_FRAME_PAYLOAD_BYTES_MAX);
    memcpy(copy, payload, len_bytes);
    return (struct tr_frame){type, (uint16_t)len_bytes, 0, copy};
}

static void fuzz_hello(const struct tr_frame *frame)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    struct tr_hello hello;
    struct tr_hello second;
    if (tr_hello_read(frame, &hello) < 0 || hello.version != TR_MESH_VERSION)
        return;
    struct tr_frame copy = again(TR_FRAME_HELLO, payload, tr_hello_write(&hello, payload));
    check(tr_hello_read(&copy, &second) == 0 && strcmp(hello.job, second.job) == 0 &&
          strcmp(hello.host, second.host) == 0 && hello.rank == second.rank &&
          hello.count == second.count && hello.token == second.token && hello.port == second.port &&
          hello.purpose == second.purpose);
    free((void *)copy.payload);
}

static void fuzz_place(const struct tr_frame *frame)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    struct tr_place place;
    struct tr_place second;
    if (tr_place_read(frame, &place) < 0)
        return;
    struct tr_frame copy = again(TR_FRAME_TABLE, payload, tr_place_write(&place, payload));
    check(tr_place_read(&copy, &second) == 0 && strcmp(place.host, second.host) == 0 &&
          memcmp(place.address, second.address, sizeof place.address) == 0 &&
          place.port == second.port && place.token == second.token);
    free((void *)copy.payload);
}

static void fuzz_small(const struct tr_frame *frame)
{
    uint8_t payload[TR_FRAME_PAYLOAD_BYTES_MAX];
    char text[100];
    struct tr_said said;
    struct tr_call call;
    tr_frame_text(frame, text, sizeof text);
    check(strlen(text) < sizeof text);
    for (const char *c = text; *c; c++)
        check((uint8_t)*c >= ' ' && *c != 0x7f);
    if (tr_said_read(frame, &said) == 0)
        check(tr_said_write(&said, payload) == frame->len_bytes &&
              memcmp(payload, frame->payload, frame->len_bytes) == 0);
    if (tr_call_read(frame, &call) == 0)
        check(tr_call_write(&call, payload) == frame->len_bytes &&
              memcmp(payload, frame->payload, frame->len_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    struct tr_frame frame;
    struct tr_head head;
    uint8_t bytes[TR_FRAME_BYTES_MAX];
    if (size >= TR_HEAD_BYTES && tr_head_read(data, &head) == 0) {
        tr_head_write(&head, bytes);
        check(memcmp(bytes, data, TR_HEAD_BYTES) == 0);
    }
    for (;;) {
        ssize_t len_bytes = tr_frame_read(data + at, size - at, &frame);
        if (len_bytes <= 0)
            return 0;
        check((size_t)len_bytes <= size - at && frame.payload >= data + at &&
              frame.payload + frame.len_bytes <= data + size);
        check(tr_frame_write(bytes, &frame) == (size_t)len_bytes &&
              memcmp(bytes, data + at, (size_t)len_bytes) == 0);
        fuzz_hello(&frame);
        fuzz_place(&frame);
        fuzz_small(&frame);
        at += (size_t)len_bytes;
    }
}
