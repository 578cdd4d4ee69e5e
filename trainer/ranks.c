/* SPDX-License-Identifier: Apache-2.0 */
/* trainer/ranks.c - see trainer/ranks.h: options and variables. Node lists are ranks_nodes.c. */
#include "trainer/ranks.h"

#include "trainer/ranks_nodes.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAGEMAKER_PORT 7777 /* as SageMaker's training toolkit has it */
#define SLURM_PORT_FIRST 15000U
#define SLURM_PORTS 15000U /* below the ports that Linux gives to clients */

/* --- values --------------------------------------------------------------------------------------
 */

/* A value and what it is called: "--rank" or "PENSTOCK_RANK". text is NULL where there is none. */
struct value {
    const char *name;
    const char *text;
};

/* An empty variable is none, as elsewhere. */
static struct value variable(const char *name)
{
    const char *text = getenv(name);
    return (struct value){name, text && *text ? text : NULL};
}

/* The option, or without it the variable. */
static struct value option(const char *name, const char *text, const char *environment)
{
    return text ? (struct value){name, text} : variable(environment);
}

static int read_number(struct value value, uint64_t least, uint64_t most, uint64_t *out,
                       struct tr_error *error)
{
    char *end = NULL;
    if (!value.text)
        return tr_fail(error, "%s is not set, but what belongs to it is", value.name);
    errno = 0;
    *out = strtoull(value.text, &end, 10);
    if (value.text[0] >= '0' && value.text[0] <= '9' && *end == '\0' && errno == 0 &&
        *out >= least && *out <= most)
        return 0;
    return tr_fail(error, "%s: '%.64s' is not a whole number from %" PRIu64 " to %" PRIu64,
                   value.name, value.text, least, most);
}

/* A rank and the number of ranks, the one below the other. */
static int read_place(struct value rank, struct value count, uint32_t *rank_out,
                      uint32_t *count_out, struct tr_error *error)
{
    uint64_t place;
    uint64_t places;
    if (!rank.text)
        return tr_fail(error, "%s=%.64s is set, but not %s: set both or neither", count.name,
                       count.text, rank.name);
    if (!count.text)
        return tr_fail(error, "%s=%.64s is set, but not %s: set both or neither", rank.name,
                       rank.text, count.name);
    if (read_number(count, 1, TR_RANKS_MAX, &places, error) < 0 ||
        read_number(rank, 0, TR_RANKS_MAX - 1, &place, error) < 0)
        return -1;
    if (place >= places)
        return tr_fail(error, "%s=%s is not below %s=%s: ranks are counted from 0", rank.name,
                       rank.text, count.name, count.text);
    *rank_out = (uint32_t)place;
    *count_out = (uint32_t)places;
    return 0;
}

static int set_host(struct tr_ranks *ranks, struct value from, const char *host, size_t len,
                    struct tr_error *error)
{
    if (len == 0 || len >= sizeof ranks->master_host || strcspn(host, " \t\r\n/@") < len)
        return tr_fail(error, "%s: '%.300s' has no host's name or address", from.name, from.text);
    memcpy(ranks->master_host, host, len);
    ranks->master_host[len] = '\0';
    return 0;
}

/* "host:7777" or "[::1]:7777". */
static int set_master(struct tr_ranks *ranks, struct value from, struct tr_error *error)
{
    const char *host = from.text;
    const char *colon = strrchr(host, ':');
    struct value digits = {from.name, colon ? colon + 1 : NULL};
    size_t len = colon ? (size_t)(colon - host) : 0;
    bool bracketed = len >= 2 && host[0] == '[' && colon[-1] == ']';
    uint64_t port;
    if (!colon || (!bracketed && memchr(host, ':', len)))
        return tr_fail(error, "%s: '%.300s' is not HOST:PORT (of IPv6: [ADDRESS]:PORT)", from.name,
                       host);
    if (read_number(digits, 1, UINT16_MAX, &port, NULL) < 0)
        return tr_fail(error, "%s: '%.300s' does not end in a port, from 1 to 65535", from.name,
                       host);
    ranks->master_port = (uint16_t)port;
    return set_host(ranks, from, host + bracketed, len - 2 * (size_t)bracketed, error);
}

