/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_template.c - records that are alike but for their values, at the speed of memcpy.
 */
#include "formats/record_template.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/convert.h"
#include "formats/record_numbers.h"
#include "formats/record_template_x86.h"
#include "formats/recordio.h"

/* Runs of this many bytes are copied here rather than by memcpy. */
enum { SHORT_RUN_MIN = 16, SHORT_RUN_MAX = 192 };

/* 16 bytes: one register where the machine has such, else the compiler makes do. */
typedef uint64_t half_block __attribute__((vector_size(16)));

static inline half_block load_half(const uint8_t *in)
{
    half_block loaded;
    memcpy(&loaded, in, sizeof(loaded));
    return loaded;
}

/* Whether the values have a fixed place and a fixed length. Varints have if all are of one byte,
 * which is worth a try with labels alone. */
static bool is_fixed(const struct fmt_record_value *value, enum fmt_template_target target)
{
    if (value->kind != FMT_RECORD_TENSOR || !value->is_wire || fmt_record_is_sparse(value))
        return false;
    return value->type != FMT_RECORD_I32 ||
           (target == FMT_TEMPLATE_LABELS && value->values_bytes == value->value_count);
}

static bool learn_run(struct fmt_template *template, const struct fmt_record_value *value,
                      enum fmt_template_target target, size_t offset_bytes, const uint8_t *in)
{
    if (target == FMT_TEMPLATE_LABELS && value->value_count == 0)
        return value->kind == FMT_RECORD_ABSENT || value->kind == FMT_RECORD_TENSOR;
    if (!is_fixed(value, target) || template->run_count == FMT_TEMPLATE_RUNS_MAX)
        return false;
    template->runs[template->run_count++] =
        (struct fmt_template_run){.at = (size_t)(value->values - in),
                                  .len_bytes = value->values_bytes,
                                  .count = (uint32_t)value->value_count,
                                  .from = value->type,
                                  .target = target,
                                  .offset_bytes = offset_bytes};
    return true;
}

static bool learn_runs(struct fmt_template *template, const struct fmt_record_options *options,
                       const struct fmt_record_value *values, const uint8_t *in)
{
    size_t offset_bytes = 0;
    for (uint32_t i = 0; i < options->feature_count; i++) {
        if (!learn_run(template, &values[i], FMT_TEMPLATE_FEATURES, offset_bytes, in))
            return false;
        offset_bytes += values[i].value_count * fmt_feature_bytes(template->type);
    }
    uint32_t label_no = fmt_record_label_no(options);
    return learn_run(template, &values[label_no], FMT_TEMPLATE_LABELS, 0, in) &&
           (options->weight == NULL ||
            learn_run(template, &values[label_no + 1], FMT_TEMPLATE_WEIGHT, 0, in));
}

/* Covers the bytes [from, to), which are alike in all records, with blocks that end in the record,
 * or, when it is shorter than a block, begin with it. */
static bool learn_fixed(struct fmt_template *template, const uint8_t *in, size_t from, size_t to)
{
    size_t last = template->look_bytes - FMT_TEMPLATE_BLOCK_BYTES;
    while (from < to) {
        if (template->block_count == FMT_TEMPLATE_BLOCKS_MAX)
            return false;
        struct fmt_template_block *block = &template->blocks[template->block_count++];
        size_t at = from < last ? from : last;
        size_t end = to - at < FMT_TEMPLATE_BLOCK_BYTES ? to : at + FMT_TEMPLATE_BLOCK_BYTES;
        block->at = at;
        memset(block->mask + (from - at), 0xff, end - from);
        memcpy(block->bytes + (from - at), in + from, end - from);
        from = end;
    }
    return true;
}

/* All that lies between the values, and around them, up to `end`. */
static bool learn_blocks(struct fmt_template *template, const uint8_t *in, size_t end)
{
    size_t from = 0;
    for (;;) {
        const struct fmt_template_run *next = NULL;
        for (uint32_t i = 0; i < template->run_count; i++) {
            const struct fmt_template_run *run = &template->runs[i];
            if (run->at >= from && (next == NULL || run->at < next->at))
                next = run;
        }
        if (!learn_fixed(template, in, from, next != NULL ? next->at : end))
            return false;
        if (next == NULL)
            return true;
        from = next->at + next->len_bytes;
    }
}

bool fmt_template_learn(struct fmt_template *template, const struct fmt_record_options *options,
                        const struct fmt_shape *shape, const struct fmt_record_value *values,
                        const uint8_t *in, size_t body_bytes)
{
    template->len_bytes = 0;
    if (shape->sparse || shape->text_dim > 0 || !is_fixed(&values[0], FMT_TEMPLATE_FEATURES))
        return false;
    *template = (struct fmt_template){
        .type = shape->type,
        .row_bytes = shape->feature_dim * fmt_feature_bytes(shape->type),
        .label_dim = shape->label_dim,
    };
    if (!learn_runs(template, options, values, in))
        return false;
#if defined(__x86_64__)
    template->is_wide = fmt_has_avx2();
#endif
    template->is_copied = FMT_LITTLE_ENDIAN && shape->type == FMT_F32;
    for (uint32_t i = 0; i < template->run_count; i++)
        template->is_copied = template->is_copied &&template->runs[i].from == FMT_RECORD_F32;
    size_t end = FMT_RECORDIO_HEAD_BYTES + body_bytes;
    template->len_bytes = (end + 3) & ~(size_t)3;
    template->look_bytes = template->len_bytes > FMT_TEMPLATE_BLOCK_BYTES
                               ? template->len_bytes
                               : FMT_TEMPLATE_BLOCK_BYTES;
    if (learn_blocks(template, in, end))
        return true;
    template->len_bytes = 0;
    return false;
}

