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
#include <sys/stat.h>

enum { EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_no)
{
    (void)signal_no;
    interrupted = 1;
}

static const char usage[] =
    "usage: penstock pack --features [NAME=]FILE[:MEMBER] [--labels [NAME=]FILE[:MEMBER]] "
    "[OPTION...]"
    " --output DIR\n"
    "       penstock pack --csv FILE [--label-size K] [OPTION...] --output DIR\n"
    "\n"
    "Turns arrays into shards of training records, byte for byte as the SageMaker SDK writes "
    "them.\n"
    "Inputs: .npy, .npz (FILE:MEMBER), IDX, each perhaps gzipped; sparse matrices of\n"
    "scipy.sparse.save_npz; or CSV without a header.\n"
    "\n"
    "  --features FILE   one row a record; further dimensions are flattened. Several times:\n"
    "                    several entries of a record, which then have names; default \"values\"\n"
    "  --labels FILE     as many rows as the features; likewise\n"
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
    "  --index           a file NAME_00.idx beside each: where its records begin, for\n"
    "                    split_objects=index\n"
    "  --force           replace the shards of this prefix and format in DIR, all of them\n"
    "  --help\n";

/* An array that becomes an entry of each record. */
struct source {
    const char *file;
    char name[256]; /* "": none was given */
    bool is_label;
    struct ps_pack_input input;
};

