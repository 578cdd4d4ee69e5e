/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/mesh_frame.h - what ranks send each other: frames of the control connections, and the
 * heads of data. Numbers are little-endian; values of sums are as in memory.
 *
 * A frame: mark u32, type u8, zero u8, payload length u16, sequence u64, payload.
 * A head:  mark u32, kind u8, number u8, part u8, zero u8, call u64, size u64, length u64; then as
 *          many bytes as the length says.
 *
 * Threads: any; pure functions. What is read is not trusted: no field is used before it is checked.
 */
#ifndef TRAINER_MESH_FRAME_H
#define TRAINER_MESH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TR_FRAME_HEADER_BYTES ((size_t)16)
#define TR_FRAME_PAYLOAD_BYTES_MAX ((size_t)1024)
#define TR_FRAME_BYTES_MAX (TR_FRAME_HEADER_BYTES + TR_FRAME_PAYLOAD_BYTES_MAX)
#define TR_HEAD_BYTES ((size_t)32)
#define TR_MESH_VERSION 2U
#define TR_JOB_BYTES_MAX 64U
#define TR_HOST_BYTES_MAX 63U

enum tr_frame_type {
    TR_FRAME_HELLO = 1, /* who connects: a struct tr_hello */
    TR_FRAME_TABLE,     /* where rank `sequence` is: a struct tr_place */
    TR_FRAME_REFUSAL,   /* why a HELLO is not taken, text; sequence 1: another try may be */
    /* The sequence of these is how many steps the sender has said something of. */
    TR_FRAME_STEP,  /* a struct tr_said of the newest step */
    TR_FRAME_ENTER, /* the call it is in: number u64, size u64, kind u8, number u8 */
    TR_FRAME_BEAT,  /* a sign of life; the call in which it waits, as ENTER has it, if it does */
    TR_FRAME_LEAVE, /* it failed: why, text */
    TR_FRAME_END,   /* it has done all it had to */
};

struct tr_frame {
    enum tr_frame_type type;
    uint16_t len_bytes;
    uint64_t sequence;
    const uint8_t *payload; /* in the bytes read */
};

/* The frame at the start of `bytes`: how many bytes it has; 0 where not all are there; -1 where
 * that is no frame, which the first 16 bytes are enough to tell. */
ssize_t tr_frame_read(const uint8_t *bytes, size_t len_bytes, struct tr_frame *frame);

/* Bytes written, at most TR_FRAME_BYTES_MAX. */
size_t tr_frame_write(uint8_t *to, const struct tr_frame *frame);

/* Text of a payload, with '?' for what is no text; cut to the room. */
void tr_frame_text(const struct tr_frame *frame, char *text, size_t room_bytes);

enum tr_purpose { TR_PURPOSE_JOIN, TR_PURPOSE_CONTROL, TR_PURPOSE_DATA };

struct tr_hello {
    uint32_t version;
    enum tr_purpose purpose;
    uint32_t rank;
    uint32_t count;
    uint64_t token; /* of the run, from the table; 0 to join */
    uint16_t port;  /* that the rank listens on */
    char job[TR_JOB_BYTES_MAX + 1];
    char host[TR_HOST_BYTES_MAX + 1];
};

/* Of the payload; writing returns its length. Reading returns -1 where that is no hello; of another
 * version's, the version alone is read. */
size_t tr_hello_write(const struct tr_hello *hello, uint8_t *payload);
int tr_hello_read(const struct tr_frame *frame, struct tr_hello *hello);

struct tr_place {
    uint64_t token;
    uint8_t family; /* 4 or 6 */
    uint8_t address[16];
    uint16_t port;
    char host[TR_HOST_BYTES_MAX + 1];
};

size_t tr_place_write(const struct tr_place *place, uint8_t *payload);
int tr_place_read(const struct tr_frame *frame, struct tr_place *place);

/* What a rank says of a step: see tr_group_say. */
struct tr_said {
    uint32_t flags;
    uint32_t rows;
};

size_t tr_said_write(const struct tr_said *said, uint8_t *payload);
int tr_said_read(const struct tr_frame *frame, struct tr_said *said);

/* What a rank does in a call that all make together. */
struct tr_call {
    uint64_t number; /* 1, 2, .. */
    uint64_t size_bytes;
    uint8_t kind;   /* enum tr_call_kind */
    uint8_t values; /* enum tr_number, of sums */
};

size_t tr_call_write(const struct tr_call *call, uint8_t *payload);
int tr_call_read(const struct tr_frame *frame, struct tr_call *call);

struct tr_head {
    struct tr_call call;
    uint8_t part; /* a call's exchanges are counted */
    uint64_t len_bytes;
};

void tr_head_write(const struct tr_head *head, uint8_t *to); /* TR_HEAD_BYTES */
int tr_head_read(const uint8_t *bytes, struct tr_head *head);

#endif
