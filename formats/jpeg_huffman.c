/* SPDX-License-Identifier: Apache-2.0 */
/* formats/jpeg_huffman.c - see jpeg_huffman.h. Names of clauses are those of ITU T.81. */
#include "formats/jpeg_huffman.h"

#include <string.h>

#include <jerror.h>

enum {
    LOOK = FMT_JPEG_LOOK_BITS,
    CODE_BITS_MAX = 16,
    BLOCK = DCTSIZE2,
    /* A code and its value. */
    PAIR_BITS_MAX = CODE_BITS_MAX + 15,
    /* What an MCU that begins in the data can reach behind it, and a word that is read there. */
    PADDING_BYTES = D_MAX_BLOCKS_IN_MCU * BLOCK * 4 + 16,
    DC_MAX = 1 << 30
};

/* An entry of `front`: how many bits a code and its value have, in the lowest five; of these the
 * value's, at 5; the run of zeros, at 9. 0: the code is longer than the look, or none. */
enum { PAIR_MASK = 31, VALUE_AT = 5, VALUE_MASK = 15, RUN_AT = 9 };

/* Natural order of the zigzag (figure A.6); a run from the last may lead 15 beyond. */
static const uint8_t natural[BLOCK + 16] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33,
    40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

/* The public beginning of a structure that libjpeg does not show. */
struct jpeg_entropy_decoder {
    void (*start_pass)(j_decompress_ptr libjpeg);
    boolean (*decode_mcu)(j_decompress_ptr libjpeg, JBLOCKROW *blocks);
};

/* ---- tables ---- */

static uint16_t entry_of(unsigned code_bits, uint8_t symbol)
{
    unsigned value_bits = symbol & 15, run = symbol >> 4;

    return (uint16_t)(run << RUN_AT | value_bits << VALUE_AT | (code_bits + value_bits));
}

/* Annex C. False for what is no such table, which libjpeg has refused before. */
static bool make_codes(struct fmt_jpeg_codes *codes, const JHUFF_TBL *table, bool ac)
{
    uint32_t code = 0;
    int32_t count = 0;

    if (memcmp(codes->bits, table->bits, sizeof(codes->bits)) == 0 &&
        memcmp(codes->symbols, table->huffval, sizeof(codes->symbols)) == 0)
        return true;
    memset(codes, 0, sizeof(*codes));
    for (unsigned bits = 1; bits <= CODE_BITS_MAX; bits++, code <<= 1) {
        codes->symbol_at[bits] = count - (int32_t)code;
        for (int i = 0; i < table->bits[bits]; i++, code++, count++) {
            if (count > 255 || code >= 1u << bits)
                return false;
            if (!ac && table->huffval[count] > 15)
                return false;
            if (bits <= LOOK)
                for (uint32_t rest = 0; rest < 1u << (LOOK - bits); rest++)
                    codes->front[(code << (LOOK - bits)) + rest] =
                        entry_of(bits, table->huffval[count]);
        }
        codes->limits[bits] = code << (CODE_BITS_MAX - bits);
    }
    memcpy(codes->bits, table->bits, sizeof(codes->bits));
    memcpy(codes->symbols, table->huffval, sizeof(codes->symbols));
    return true;
}

/* An entry for a code that is longer than `front` looks; 0 when there is no such code. */
static uint16_t find_long(const struct fmt_jpeg_codes *codes, uint64_t word)
{
    uint32_t front = (uint32_t)(word >> (64 - CODE_BITS_MAX));

    for (unsigned bits = LOOK + 1; bits <= CODE_BITS_MAX; bits++)
        if (front < codes->limits[bits]) {
            uint32_t code = front >> (CODE_BITS_MAX - bits);
            return entry_of(bits, codes->symbols[(int32_t)code + codes->symbol_at[bits]]);
        }
    return 0;
}

/* ---- blocks ---- */

#define ALWAYS_INLINE inline __attribute__((always_inline))

