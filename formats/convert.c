/* SPDX-License-Identifier: Apache-2.0 */
/* formats/convert.c - arrays as protobuf packs them to float32. */
#include "formats/convert.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/convert_x86.h"

/* Varints converted one by one before the fast way is tried again. */
enum { PLAIN_VALUES = 16 };

/* The fast way looks at so many bytes, and leaves up to so many at the end. */
enum { FAST_LOOK_BYTES = 32, TAIL_BYTES = 48 };

void fmt_convert_f32(const uint8_t *in, size_t count, float *out)
{
    if (count == 0)
        return; /* out may be NULL */
    if (FMT_LITTLE_ENDIAN) {
        memcpy(out, in, count * sizeof(float));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t word = fmt_load_le32(in + i * 4);
        memcpy(&out[i], &word, sizeof(word));
    }
}

static void convert_f64_plainly(const uint8_t *in, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word = fmt_load_le64(in + i * 8);
        double value;
        memcpy(&value, &word, sizeof(value));
        out[i] = (float)value;
    }
}

void fmt_convert_f64(const uint8_t *in, size_t count, float *out)
{
    if (count == 0)
        return; /* out may be NULL */
#if defined(__x86_64__)
    if (fmt_has_avx512()) {
        fmt_f64_avx512(in, count, out);
        return;
    }
    if (fmt_has_avx2()) {
        fmt_f64_avx2(in, count, out);
        return;
    }
#endif
    convert_f64_plainly(in, count, out);
}

/* Reads the varint at `in`; returns how long it is, 0 when it is malformed. */
static inline size_t read_varint(const uint8_t *in, const uint8_t *end, uint64_t *value)
{
    if (in[0] < 0x80) {
        *value = in[0];
        return 1;
    }
    size_t len_max = (size_t)(end - in) < 10 ? (size_t)(end - in) : 10;
    uint64_t sum = 0;
    for (size_t i = 0; i < len_max; i++) {
        sum |= (uint64_t)(in[i] & 0x7f) << (7 * i); /* bits beyond 64 are dropped */
        if (in[i] < 0x80) {
            *value = sum;
            return i + 1;
        }
    }
    return 0;
}

/* Converts as many varints from the front as the machine has a fast way for: maybe none. Returns
 * their bytes, and in *count their number. */
static size_t convert_fast(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                           size_t *count)
{
#if defined(__x86_64__)
    if (fmt_has_avx512())
        return fmt_varints_avx512(in, len_bytes, out, out_max, count);
    if (fmt_has_avx2())
        return fmt_varints_avx2(in, len_bytes, out, out_max, count);
#else
    (void)in, (void)len_bytes, (void)out, (void)out_max;
#endif
    *count = 0;
    return 0;
}

static size_t convert_u32_fast(const uint8_t *in, size_t len_bytes, uint32_t *out, size_t out_max,
                               size_t *count)
{
#if defined(__x86_64__)
    if (fmt_has_avx512())
        return fmt_varints_u32_avx512(in, len_bytes, out, out_max, count);
    if (fmt_has_avx2())
        return fmt_varints_u32_avx2(in, len_bytes, out, out_max, count);
#else
    (void)in, (void)len_bytes, (void)out, (void)out_max;
#endif
    *count = 0;
    return 0;
}

size_t fmt_count_varints(const uint8_t *in, size_t len_bytes)
{
#if defined(__x86_64__)
    if (fmt_has_avx2())
        return fmt_count_varints_avx2(in, len_bytes);
#endif
    size_t count = 0;
    for (size_t i = 0; i < len_bytes; i++)
        count += in[i] < 0x80;
    return count;
}

/* The last varints of the input, which are too close to its end for the fast way, from a copy with
 * room behind it. All of them, len_bytes of no more than TAIL_BYTES: returns their number; 0 if
 * there are none, more than out_max, or such as the fast way does not take. */
static size_t convert_tail(const uint8_t *in, size_t len_bytes, void *out, size_t out_max,
                           bool as_float)
{
    uint8_t copy[TAIL_BYTES + FAST_LOOK_BYTES] = {0};
    union {
        uint32_t integers[sizeof(copy)];
        float floats[sizeof(copy)];
    } values;
    size_t found;
    if (len_bytes == 0 || in[len_bytes - 1] >= 0x80)
        return 0;
    size_t count = fmt_count_varints(in, len_bytes);
    if (count > out_max)
        return 0;
    memcpy(copy, in, len_bytes);
    if (as_float)
        (void)convert_fast(copy, sizeof(copy), values.floats, sizeof(copy), &found);
    else
        (void)convert_u32_fast(copy, sizeof(copy), values.integers, sizeof(copy), &found);
    if (found < count)
        return 0;
    memcpy(out, &values, count * sizeof(uint32_t));
    return count;
}

