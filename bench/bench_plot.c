/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_plot.c - see bench_plot.h. */
#include "bench/bench_plot.h"

#include <math.h>

#define WIDTH 900
#define HEIGHT 260
#define LEFT 60
#define RIGHT 36
#define TOP 20
#define BOTTOM 36
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define PLOT_HEIGHT (HEIGHT - TOP - BOTTOM)
#define GIB ((double)(1 << 30))

static const char *const colours[] = {"#2563eb", "#dc2626", "#059669", "#d97706",
                                      "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"};
#define COLOURS (sizeof colours / sizeof *colours)

void bench_html_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

void bench_html_row(FILE *out, const char *name, const char *value)
{
    if (!*value)
        return;
    fprintf(out, "<tr><td>%s</td><td>", name);
    bench_html_text(out, value);
    fputs("</td></tr>\n", out);
}

/* ---- axes ---- */

struct frame {
    double x_least, x_most, y_most;
};

static double x_of(const struct frame *f, double x)
{
    return LEFT + PLOT_WIDTH * (x - f->x_least) / (f->x_most - f->x_least);
}

static double y_of(const struct frame *f, double y)
{
    return TOP + PLOT_HEIGHT * (1 - y / f->y_most);
}

static void open_plot(FILE *out, const char *name, const struct frame *f, const char *y_unit)
{
    fprintf(out, "<svg id=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\">\n", name, WIDTH, HEIGHT);
    for (int i = 0; i <= 4; i++) {
        double y = f->y_most * i / 4;

        fprintf(out,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e6ea\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
                LEFT, WIDTH - RIGHT, y_of(f, y), y_of(f, y), LEFT - 6, y_of(f, y) + 4, y);
    }
    fprintf(out, "<text x=\"4\" y=\"12\">%s</text>\n", y_unit);
}

static void write_x_mark(FILE *out, const struct frame *f, double x, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(f, x),
            HEIGHT - BOTTOM + 16, text);
}

static void write_seconds(FILE *out, const struct frame *f)
{
    for (int i = 0; i <= 8; i++) {
        double x = f->x_least + (f->x_most - f->x_least) * i / 8;
        char text[32];

        snprintf(text, sizeof text, "%.3g s", x);
        write_x_mark(out, f, x, text);
    }
}

/* `number` tells the colour, `place` counts from the left. */
static void write_key(FILE *out, size_t number, size_t place, const char *text)
{
    fprintf(out,
            "<rect x=\"%zu\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\"/>"
            "<text x=\"%zu\" y=\"%d\">",
            LEFT + 110 * place, HEIGHT - 13, colours[number % COLOURS], LEFT + 110 * place + 14,
            HEIGHT - 4);
    bench_html_text(out, text);
    fputs("</text>\n", out);
}

/* ---- over time ---- */

static double tick_rate(const struct bench_tick *before, const struct bench_tick *tick)
{
    double passed_s = (double)(tick->at_ns - before->at_ns) * 1e-9;

    return passed_s > 0 ? (double)(tick->bytes - before->bytes) / GIB / passed_s : 0;
}

static struct frame frame_of_time(const struct bench_variant *variant)
{
    struct frame f = {0, 0.1, 1e-9};

    for (size_t r = 0; r < variant->run_count; r++)
        for (size_t i = 1; i < variant->runs[r].tick_count; i++) {
            const struct bench_tick *tick = &variant->runs[r].ticks[i];

            f.x_most = fmax(f.x_most, (double)tick->at_ns * 1e-9);
            f.y_most = fmax(f.y_most, tick_rate(tick - 1, tick));
        }
    return f;
}

void bench_plot_throughput(FILE *out, const struct bench_variant *variant)
{
    struct frame f = frame_of_time(variant);

    open_plot(out, "throughput", &f, "GiB/s");
    write_seconds(out, &f);
    for (size_t r = 0; r < variant->run_count; r++) {
        const struct bench_run *run = &variant->runs[r];
        char text[32];

        fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
                colours[r % COLOURS]);
        for (size_t i = 1; i < run->tick_count; i++)
            fprintf(out, "%.1f,%.1f ", x_of(&f, (double)run->ticks[i].at_ns * 1e-9),
                    y_of(&f, tick_rate(&run->ticks[i - 1], &run->ticks[i])));
        fputs("\"/>\n", out);
        snprintf(text, sizeof text, "repeat %zu", r + 1);
        if (r < 7)
            write_key(out, r, r, text);
    }
    fputs("</svg>\n", out);
}

