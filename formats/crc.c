/* SPDX-License-Identifier: Apache-2.0 */
/* formats/crc.c - see crc.h. Every polynomial is mirrored, and a state is a remainder with its
 * highest power in bit 0: W bits at the bottom of a 64-bit word. */
#include "formats/crc.h"

#include "formats/bytes.h"
#include "formats/crc_x86.h"

#include <stdbool.h>

/* What the sums are made with; written before main, constant afterwards. */
struct method {
    uint64_t polynomial; /* mirrored */
    unsigned bits;
    uint64_t ones; /* inverts a state */
    /* The remainder of byte `i` followed by `k` zero bytes and the W of the remainder. */
    uint64_t tables[8][256];
    uint64_t squares[67]; /* x^(2^k), as fmt_crc_power writes them */
#if defined(__x86_64__)
    struct fmt_crc_folds folds;
#endif
};

static struct method methods[FMT_CRC_KINDS] = {
    [FMT_CRC32] = {.polynomial = 0xedb88320, .bits = 32, .ones = 0xffffffff},
    [FMT_CRC32C] = {.polynomial = 0x82f63b78, .bits = 32, .ones = 0xffffffff},
    [FMT_CRC64NVME] = {.polynomial = 0x9a6c9329ac4bc9b5, .bits = 64, .ones = UINT64_MAX},
};

/* a * b modulo the polynomial; all with x^i in bit 63 - i. */
static uint64_t multiply(const struct method *m, uint64_t a, uint64_t b)
{
    uint64_t polynomial = m->polynomial << (64 - m->bits);
    uint64_t lowest = UINT64_C(1) << (64 - m->bits);
    uint64_t product = 0;

    for (; a != 0; a <<= 1) {
        if (a >> 63)
            product ^= b;
        b = b & lowest ? b >> 1 ^ polynomial : b >> 1;
        b &= ~(lowest - 1);
    }
    return product;
}

uint64_t fmt_crc_power(enum fmt_crc_kind kind, uint64_t n)
{
    const struct method *m = &methods[kind];
    uint64_t power = UINT64_C(1) << 63;

    for (unsigned k = 0; n != 0; k++, n >>= 1)
        if (n & 1)
            power = multiply(m, power, m->squares[k]);
    return power;
}

static void make_tables(struct method *m)
{
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t state = i;

        for (int bit = 0; bit < 8; bit++)
            state = state & 1 ? state >> 1 ^ m->polynomial : state >> 1;
        m->tables[0][i] = state;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++) {
            uint64_t before = m->tables[k - 1][i];

            m->tables[k][i] = before >> 8 ^ m->tables[0][before & 0xff];
        }
    m->squares[0] = UINT64_C(1) << 62;
    for (int k = 1; k < 67; k++)
        m->squares[k] = multiply(m, m->squares[k - 1], m->squares[k - 1]);
}

#if defined(__x86_64__)
static struct fmt_crc_fold fold_by(enum fmt_crc_kind kind, unsigned distance)
{
    return (struct fmt_crc_fold){
        {fmt_crc_power(kind, distance + 63), fmt_crc_power(kind, distance - 1)}};
}
#endif

/* Before main, so that no call needs to ask whether it is the first. */
__attribute__((constructor)) static void make_methods(void)
{
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++) {
        struct method *m = &methods[kind];

        make_tables(m);
#if defined(__x86_64__)
        m->folds = (struct fmt_crc_folds){
            fold_by((enum fmt_crc_kind)kind, 128), fold_by((enum fmt_crc_kind)kind, 512),
            fold_by((enum fmt_crc_kind)kind, 1024), fold_by((enum fmt_crc_kind)kind, 2048)};
#endif
    }
}

/* State in, state out: nothing is inverted. Eight bytes a step: each has a table that knows how far
 * it is from the end. */
static uint64_t step(const struct method *m, uint64_t state, const uint8_t *in, size_t len_bytes)
{
    for (; len_bytes >= 8; in += 8, len_bytes -= 8) {
        uint64_t word = state ^ fmt_load_le64(in);

        state = 0;
        for (int i = 0; i < 8; i++)
            state ^= m->tables[7 - i][word >> 8 * i & 0xff];
    }
    for (; len_bytes > 0; in++, len_bytes--)
        state = state >> 8 ^ m->tables[0][(state ^ *in) & 0xff];
    return state;
}

uint64_t fmt_crc_plainly(enum fmt_crc_kind kind, uint64_t sum, const uint8_t *in, size_t len_bytes)
{
    const struct method *m = &methods[kind];

    return step(m, sum ^ m->ones, in, len_bytes) ^ m->ones;
}

#if defined(__x86_64__)
/* The same where the processor has an instruction for it. */
static uint64_t step_fast(enum fmt_crc_kind kind, uint64_t state, const uint8_t *in,
                          size_t len_bytes)
{
    if (kind == FMT_CRC32C && fmt_has_crc32())
        return fmt_crc32c_step(state, in, len_bytes);
    return step(&methods[kind], state, in, len_bytes);
}
#endif

uint64_t fmt_crc(enum fmt_crc_kind kind, uint64_t sum, const uint8_t *in, size_t len_bytes)
{
#if defined(__x86_64__)
    const struct method *m = &methods[kind];
    uint8_t folded[16];
    size_t done_bytes = 0;

    if (len_bytes >= FMT_CRC_AVX512_BYTES && fmt_has_clmul_avx512())
        done_bytes = fmt_crc_fold_avx512(&m->folds, sum ^ m->ones, in, len_bytes, folded);
    else if (len_bytes >= FMT_CRC_CLMUL_BYTES && fmt_has_clmul())
        done_bytes = fmt_crc_fold_clmul(&m->folds, sum ^ m->ones, in, len_bytes, folded);
    uint64_t state = done_bytes > 0 ? step_fast(kind, 0, folded, sizeof folded) : sum ^ m->ones;

    return step_fast(kind, state, in + done_bytes, len_bytes - done_bytes) ^ m->ones;
#else
    return fmt_crc_plainly(kind, sum, in, len_bytes);
#endif
}

uint64_t fmt_crc_combine(enum fmt_crc_kind kind, uint64_t sum_a, uint64_t sum_b,
                         uint64_t b_len_bytes)
{
    const struct method *m = &methods[kind];
    unsigned shift = 64 - m->bits;
    uint64_t moved = sum_a << shift;

    /* A's remainder times x^8 for each byte of B: the inversions cancel. The length in bits may not
     * fit 64 bits, so its three lowest are left out and the squares begin at x^(2^3). */
    for (unsigned k = 3; b_len_bytes != 0; k++, b_len_bytes >>= 1)
        if (b_len_bytes & 1)
            moved = multiply(m, moved, m->squares[k]);
    return moved >> shift ^ sum_b;
}

void fmt_crc_text(enum fmt_crc_kind kind, uint64_t sum, char out[FMT_CRC_TEXT_BYTES])
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size_bytes = fmt_crc_bytes(kind);
    size_t digits = (8 * size_bytes + 5) / 6;
    size_t len = (size_bytes + 2) / 3 * 4;

    for (size_t i = 0; i < len; i++) {
        size_t end_bits = 6 * (i + 1);
        uint64_t digit = end_bits <= 8 * size_bytes ? sum >> (8 * size_bytes - end_bits)
                                                    : sum << (end_bits - 8 * size_bytes);

        out[i] = i < digits ? base64[digit & 63] : '=';
    }
    out[len] = '\0';
}

const char *fmt_crc_name(enum fmt_crc_kind kind)
{
    static const char *const names[] = {"CRC32", "CRC32C", "CRC64NVME"};

    return names[kind];
}
