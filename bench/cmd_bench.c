/* SPDX-License-Identifier: Apache-2.0 */
/* bench/cmd_bench.c - penstock bench: how fast objects come, what that costs, and what limits it.
 */
#include "bench/cmd_bench.h"

#include "bench/bench_commands.h"
#include "bench/bench_require.h"
#include "pipe/stop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static const char help[] =
    "Usage: penstock bench COMMAND URI... [OPTION]...\n"
    "Measure how fast objects come to this machine, what that costs, and what limits it.\n"
    "\n"
    "  read URI...                    the bytes, as penstock cat reads them\n"
    "  decode URI... --content-type TYPE\n"
    "                                 batches, as a program that trains reads them\n"
    "  train URI... --workload NAME   the same, by an emulated device that needs so long a step,\n"
    "                                 or --model NAME: a real one\n"
    "  start URI...                   time to the first byte, record and batch: Pipe mode beside\n"
    "                                 File mode, which downloads first, and a FIFO\n"
    "  sweep URI...                   connections times part size, and which to use\n"
    "  rivals URI...                  whole objects beside s5cmd, boto3, s3torchconnector, "
    "mount-s3\n"
    "                                 and fio, those that are installed, and beside File mode\n"
    "  transport [URI...]             direct and curl, io_uring and epoll, part sizes: what each "
    "costs\n"
    "  fifo                           what a FIFO carries beside bare vmsplice and write\n"
    "  formats [NAME...]              decoders from memory, beside the libraries that they "
    "replace\n"
    "  cmp A.json B.json              what changed from A to B beyond noise\n"
    "\n";

static const char help_end[] =
    "  --help                         show this text and exit\n"
    "\n"
    "Exit code: 0 success, 1 failure, or --require is not met, or cmp finds a change for the\n"
    "worse, 2 usage error, 130 or 143 interrupted (what was measured until then is printed).\n";

static const struct command {
    const char *name;
    enum bench_command command;
    int (*measure)(struct bench_result *result, struct penstock_error *error);
} commands[] = {
    {"read", BENCH_READ, bench_measure},   {"decode", BENCH_DECODE, bench_measure},
    {"train", BENCH_TRAIN, bench_measure}, {"start", BENCH_START, bench_start},
    {"sweep", BENCH_SWEEP, bench_sweep},   {"rivals", BENCH_RIVALS, bench_rivals},
    {"fifo", BENCH_FIFO, bench_fifo},      {"transport", BENCH_TRANSPORT, bench_transport},
};

static int show_help(void)
{
    fputs(help, stdout);
    fputs(bench_options_help, stdout);
    fputs(help_end, stdout);
    return EXIT_SUCCESS;
}

static int fail_to_write(const char *path, int sys_errno)
{
    fprintf(stderr, "penstock bench: cannot write %s: %s\n", path, strerror(sys_errno));
    return EXIT_FAILURE;
}

/* Writes whatever was asked for; goes on after a failure. */
static int write_all(const struct bench_result *result)
{
    const struct bench_options *o = result->options;
    const struct {
        const char *path;
        int (*write)(const struct bench_result *result, const char *path);
    } outputs[] = {{o->json, bench_write_json},
                   {o->csv, bench_write_csv},
                   {o->raw, bench_write_raw},
                   {o->report, bench_write_report},
                   {result->metrics ? NULL : o->metrics, bench_write_metrics}};
    int code = EXIT_SUCCESS;

    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        int sys_errno = outputs[i].path ? outputs[i].write(result, outputs[i].path) : 0;

        if (sys_errno != 0)
            code = fail_to_write(outputs[i].path, sys_errno);
    }
    return code;
}

/* Tells what there is, also of a command that was interrupted or failed in the middle. */
static int tell(struct bench_result *result, int rc, const struct penstock_error *error)
{
    const struct bench_options *o = result->options;
    bool told = bench_result_has_runs(result);
    int code = EXIT_SUCCESS;

    result->interrupted = rc != PENSTOCK_OK;
    if (told && !o->quiet)
        bench_print_table(result);
    if (told)
        code = write_all(result);
    if (ps_stop_signal())
        return 128 + ps_stop_signal();
    if (rc != PENSTOCK_OK) {
        fprintf(stderr, "penstock bench: %s\n", error->message);
        return EXIT_FAILURE;
    }
    if (o->require && result->variant_count > 0 &&
        !bench_require_judge(o->require, &result->variants[0]))
        return EXIT_FAILURE;
    return code;
}

static bool open_port(struct bench_result *result)
{
    const char *text = result->options->metrics;
    struct penstock_error error;

    if (!text || !ps_metrics_is_port(text))
        return true;
    if (ps_metrics_open(text, &result->metrics, &error) == PENSTOCK_OK)
        fprintf(stderr, "penstock bench: metrics at port %u\n", ps_metrics_port(result->metrics));
    else
        fprintf(stderr, "penstock bench: %s\n", error.message);
    return result->metrics != NULL;
}

static int measure(const struct command *command, struct bench_result *result)
{
    static struct penstock_error error;

    bench_environment_take(&result->environment);
    int rc = command->measure(result, &error);
    int code = tell(result, rc, &error);

    bench_result_free(result);
    return code;
}

static int run(const struct command *command, int argc, char **argv)
{
    static char program[32]; /* for getopt's messages */
    struct bench_options options;
    struct bench_result result = {
        .options = &options, .command = command->name, .argc = argc, .argv = argv};
    const char *path = NULL;
    char **given = malloc(((size_t)argc + 1) * sizeof *given);

    if (!given)
        return EXIT_FAILURE;
    memcpy(given, argv, ((size_t)argc + 1) * sizeof *given); /* getopt puts them in another order */
    result.argv = given;
    snprintf(program, sizeof program, "penstock bench %s", command->name);
    argv[0] = program;
    int code = bench_options_parse(&options, command->command, argc, argv);
    int sys_errno = code == 0 && !options.help ? bench_outputs_check(&options, &path) : 0;

    if (code != 0) {
        fputs("Try 'penstock bench --help'.\n", stderr);
    } else if (options.help) {
        code = show_help();
    } else if (sys_errno != 0) {
        code = fail_to_write(path, sys_errno);
    } else {
        ps_stop_install();
        signal(SIGPIPE, SIG_IGN);
        code = open_port(&result) ? measure(command, &result) : EXIT_FAILURE;
        ps_metrics_close(result.metrics);
    }
    free(given);
    return code;
}

int penstock_cmd_bench(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "--help") == 0)
        return show_help();
    if (strcmp(word, "formats") == 0)
        return bench_formats(argc - 1, argv + 1);
    if (strcmp(word, "cmp") == 0)
        return bench_compare(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word, commands[i].name) == 0)
            return run(&commands[i], argc - 1, argv + 1);
    fprintf(stderr, "penstock bench: %s%s%s\nTry 'penstock bench --help'.\n",
            *word ? "there is no command '" : "no command is given", word, *word ? "'" : "");
    return EXIT_USAGE;
}