void bench_plot_stages(FILE *out, const struct bench_variant *variant)
{
    static const char *const names[] = {"I/O", "inflate", "frame", "decode", "consume"};
    const struct bench_run *run = &variant->runs[0];
    bool plain = run->after.decode_threads == 0;
    struct frame f = {0, 0.1, 100};
    size_t keys = 0;

    for (size_t i = 0; i < run->tick_count; i++)
        f.x_most = fmax(f.x_most, (double)run->ticks[i].at_ns * 1e-9);
    open_plot(out, "stages", &f, "% busy");
    write_seconds(out, &f);
    for (int stage = 0; stage < BENCH_STAGE_OTHER; stage++) {
        if ((stage == BENCH_STAGE_INFLATE && run->after.bytes_inflated == 0) ||
            (plain && (stage == BENCH_STAGE_FRAME || stage == BENCH_STAGE_DECODE)))
            continue;
        fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
                colours[stage]);
        for (size_t i = 1; i < run->tick_count; i++)
            fprintf(out, "%.1f,%.1f ", x_of(&f, (double)run->ticks[i].at_ns * 1e-9),
                    y_of(&f, 100 * (double)run->ticks[i].busy[stage]));
        fputs("\"/>\n", out);
        write_key(out, (size_t)stage, keys++, names[stage]);
    }
    fputs("</svg>\n", out);
}

/* ---- latencies ---- */

enum { COLUMN_BUCKETS = 8, COLUMNS = PENSTOCK_LATENCY_BUCKETS / COLUMN_BUCKETS };

static void write_columns(FILE *out, const struct frame *f, const double *columns,
                          const char *colour)
{
    for (int i = (int)f->x_least; i < (int)f->x_most; i++)
        if (columns[i] > 0)
            fprintf(out,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
                    "fill-opacity=\"0.55\"/>\n",
                    x_of(f, i), y_of(f, columns[i]), PLOT_WIDTH / (f->x_most - f->x_least),
                    y_of(f, 0) - y_of(f, columns[i]), colour);
}

void bench_plot_latency(FILE *out, const struct bench_variant *variant)
{
    static double columns[2][COLUMNS];
    struct penstock_latencies all[2] = {{.count = 0}, {.count = 0}};
    struct frame f = {COLUMNS, 0, 1};

    for (size_t r = 0; r < variant->run_count; r++) {
        penstock_latencies_merge(&all[0], &variant->runs[r].first_bytes);
        penstock_latencies_merge(&all[1], &variant->runs[r].parts);
    }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < COLUMNS; i++) {
            columns[k][i] = 0;
            for (int b = 0; b < COLUMN_BUCKETS; b++)
                columns[k][i] += (double)all[k].counts[i * COLUMN_BUCKETS + b];
            if (columns[k][i] <= 0)
                continue;
            f.x_least = fmin(f.x_least, i);
            f.x_most = fmax(f.x_most, i + 1);
            f.y_most = fmax(f.y_most, columns[k][i]);
        }
    if (f.x_most <= f.x_least)
        f.x_least = 0, f.x_most = 1;
    open_plot(out, "latency", &f, "requests");
    for (int i = 0; i <= 8; i++) {
        double x = f.x_least + (f.x_most - f.x_least) * i / 8;
        double ms = (double)penstock_latency_bucket_ns((unsigned)(x * COLUMN_BUCKETS)) * 1e-6;
        char text[32];

        snprintf(text, sizeof text, "%.3g ms", ms);
        write_x_mark(out, &f, x, text);
    }
    write_columns(out, &f, columns[0], colours[0]);
    write_columns(out, &f, columns[1], colours[1]);
    write_key(out, 0, 0, "to the first byte");
    write_key(out, 1, 1, "to the last");
    fputs("</svg>\n", out);
}

/* ---- a start ---- */

enum { BAR_LEFT = 90, BAR_WIDTH = 680, BAR_STEP = 34, KEYS_A_ROW = 4 };

static double last_step_s(const struct bench_variant *variant)
{
    double last_s = 0;

    for (int i = 0; i < BENCH_START_STEPS; i++)
        last_s = fmax(last_s, bench_variant_figure(variant, bench_start_steps[i].figure).median);
    return last_s;
}

