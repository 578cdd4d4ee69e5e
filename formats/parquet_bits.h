/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_bits.h - integers as Parquet packs them: the hybrid of runs and packed bits
 * (levels, indices into a dictionary, booleans), and packed differences (DELTA_BINARY_PACKED)
 * (apache/parquet-format: Encodings.md).
 *
 * Owner: the caller lends all bytes. Threads: pure functions. Units: values, bytes, bits.
 */
#ifndef FORMATS_PARQUET_BITS_H
#define FORMATS_PARQUET_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packed bits, the lowest first. */
struct fmt_pq_bits {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t shift; /* bits of *at that are taken: 0 .. 7 */
};

/* Takes count values of `width` bits, 0 to 32, which are there. */
void fmt_pq_take_bits(struct fmt_pq_bits *bits, uint32_t width, size_t count, uint32_t *out);

/* The same without wide loads, for the tests. */
void fmt_pq_take_bits_plainly(struct fmt_pq_bits *bits, uint32_t width, size_t count,
                              uint32_t *out);

struct fmt_pq_hybrid {
    const uint8_t *at; /* behind the run under way */
    const uint8_t *end;
    uint32_t width;
    uint32_t run_left;
    bool packed;
    uint32_t value;          /* of a run that is not packed */
    struct fmt_pq_bits bits; /* of one that is */
};

/* width: 0 to 32. */
void fmt_pq_hybrid_start(struct fmt_pq_hybrid *hybrid, const uint8_t *in, size_t len_bytes,
                         uint32_t width);

/* How many of `most` values (>= 1) the run under way has, which begins anew when it has none; 0
 * when there is no other. */
uint32_t fmt_pq_hybrid_run(struct fmt_pq_hybrid *hybrid, uint32_t most);

/* Takes count values, no more than the run has; of a run that is not packed, `out` is not
 * touched: they are all hybrid->value. */
void fmt_pq_hybrid_take(struct fmt_pq_hybrid *hybrid, uint32_t count, uint32_t *out);

struct fmt_pq_delta {
    const uint8_t *at; /* behind the miniblock under way */
    const uint8_t *end;
    uint32_t block_minis;
    uint32_t mini_values;
    uint64_t left; /* values not taken */
    bool first;    /* none has been */
    uint64_t last;
    uint64_t delta_least;
    const uint8_t *widths;
    uint32_t mini_no;   /* of the next */
    uint32_t mini_left; /* values of the one under way */
    uint32_t width;
    const uint8_t *mini;
    uint64_t bit_at; /* in it */
};

/* Reads the head. False: it is corrupt. */
bool fmt_pq_delta_start(struct fmt_pq_delta *delta, const uint8_t *in, size_t len_bytes);

/* Takes count values, modulo 2^64. False: there are not as many, or they are corrupt. When the last
 * is taken, delta->at is behind them all. */
bool fmt_pq_delta_take(struct fmt_pq_delta *delta, size_t count, uint64_t *out);

#endif
