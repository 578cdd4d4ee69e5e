/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_rivals.c - penstock bench rivals: the same objects read by penstock, by File mode and
 * by whatever other clients are installed, in turn. The others are driven by bench/rivals.py. */
#include "bench/bench_commands.h"

#include "bench/bench_child.h"
#include "bench/bench_download.h"
#include "bench/bench_rivals_script.h"
#include "bench/bench_survey.h"
#include "pipe/stop.h"
#include "trainer/json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const rival_names[] = {"s5cmd", "boto3", "s3torchconnector", "mount-s3", "fio"};

enum { RIVALS = sizeof rival_names / sizeof *rival_names, OWN_VARIANTS = 2, EXIT_ABSENT = 3 };

struct rivals {
    struct bench_result *result;
    struct bench_plan plan;
    char dir[512]; /* of the files below; mount is another, for who needs one */
    char script[560], job[560], mount[560];
    const char *of_variant[RIVALS]; /* by variant, after our own; NULL: it has failed */
    size_t count;
};

static int fail(struct penstock_error *error, int rc, const char *what)
{
    snprintf(error->message, sizeof error->message, "%s", what);
    return error->rc = rc;
}

static int fail_path(struct penstock_error *error, const char *path)
{
    snprintf(error->message, sizeof error->message, "cannot write %s: %s", path, strerror(errno));
    return error->rc = PENSTOCK_E_SYSTEM;
}

/* ---- the job ---- */

/* "s3://BUCKET/..." of all URIs, or NULL. The length of BUCKET in *len. */
static const char *bucket_of(const struct bench_options *o, size_t *len)
{
    const char *first = o->uris[0];

    for (size_t i = 0; i < o->uri_count; i++) {
        if (strncmp(o->uris[i], "s3://", 5) != 0 || !strchr(o->uris[i] + 5, '/'))
            return NULL;
        *len = strcspn(o->uris[i] + 5, "/");
        if (strncmp(o->uris[i], first, 6 + *len) != 0)
            return NULL;
    }
    return first + 5;
}

/* How often everybody reads all objects. */
static uint32_t passes_of(const struct rivals *r)
{
    return r->result->options->epochs ? r->result->options->epochs : 1;
}

static int write_job(struct rivals *r, struct penstock_error *error)
{
    const struct bench_options *o = r->result->options;
    size_t len = 0;
    const char *bucket = bucket_of(o, &len);
    FILE *out = fopen(r->job, "we");
    struct tr_json j = {.out = out};
    struct bench_survey survey;
    char name[256];

    if (!out)
        return fail_path(error, r->job);
    snprintf(name, sizeof name, "%.*s", (int)len, bucket);
    tr_json_open(&j, NULL, '{');
    tr_json_text(&j, "bucket", name);
    tr_json_text(&j, "dir", r->mount);
    tr_json_count(&j, "passes", passes_of(r));
    tr_json_truth(&j, "anonymous", o->stream.config.anonymous);
    int rc = bench_survey(&survey, r->plan.config, error);

    tr_json_open(&j, "objects", '[');
    for (size_t i = 0; i < survey.count; i++) {
        tr_json_open(&j, NULL, '[');
        tr_json_text(&j, NULL, survey.objects[i].key);
        tr_json_count(&j, NULL, survey.objects[i].len_bytes);
        tr_json_close(&j, ']');
    }
    tr_json_close(&j, ']');
    tr_json_close(&j, '}');
    bench_survey_free(&survey);
    bool bad = ferror(out) != 0;

    if ((fclose(out) != 0 || bad) && rc == PENSTOCK_OK)
        rc = fail_path(error, r->job);
    return rc;
}

static int write_script(const struct rivals *r, struct penstock_error *error)
{
    FILE *out = fopen(r->script, "we");

    if (!out)
        return fail_path(error, r->script);
    bool bad = fputs(bench_rivals_script, out) < 0;

    return fclose(out) != 0 || bad ? fail_path(error, r->script) : PENSTOCK_OK;
}

