/* SPDX-License-Identifier: Apache-2.0 */
/* bench/main.c - the program: finds the command and runs it. The one file that knows every room. */
#include <stdio.h>
#include <string.h>

#include "bench/cmd_bench.h"
#include "bench/cmd_serve.h"
#include "pipe/cmd_agent.h"
#include "pipe/cmd_cat.h"
#include "pipe/cmd_inspect.h"
#include "pipe/cmd_pack.h"
#include "pipe/cmd_run.h"
#include "pipe/penstock.h"
#include "trainer/cmd_train.h"

enum { EXIT_USAGE = 2 };

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"run", penstock_cmd_run, "start a training command beside the streams it reads"},
    {"agent", penstock_cmd_agent, "fill FIFOs for a training command elsewhere"},
    {"cat", penstock_cmd_cat, "write the bytes of objects to standard output"},
    {"inspect", penstock_cmd_inspect, "say what objects hold, and what is wrong with them"},
    {"pack", penstock_cmd_pack, "turn CSV, NumPy or IDX files into shards"},
    {"train", penstock_cmd_train, "train a model on a stream"},
    {"bench", penstock_cmd_bench, "measure how fast objects come, and what limits that"},
    {"serve", penstock_cmd_serve,
     "serve a directory as S3 on loopback, for tests and measurements"},
};

static void print_help(FILE *to)
{
    fputs("usage: penstock COMMAND [OPTION...]\n\n", to);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\n'penstock COMMAND --help' tells more; 'penstock --version' the version.\n", to);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        printf("penstock %s\n", penstock_version());
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (*word)
        fprintf(stderr, "penstock: there is no command \"%s\"\n", word);
    print_help(stderr);
    return EXIT_USAGE;
}
