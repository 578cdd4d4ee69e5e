/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_recordio.c - RecordIO frames: however the bytes are handed over, records are cut
 * and found at the same places; a payload that dmlc's writer cut comes back.
 *
 * The input: a byte of flags, a byte to choose the steps by, and the object, or with FLAG_PAYLOAD
 * the payload.
 */
#include <stdio.h>

#include "formats/recordio_find.h"
#include "formats/recordio_join.h"
#include "tests/drive.h"
#include "tests/frames.h"

enum { FLAG_PAYLOAD = 1, FLAG_ONE_ROW = 2, OBJECT_BYTES_MAX = 4096, PLACES_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is at which place of an object: ends of records, and, negative, where it went on after a bad
 * one. */
struct places {
    long at[PLACES_MAX];
    size_t count;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

/* A copy without a byte to spare. */
static uint8_t *copy_of(const uint8_t *in, size_t len)
{
    uint8_t *copy = drive_allocate(len);
    if (len > 0)
        memcpy(copy, in, len);
    return copy;
}

/* Joins the record at `in` by each rule: none may read or write where it should not. */
static void join_all(const uint8_t *in, size_t len)
{
    for (int multipart = FMT_MULTIPART_CONCAT; multipart <= FMT_MULTIPART_AUTO; multipart++) {
        struct fmt_joiner joiner = {.multipart = (enum fmt_multipart)multipart};
        struct fmt_recordio_record record;
        if (fmt_recordio_read(in, len, &record, NULL) != FMT_OK)
            fail("a record that was cut cannot be read");
        if (fmt_joiner_join(&joiner, in, &record, NULL) == FMT_OK && joiner.is_guess) {
            fmt_joiner_retry(&joiner, in, &record);
            if (joiner.len_bytes != record.body_bytes)
                fail("parts put together as they are have another length");
        }
        fmt_joiner_clear(&joiner);
    }
}

/* Looks behind a bad record at `at`, in steps. */
static size_t resync(const uint8_t *in, size_t len, size_t at, uint32_t *seed)
{
    size_t given = at;
    for (;;) {
        size_t skip_bytes = SIZE_MAX;
        size_t step = drive_step_by_seed(seed);
        given = step < len - given ? given + step : len;
        uint8_t *copy = copy_of(in + at, given - at);
        enum fmt_rc rc = fmt_recordio_resync(NULL, copy, given - at, at, given == len, &skip_bytes);
        if (skip_bytes > given - at || (rc == FMT_OK && skip_bytes == 0))
            fail("resync leads nowhere");
        free(copy);
        at += skip_bytes;
        if (rc == FMT_OK)
            return at;
        if (given == len)
            fail("resync wants more than there is");
    }
}

/* Cuts the object as the pipe does under the policy skip. */
static void cut_all(const uint8_t *in, size_t len, uint32_t rows_max, uint32_t seed,
                    struct places *places)
{
    struct fmt_cut cut = {.rows = 0};
    size_t given = 0;
    places->count = 0;
    for (size_t at = 0; at < len;) {
        size_t step = drive_step_by_seed(&seed);
        given = given < at ? at : given;
        given = step < len - given ? given + step : len;
        uint8_t *copy = copy_of(in + at, given - at);
        enum fmt_rc rc =
            fmt_recordio_cut(NULL, copy, given - at, at == 0, given == len, rows_max, &cut, NULL);
        if (rc == FMT_OK && cut.rows == 1)
            join_all(copy, cut.len_bytes);
        free(copy);
        if (rc == FMT_MORE)
            continue;
        long place;
        if (rc == FMT_OK) {
            at += cut.len_bytes;
            place = (long)at;
        } else {
            at = resync(in, len, at, &seed);
            place = -(long)at;
        }
        if (rows_max == 1 || rc != FMT_OK)
            places->at[places->count++] = place;
        cut = (struct fmt_cut){.rows = 0};
    }
}

static void check_object(const uint8_t *in, size_t len, uint32_t rows_max, uint32_t seed)
{
    static struct places whole;
    static struct places steps;
    cut_all(in, len, rows_max, 0, &whole);
    cut_all(in, len, rows_max, seed, &steps);
    if (whole.count != steps.count ||
        memcmp(whole.at, steps.at, whole.count * sizeof(whole.at[0])) != 0)
        fail("records are at other places when the bytes come in steps");
    for (size_t from = 0; from < 4 && from <= len; from++)
        if (fmt_recordio_find_magic(in, len, from) !=
            fmt_recordio_find_magic_plainly(in, len, from))
            fail("the magic number is found at another place");
}

static void check_payload(const uint8_t *body, size_t len)
{
    struct frames frames = {0};
    struct fmt_joiner joiner = {.multipart = FMT_MULTIPART_DMLC};
    struct fmt_recordio_record record;
    frames_put_dmlc(&frames, body, len);
    if (fmt_recordio_read(frames.bytes, frames.len_bytes, &record, NULL) != FMT_OK ||
        record.len_bytes != frames.len_bytes ||
        fmt_joiner_join(&joiner, frames.bytes, &record, NULL) != FMT_OK ||
        joiner.len_bytes != len || (len > 0 && memcmp(joiner.body, body, len) != 0))
        fail("a payload that dmlc's writer cut does not come back");
    fmt_joiner_clear(&joiner);
    frames_free(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > OBJECT_BYTES_MAX)
        return 0;
    if (data[0] & FLAG_PAYLOAD)
        check_payload(data + 2, size - 2);
    else
        check_object(data + 2, size - 2, data[0] & FLAG_ONE_ROW ? 1 : 1000, data[1] + 1u);
    return 0;
}