bool fmt_convert_varints(const uint8_t *in, size_t len_bytes, float *out, size_t out_max,
                         size_t *count)
{
    *count = 0;
    if (len_bytes == 0)
        return true; /* there may be no address to count from */
    const uint8_t *end = in + len_bytes;
    size_t n = 0;
    while (in < end) {
        if (n < out_max) {
            size_t fast;
            in += convert_fast(in, (size_t)(end - in), out + n, out_max - n, &fast);
            n += fast;
        }
        if (n < out_max && end - in <= TAIL_BYTES) {
            size_t last = convert_tail(in, (size_t)(end - in), out + n, out_max - n, true);
            n += last;
            in = last > 0 ? end : in;
        }
        /* what stopped the fast way is one long varint, or there are no more than 32 bytes */
        for (int i = 0; i < PLAIN_VALUES && in < end; i++) {
            uint64_t value;
            size_t used = read_varint(in, end, &value);
            if (used == 0)
                return false;
            if (n < out_max)
                out[n] = (float)(int32_t)(uint32_t)value;
            n++;
            in += used;
        }
    }
    *count = n;
    return true;
}

size_t fmt_take_varints(const uint8_t *in, size_t len_bytes, int32_t *out, size_t out_max,
                        size_t *count)
{
    size_t at = 0;
    size_t n = 0;
    while (at < len_bytes && n < out_max) {
        size_t fast;
        at += convert_u32_fast(in + at, len_bytes - at, (uint32_t *)out + n, out_max - n, &fast);
        n += fast;
        if (len_bytes - at <= TAIL_BYTES) {
            size_t last = convert_tail(in + at, len_bytes - at, out + n, out_max - n, false);
            n += last;
            at = last > 0 ? len_bytes : at;
        }
        for (int i = 0; i < PLAIN_VALUES && at < len_bytes && n < out_max; i++) {
            uint64_t value;
            size_t used = read_varint(in + at, in + len_bytes, &value);
            if (used == 0)
                return SIZE_MAX;
            out[n++] = (int32_t)(uint32_t)value;
            at += used;
        }
    }
    *count = n;
    return at;
}

static uint32_t most_u32(const uint32_t *in, size_t count)
{
#if defined(__x86_64__)
    if (fmt_has_avx2())
        return fmt_most_u32_avx2(in, count);
#endif
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = in[i] > most ? in[i] : most;
    return most;
}

bool fmt_convert_keys(const uint8_t *in, size_t len_bytes, uint32_t *out, size_t out_max,
                      uint64_t *most)
{
    *most = 0;
    if (len_bytes == 0)
        return true; /* there may be no address to count from */
    const uint8_t *end = in + len_bytes;
    uint64_t found = 0;
    size_t n = 0;
    while (in < end && n < out_max) {
        size_t fast;
        in += convert_u32_fast(in, (size_t)(end - in), out + n, out_max - n, &fast);
        if (end - in <= TAIL_BYTES) {
            size_t last =
                convert_tail(in, (size_t)(end - in), out + n + fast, out_max - n - fast, false);
            fast += last;
            in = last > 0 ? end : in;
        }
        uint64_t fast_most = most_u32(out + n, fast);
        found = fast_most > found ? fast_most : found;
        n += fast;
        for (int i = 0; i < PLAIN_VALUES && in < end && n < out_max; i++) {
            uint64_t value;
            size_t used = read_varint(in, end, &value);
            if (used == 0)
                return false;
            found = value > found ? value : found;
            out[n++] = (uint32_t)value;
            in += used;
        }
    }
    *most = found;
    return in == end;
}

bool fmt_check_varints(const uint8_t *in, size_t len_bytes)
{
    size_t run = 0; /* bytes of the varint so far */
    for (size_t i = 0; i < len_bytes; i++) {
        if (run == 10)
            return false;
        run = in[i] < 0x80 ? 0 : run + 1;
    }
    return run == 0;
}