/* What changes from run to run comes first, if the rest has no room. */
static void set_job(struct tr_ranks *ranks, const char *engine, const char *part, const char *id)
{
    snprintf(ranks->job, sizeof ranks->job, "%s%s%s%s%s", engine, part ? " " : "", part ? part : "",
             id ? " " : "", id ? id : "");
}

/* --- engines -------------------------------------------------------------------------------------
 */

/* What the user says, whoever launched the process. */
struct wishes {
    struct value rank;
    struct value ranks;
    struct value master;
    struct value local_rank;
    struct value resources;
};

static bool is_this_host(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

/* Each of the following returns 1 when it found the rank, 0 when this engine says nothing, -1 when
 * what it says is wrong. */

static int find_own(const struct wishes *wishes, struct tr_ranks *ranks, struct tr_error *error)
{
    if (!wishes->rank.text && wishes->ranks.text && strcmp(wishes->ranks.text, "1") == 0) {
        ranks->count = 1;
        return 1;
    }
    if (!wishes->rank.text)
        return 0;
    if (read_place(wishes->rank, wishes->ranks, &ranks->rank, &ranks->count, error) < 0)
        return -1;
    if (ranks->count > 1 && !wishes->master.text)
        return tr_fail(error,
                       "%s=%s, but nothing says where the ranks meet: %s=HOST:PORT of rank 0",
                       wishes->rank.name, wishes->rank.text, wishes->master.name);
    if (wishes->master.text && set_master(ranks, wishes->master, error) < 0)
        return -1;
    if (is_this_host(ranks->master_host)) {
        ranks->local_rank = ranks->rank;
        ranks->local_count = ranks->count;
    }
    set_job(ranks, "penstock", NULL, NULL);
    snprintf(ranks->source, sizeof ranks->source, "%s, %s", wishes->rank.name, wishes->ranks.name);
    return 1;
}

/* What a launcher says of the rank among all and, if it does, among those of this host. */
static int read_launched(struct value rank, struct value count, struct value local_rank,
                         struct value local_count, struct tr_ranks *ranks, struct tr_error *error)
{
    if (!rank.text && !count.text)
        return 0;
    if (read_place(rank, count, &ranks->rank, &ranks->count, error) < 0)
        return -1;
    if (local_rank.text &&
        read_place(local_rank, local_count, &ranks->local_rank, &ranks->local_count, error) < 0)
        return -1;
    return 1;
}

/* torchrun, and what sets the same variables. torchrun's own store listens at MASTER_PORT. */
static int find_torchrun(const struct wishes *wishes, struct tr_ranks *ranks,
                         struct tr_error *error)
{
    struct value count = variable("WORLD_SIZE");
    struct value host = variable("MASTER_ADDR");
    uint64_t port;
    int found = read_launched(variable("RANK"), count, variable("LOCAL_RANK"),
                              variable("LOCAL_WORLD_SIZE"), ranks, error);
    if (found <= 0)
        return found;
    if (ranks->count > 1 && !wishes->master.text) {
        if (read_number(variable("MASTER_PORT"), 1, UINT16_MAX - 1, &port, error) < 0)
            return -1;
        if (!host.text)
            return tr_fail(error, "MASTER_ADDR is not set, but WORLD_SIZE=%s is", count.text);
        if (set_host(ranks, host, host.text, strlen(host.text), error) < 0)
            return -1;
        ranks->master_port = (uint16_t)(port + 1);
    }
    set_job(ranks, "torchrun", variable("TORCHELASTIC_RESTART_COUNT").text,
            variable("TORCHELASTIC_RUN_ID").text);
    snprintf(ranks->source, sizeof ranks->source, "torchrun: RANK, WORLD_SIZE%s",
             ranks->master_port > 0 ? ", MASTER_PORT + 1" : "");
    return 1;
}

/* Where they meet is told through MPI. */
static int find_open_mpi(const struct wishes *wishes, struct tr_ranks *ranks,
                         struct tr_error *error)
{
    struct value space = variable("PMIX_NAMESPACE");
    int found = read_launched(variable("OMPI_COMM_WORLD_RANK"), variable("OMPI_COMM_WORLD_SIZE"),
                              variable("OMPI_COMM_WORLD_LOCAL_RANK"),
                              variable("OMPI_COMM_WORLD_LOCAL_SIZE"), ranks, error);
    (void)wishes;
    if (found <= 0)
        return found;
    set_job(ranks, "mpi", NULL, space.text ? space.text : variable("OMPI_MCA_ess_base_jobid").text);
    snprintf(ranks->source, sizeof ranks->source,
             "Open MPI: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE");
    return 1;
}

/* The first of the step's nodes has task 0. A script that sbatch runs has the same variables, but
 * for the step's. */
static int find_slurm(const struct wishes *wishes, struct tr_ranks *ranks, struct tr_error *error)
{
    struct value count = variable("SLURM_NTASKS");
    struct value step = variable("SLURM_STEP_ID");
    struct value job = variable("SLURM_JOB_ID");
    struct value nodes = variable("SLURM_STEP_NODELIST");
    struct value local_rank = variable("SLURM_LOCALID");
    char host[256];
    uint64_t number;
    uint64_t job_no;
    uint64_t step_no;
    if (!count.text || !step.text)
        return 0;
    if (read_place(variable("SLURM_PROCID"), count, &ranks->rank, &ranks->count, error) < 0 ||
        read_number(job, 0, UINT32_MAX, &job_no, error) < 0 ||
        read_number(step, 0, UINT32_MAX, &step_no, error) < 0 ||
        (local_rank.text && read_number(local_rank, 0, TR_RANKS_MAX - 1, &number, error) < 0))
        return -1;
    ranks->local_rank = local_rank.text ? (uint32_t)number : 0;
    if (!nodes.text)
        nodes = variable("SLURM_JOB_NODELIST");
    if (ranks->count > 1 && !wishes->master.text) {
        if (!nodes.text)
            return tr_fail(error, "%s is not set, but SLURM_NTASKS=%s is", nodes.name, count.text);
        if (tr_ranks_first_node(nodes.text, host, sizeof host) < 0)
            return tr_fail(error, "%s: '%.200s' is no list of nodes, as in node[01-04,7],gpu3",
                           nodes.name, nodes.text);
        if (set_host(ranks, nodes, host, strlen(host), error) < 0)
            return -1;
        ranks->master_port = (uint16_t)(SLURM_PORT_FIRST + (job_no * 7 + step_no) % SLURM_PORTS);
    }
    set_job(ranks, "slurm", step.text, job.text);
    snprintf(ranks->source, sizeof ranks->source, "Slurm: SLURM_PROCID, SLURM_NTASKS");
    return 1;
}

/* An indexed job says how many there are to nobody. */
static int find_kubernetes(const struct wishes *wishes, struct tr_ranks *ranks,
                           struct tr_error *error)
{
    struct value rank = variable("JOB_COMPLETION_INDEX");
    if (!rank.text)
        return 0;
    if (!wishes->ranks.text)
        return tr_fail(error,
                       "JOB_COMPLETION_INDEX=%.64s says which rank this is, but not of how many: "
                       "set PENSTOCK_RANKS to the job's completions (1: each pod trains a model of "
                       "its own), and PENSTOCK_MASTER to HOST:PORT of index 0",
                       rank.text);
    if (read_place(rank, wishes->ranks, &ranks->rank, &ranks->count, error) < 0)
        return -1;
    if (ranks->count > 1 && !wishes->master.text)
        return tr_fail(error,
                       "JOB_COMPLETION_INDEX=%s, but nothing says where the ranks meet: set "
                       "PENSTOCK_MASTER to HOST:PORT of index 0, as in JOB-0.SERVICE:7777",
                       rank.text);
    set_job(ranks, "kubernetes", NULL, NULL);
    snprintf(ranks->source, sizeof ranks->source, "Kubernetes: JOB_COMPLETION_INDEX, %s",
             wishes->ranks.name);
    return 1;
}

/* --- SageMaker -----------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order that penstock run numbers hosts by as well: that of their names. */
static int sort_hosts(const char *path, const json_t *list, const char **hosts,
                      struct tr_error *error)
{
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count; i++) {
        hosts[i] = json_string_value(json_array_get(list, i));
        if (!hosts[i])
            return tr_fail(error, "%.512s: hosts[%zu] is not a string", path, i);
    }
    qsort(hosts, count, sizeof *hosts, compare);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(hosts[i - 1], hosts[i]) == 0)
            return tr_fail(error, "%.512s: hosts names %.256s twice", path, hosts[i]);
    }
    return 0;
}

