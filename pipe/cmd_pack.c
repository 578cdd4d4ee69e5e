/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/cmd_pack.c - `penstock pack`: NumPy, IDX or CSV files -> shards to be streamed. */
#include "pipe/cmd_pack.h"

#include "pipe/error.h"
#include "pipe/pack_input.h"
#include "pipe/pack_output.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_no)
{
    (void)signal_no;
    interrupted = 1;
}

static const char usage[] =
    "usage: penstock pack --features FILE[:MEMBER] [--labels FILE[:MEMBER]] [OPTION...] --output "
    "DIR\n"
    "       penstock pack --csv FILE [--label-size K] [OPTION...] --output DIR\n"
    "\n"
    "Turns arrays into shards of training records, byte for byte as the SageMaker SDK writes "
    "them.\n"
    "Inputs: .npy, .npz (FILE:MEMBER), IDX, each perhaps gzipped; or CSV without a header.\n"
    "\n"
    "  --features FILE   one row a record; further dimensions are flattened\n"
    "  --labels FILE     as many rows as the features\n"
    "  --csv FILE        both in one file, the labels in its first columns\n"
    "  --label-size K    how many columns of --csv are labels (default 1)\n"
    "  --output DIR      made if it is not there\n"
    "  --format FORMAT   recordio-protobuf (default) or csv\n"
    "  --shards N        number of files (default 1)\n"
    "  --prefix NAME     of the files: NAME_00.pbr, NAME_01.pbr, ... (default matrix)\n"
    "  --dtype TYPE      of features: keep (default), float32, float64, int64\n"
    "  --label-dtype T   of labels, likewise\n"
    "                    keep: float32, float64 and int64 stay, other types become float32\n"
    "  --scale F         divide features by F\n"
    "  --force           replace the shards of this prefix and format in DIR, all of them\n"
    "  --help\n";

struct options {
    const char *features, *labels, *csv, *output, *prefix;
    const char *dtype, *label_dtype;
    unsigned long long shards, label_size;
    double scale;
    bool csv_output, force;
};

static bool parse_count(const char *text, unsigned long long least, unsigned long long *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *out >= least;
}

static int refuse(const char *what, const char *value)
{
    fprintf(stderr, "penstock pack: %s%s\n'penstock pack --help' tells more\n", what, value);
    return EXIT_USAGE;
}

static bool parse_type(const char *text, const struct fmt_array *array, enum fmt_type *type)
{
    if (strcmp(text, "keep") == 0)
        *type = fmt_array_type(array);
    else if (strcmp(text, "float32") == 0)
        *type = FMT_FLOAT32;
    else if (strcmp(text, "float64") == 0)
        *type = FMT_FLOAT64;
    else if (strcmp(text, "int64") == 0)
        *type = FMT_INT64;
    else
        return false;
    return true;
}

/* Takes one option; 0, or the exit code. */
static int take_option(int option, const char *value, struct options *o)
{
    char *end;

    switch (option) {
    case 'f':
        o->features = value;
        return 0;
    case 'l':
        o->labels = value;
        return 0;
    case 'c':
        o->csv = value;
        return 0;
    case 'o':
        o->output = value;
        return 0;
    case 'p':
        o->prefix = value;
        return strchr(value, '/') || !*value ? refuse("--prefix must be a name: ", value) : 0;
    case 'd':
        o->dtype = value;
        return 0;
    case 'D':
        o->label_dtype = value;
        return 0;
    case 'k':
        return parse_count(value, 0, &o->label_size) && o->label_size <= UINT32_MAX
                   ? 0
                   : refuse("--label-size must be a number: ", value);
    case 'n':
        return parse_count(value, 1, &o->shards) ? 0
                                                 : refuse("--shards must be 1 or more: ", value);
    case 's':
        o->scale = strtod(value, &end);
        return *value && !*end && isfinite(o->scale) && o->scale != 0
                   ? 0
                   : refuse("--scale must be a number other than 0: ", value);
    case 'F':
        o->csv_output = strcmp(value, "csv") == 0;
        return o->csv_output || strcmp(value, "recordio-protobuf") == 0
                   ? 0
                   : refuse("--format must be recordio-protobuf or csv: ", value);
    case 'x':
        o->force = true;
        return 0;
    default:
        return refuse("unknown option, or a value is missing", "");
    }
}

