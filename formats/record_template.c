/* SPDX-License-Identifier: Apache-2.0 */
/* formats/record_template.c - records that are alike but for their values, at the speed of memcpy.
 */
#include "formats/record_template.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/convert.h"
#include "formats/recordio.h"

/* Values that are copied here rather than by memcpy. */
enum { SHORT_RUN_MAX = 48 };

static fmt_block load_block(const uint8_t *in)
{
    fmt_block loaded;
    memcpy(&loaded, in, sizeof(loaded));
    return loaded;
}

/* A run that lies at a fixed place and has a fixed length. */
static bool learn_run(struct fmt_template_run *run, const uint8_t *in,
                      const struct fmt_record_map *map)
{
    *run = (struct fmt_template_run){0};
    if (map->problem == FMT_RECORD_ABSENT || map->count == 0)
        return true;
    if (map->problem != FMT_RECORD_GOOD || map->run == NULL)
        return false;
    *run = (struct fmt_template_run){.at = (size_t)(map->run - in),
                                     .len_bytes = map->run_bytes,
                                     .count = (uint32_t)map->count,
                                     .type = map->type};
    /* varints: only of one byte each, so that the length depends on their number alone */
    return map->type != FMT_RECORD_I32 || map->run_bytes == map->count;
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

bool fmt_template_learn(struct fmt_template *template, const uint8_t *in, size_t body_bytes,
                        const struct fmt_record *record)
{
    *template = (struct fmt_template){0};
    const struct fmt_template_run *first = &template->features;
    const struct fmt_template_run *second = &template->labels;
    if (!learn_run(&template->features, in, &record->features) ||
        !learn_run(&template->labels, in, &record->labels))
        return false;
    /* one-byte varints as features: the next record will have longer ones */
    if (template->features.count == 0 || template->features.type == FMT_RECORD_I32)
        return false;
    size_t end = FMT_RECORDIO_HEAD_BYTES + body_bytes;
    if (template->labels.count == 0) {
        template->labels.at = end;
    } else if (template->labels.at < template->features.at) {
        first = &template->labels;
        second = &template->features;
    }
    size_t first_end = first->at + first->len_bytes;
    size_t second_end = second->at + second->len_bytes;
    template->len_bytes = (end + 3) & ~(size_t)3;
    if (learn_fixed(template, in, 0, first->at) &&
        learn_fixed(template, in, first_end, second->at) &&
        learn_fixed(template, in, second_end, end))
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

/* False when a varint has more than one byte. */
static inline bool copy_run(const struct fmt_template_run *run, const uint8_t *in, float *out)
{
    in += run->at;
    switch (run->type) {
    case FMT_RECORD_F32:
        copy_f32(in, run->count, out);
        return true;
    case FMT_RECORD_F64:
        fmt_convert_f64(in, run->count, out);
        return true;
    case FMT_RECORD_I32:
        break;
    }
    uint8_t all = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        all |= in[i];
        out[i] = in[i];
    }
    return all < 0x80;
}

/* The same for labels, of which there is mostly one. */
static inline bool copy_labels(const struct fmt_template_run *run, const uint8_t *in, float *out)
{
    if (FMT_LITTLE_ENDIAN && run->count == 1 && run->type == FMT_RECORD_F32) {
        memcpy(out, in + run->at, sizeof(float));
        return true;
    }
    return copy_run(run, in, out);
}

uint32_t fmt_template_decode(const struct fmt_template *template, const uint8_t *in, size_t len,
                             uint32_t rows, float *features, float *labels)
{
    size_t len_bytes = template->len_bytes;
    if (len_bytes == 0)
        return 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (len < len_bytes)
            return row;
        if (!is_alike(template, in))
            return row;
        if (template->labels.count > 0) {
            if (!copy_labels(&template->labels, in, labels))
                return row;
            labels += template->labels.count;
        }
        copy_run(&template->features, in, features);
        features += template->features.count;
        in += len_bytes;
        len -= len_bytes;
    }
    return rows;
}