static int take_hosts(struct value file, const json_t *config, struct tr_ranks *ranks,
                      struct tr_error *error)
{
    const json_t *list = json_object_get(config, "hosts");
    const char *current = json_string_value(json_object_get(config, "current_host"));
    const char *network = json_string_value(json_object_get(config, "network_interface_name"));
    size_t count = json_array_size(list);
    size_t place = 0;
    if (!list)
        return 0;
    if (count == 0 || count > TR_RANKS_MAX)
        return tr_fail(error, "%.512s: hosts is not a list of 1 to %u names", file.text,
                       TR_RANKS_MAX);
    const char **hosts = calloc(count, sizeof *hosts);
    if (!hosts)
        return tr_fail(error, "no memory for %zu hosts", count);
    int rc = sort_hosts(file.text, list, hosts, error);
    while (rc == 0 && place < count && (!current || strcmp(hosts[place], current) != 0))
        place++;
    if (rc == 0 && place == count && count > 1)
        rc = tr_fail(error, "%.512s: current_host %.256s is none of its %zu hosts", file.text,
                     current ? current : "is not given and so", count);
    if (rc == 0)
        rc = set_host(ranks, file, hosts[0], strlen(hosts[0]), error);
    free(hosts);
    if (rc < 0)
        return -1;
    ranks->rank = count > 1 ? (uint32_t)place : 0;
    ranks->count = (uint32_t)count;
    ranks->local_count = 1;
    ranks->master_port = SAGEMAKER_PORT;
    snprintf(ranks->network, sizeof ranks->network, "%s", network ? network : "");
    set_job(ranks, "sagemaker", NULL, variable("TRAINING_JOB_NAME").text);
    snprintf(ranks->source, sizeof ranks->source, "SageMaker: current_host %.100s of hosts",
             current ? current : ranks->master_host);
    return 1;
}

