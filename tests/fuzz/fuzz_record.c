/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_record.c - recordio-protobuf: however the bytes are handed over, the rows are
 * those of a plain decoder that leaves everything to protobuf-c; and what the walker accepts,
 * protobuf-c accepts with the same result.
 *
 * The input: a byte of flags, a byte to choose the steps by, and the object; or, with FLAG_BODY,
 * one record's payload, which is made an object of four like records, the third in two parts.
 */
#include <stdio.h>

#include "tests/record_reference.h"

enum { FLAG_BODY = 1, FLAG_ONE_ROW = 2, BODY_BYTES_MAX = 4096, VALUES_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_object(const uint8_t *in, size_t len, uint32_t rows_max, uint32_t seed)
{
    struct drive drive = {.options = {.ops = &fmt_recordio_protobuf},
                          .rows_max = rows_max,
                          .exact = true,
                          .step = drive_step_by_seed,
                          .cookie = &seed};
    struct drive_result got;
    struct drive_result expected;
    drive_run(&drive, in, len, &got);
    record_reference(in, len, &expected);
    if (!drive_result_equal(&got, &expected)) {
        fprintf(stderr, "decoder: %zu rows, error '%s' at %zu; reference: %zu rows, %s at %zu\n",
                got.rows, got.text, got.error_offset_bytes, expected.rows,
                expected.failed ? "error" : "no error", expected.error_offset_bytes);
        abort();
    }
    drive_result_free(&got);
    drive_result_free(&expected);
}

static void check_walk(const uint8_t *body, size_t len)
{
    static float walked[2][VALUES_MAX];
    static float unpacked[2][VALUES_MAX];
    struct fmt_record a = {.features = {.out = walked[0], .out_max = VALUES_MAX},
                           .labels = {.out = walked[1], .out_max = VALUES_MAX}};
    struct fmt_record b = {.features = {.out = unpacked[0], .out_max = VALUES_MAX},
                           .labels = {.out = unpacked[1], .out_max = VALUES_MAX}};
    if (fmt_record_walk(body, len, &a) == FMT_RECORD_REFUSED)
        return;
    if (fmt_record_unpack(body, len, &b) != FMT_RECORD_PARSED ||
        a.features.problem != b.features.problem || a.features.count != b.features.count ||
        a.labels.problem != b.labels.problem || a.labels.count != b.labels.count ||
        memcmp(walked[0], unpacked[0], a.features.count * sizeof(float)) != 0 ||
        memcmp(walked[1], unpacked[1], a.labels.count * sizeof(float)) != 0) {
        fprintf(stderr, "the walker accepts what protobuf-c does not, or with another result\n");
        abort();
    }
}

static size_t put_frame(uint8_t *out, uint32_t flag, const uint8_t *body, size_t len)
{
    uint32_t head[2] = {0xced7230a, flag << 29 | (uint32_t)len};
    memcpy(out, head, sizeof(head));
    if (len > 0)
        memcpy(out + sizeof(head), body, len);
    return sizeof(head) + (len + 3) / 4 * 4;
}

static void check_body(const uint8_t *body, size_t len, uint32_t rows_max, uint32_t seed)
{
    static uint8_t object[5 * (BODY_BYTES_MAX + 16)];
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        size_t first = i == 2 ? seed % (len + 1) : len;
        at += put_frame(object + at, i == 2 ? 1 : 0, body, first);
        if (i == 2)
            at += put_frame(object + at, 3, body + first, len - first);
    }
    check_walk(body, len);
    check_object(object, at, rows_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint32_t rows_max = data[0] & FLAG_ONE_ROW ? 1 : 100;
    if ((data[0] & FLAG_BODY) == 0)
        check_object(data + 2, size - 2, rows_max, data[1]);
    else if (size - 2 <= BODY_BYTES_MAX)
        check_body(data + 2, size - 2, rows_max, data[1]);
    return 0;
}