struct options {
    struct source sources[PS_PACK_ENTRIES_MAX]; /* features first */
    size_t source_count;
    const char *csv, *output, *prefix;
    const char *dtype, *label_dtype;
    unsigned long long shards, label_size;
    double scale;
    bool csv_output, force, index;
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

static bool parse_type(const char *text, const struct ps_pack_input *input, enum fmt_type *type)
{
    if (strcmp(text, "keep") == 0)
        *type = fmt_array_type(input->is_sparse ? &input->sparse.data : &input->array);
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

/* Takes "[NAME=]FILE": a file's own name may have a '=', too. */
static int add_source(struct options *o, const char *value, bool is_label)
{
    struct source *source = &o->sources[o->source_count];
    const char *equals = strchr(value, '=');
    struct stat status;
    size_t at = o->source_count;

    if (o->source_count == PS_PACK_ENTRIES_MAX)
        return refuse("too many --features and --labels, from ", value);
    while (!is_label && at > 0 && o->sources[at - 1].is_label)
        at--;
    *source = (struct source){.file = value, .is_label = is_label};
    if (equals && stat(value, &status) != 0) {
        size_t len = (size_t)(equals - value);

        if (len == 0 || len >= sizeof source->name)
            return refuse("a name has 1 to 255 characters: ", value);
        memcpy(source->name, value, len);
        source->file = equals + 1;
    }
    for (size_t i = 0; i < o->source_count; i++)
        if (o->sources[i].is_label == is_label && strcmp(o->sources[i].name, source->name) == 0)
            return refuse(is_label ? "several --labels need names, each its own: "
                                   : "several --features need names, each its own: ",
                          value);
    struct source added = *source;

    memmove(&o->sources[at + 1], &o->sources[at], (o->source_count++ - at) * sizeof *source);
    o->sources[at] = added;
    return 0;
}

/* Takes one option; 0, or the exit code. */
static int take_option(int option, const char *value, struct options *o)
{
    char *end;

    switch (option) {
    case 'f':
        return add_source(o, value, false);
    case 'l':
        return add_source(o, value, true);
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
    case 'i':
        o->index = true;
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
                                                 {"index", no_argument, NULL, 'i'},
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
    if (o->index && o->csv_output)
        return refuse("--index is for recordio-protobuf", "");
    bool has_features = o->source_count > 0 && !o->sources[0].is_label;

    if (o->csv && o->source_count > 0 && !has_features)
        return refuse("--labels cannot go with --csv: use --label-size", "");
    if (has_features == (o->csv != NULL))
        return refuse("give either --features or --csv", "");
    return 0;
}

static int open_csv(struct options *o, struct penstock_error *error)
{
    struct source *features = &o->sources[0];
    int rc = ps_pack_input_csv(&features->input, o->csv, (uint32_t)o->label_size, error);

    features->file = o->csv;
    o->source_count = 1;
    if (rc != PENSTOCK_OK || features->input.labels.rows == 0)
        return rc;
    o->sources[1] = (struct source){
        .file = o->csv, .is_label = true, .input = {.array = features->input.labels}};
    o->source_count = 2;
    return PENSTOCK_OK;
}

static int open_inputs(struct options *o, struct penstock_error *error)
{
    const struct source *first = &o->sources[0];
    int rc = o->csv ? open_csv(o, error) : PENSTOCK_OK;

    for (size_t i = 0; rc == PENSTOCK_OK && i < o->source_count; i++) {
        struct source *source = &o->sources[i];

        if (!o->csv)
            rc = ps_pack_input_open(&source->input, source->file, error);
        if (rc == PENSTOCK_OK &&
            ps_pack_input_rows(&source->input) != ps_pack_input_rows(&first->input))
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "%s has %llu rows, %s has %llu: they must agree", first->file,
                           (unsigned long long)ps_pack_input_rows(&first->input), source->file,
                           (unsigned long long)ps_pack_input_rows(&source->input));
        if (rc == PENSTOCK_OK && source->is_label && source->input.is_sparse)
            return ps_fail(error, PENSTOCK_E_ARGUMENT, "%s is sparse: only features may be",
                           source->file);
    }
    if (rc == PENSTOCK_OK && ps_pack_input_rows(&first->input) < o->shards)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "%llu rows cannot be split into %llu shards",
                       (unsigned long long)ps_pack_input_rows(&first->input), o->shards);
    return rc;
}

static int fail(const char *message)
{
    fprintf(stderr, "penstock pack: %s\n", message);
    return interrupted ? EXIT_INTERRUPTED : EXIT_FAILURE;
}

/* Says of each array what it becomes; 0, or the exit code. */
static int plan_entries(const struct options *o, struct ps_pack_entry *entries)
{
    for (size_t i = 0; i < o->source_count; i++) {
        const struct source *source = &o->sources[i];
        const struct ps_pack_input *input = &source->input;

        entries[i] = (struct ps_pack_entry){.name = source->name[0] ? source->name : NULL,
                                            .is_label = source->is_label,
                                            .dense = input->is_sparse ? NULL : &input->array,
                                            .sparse = input->is_sparse ? &input->sparse : NULL};
        if (!parse_type(source->is_label ? o->label_dtype : o->dtype, input, &entries[i].type))
            return source->is_label
                       ? refuse("--label-dtype must be keep, float32, float64 or int64: ",
                                o->label_dtype)
                       : refuse("--dtype must be keep, float32, float64 or int64: ", o->dtype);
        if (o->scale != 1 && !source->is_label && entries[i].type == FMT_INT64)
            return refuse("--scale needs --dtype float32 or float64", "");
        if (o->csv_output && (input->is_sparse || source->name[0]))
            return refuse("--format csv has neither sparse rows nor names: ", source->file);
    }
    return 0;
}

static int pack(const struct options *o)
{
    struct ps_pack_entry entries[PS_PACK_ENTRIES_MAX];
    const struct ps_pack_input *features = &o->sources[0].input;
    struct ps_pack_job job = {.entries = entries,
                              .entry_count = o->source_count,
                              .rows = ps_pack_input_rows(features),
                              .scale = o->scale,
                              .csv = o->csv_output,
                              .directory = o->output,
                              .prefix = o->prefix,
                              .shards = o->shards,
                              .force = o->force,
                              .index = o->index,
                              .stop = &interrupted};
    struct ps_pack_report report;
    struct penstock_error error;
    unsigned long long feature_count = 0;
    bool has_labels = o->sources[o->source_count - 1].is_label;
    int code = plan_entries(o, entries);

    if (code != 0)
        return code;
    if (ps_pack_write(&job, &report, &error) != PENSTOCK_OK)
        return fail(error.message);
    for (size_t i = 0; i < o->source_count; i++)
        feature_count += o->sources[i].is_label ? 0 : ps_pack_input_cols(&o->sources[i].input);
    printf("%llu rows of %llu features%s -> %llu shard%s, %llu bytes, in %s\n",
           (unsigned long long)job.rows, feature_count, has_labels ? " and their labels" : "",
           (unsigned long long)report.shards, report.shards == 1 ? "" : "s",
           (unsigned long long)report.bytes, o->output);
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
    if (open_inputs(&o, &error) == PENSTOCK_OK)
        code = pack(&o);
    else
        code = fail(error.message);
    for (size_t i = 0; i < o.source_count; i++)
        ps_pack_input_close(&o.sources[i].input);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return code;
}
