/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_template.c - records that are alike but for their values, at the speed of memcpy.
 */
#include "formats/record_template.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/convert.h"
#include "formats/record_numbers.h"
#include "formats/recordio.h"

/* Values that are copied here rather than by memcpy. */
enum { SHORT_RUN_MAX = 48 };

static fmt_block load_block(const uint8_t *in)
{
    fmt_block loaded;
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

/* Covers the bytes [from, to), which are alike in all records, with blocks inside the record. (One
 * with a value in it is longer than a block.) */
static bool learn_fixed(struct fmt_template *template, const uint8_t *in, size_t from, size_t to)
{
    while (from < to) {
        if (template->block_count == FMT_TEMPLATE_BLOCKS_MAX)
            return false;
        struct fmt_template_block *block = &template->blocks[template->block_count++];
        size_t last = template->len_bytes - sizeof(fmt_block);
        size_t at = from < last ? from : last;
        size_t end = to - at < sizeof(fmt_block) ? to : at + sizeof(fmt_block);
        uint8_t mask[sizeof(fmt_block)] = {0};
        memset(mask + (from - at), 0xff, end - from);
        block->at = at;
        block->mask = load_block(mask);
        block->bytes = load_block(in + at) & block->mask;
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
    const struct fmt_template_run *runs = template->runs;
    template->is_plain = FMT_LITTLE_ENDIAN && shape->type == FMT_F32 &&template->run_count <= 2 &&
                         options->feature_count == 1 && runs[0].from == FMT_RECORD_F32;
    if (template->run_count == 2)
        template->is_plain = template->is_plain &&runs[1].target ==
                             FMT_TEMPLATE_LABELS &&runs[1].from == FMT_RECORD_F32 &&runs[1].count ==
                             1;
    size_t end = FMT_RECORDIO_HEAD_BYTES + body_bytes;
    template->len_bytes = (end + 3) & ~(size_t)3;
    if (learn_blocks(template, in, end))
        return true;
    template->len_bytes = 0;
    return false;
}

static inline bool is_alike(const struct fmt_template *template, const uint8_t *in)
{
    fmt_block difference = {0, 0};
    for (uint32_t i = 0; i < template->block_count; i++) {
        const struct fmt_template_block *block = &template->blocks[i];
        difference |= (load_block(in + block->at) & block->mask) ^ block->bytes;
    }
    return (difference[0] | difference[1]) == 0;
}

/* Short runs without a call: 4 values at a time, the last 4 overlapping those before. */
static inline void copy_f32(const uint8_t *in, size_t count, float *out)
{
    if (!FMT_LITTLE_ENDIAN || count < 4 || count > SHORT_RUN_MAX) {
        fmt_convert_f32(in, count, out);
        return;
    }
    size_t last = count - 4;
    for (size_t i = 0; i < last; i += 4)
        memcpy(out + i, in + 4 * i, sizeof(fmt_block));
    memcpy(out + last, in + 4 * last, sizeof(fmt_block));
}

static uint32_t decode_plain(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t row_count, float *features, float *labels)
{
    size_t len_bytes = template->len_bytes;
    const struct fmt_template_run *run = &template->runs[0];
    const struct fmt_template_run *label = template->run_count > 1 ? &template->runs[1] : NULL;
    uint32_t row = 0;
    for (; row < row_count && len >= len_bytes && is_alike(template, in); row++) {
        if (label != NULL)
            memcpy(&labels[row], in + label->at, sizeof(float));
        copy_f32(in + run->at, run->count, features);
        features += run->count;
        in += len_bytes;
        len -= len_bytes;
    }
    return row;
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
    in += run->at;
    if (run->target == FMT_TEMPLATE_FEATURES) {
        uint8_t *features =
            (uint8_t *)rows->features + row * template->row_bytes + run->offset_bytes;
        return fmt_record_fixed_numbers(run->from, in, run->count, template->type, features);
    }
    float *out = run->target == FMT_TEMPLATE_LABELS ? rows->labels + row * template->label_dim
                                                    : rows->weights + row;
    if (run->from == FMT_RECORD_I32)
        return copy_bytes(in, run->count, out);
    return fmt_record_fixed_numbers(run->from, in, run->count, FMT_F32, out);
}

uint32_t fmt_template_decode(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t row_count, const struct fmt_rows *rows, uint32_t row)
{
    size_t len_bytes = template->len_bytes;
    if (len_bytes == 0)
        return 0;
    if (template->is_plain)
        return decode_plain(template, in, len, row_count,
                            (float *)rows->features + row * (size_t) template->runs[0].count,
                            template->run_count > 1 ? rows->labels + row : NULL);
    for (uint32_t done = 0; done < row_count; done++) {
        if (len < len_bytes || !is_alike(template, in))
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
    for (; row < row_count && len >= len_bytes && is_alike(template, in); row++) {
        in += len_bytes;
        len -= len_bytes;
    }
    return row;
}
