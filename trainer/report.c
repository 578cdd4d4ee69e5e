/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/report.c - see trainer/report.h. */
#include "trainer/report.h"

#include "trainer/json.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BASE "/opt/ml"
#define RESOURCE_CONFIG "input/config/resourceconfig.json"
#define PROGRESS_EVERY_S 0.25
#define GIGA 1e9

double tr_calendar_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void tr_report_host(const char *text, char *host, size_t host_bytes)
{
    static const char key[] = "\"current_host\"";
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    const char *at = text ? strstr(text, key) : NULL;
    snprintf(host, host_bytes, "algo-1");
    if (!at)
        return;
    at += sizeof key - 1;
    at += strspn(at, " \t\r\n");
    at += *at == ':' ? 1 : 0;
    at += strspn(at, " \t\r\n");
    size_t len = *at == '"' ? strspn(at + 1, allowed) : 0;
    if (len > 0 && len < host_bytes && at[1 + len] == '"')
        snprintf(host, host_bytes, "%.*s", (int)len, at + 1);
}

/* In a SageMaker container the host has the name that SageMaker gave it. */
static void find_host(const char *base, char *host, size_t host_bytes)
{
    char path[PATH_MAX];
    char text[4096];
    snprintf(path, sizeof path, "%s/%s", base ? base : BASE, RESOURCE_CONFIG);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = '\0';
    tr_report_host(text, host, host_bytes);
}

void tr_report_init(struct tr_report *report, bool quiet, bool silent, const char *base)
{
    *report = (struct tr_report){
        .quiet = quiet || silent, .silent = silent, .title = "", .objective = ""};
    report->terminal = !report->quiet && isatty(STDERR_FILENO);
    find_host(base, report->host, sizeof report->host);
}

void tr_report_model(struct tr_report *report, const char *title, const char *objective)
{
    report->title = title;
    report->objective = objective;
}

/* --- lines for people ----------------------------------------------------------------------------
 */

static void clear_progress(struct tr_report *report)
{
    if (report->progress_shown)
        fputs("\r\033[K", stderr);
    report->progress_shown = false;
}