/* Options that say where the objects are, for others to find in their environment. */
static void export_options(const struct penstock_config *config)
{
    if (config->endpoint_url)
        setenv("AWS_ENDPOINT_URL", config->endpoint_url, 1);
    if (config->region)
        setenv("AWS_REGION", config->region, 1);
    if (config->profile)
        setenv("AWS_PROFILE", config->profile, 1);
}

/* ---- who takes part ---- */

static void ask(const struct rivals *r, const char *verb, const char *name,
                struct bench_child *child)
{
    const struct bench_options *o = r->result->options;
    const char *const argv[] = {
        o->python ? o->python : "python3", r->script, verb, name, r->job, NULL};

    bench_child_run((char *const *)(uintptr_t)argv, child);
    child->out[strcspn(child->out, "\r\n")] = '\0';
}

/* Whether --rivals names it, or names none. */
static bool is_wanted(const struct bench_options *o, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = o->rivals; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    return o->rivals == NULL;
}

bool bench_rivals_are(const char *list)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        bool known = false;

        for (size_t i = 0; i < RIVALS; i++)
            known |= strcspn(at, ",") == strlen(rival_names[i]) &&
                     strncmp(at, rival_names[i], strlen(rival_names[i])) == 0;
        if (!known)
            return false;
    }
    return true;
}

static int gather(struct rivals *r, struct penstock_error *error)
{
    char name[64];

    if (!bench_result_add(r->result, "penstock") ||
        !bench_result_add(r->result, "penstock, File mode"))
        return fail(error, PENSTOCK_E_MEMORY, "out of memory");
    for (size_t i = 0; i < RIVALS && !ps_stop_signal(); i++) {
        struct bench_child child;

        if (!is_wanted(r->result->options, rival_names[i]))
            continue;
        ask(r, "version", rival_names[i], &child);
        if (child.code != 0) {
            bench_result_note(r->result, "%s %s", rival_names[i],
                              child.said[0] ? child.said : "does not say its version");
            continue;
        }
        snprintf(name, sizeof name, "%s %.40s", rival_names[i], child.out);
        if (!bench_result_add(r->result, name))
            return fail(error, PENSTOCK_E_MEMORY, "out of memory");
        r->of_variant[r->count++] = rival_names[i];
    }
    return ps_stop_signal() ? PENSTOCK_E_STOPPED : PENSTOCK_OK;
}

/* ---- runs ---- */

/* File mode: the download, and reading the files in every pass. */
static int run_file_mode(struct rivals *r, struct penstock_error *error)
{
    struct bench_download d;
    struct bench_usage before, after;
    struct bench_totals totals = {0};
    int rc = bench_download_open(&d, r->dir, error);

    if (rc != PENSTOCK_OK)
        return rc;
    bench_usage_forget_peak();
    bench_usage_take(&before);
    rc = bench_download(&d, r->plan.config, &r->plan.config->channels[0], error);
    if (rc == PENSTOCK_OK)
        rc = bench_download_read(&d, passes_of(r), &totals.bytes, error);
    bench_usage_take(&after);
    bench_download_remove(&d);
    if (rc != PENSTOCK_OK)
        return rc;
    totals.wall_s = d.took_s + d.read_s;
    totals.user_s = after.user_s - before.user_s;
    totals.system_s = after.system_s - before.system_s;
    totals.peak_rss_bytes = (double)after.peak_rss_bytes;
    rc = bench_add_totals(&r->result->variants[1], &totals, error);
    if (rc == PENSTOCK_OK) {
        struct bench_variant *variant = &r->result->variants[1];

        variant->runs[variant->run_count - 1].figures[BENCH_DOWNLOAD] = d.took_s;
    }
    return rc;
}

static double number_of(const json_t *from, const char *name)
{
    return json_number_value(json_object_get(from, name));
}

