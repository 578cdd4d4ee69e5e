/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/ranks.h - which rank of a training run this process is, of how many, and where they meet:
 * from options, from penstock's own variables, or from what launched the process.
 *
 * Owner: the caller; the structs hold no memory of their own. Threads: one (it reads the
 * environment).
 */
#ifndef TRAINER_RANKS_H
#define TRAINER_RANKS_H

#include "trainer/error.h"

#include <stdint.h>

#define TR_RANKS_MAX 65536U

/* What the command line says; NULL: nothing. */
struct tr_ranks_options {
    const char *rank;      /* --rank: "1" */
    const char *ranks;     /* --ranks: "4" */
    const char *master;    /* --master: "host:7777", "[::1]:7777" */
    const char *resources; /* path of SageMaker's resourceconfig.json, which need not be there */
};

enum tr_engine {
    TR_ENGINE_NONE, /* one rank */
    TR_ENGINE_OWN,  /* options, or PENSTOCK_RANK and PENSTOCK_RANKS */
    TR_ENGINE_TORCHRUN,
    TR_ENGINE_OPEN_MPI,
    TR_ENGINE_SLURM,
    TR_ENGINE_SAGEMAKER,
    TR_ENGINE_KUBERNETES
};

struct tr_ranks {
    enum tr_engine engine;
    uint32_t rank;
    uint32_t count;        /* at least 1 */
    uint32_t local_rank;   /* among those of this host */
    uint32_t local_count;  /* 0: unknown */
    char master_host[256]; /* where rank 0 listens: a name or an address; "": MPI has to say */
    uint16_t master_port;  /* 0: likewise */
    char network[64];      /* interface between the hosts, as "eth0"; "": unknown */
    char job[64];          /* the same for all ranks of a run, another for the next, if known */
    char source[200];      /* who said it: "torchrun: RANK, WORLD_SIZE" */
    char text[640];        /* "ranks: 1 of 4 (torchrun: RANK, WORLD_SIZE), meeting at h:29501" */
};

/* Finds them. Of those who say something, the first counts: the options, PENSTOCK_RANK, the
 * launcher of this process (torchrun, Open MPI, Slurm's srun), SageMaker's hosts, an indexed job of
 * Kubernetes. One that says there is one rank leaves it to the next. PENSTOCK_MASTER and
 * PENSTOCK_LOCAL_RANK count for more than what a launcher says, and PENSTOCK_RANKS has to agree
 * with it, or to be 1. Returns 0, or -1 with *error, which names the variable and its value. */
int tr_ranks_find(const struct tr_ranks_options *given, struct tr_ranks *out,
                  struct tr_error *error);

#endif