struct reader {
    const uint8_t *at;
    uint64_t word;
    unsigned bits;
};

/* At least 56 bits are there, after. What is there of a byte is read again, to the same place. */
static ALWAYS_INLINE void refill(struct reader *in)
{
    uint64_t next;

    memcpy(&next, in->at, sizeof(next));
    in->word |= __builtin_bswap64(next) >> in->bits;
    in->at += (63 - in->bits) >> 3;
    in->bits |= 56;
}

/* The entry of the code that comes next; 0 when there is none. */
static ALWAYS_INLINE unsigned look(const struct reader *in, const struct fmt_jpeg_codes *codes)
{
    unsigned entry = codes->front[in->word >> (64 - LOOK)];

    return entry != 0 ? entry : find_long(codes, in->word);
}

/* Takes a code and its value, which is 0 when it has no bits (F.2.2.1, EXTEND). */
static ALWAYS_INLINE int32_t take(struct reader *in, unsigned entry)
{
    unsigned pair_bits = entry & PAIR_MASK, value_bits = entry >> VALUE_AT & VALUE_MASK;
    uint64_t from_value = in->word << (pair_bits - value_bits);
    int32_t value = (int32_t)(from_value >> 1 >> (63 - value_bits));
    int32_t is_negative = ~(int32_t)((int64_t)from_value >> 63); /* all bits, or none */

    in->word <<= pair_bits;
    in->bits -= pair_bits;
    return value + (is_negative & (1 - (1 << value_bits)));
}

static ALWAYS_INLINE bool read_ac(struct reader *in, const struct fmt_jpeg_codes *codes,
                                  JCOEF *block)
{
    unsigned k = 1;

    while (k < BLOCK) {
        if (in->bits < PAIR_BITS_MAX)
            refill(in);
        unsigned entry = look(in, codes);
        if (entry == 0)
            return false;
        k += entry >> RUN_AT;
        if ((entry >> VALUE_AT & VALUE_MASK) == 0 && entry >> RUN_AT != 15) {
            (void)take(in, entry);
            return true;
        }
        block[natural[k++]] = (JCOEF)take(in, entry);
    }
    return k == BLOCK;
}

/* Once all tables of a block are known to be whole. */
static ALWAYS_INLINE bool read_mcu(struct fmt_jpeg_huffman *huffman, JBLOCKROW *blocks)
{
    JCOEF nowhere[BLOCK];
    struct reader in = {huffman->at, huffman->word, huffman->word_bits};

    for (int i = 0; i < huffman->block_count; i++) {
        const struct fmt_jpeg_block *block = &huffman->blocks[i];
        JCOEF *to = blocks != NULL && block->needed ? blocks[i][0] : nowhere;
        int32_t *last = &huffman->last_dc[block->component];

        refill(&in);
        unsigned entry = look(&in, block->dc);
        if (entry == 0)
            return false;
        *last += take(&in, entry);
        to[0] = (JCOEF)*last;
        if (*last > DC_MAX || *last < -DC_MAX || !read_ac(&in, block->ac, to))
            return false;
    }
    huffman->at = in.at;
    huffman->word = in.word;
    huffman->word_bits = in.bits;
    size_t read_bits = (size_t)(in.at - huffman->data.bytes) * 8 - in.bits;
    return read_bits <= huffman->data_bytes * 8;
}

static ALWAYS_INLINE boolean decode(j_decompress_ptr libjpeg, JBLOCKROW *blocks)
{
    struct fmt_jpeg_parts *parts = libjpeg->client_data;

    if (read_mcu(&parts->huffman, blocks))
        return TRUE;
    parts->huffman.gave_up = true;
    ERREXIT(libjpeg, JERR_BAD_DCT_COEF);
    return FALSE;
}

static boolean decode_mcu(j_decompress_ptr libjpeg, JBLOCKROW *blocks)
{
    return decode(libjpeg, blocks);
}