static int find_sagemaker(const struct wishes *wishes, struct tr_ranks *ranks,
                          struct tr_error *error)
{
    const char *path = wishes->resources.text;
    json_error_t why;
    if (!path || access(path, F_OK) < 0)
        return 0;
    json_t *config = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!config)
        return tr_fail(error, "%.512s, line %d: %s", path, why.line, why.text);
    int rc = take_hosts(wishes->resources, config, ranks, error);
    json_decref(config);
    return rc;
}

/* --- all -----------------------------------------------------------------------------------------
 */

typedef int (*find_fn)(const struct wishes *wishes, struct tr_ranks *ranks, struct tr_error *error);

static const struct {
    enum tr_engine engine;
    find_fn find;
} engines[] = {
    {TR_ENGINE_OWN, find_own},
    {TR_ENGINE_TORCHRUN, find_torchrun},
    {TR_ENGINE_OPEN_MPI, find_open_mpi},
    {TR_ENGINE_SLURM, find_slurm},
    {TR_ENGINE_SAGEMAKER, find_sagemaker},
    {TR_ENGINE_KUBERNETES, find_kubernetes},
};
#define ENGINE_COUNT (sizeof engines / sizeof engines[0])

/* The first that says something; who says that there is one rank may not know better. An index of
 * Kubernetes' alone, in a container whose own files name one host, is not meant for ranks. */