/* What a variant does not do, or has done already, takes no room. */
static void write_bar(FILE *out, const struct bench_variant *variant, size_t top, double most_s)
{
    double from_s = 0;

    fprintf(out, "<text x=\"4\" y=\"%zu\">", top + 17);
    bench_html_text(out, variant->name);
    fputs("</text>\n", out);
    for (int i = 0; i < BENCH_START_STEPS; i++) {
        double to_s = bench_variant_figure(variant, bench_start_steps[i].figure).median;

        if (!(to_s > from_s))
            continue;
        fprintf(out, "<rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"24\" fill=\"%s\"/>\n",
                BAR_LEFT + BAR_WIDTH * from_s / most_s, top, BAR_WIDTH * (to_s - from_s) / most_s,
                colours[i % (int)COLOURS]);
        from_s = to_s;
    }
    fprintf(out, "<text x=\"%.1f\" y=\"%zu\">%.3g s</text>\n",
            BAR_LEFT + BAR_WIDTH * from_s / most_s + 6, top + 17, from_s);
}

void bench_plot_start(FILE *out, const struct bench_result *result)
{
    size_t keys_top = result->variant_count * BAR_STEP + 24;
    double most_s = 1e-9;

    for (size_t v = 0; v < result->variant_count; v++)
        most_s = fmax(most_s, last_step_s(&result->variants[v]));
    fprintf(out, "<svg id=\"start\" viewBox=\"0 0 %d %zu\" role=\"img\">\n", WIDTH, keys_top + 48);
    for (size_t v = 0; v < result->variant_count; v++)
        write_bar(out, &result->variants[v], 12 + v * BAR_STEP, most_s);
    for (int i = 0; i < BENCH_START_STEPS; i++) {
        int x = BAR_LEFT + i % KEYS_A_ROW * 200;
        size_t y = keys_top + (size_t)(i / KEYS_A_ROW) * 20;

        fprintf(out,
                "<rect x=\"%d\" y=\"%zu\" width=\"10\" height=\"10\" fill=\"%s\"/>"
                "<text x=\"%d\" y=\"%zu\">%s</text>\n",
                x, y, colours[i % (int)COLOURS], x + 14, y + 9, bench_start_steps[i].label);
    }
    fputs("</svg>\n", out);
}

/* ---- a sweep ---- */

/* Where a value stands among those in order of appearance: a cell's column, or row. */
static size_t index_of(double *known, size_t *count, double value)
{
    for (size_t i = 0; i < *count; i++)
        if (fabs(known[i] - value) < 0.5)
            return i;
    if (*count < 32)
        known[(*count)++] = value;
    return *count - 1;
}

static void write_cell(FILE *out, size_t column, size_t row, double rate, double best)
{
    double share = best > 0 && isfinite(rate) ? rate / best : 0;

    fprintf(out,
            "<rect x=\"%zu\" y=\"%zu\" width=\"96\" height=\"30\" fill=\"hsl(%.0f,65%%,%.0f%%)\"/>"
            "<text x=\"%zu\" y=\"%zu\" text-anchor=\"middle\">%.4g</text>\n",
            110 + column * 100, 30 + row * 34, 220 - 90 * share, 92 - 32 * share,
            158 + column * 100, 50 + row * 34, isfinite(rate) ? rate : 0);
}

void bench_plot_grid(FILE *out, const struct bench_result *result)
{
    double columns[32], rows[32];
    size_t column_count = 0, row_count = 0;
    double best = 0;

    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_variant *variant = &result->variants[v];

        index_of(columns, &column_count, variant->connections);
        index_of(rows, &row_count, (double)variant->part_bytes);
        best = fmax(best, bench_variant_figure(variant, BENCH_RECEIVED).median);
    }
    fprintf(out, "<svg id=\"grid\" viewBox=\"0 0 %zu %zu\" role=\"img\">\n",
            120 + column_count * 100, 40 + row_count * 34);
    for (size_t i = 0; i < column_count; i++)
        fprintf(out, "<text x=\"%zu\" y=\"20\" text-anchor=\"middle\">%.0f connections</text>\n",
                158 + i * 100, columns[i]);
    for (size_t i = 0; i < row_count; i++)
        fprintf(out, "<text x=\"4\" y=\"%zu\">%.4g MiB parts</text>\n", 50 + i * 34,
                rows[i] / (1 << 20));
    for (size_t v = 0; v < result->variant_count; v++) {
        const struct bench_variant *variant = &result->variants[v];

        write_cell(out, index_of(columns, &column_count, variant->connections),
                   index_of(rows, &row_count, (double)variant->part_bytes),
                   bench_variant_figure(variant, BENCH_RECEIVED).median, best);
    }
    fputs("</svg>\n", out);
}