static inline bool is_alike(const struct fmt_template *template, const uint8_t *in)
{
    half_block difference = {0, 0};
    for (uint32_t i = 0; i < template->block_count; i++) {
        const struct fmt_template_block *block = &template->blocks[i];
        for (size_t half = 0; half < FMT_TEMPLATE_BLOCK_BYTES; half += sizeof(half_block))
            difference |= (load_half(in + block->at + half) & load_half(block->mask + half)) ^
                          load_half(block->bytes + half);
    }
    return (difference[0] | difference[1]) == 0;
}

/* Short runs without a call: 16 bytes at a time, the last 16 overlapping those before. */
static inline void copy(const uint8_t *in, size_t len_bytes, uint8_t *out)
{
    if (len_bytes < SHORT_RUN_MIN || len_bytes > SHORT_RUN_MAX) {
        memcpy(out, in, len_bytes);
        return;
    }
    size_t last = len_bytes - sizeof(half_block);
    for (size_t i = 0; i < last; i += sizeof(half_block))
        memcpy(out + i, in + i, sizeof(half_block));
    memcpy(out + last, in + last, sizeof(half_block));
}

static uint32_t copy_plainly(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t row_count, const struct fmt_template_move *moves)
{
    uint32_t row = 0;
    for (; row < row_count && len >= template->look_bytes && is_alike(template, in); row++) {
        for (uint32_t i = 0; i < template->run_count; i++)
            copy(in + moves[i].at, moves[i].len_bytes, moves[i].to + row * moves[i].stride_bytes);
        in += template->len_bytes;
        len -= template->len_bytes;
    }
    return row;
}

/* Where the run's values of row `row` go. */
static uint8_t *run_target(const struct fmt_template *template, const struct fmt_template_run *run,
                           const struct fmt_rows *rows, size_t row)
{
    if (run->target == FMT_TEMPLATE_FEATURES)
        return (uint8_t *)rows->features + row * template->row_bytes + run->offset_bytes;
    return run->target == FMT_TEMPLATE_LABELS
               ? (uint8_t *)(rows->labels + row * template->label_dim)
               : (uint8_t *)(rows->weights + row);
}

static uint32_t decode_copied(const struct fmt_template *template, const uint8_t *in, size_t len,
                              uint32_t row_count, const struct fmt_rows *rows, uint32_t row)
{
    struct fmt_template_move moves[FMT_TEMPLATE_RUNS_MAX];
    for (uint32_t i = 0; i < template->run_count; i++) {
        const struct fmt_template_run *run = &template->runs[i];
        moves[i] = (struct fmt_template_move){
            .at = run->at, .len_bytes = run->len_bytes, .to = run_target(template, run, rows, row)};
        moves[i].stride_bytes = run->target == FMT_TEMPLATE_FEATURES ? template->row_bytes
                                : run->target == FMT_TEMPLATE_LABELS
                                    ? template->label_dim * sizeof(float)
                                    : sizeof(float);
    }
#if defined(__x86_64__)
    if (template->is_wide)
        return fmt_template_copy_avx2(template, in, len, row_count, moves);
#endif
    return copy_plainly(template, in, len, row_count, moves);
}

/* False when a varint has more than one byte. */
static bool copy_bytes(const uint8_t *in, size_t count, float *out)
{
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++) {
        all |= in[i];
        out[i] = in[i];
    }
    return all < 0x80;
}

/* False when the record is not like the others after all. */
static bool copy_run(const struct fmt_template *template, const struct fmt_template_run *run,
                     const uint8_t *in, const struct fmt_rows *rows, size_t row)
{
    uint8_t *out = run_target(template, run, rows, row);
    if (run->target == FMT_TEMPLATE_FEATURES)
        return fmt_record_fixed_numbers(run->from, in + run->at, run->count, template->type, out);
    if (run->from == FMT_RECORD_I32)
        return copy_bytes(in + run->at, run->count, (float *)(void *)out);
    return fmt_record_fixed_numbers(run->from, in + run->at, run->count, FMT_F32, out);
}

uint32_t fmt_template_decode(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t row_count, const struct fmt_rows *rows, uint32_t row)
{
    size_t len_bytes = template->len_bytes;
    if (len_bytes == 0)
        return 0;
    if (template->is_copied)
        return decode_copied(template, in, len, row_count, rows, row);
    for (uint32_t done = 0; done < row_count; done++) {
        if (len < template->look_bytes || !is_alike(template, in))
            return done;
        for (uint32_t i = 0; i < template->run_count; i++)
            if (!copy_run(template, &template->runs[i], in, rows, row + done))
                return done;
        in += len_bytes;
        len -= len_bytes;
    }
    return row_count;
}

uint32_t fmt_template_match(const struct fmt_template *template, const uint8_t *in, size_t len,
                            uint32_t row_count)
{
    size_t len_bytes = template->len_bytes;
    uint32_t row = 0;
    if (len_bytes == 0)
        return 0;
#if defined(__x86_64__)
    if (template->is_wide)
        return fmt_template_match_avx2(template, in, len, row_count);
#endif
    for (; row < row_count && len >= template->look_bytes && is_alike(template, in); row++) {
        in += len_bytes;
        len -= len_bytes;
    }
    return row;
}