static int parse_options(int argc, char **argv, struct options *o, bool *help)
{
    static const struct option long_options[] = {{"features", required_argument, NULL, 'f'},
                                                 {"labels", required_argument, NULL, 'l'},
                                                 {"csv", required_argument, NULL, 'c'},
                                                 {"label-size", required_argument, NULL, 'k'},
                                                 {"output", required_argument, NULL, 'o'},
                                                 {"format", required_argument, NULL, 'F'},
                                                 {"shards", required_argument, NULL, 'n'},
                                                 {"prefix", required_argument, NULL, 'p'},
                                                 {"dtype", required_argument, NULL, 'd'},
                                                 {"scale", required_argument, NULL, 's'},
                                                 {"label-dtype", required_argument, NULL, 'D'},
                                                 {"force", no_argument, NULL, 'x'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            *help = true;
            return 0;
        }
        int code = take_option(option, optarg, o);

        if (code != 0)
            return code;
    }
    if (optind < argc)
        return refuse("unexpected argument: ", argv[optind]);
    if (!o->output)
        return refuse("--output is missing", "");
    if (!o->features == !o->csv)
        return refuse("give either --features or --csv", "");
    return o->csv && o->labels ? refuse("--labels cannot go with --csv: use --label-size", "") : 0;
}

static int open_inputs(const struct options *o, struct ps_pack_input *features,
                       struct ps_pack_input *labels, struct penstock_error *error)
{
    int rc = o->csv ? ps_pack_input_csv(features, o->csv, (uint32_t)o->label_size, error)
                    : ps_pack_input_open(features, o->features, error);

    if (rc != PENSTOCK_OK)
        return rc;
    if (o->labels)
        rc = ps_pack_input_open(labels, o->labels, error);
    else
        labels->array = features->labels;
    if (rc == PENSTOCK_OK && (o->labels || labels->array.rows) &&
        labels->array.rows != features->array.rows)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s has %llu rows, %s has %llu: they must agree",
                       o->features, (unsigned long long)features->array.rows, o->labels,
                       (unsigned long long)labels->array.rows);
    if (rc == PENSTOCK_OK && features->array.rows < o->shards)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%llu rows cannot be split into %llu shards",
                       (unsigned long long)features->array.rows, o->shards);
    return rc;
}

static int fail(const char *message)
{
    fprintf(stderr, "penstock pack: %s\n", message);
    return interrupted ? EXIT_INTERRUPTED : EXIT_FAILURE;
}

static int pack(const struct options *o, const struct ps_pack_input *features,
                const struct ps_pack_input *labels)
{
    struct ps_pack_job job = {.features = &features->array,
                              .labels = labels->array.rows ? &labels->array : NULL,
                              .scale = o->scale,
                              .csv = o->csv_output,
                              .directory = o->output,
                              .prefix = o->prefix,
                              .shards = o->shards,
                              .force = o->force,
                              .stop = &interrupted};
    struct ps_pack_report report;
    struct penstock_error error;

    if (!parse_type(o->dtype, &features->array, &job.feature_type))
        return refuse("--dtype must be keep, float32, float64 or int64: ", o->dtype);
    if (!parse_type(o->label_dtype, &labels->array, &job.label_type))
        return refuse("--label-dtype must be keep, float32, float64 or int64: ", o->label_dtype);
    if (o->scale != 1 && job.feature_type == FMT_INT64)
        return refuse("--scale needs --dtype float32 or float64", "");
    if (ps_pack_write(&job, &report, &error) != PENSTOCK_OK)
        return fail(error.message);
    printf("%llu rows of %llu features%s -> %llu shard%s, %llu bytes, in %s\n",
           (unsigned long long)job.features->rows, (unsigned long long)job.features->cols,
           job.labels ? " and their labels" : "", (unsigned long long)report.shards,
           report.shards == 1 ? "" : "s", (unsigned long long)report.bytes, o->output);
    return EXIT_SUCCESS;
}

int penstock_cmd_pack(int argc, char **argv)
{
    struct options o = {.prefix = "matrix",
                        .dtype = "keep",
                        .label_dtype = "keep",
                        .shards = 1,
                        .label_size = 1,
                        .scale = 1};
    struct ps_pack_input features = {.map = NULL};
    struct ps_pack_input labels = {.map = NULL};
    struct penstock_error error;
    bool help = false;
    int code = parse_options(argc, argv, &o, &help);

    if (help) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (code != 0)
        return code;
    /* So that an interruption leaves no temporary file. */
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction old_int;
    struct sigaction old_term;

    interrupted = 0;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    if (open_inputs(&o, &features, &labels, &error) == PENSTOCK_OK)
        code = pack(&o, &features, &labels);
    else
        code = fail(error.message);
    ps_pack_input_close(&features);
    ps_pack_input_close(&labels);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return code;
}
