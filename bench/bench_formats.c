/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_formats.c - penstock bench formats: the decoders' rates from generated memory, beside
 * the libraries that they replace. Each part prints what it measures, and what is required of it.
 */
#include "bench/bench_commands.h"

#include "bench/perf.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, OPTION_ROUNDS = 1000, OPTION_HELP };

static const char help[] = "Usage: penstock bench formats [NAME]... [OPTION]...\n"
                           "Measure how fast decoders are, from generated memory, beside the "
                           "libraries that they replace,\n"
                           "on one core, in turn: medians of CPU time. Then what the ratios must "
                           "be, and whether they are.\n"
                           "\n";

static const char help_end[] =
    "\n"
    "Without a NAME all of them. Options:\n"
    "  --rounds N                     each so often (as many as usual)\n"
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0 success, 1 failure, 2 usage error. A ratio that is missed is told, not failed:\n"
    "a busy machine misses some.\n";

static const struct part {
    const char *name;
    int (*measure)(int argc, char **argv);
    bool takes_rounds;
    const char *what;
} parts[] = {
    {"records", perf_formats, false, "RecordIO-protobuf, beside memcpy and protobuf-c"},
    {"frames", perf_frames, false, "where records begin, beside memory's own rate"},
    {"csv", perf_csv, true, "CSV, beside memchr and fast_float"},
    {"libsvm", perf_libsvm, true, "libsvm, beside strtof"},
    {"jsonl", perf_jsonl, true, "JSON Lines, beside jansson and simdjson"},
    {"image", perf_image, true, "JPEG and PNG, beside libjpeg-turbo and libpng"},
    {"inflate", perf_inflate, true, "gzip, lz4 and zstd, beside zlib and others"},
    {"crc", perf_crc, false, "checksums, beside memcpy"},
};

enum { PARTS = sizeof parts / sizeof *parts };

static int show_help(void)
{
    fputs(help, stdout);
    for (int i = 0; i < PARTS; i++)
        printf("  %-10s %s\n", parts[i].name, parts[i].what);
    fputs(help_end, stdout);
    return EXIT_SUCCESS;
}

static const struct part *part_named(const char *name)
{
    for (int i = 0; i < PARTS; i++)
        if (strcmp(parts[i].name, name) == 0)
            return &parts[i];
    return NULL;
}

static int measure(const struct part *part, char *rounds)
{
    char name[32];
    char *argv[] = {name, rounds, NULL};

    snprintf(name, sizeof name, "%s", part->name);
    printf("== %s: %s\n", part->name, part->what);
    int rc = part->measure(rounds && part->takes_rounds ? 2 : 1, argv);

    fflush(stdout);
    return rc;
}

static int fail_usage(const char *why, const char *what)
{
    fprintf(stderr, "penstock bench formats: %s '%s'\nTry 'penstock bench formats --help'.\n", why,
            what);
    return EXIT_USAGE;
}

int bench_formats(int argc, char **argv)
{
    static const struct option options[] = {{"rounds", required_argument, NULL, OPTION_ROUNDS},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    static char program[] = "penstock bench formats"; /* for getopt's messages */
    char *rounds = NULL;
    int id;

    argv[0] = program;
    optind = 0; /* GNU getopt: afresh */
    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (id == OPTION_HELP)
            return show_help();
        if (id == '?')
            return fail_usage("it takes --rounds N alone, not", argv[optind - 1]);
        rounds = optarg;
    }
    char *end = NULL;
    unsigned long number = rounds ? strtoul(rounds, &end, 10) : 1;

    if (rounds && (*rounds < '0' || *rounds > '9' || *end != '\0' || number < 1 || number > 51))
        return fail_usage("--rounds is 1 to 51, not", rounds);
    for (int i = optind; i < argc; i++)
        if (!part_named(argv[i]))
            return fail_usage("there is no format", argv[i]);
    for (int i = 0; i < PARTS && optind == argc; i++)
        if (measure(&parts[i], rounds) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    for (int i = optind; i < argc; i++)
        if (measure(part_named(argv[i]), rounds) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