void tr_report_line(struct tr_report *report, const char *format, ...)
{
    va_list args;
    if (report->quiet)
        return;
    clear_progress(report);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

bool tr_report_progress_due(const struct tr_report *report, double now_s)
{
    return report->terminal && now_s - report->progress_at_s >= PROGRESS_EVERY_S;
}

static double per_second(double amount, double seconds)
{
    return seconds > 0.0 ? amount / seconds : 0.0;
}

void tr_report_progress(struct tr_report *report, uint32_t epoch, uint32_t epochs,
                        const struct tr_pass *so_far)
{
    report->progress_at_s = tr_now_s();
    report->progress_shown = true;
    fprintf(stderr, "\r\033[Kepoch %u/%u  %" PRIu64 " rows  %.0f rows/s  %.2f GB/s", epoch + 1,
            epochs, so_far->rows, per_second((double)so_far->rows, so_far->seconds),
            per_second((double)so_far->batch_bytes / GIGA, so_far->seconds));
    if (so_far->results.loss > 0.0)
        fprintf(stderr, "  loss %.4g", so_far->results.loss);
    fflush(stderr);
}

/* --- metric lines --------------------------------------------------------------------------------
 */

static void put_metric(struct tr_json *json, const char *name, uint64_t value)
{
    tr_json_open(json, name, '{');
    tr_json_count(json, "sum", value);
    tr_json_count(json, "count", 1);
    tr_json_count(json, "min", value);
    tr_json_count(json, "max", value);
    tr_json_close(json, '}');
}

/* The "#metrics" line, with the fields of SageMaker's own. */
static void print_metrics(const struct tr_report *report, uint32_t epoch,
                          const struct tr_pass *train, uint64_t rows_seen, uint64_t batches_seen)
{
    struct tr_json json = {stdout, false};
    char text[16];
    snprintf(text, sizeof text, "%u", epoch);
    fputs("#metrics ", stdout);
    tr_json_open(&json, NULL, '{');
    tr_json_number(&json, "StartTime", train->started_at_s);
    tr_json_number(&json, "EndTime", tr_calendar_s());
    tr_json_open(&json, "Dimensions", '{');
    tr_json_text(&json, "Algorithm", report->title);
    tr_json_text(&json, "Host", report->host);
    tr_json_text(&json, "Operation", "training");
    tr_json_text(&json, "epoch", text);
    tr_json_text(&json, "Meta", "training_data_iter");
    tr_json_close(&json, '}');
    tr_json_open(&json, "Metrics", '{');
    put_metric(&json, "Total Records Seen", rows_seen);
    put_metric(&json, "Total Batches Seen", batches_seen);
    put_metric(&json, "Max Records Seen Between Resets", train->rows);
    put_metric(&json, "Max Batches Seen Between Resets", train->batches);
    put_metric(&json, "Reset Count", (uint64_t)epoch + 1);
    put_metric(&json, "Number of Records Since Last Reset", train->rows);
    put_metric(&json, "Number of Batches Since Last Reset", train->batches);
    tr_json_close(&json, '}');
    tr_json_close(&json, '}');
    putchar('\n');
}

/* ", validation loss 0.4, multiclass_accuracy 0.84", or the first loss alone: ", validation mse 2".
 */
static void describe_held_out(const struct tr_results *results, char *text, size_t text_bytes)
{
    const struct tr_score *score = results->score_count > 0 ? &results->scores[0] : NULL;
    if (score && score->is_loss)
        snprintf(text, text_bytes, ", validation %s %.6g", score->name, score->value);
    else if (score)
        snprintf(text, text_bytes, ", validation loss %.6g, %s %.4f", results->loss, score->name,
                 score->value);
    else
        snprintf(text, text_bytes, ", validation loss %.6g", results->loss);
}

void tr_report_epoch(struct tr_report *report, uint32_t epoch, uint32_t epochs,
                     const struct tr_pass *train, const struct tr_pass *validation,
                     uint64_t rows_seen, uint64_t batches_seen)
{
    char held_out[128] = "";
    double rows_s = per_second((double)train->rows, train->seconds);
    if (report->silent)
        return;
    if (validation)
        describe_held_out(&validation->results, held_out, sizeof held_out);
    tr_report_line(report,
                   "epoch %u/%u: %" PRIu64 " rows in %.2f s, %.0f rows/s, %.3f GB/s, loss %.6g%s",
                   epoch + 1, epochs, train->rows, train->seconds, rows_s,
                   per_second((double)train->batch_bytes / GIGA, train->seconds),
                   train->results.loss, held_out);
    clear_progress(report);
    printf("#quality_metric: host=%s, epoch=%u, train %s <loss>=%.9g\n", report->host, epoch,
           report->objective, train->results.loss);
    if (validation)
        printf("#quality_metric: host=%s, epoch=%u, validation %s <loss>=%.9g\n", report->host,
               epoch, report->objective, validation->results.loss);
    print_metrics(report, epoch, train, rows_seen, batches_seen);
    printf("#progress_metric: host=%s, completed %.1f %% of epochs\n", report->host,
           100.0 * ((double)epoch + 1.0) / (double)epochs);
    printf("#throughput_metric: host=%s, train throughput=%.10g records/second\n", report->host,
           rows_s);
    fflush(stdout);
}

void tr_report_quality(struct tr_report *report, const char *channel, const struct tr_pass *pass)
{
    if (report->silent)
        return;
    clear_progress(report);
    printf("#quality_metric: host=%s, %s %s <loss>=%.9g\n", report->host, channel,
           report->objective, pass->results.loss);
    for (size_t i = 0; i < pass->results.score_count; i++) {
        const struct tr_score *score = &pass->results.scores[i];
        printf("#quality_metric: host=%s, %s %s <%s>=%.9g\n", report->host, channel, score->name,
               score->is_loss ? "loss" : "score", score->value);
    }
    fflush(stdout);
}

void tr_report_data(struct tr_report *report, const struct tr_data_figures *figures)
{
    if (report->silent)
        return;
    clear_progress(report);
    printf("#data_metric: host=%s, time_to_first_batch=%.6f, stall_pct=%.2f, device_stall_pct=%.2f",
           report->host, figures->first_batch_s,
           100.0 * per_second(figures->waited_s, figures->seconds),
           100.0 * per_second(figures->device_stalled_s, figures->seconds));
    if (figures->headroom > 0.0)
        printf(", headroom=%.4f", figures->headroom);
    putchar('\n');
    fflush(stdout);
}

void tr_report_seen(struct tr_report *report, uint64_t rows, uint64_t checksum)
{
    if (report->silent)
        return;
    clear_progress(report);
    printf("#data_metric: host=%s, records=%" PRIu64 ", checksum=%016" PRIx64 "\n", report->host,
           rows, checksum);
    fflush(stdout);
}