/* A rival that fails is left out from then on, and why is noted. */
static int run_rival(struct rivals *r, size_t number, struct penstock_error *error)
{
    struct bench_variant *variant = &r->result->variants[OWN_VARIANTS + number];
    struct bench_child child;

    if (!r->of_variant[number])
        return PENSTOCK_OK;
    if (mkdir(r->mount, 0700) != 0)
        return fail_path(error, r->mount);
    ask(r, "read", r->of_variant[number], &child);
    bench_directory_remove(r->mount);
    if (ps_stop_signal())
        return PENSTOCK_E_STOPPED;
    json_t *said = json_loads(child.out, 0, NULL);
    struct bench_totals totals = {.bytes = (uint64_t)number_of(said, "bytes"),
                                  .wall_s = number_of(said, "wall_s"),
                                  .user_s = number_of(said, "user_s"),
                                  .system_s = number_of(said, "system_s"),
                                  .peak_rss_bytes = number_of(said, "rss_bytes")};

    json_decref(said);
    if (child.code == 0 && totals.bytes > 0 && totals.wall_s > 0)
        return bench_add_totals(variant, &totals, error);
    bench_result_note(r->result, "%s cannot read this: %s", variant->name,
                      child.said[0] ? child.said : "it said nothing");
    r->of_variant[number] = NULL;
    return PENSTOCK_OK;
}

static int run_round(struct rivals *r, uint32_t repeat, struct penstock_error *error)
{
    const struct bench_options *o = r->result->options;
    struct bench_plan *plan = &r->plan;

    snprintf(plan->what, sizeof plan->what, "penstock, repeat %u of %u", repeat + 1, o->repeats);
    int rc = bench_add_run(r->result, &r->result->variants[0], plan, error);

    if (rc == PENSTOCK_OK)
        rc = run_file_mode(r, error);
    for (size_t i = 0; rc == PENSTOCK_OK && i < r->count; i++) {
        if (!o->quiet && r->of_variant[i] && isatty(STDERR_FILENO) == 1)
            fprintf(stderr, "\r%s, repeat %u of %u\033[K", r->of_variant[i], repeat + 1,
                    o->repeats);
        rc = run_rival(r, i, error);
    }
    return rc;
}

static int compare(struct rivals *r, struct penstock_error *error)
{
    const struct bench_options *o = r->result->options;
    int rc = write_script(r, error);

    if (rc == PENSTOCK_OK)
        rc = write_job(r, error);
    if (rc == PENSTOCK_OK)
        rc = gather(r, error);
    for (uint32_t repeat = 0; rc == PENSTOCK_OK && repeat < o->repeats; repeat++)
        rc = run_round(r, repeat, error);
    if (!o->quiet && isatty(STDERR_FILENO) == 1)
        fputs("\r\033[K", stderr);
    return rc;
}

int bench_rivals(struct bench_result *result, struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    struct penstock_channel_config channel;
    struct penstock_config config = o->stream.config;
    struct rivals r = {.result = result, .plan = {.config = &config, .quiet = o->quiet}};
    size_t len;

    if (!bucket_of(o, &len))
        return fail(error, PENSTOCK_E_ARGUMENT,
                    "rivals compares readers of one bucket: s3://BUCKET/PREFIX");
    int rc = bench_directory_make(o->dir, r.dir, sizeof r.dir, error);

    if (rc != PENSTOCK_OK)
        return rc;
    snprintf(r.script, sizeof r.script, "%s/rivals.py", r.dir);
    snprintf(r.job, sizeof r.job, "%s/job.json", r.dir);
    snprintf(r.mount, sizeof r.mount, "%s/mount", r.dir);
    bench_options_channel(o, 0, &channel);
    channel.epochs = passes_of(&r);
    config.channels = &channel;
    config.channel_count = 1;
    export_options(&config);
    rc = compare(&r, error);
    bench_directory_remove(r.dir);
    return rc;
}
