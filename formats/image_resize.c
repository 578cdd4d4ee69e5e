/* SPDX-License-Identifier: Apache-2.0 */
/* formats/image_resize.c - a rectangle of a picture to rows of another size: first down the columns
 * of source pixels, which lie side by side in memory for every weight, then along the line that
 * this makes. A source row is read as often as there are outputs that it weighs in; no picture
 * between the two passes is kept.
 */
#include "formats/image_resize.h"

#include <math.h>
#include <string.h>

#include "formats/convert_x86.h"
#include "formats/image_resize_x86.h"

enum { WEIGHT_ONE = 1 << FMT_WEIGHT_BITS };

/* Source pixels [start, end) that weigh in an output, and how. */
struct window {
    double centre, reach, step;
    uint32_t start, end;
};

static struct window window_of(const struct fmt_axis_plan *plan, uint32_t output)
{
    struct window window;
    double scale = plan->extent / plan->size;
    window.step = scale > 1 ? scale : 1; /* pixels that the triangle falls over */
    window.reach = window.step;
    window.centre = plan->origin + (output + 0.5) * scale;
    double start = window.centre - window.reach + 0.5;
    double end = window.centre + window.reach + 0.5;
    window.start = start < plan->low ? plan->low : (uint32_t)start;
    window.end = end > plan->high ? plan->high : (uint32_t)end;
    if (window.start >= plan->high)
        window.start = plan->high - 1;
    if (window.end <= window.start)
        window.end = window.start + 1;
    return window;
}

static double triangle(const struct window *window, uint32_t pixel)
{
    double away = fabs((pixel - window->centre + 0.5) / window->step);
    return away < 1 ? 1 - away : 0;
}

/* Weights in whole units that add up to WEIGHT_ONE: the sums so far are rounded, not each weight.
 */
static void weigh(const struct window *window, int16_t *weights, uint32_t taps)
{
    double total = 0;
    for (uint32_t i = window->start; i < window->end; i++)
        total += triangle(window, i);
    double sum = 0;
    int before = 0;
    memset(weights, 0, taps * sizeof(*weights));
    for (uint32_t i = window->start; i < window->end; i++) {
        sum += total > 0 ? triangle(window, i) / total : i == window->start;
        int units = (int)lrint(sum * WEIGHT_ONE);
        weights[i - window->start] = (int16_t)(units - before);
        before = units;
    }
}

static bool is_identity(const struct fmt_axis_plan *plan)
{
    return plan->extent == plan->size && plan->origin == floor(plan->origin);
}

bool fmt_axis_make(struct fmt_axis *axis, const struct fmt_axis_plan *plan)
{
    axis->count = plan->count;
    axis->mirror = plan->mirror;
    axis->identity = is_identity(plan);
    axis->taps = 0;
    if (axis->identity) {
        axis->first = (uint32_t)plan->origin + plan->from;
        axis->end = axis->first + plan->count;
    } else {
        axis->first = window_of(plan, plan->from).start;
        axis->end = window_of(plan, plan->from + plan->count - 1).end;
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        struct window window = window_of(plan, plan->from + i);
        if (axis->taps < window.end - window.start)
            axis->taps = window.end - window.start;
    }
    axis->taps = axis->identity ? 4 : (axis->taps + 3) / 4 * 4;
    if (!fmt_buffer_reserve(&axis->starts_memory, plan->count * sizeof(uint32_t)) ||
        !fmt_buffer_reserve(&axis->weights_memory,
                            (size_t)plan->count * axis->taps * sizeof(int16_t)))
        return false;
    uint32_t *starts = (uint32_t *)(void *)axis->starts_memory.bytes;
    int16_t *weights = (int16_t *)(void *)axis->weights_memory.bytes;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t to = plan->mirror ? plan->count - 1 - i : i;
        int16_t *own = weights + (size_t)to * axis->taps;
        if (axis->identity) {
            starts[to] = axis->first + i;
            memcpy(own, (int16_t[4]){WEIGHT_ONE, 0, 0, 0}, 4 * sizeof(*own));
            continue;
        }
        struct window window = window_of(plan, plan->from + i);
        starts[to] = window.start;
        weigh(&window, own, axis->taps);
    }
    return true;
}

void fmt_axis_free(struct fmt_axis *axis)
{
    free(axis->starts_memory.bytes);
    free(axis->weights_memory.bytes);
}

