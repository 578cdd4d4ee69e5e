/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_cmp.c - penstock bench cmp A.json B.json: what changed beyond noise. */
#include "bench/bench_commands.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, OPTION_CONFIDENCE = 1000, OPTION_ALL, OPTION_HELP };

/* Judged are a few figures alone: of fifty, one or another always seems to have changed. */
static const enum bench_figure judged[] = {BENCH_GIB_PER_S, BENCH_RECORDS_PER_S, BENCH_FIRST_BATCH,
                                           BENCH_LAST_DONE, BENCH_DOWNLOAD,      BENCH_CPU,
                                           BENCH_RSS};

#define SMALLEST 0.01 /* a smaller change is none, however sure it is */

static const char help[] =
    "Usage: penstock bench cmp A.json B.json [OPTION]...\n"
    "Compare what two runs with --json have measured: by what factor B differs from A, with\n"
    "confidence intervals from the ranks of the repeats (five each are needed for 99 %).\n"
    "\n"
    "  --confidence PERCENT           of the intervals (99)\n"
    "  --all                          show every figure; judged are the main ones alone\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0, 1 when something changed for the worse or a file cannot be read, 2 usage "
    "error.\n";

struct comparison {
    double confidence;
    bool all;
    bool worse;
    bool better;
    bool unsure; /* too few repeats */
};

struct values {
    double *values;
    size_t count;
};

static struct values values_of(const json_t *variant, const char *figure)
{
    const json_t *repeats = json_object_get(variant, "repeats");
    struct values out = {.values = calloc(json_array_size(repeats) + 1, sizeof *out.values)};

    for (size_t i = 0; out.values && i < json_array_size(repeats); i++) {
        const json_t *figures = json_object_get(json_array_get(repeats, i), "figures");
        double value = json_number_value(json_object_get(figures, figure));

        if (value > 0)
            out.values[out.count++] = value;
    }
    return out;
}

static bool is_judged(enum bench_figure figure)
{
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++)
        if (judged[i] == figure)
            return true;
    return false;
}

static const char *judge(struct comparison *c, enum bench_figure figure,
                         const struct bench_factor *f)
{
    bool more = f->least > 1 && f->factor > 1 + SMALLEST;
    bool less = f->most < 1 && f->factor < 1 - SMALLEST;

    if (!is_judged(figure))
        return more ? "more" : less ? "less" : "";
    if (!f->sure) {
        c->unsure = true;
        return "too few repeats";
    }
    if (!more && !less)
        return "no change";
    bool good = more == (bench_figures[figure].better == BENCH_MORE);

    c->better = c->better || good;
    c->worse = c->worse || !good;
    return good ? "BETTER" : "WORSE";
}

static void compare_figure(struct comparison *c, const json_t *a, const json_t *b,
                           enum bench_figure figure)
{
    const char *name = bench_figures[figure].name;
    struct values of_a = values_of(a, name);
    struct values of_b = values_of(b, name);
    struct bench_factor f;

    if ((c->all || is_judged(figure)) && of_a.values && of_b.values &&
        bench_factor_of(of_a.values, of_a.count, of_b.values, of_b.count, c->confidence, &f)) {
        struct bench_spread was = bench_spread_of(of_a.values, of_a.count);
        struct bench_spread is = bench_spread_of(of_b.values, of_b.count);

        printf("  %-28s %11.5g -> %-11.5g %+7.1f %%  (%+.1f to %+.1f %%)  %s\n", name, was.median,
               is.median, 100 * (f.factor - 1), 100 * (f.least - 1), 100 * (f.most - 1),
               judge(c, figure, &f));
    }
    free(of_a.values);
    free(of_b.values);
}

static const json_t *variant_named(const json_t *root, const char *name)
{
    const json_t *variants = json_object_get(root, "variants");

    for (size_t i = 0; i < json_array_size(variants); i++) {
        const json_t *variant = json_array_get(variants, i);
        const char *its = json_string_value(json_object_get(variant, "name"));

        if (its && strcmp(its, name) == 0)
            return variant;
    }
    return NULL;
}

/* What makes a difference that is none of the program's. */
static void compare_places(const json_t *a, const json_t *b)
{
    static const char *const names[] = {"version",   "commit", "build",     "kernel",
                                        "cpu_model", "cpus",   "io_backend"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *was = json_object_get(json_object_get(a, "environment"), names[i]);
        const json_t *is = json_object_get(json_object_get(b, "environment"), names[i]);

        if (json_is_string(was) && json_is_string(is) && !json_equal(was, is))
            printf("%s: %s -> %s\n", names[i], json_string_value(was), json_string_value(is));
    }
}

static json_t *load(const char *path)
{
    json_error_t why;
    json_t *root = json_load_file(path, 0, &why);
    const char *schema = json_string_value(json_object_get(root, "schema"));

    if (!root)
        fprintf(stderr, "penstock bench cmp: %s: %s\n", path, why.text);
    else if (!schema || strcmp(schema, BENCH_SCHEMA) != 0)
        fprintf(stderr, "penstock bench cmp: %s is no file of penstock bench --json (schema %s)\n",
                path, BENCH_SCHEMA);
    else
        return root;
    json_decref(root);
    return NULL;
}

static int compare(struct comparison *c, const json_t *a, const json_t *b)
{
    const json_t *variants = json_object_get(a, "variants");
    bool any = false;

    compare_places(a, b);
    for (size_t i = 0; i < json_array_size(variants); i++) {
        const json_t *variant = json_array_get(variants, i);
        const char *name = json_string_value(json_object_get(variant, "name"));
        const json_t *other = name ? variant_named(b, name) : NULL;

        if (!other)
            continue;
        any = true;
        printf("%s: median, change, %.4g %% confidence\n", name, 100 * c->confidence);
        for (int f = 0; f < BENCH_FIGURES; f++)
            compare_figure(c, variant, other, (enum bench_figure)f);
    }
    if (!any) {
        fputs("penstock bench cmp: the files have no variant in common\n", stderr);
        return EXIT_FAILURE;
    }
    printf("%s\n", c->worse    ? "changed for the worse"
                   : c->better ? "changed for the better"
                   : c->unsure ? "too few repeats to tell"
                               : "no change");
    return c->worse ? EXIT_FAILURE : EXIT_SUCCESS;
}

int bench_compare(int argc, char **argv)
{
    static const struct option options[] = {
        {"confidence", required_argument, NULL, OPTION_CONFIDENCE},
        {"all", no_argument, NULL, OPTION_ALL},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0}};
    static char program[] = "penstock bench cmp";
    struct comparison c = {.confidence = 0.99};
    int id;

    argv[0] = program;
    optind = 0;
    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (id == OPTION_HELP) {
            fputs(help, stdout);
            return EXIT_SUCCESS;
        }
        c.all = c.all || id == OPTION_ALL;
        if (id == OPTION_CONFIDENCE)
            c.confidence = strtod(optarg, NULL) / 100;
        if (id == '?' || !(c.confidence >= 0.5 && c.confidence < 1)) {
            fputs("penstock bench cmp: --confidence is from 50 to below 100\n"
                  "Try 'penstock bench cmp --help'.\n",
                  stderr);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 2) {
        fputs("penstock bench cmp: give two files\nTry 'penstock bench cmp --help'.\n", stderr);
        return EXIT_USAGE;
    }
    json_t *a = load(argv[optind]);
    json_t *b = load(argv[optind + 1]);
    int code = a && b ? compare(&c, a, b) : EXIT_FAILURE;

    json_decref(a);
    json_decref(b);
    return code;
}