static int ask_engines(const struct wishes *wishes, struct tr_ranks *out, struct tr_error *error)
{
    for (size_t i = 0; i < ENGINE_COUNT && out->count <= 1; i++) {
        struct tr_ranks found = {.engine = engines[i].engine, .count = 1};
        if (engines[i].engine == TR_ENGINE_KUBERNETES && out->engine != TR_ENGINE_NONE &&
            !wishes->ranks.text)
            return 0;
        int rc = engines[i].find(wishes, &found, error);
        if (rc < 0)
            return -1;
        if (rc > 0 && (found.count > 1 || out->engine == TR_ENGINE_NONE))
            *out = found;
        if (rc > 0 && found.engine == TR_ENGINE_OWN)
            return 0;
    }
    return 0;
}

/* What the user says of the number, the meeting place and the place on this host. */
static int apply_wishes(const struct wishes *wishes, struct tr_ranks *out, struct tr_error *error)
{
    uint64_t number;
    if (wishes->ranks.text) {
        if (read_number(wishes->ranks, 1, TR_RANKS_MAX, &number, error) < 0)
            return -1;
        if (out->engine == TR_ENGINE_NONE)
            return tr_fail(error, "%s=%s, but nothing says which of them this is: %s",
                           wishes->ranks.name, wishes->ranks.text, wishes->rank.name);
        if (number != out->count)
            return tr_fail(error, "%s=%s, but of ranks there %s %" PRIu32 " (%s)",
                           wishes->ranks.name, wishes->ranks.text, out->count > 1 ? "are" : "is",
                           out->count, out->source);
    }
    if (wishes->local_rank.text) {
        if (read_number(wishes->local_rank, 0, TR_RANKS_MAX - 1, &number, error) < 0)
            return -1;
        out->local_rank = (uint32_t)number;
        if (out->local_count <= out->local_rank)
            out->local_count = 0;
    }
    if (wishes->master.text && out->count > 1) {
        out->network[0] = '\0'; /* which is on the way to the launcher's */
        return set_master(out, wishes->master, error);
    }
    return 0;
}

static void describe(struct tr_ranks *ranks)
{
    bool is_address = strchr(ranks->master_host, ':') != NULL; /* of IPv6 */
    char place[300];
    if (ranks->master_port > 0)
        snprintf(place, sizeof place, is_address ? "at [%s]:%u" : "at %s:%u", ranks->master_host,
                 ranks->master_port);
    else
        snprintf(place, sizeof place, "where rank 0 says through MPI");
    if (ranks->count > 1)
        snprintf(ranks->text, sizeof ranks->text, "ranks: %u of %u (%s), meeting %s", ranks->rank,
                 ranks->count, ranks->source, place);
    else
        snprintf(ranks->text, sizeof ranks->text, "ranks: one");
}

int tr_ranks_find(const struct tr_ranks_options *given, struct tr_ranks *out,
                  struct tr_error *error)
{
    const struct wishes wishes = {
        .rank = option("--rank", given->rank, "PENSTOCK_RANK"),
        .ranks = option("--ranks", given->ranks, "PENSTOCK_RANKS"),
        .master = option("--master", given->master, "PENSTOCK_MASTER"),
        .local_rank = variable("PENSTOCK_LOCAL_RANK"),
        .resources = {"resourceconfig.json", given->resources},
    };
    *out = (struct tr_ranks){.count = 1};
    if (ask_engines(&wishes, out, error) < 0 || apply_wishes(&wishes, out, error) < 0)
        return -1;
    describe(out);
    return 0;
}