#ifdef __x86_64__
/* The same, with shifts that take one instruction. */
__attribute__((target("bmi2"))) static boolean decode_mcu_bmi2(j_decompress_ptr libjpeg,
                                                               JBLOCKROW *blocks)
{
    return decode(libjpeg, blocks);
}
#endif

/* ---- the scan ---- */

/* Copies coded data up to a marker, or the end of in[len]. */
static size_t unstuff(const uint8_t *in, size_t len, uint8_t *out)
{
    const uint8_t *end = in + len;
    uint8_t *to = out;

    while (in < end) {
        const uint8_t *stuffed = memchr(in, 0xff, (size_t)(end - in));
        bool is_data = stuffed != NULL && stuffed + 1 < end && stuffed[1] == 0;
        size_t count = (size_t)((stuffed != NULL ? stuffed : end) - in) + is_data;

        memcpy(to, in, count);
        to += count;
        if (!is_data)
            break;
        in = stuffed + 2;
    }
    return (size_t)(to - out);
}

static bool is_ours(struct jpeg_decompress_struct *libjpeg)
{
    return !libjpeg->arith_code && !libjpeg->progressive_mode && libjpeg->restart_interval == 0 &&
           libjpeg->data_precision == 8 && !jpeg_has_multiple_scans(libjpeg) &&
           libjpeg->comps_in_scan == libjpeg->num_components && libjpeg->Ss == 0 &&
           libjpeg->Se == BLOCK - 1;
}

static bool prepare_blocks(struct jpeg_decompress_struct *libjpeg, struct fmt_jpeg_huffman *huffman)
{
    huffman->block_count = libjpeg->blocks_in_MCU;
    for (int i = 0; i < libjpeg->blocks_in_MCU; i++) {
        int component = libjpeg->MCU_membership[i];
        const jpeg_component_info *info = libjpeg->cur_comp_info[component];
        const JHUFF_TBL *dc = libjpeg->dc_huff_tbl_ptrs[info->dc_tbl_no];
        const JHUFF_TBL *ac = libjpeg->ac_huff_tbl_ptrs[info->ac_tbl_no];

        huffman->blocks[i] = (struct fmt_jpeg_block){.dc = &huffman->dc[info->dc_tbl_no],
                                                     .ac = &huffman->ac[info->ac_tbl_no],
                                                     .component = component,
                                                     .needed = info->component_needed};
        if (!make_codes(&huffman->dc[info->dc_tbl_no], dc, false) ||
            !make_codes(&huffman->ac[info->ac_tbl_no], ac, true))
            return false;
    }
    return true;
}

bool fmt_jpeg_huffman_attach(struct jpeg_decompress_struct *libjpeg)
{
    struct fmt_jpeg_parts *parts = libjpeg->client_data;
    struct fmt_jpeg_huffman *huffman = &parts->huffman;
    const uint8_t *in = libjpeg->src->next_input_byte;
    size_t len = libjpeg->src->bytes_in_buffer;

    if (!is_ours(libjpeg) || !prepare_blocks(libjpeg, huffman))
        return true;
    if (!fmt_buffer_reserve(&huffman->data, len + PADDING_BYTES))
        return false;
    huffman->data_bytes = unstuff(in, len, huffman->data.bytes);
    memset(huffman->data.bytes + huffman->data_bytes, 0, PADDING_BYTES);
    memset(huffman->last_dc, 0, sizeof(huffman->last_dc));
    huffman->at = huffman->data.bytes;
    huffman->word = 0;
    huffman->word_bits = 0;
    libjpeg->entropy->decode_mcu = decode_mcu;
#ifdef __x86_64__
    if (__builtin_cpu_supports("bmi2"))
        libjpeg->entropy->decode_mcu = decode_mcu_bmi2;
#endif
    return true;
}

void fmt_jpeg_huffman_free(struct fmt_jpeg_huffman *huffman)
{
    free(huffman->data.bytes);
}