bool fmt_resize_begin(struct fmt_resize *resize, uint32_t channels)
{
    const struct fmt_axis *columns = &resize->columns;
    size_t pixels = (size_t)columns->end - columns->first + columns->taps;
    size_t line_bytes = (pixels * channels + FMT_LINE_MARGIN) * sizeof(int16_t);
    if (!fmt_buffer_reserve(&resize->line_memory, line_bytes) ||
        !fmt_buffer_reserve(&resize->out_memory,
                            (size_t)columns->count * channels + FMT_LINE_MARGIN))
        return false;
    memset(resize->line_memory.bytes, 0, line_bytes); /* what weights of zero are multiplied by */
    return true;
}

void fmt_resize_free(struct fmt_resize *resize)
{
    fmt_axis_free(&resize->columns);
    fmt_axis_free(&resize->rows);
    free(resize->line_memory.bytes);
    free(resize->out_memory.bytes);
}

void fmt_blend_rows_plainly(const uint8_t *top, size_t stride_bytes, const int16_t *weights,
                            uint32_t taps, size_t count, int16_t *line)
{
    for (size_t i = 0; i < count; i++) {
        int32_t sum = 1 << (FMT_ROW_SHIFT - 1);
        for (uint32_t t = 0; t < taps; t++)
            sum += weights[t] * top[t * stride_bytes + i];
        line[i] = (int16_t)(sum >> FMT_ROW_SHIFT);
    }
}

void fmt_blend_columns_plainly(const struct fmt_axis *axis, const int16_t *line, uint32_t channels,
                               uint8_t *out)
{
    const uint32_t *starts = fmt_axis_starts(axis);
    const int16_t *weights = fmt_axis_weights(axis);
    for (uint32_t x = 0; x < axis->count; x++, weights += axis->taps) {
        const int16_t *from = line + (size_t)(starts[x] - axis->first) * channels;
        for (uint32_t c = 0; c < channels; c++) {
            int32_t sum = 1 << (FMT_COLUMN_SHIFT - 1);
            for (uint32_t t = 0; t < axis->taps; t++)
                sum += weights[t] * from[t * channels + c];
            *out++ = (uint8_t)(sum >> FMT_COLUMN_SHIFT);
        }
    }
}

static void blend_rows(const uint8_t *top, size_t stride_bytes, const int16_t *weights,
                       uint32_t taps, size_t count, int16_t *line)
{
#if defined(__x86_64__)
    if (fmt_has_avx2()) {
        fmt_blend_rows_avx2(top, stride_bytes, weights, taps, count, line);
        return;
    }
#endif
    fmt_blend_rows_plainly(top, stride_bytes, weights, taps, count, line);
}

static void blend_columns(const struct fmt_axis *axis, const int16_t *line, uint32_t channels,
                          uint8_t *out)
{
#if defined(__x86_64__)
    if (channels == 3 && fmt_has_avx2()) {
        fmt_blend_columns_avx2(axis, line, out);
        return;
    }
#endif
    fmt_blend_columns_plainly(axis, line, channels, out);
}

/* A row that needs no arithmetic. */
static const uint8_t *copy_row(struct fmt_resize *resize, const uint8_t *from, uint32_t channels)
{
    const struct fmt_axis *columns = &resize->columns;
    if (!columns->mirror)
        return from;
    uint8_t *out = resize->out_memory.bytes;
    for (uint32_t x = columns->count; x-- > 0; from += channels)
        memcpy(out + (size_t)x * channels, from, channels);
    return out;
}

const uint8_t *fmt_resize_row(struct fmt_resize *resize, const struct fmt_picture *picture,
                              uint32_t y)
{
    const struct fmt_axis *columns = &resize->columns;
    const struct fmt_axis *rows = &resize->rows;
    uint32_t start = fmt_axis_starts(rows)[y];
    const uint8_t *top = picture->pixels +
                         (size_t)(start - picture->box.top) * picture->stride_bytes +
                         (size_t)(columns->first - picture->box.left) * picture->channels;
    if (columns->identity && rows->identity)
        return copy_row(resize, top, picture->channels);
    const int16_t *weights = fmt_axis_weights(rows) + (size_t)y * rows->taps;
    uint32_t taps = rows->taps;
    while (taps > 1 && weights[taps - 1] == 0)
        taps--;
    int16_t *line = (int16_t *)(void *)resize->line_memory.bytes;
    uint8_t *out = resize->out_memory.bytes;
    blend_rows(top, picture->stride_bytes, weights, taps,
               (size_t)(columns->end - columns->first) * picture->channels, line);
    blend_columns(columns, line, picture->channels, out);
    return out;
}
