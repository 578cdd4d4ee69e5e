/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_record.c - recordio-protobuf: however the bytes are handed over, the rows are
 * those of a plain decoder that leaves everything to protobuf-c; and what the walker accepts,
 * protobuf-c accepts with the same result.
 *
 * The input: a byte of flags, of which six bits pick what the channel wants, a byte to choose the
 * steps by, and the object; or, with FLAG_BODY, one record's payload, which is made an object of
 * four like records, the third in two parts.
 */
#include <stdio.h>

#include "tests/record_reference.h"
#include "tests/record_walk_check.h"

enum { FLAG_BODY = 1, FLAG_ONE_ROW = 2, CHANNEL_SHIFT = 2, BODY_BYTES_MAX = 4096 };

/* What channels want of the records; a number in the flags picks one. */
static const char *const PARAMETERS[] = {
    "",
    ";layout=sparse",
    ";layout=dense",
    ";type=float64",
    ";type=int32",
    ";type=uint8;layout=dense",
    ";features=\"values,b\"",
    ";features=\"b,a,c\";layout=sparse;label=y",
    ";text=\"a,b\"",
    ";label=y;weight=w",
    ";weight=w;text=a;features=values",
};

static const struct fmt_options *channel; /* of this input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_object(const uint8_t *in, size_t len, uint32_t rows_max, uint32_t seed)
{
    struct drive drive = {.options = *channel,
                          .rows_max = rows_max,
                          .exact = true,
                          .step = drive_step_by_seed,
                          .cookie = &seed};
    struct drive_result got;
    struct drive_result expected;
    drive_run(&drive, in, len, &got);
    if (got.outsized) {
        drive_result_free(&got);
        return;
    }
    record_reference(channel, in, len, &expected);
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
    if (walk_check(body, len, &fmt_record_options(channel)->query) == WALK_DIFFERS) {
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

static void pick_channel(size_t no)
{
    enum { COUNT = sizeof(PARAMETERS) / sizeof(PARAMETERS[0]) };
    static struct fmt_options channels[COUNT];
    char content_type[120];
    no %= COUNT;
    channel = &channels[no];
    if (channel->ops != NULL)
        return;
    (void)snprintf(content_type, sizeof(content_type), "application/x-recordio-protobuf%s",
                   PARAMETERS[no]);
    if (fmt_options_parse(content_type, &channels[no], NULL) != FMT_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    pick_channel(data[0] >> CHANNEL_SHIFT);
    uint32_t rows_max = data[0] & FLAG_ONE_ROW ? 1 : 100;
    if ((data[0] & FLAG_BODY) == 0)
        check_object(data + 2, size - 2, rows_max, data[1]);
    else if (size - 2 <= BODY_BYTES_MAX)
        check_body(data + 2, size - 2, rows_max, data[1]);
    return 0;
}
