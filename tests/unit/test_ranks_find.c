/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/test_ranks_find.c - which rank a process is, by every engine's variables, by odd
 * values of them, and by several at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "trainer/ranks.h"
#include "trainer/ranks_nodes.h"

#define ASSIGNMENTS_MAX 12

/* Options are assignments, too, of names that begin with "--". */
struct example {
    const char *set[ASSIGNMENTS_MAX];
    const char *hosts; /* resourceconfig.json; NULL: there is none */
    const char *text;  /* of the ranks; NULL: an error is expected */
    const char *error; /* a part of it */
    const char *job;
    uint32_t rank;
    uint32_t count;
    uint32_t local_rank;
    uint32_t local_count;
    enum tr_engine engine;
};

static const char *const variables[] = {
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "PMIX_NAMESPACE",
    "OMPI_MCA_ess_base_jobid",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_LOCALID",
    "SLURM_STEP_ID",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "SLURM_STEP_NODELIST",
    "JOB_COMPLETION_INDEX",
    "TRAINING_JOB_NAME",
    "PENSTOCK_RANK",
    "PENSTOCK_RANKS",
    "PENSTOCK_MASTER",
    "PENSTOCK_LOCAL_RANK",
};

static char resources[64];

static void write_hosts(const char *json)
{
    unlink(resources);
    if (!json)
        return;
    FILE *file = fopen(resources, "we");
    assert_non_null(file);
    assert_true(fputs(json, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int find(const struct example *example, struct tr_ranks *ranks, struct tr_error *error)
{
    struct tr_ranks_options given = {.resources = resources};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    write_hosts(example->hosts);
    for (size_t i = 0; i < ASSIGNMENTS_MAX && example->set[i]; i++) {
        char name[64];
        const char *value = strchr(example->set[i], '=');
        assert_non_null(value);
        snprintf(name, sizeof name, "%.*s", (int)(value - example->set[i]), example->set[i]);
        value++;
        if (strcmp(name, "--rank") == 0)
            given.rank = value;
        else if (strcmp(name, "--ranks") == 0)
            given.ranks = value;
        else if (strcmp(name, "--master") == 0)
            given.master = value;
        else
            setenv(name, value, 1);
    }
    return tr_ranks_find(&given, ranks, error);
}

static void check(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        struct tr_ranks ranks;
        struct tr_error error = {""};
        int rc = find(e, &ranks, &error);
        if (!e->text) {
            if (rc == 0 || !strstr(error.text, e->error))
                fail_msg("example %zu: '%s' is not in '%s' (%d)", i, e->error, error.text, rc);
            continue;
        }
        if (rc < 0)
            fail_msg("example %zu: %s", i, error.text);
        assert_string_equal(ranks.text, e->text);
        assert_int_equal(ranks.engine, e->engine);
        assert_int_equal(ranks.rank, e->rank);
        assert_int_equal(ranks.count, e->count);
        assert_int_equal(ranks.local_rank, e->local_rank);
        assert_int_equal(ranks.local_count, e->local_count);
        assert_string_equal(ranks.job, e->job ? e->job : "");
    }
}

#define CHECK(examples) check(examples, sizeof(examples) / sizeof(examples)[0])
#define ONE .text = "ranks: one", .count = 1

static void nothing_is_one_rank(void **state)
{
    static const struct example examples[] = {
        {ONE},
        {{"RANK=", "WORLD_SIZE=", "PENSTOCK_RANK="}, ONE},
        {{"PENSTOCK_MASTER=h:1"}, ONE},
        {{"PENSTOCK_RANKS=1"}, ONE, .engine = TR_ENGINE_OWN},
        {{"--ranks=1", "WORLD_SIZE=4", "RANK=2"}, ONE, .engine = TR_ENGINE_OWN},
        {.hosts = "{}", ONE},
    };
    (void)state;
    CHECK(examples);
}

static void own(void **state)
{
    static const struct example examples[] = {
        {{"--rank=1", "--ranks=4", "--master=h:29500"},
         .text = "ranks: 1 of 4 (--rank, --ranks), meeting at h:29500",
         .job = "penstock",
         .rank = 1,
         .count = 4,
         .engine = TR_ENGINE_OWN},
        {{"PENSTOCK_RANK=3", "PENSTOCK_RANKS=4", "PENSTOCK_MASTER=10.0.0.7:1",
          "PENSTOCK_LOCAL_RANK=1"},
         .text = "ranks: 3 of 4 (PENSTOCK_RANK, PENSTOCK_RANKS), meeting at 10.0.0.7:1",
         .job = "penstock",
         .rank = 3,
         .count = 4,
         .local_rank = 1,
         .engine = TR_ENGINE_OWN},
        /* an option counts for more, and what other launchers say for nothing */
        {{"--rank=2", "PENSTOCK_RANK=3", "PENSTOCK_RANKS=4", "PENSTOCK_MASTER=[::1]:7777", "RANK=1",
          "WORLD_SIZE=9"},
         .text = "ranks: 2 of 4 (--rank, PENSTOCK_RANKS), meeting at [::1]:7777",
         .job = "penstock",
         .rank = 2,
         .count = 4,
         .local_rank = 2,
         .local_count = 4,
         .engine = TR_ENGINE_OWN},
        {{"--rank=0", "--ranks=1"}, ONE, .job = "penstock", .engine = TR_ENGINE_OWN},
        {{"--rank=0", "--ranks=2"}, .error = "--rank=0, but nothing says where the ranks meet"},
        {{"--rank=4", "--ranks=4"}, .error = "--rank=4 is not below --ranks=4"},
        {{"--rank=1"}, .error = "--rank=1 is set, but not PENSTOCK_RANKS"},
        {{"PENSTOCK_RANKS=4"}, .error = "PENSTOCK_RANKS=4, but nothing says which of them this is"},
        {{"--ranks=0"}, .error = "--ranks: '0' is not a whole number from 1 to"},
        {{"--rank=-1", "--ranks=2"}, .error = "--rank: '-1' is not a whole number"},
        {{"--rank=+1", "--ranks=2"}, .error = "--rank: '+1' is not a whole number"},
        {{"--rank= 1", "--ranks=2"}, .error = "--rank: ' 1' is not a whole number"},
        {{"--rank=1x", "--ranks=2"}, .error = "--rank: '1x' is not a whole number"},
        {{"--rank=", "--ranks=2"}, .error = "--rank: '' is not a whole number"},
        {{"--rank=1", "--ranks=99999999999999999999"}, .error = "--ranks: '99999999999999999999'"},
        {{"--rank=1", "--ranks=65537"}, .error = "--ranks: '65537' is not"},
        {{"--rank=0", "--ranks=2", "--master=h"}, .error = "--master: 'h' is not HOST:PORT"},
        {{"--rank=0", "--ranks=2", "--master=:1"}, .error = "--master: ':1' has no host's name"},
        {{"--rank=0", "--ranks=2", "--master=h:"}, .error = "--master: 'h:' does not end in a"},
        {{"--rank=0", "--ranks=2", "--master=h:0"}, .error = "--master: 'h:0' does not end in a"},
        {{"--rank=0", "--ranks=2", "--master=h:65536"}, .error = "'h:65536' does not end in a"},
        {{"--rank=0", "--ranks=2", "--master=::1:80"}, .error = "'::1:80' is not HOST:PORT"},
        {{"--rank=0", "--ranks=2", "--master=[]:80"}, .error = "'[]:80' has no host"},
        {{"--rank=0", "--ranks=2", "--master=tcp://h:80"}, .error = "is not HOST:PORT"},
        {{"--rank=0", "--ranks=2", "--master=a b:80"}, .error = "has no host's name"},
        {{"--rank=0", "--ranks=2", "--master=h:1", "PENSTOCK_LOCAL_RANK=two"},
         .error = "PENSTOCK_LOCAL_RANK: 'two' is not"},
    };
    (void)state;
    CHECK(examples);
}

static void torchrun(void **state)
{
    static const struct example examples[] = {
        {{"RANK=5", "WORLD_SIZE=8", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=4", "MASTER_ADDR=node-0",
          "MASTER_PORT=29500", "TORCHELASTIC_RUN_ID=run", "TORCHELASTIC_RESTART_COUNT=2"},
         .text = "ranks: 5 of 8 (torchrun: RANK, WORLD_SIZE, MASTER_PORT + 1), "
                 "meeting at node-0:29501",
         .job = "torchrun 2 run",
         .rank = 5,
         .count = 8,
         .local_rank = 1,
         .local_count = 4,
         .engine = TR_ENGINE_TORCHRUN},
        /* as Kubeflow's operator sets them; the rank on the host, and the place, said otherwise */
        {{"RANK=1", "WORLD_SIZE=2", "PENSTOCK_MASTER=h:9", "PENSTOCK_LOCAL_RANK=3",
          "PENSTOCK_RANKS=2"},
         .text = "ranks: 1 of 2 (torchrun: RANK, WORLD_SIZE), meeting at h:9",
         .job = "torchrun",
         .rank = 1,
         .count = 2,
         .local_rank = 3,
         .engine = TR_ENGINE_TORCHRUN},
        {{"RANK=0", "WORLD_SIZE=1"}, ONE, .job = "torchrun", .engine = TR_ENGINE_TORCHRUN},
        {{"RANK=0"}, .error = "RANK=0 is set, but not WORLD_SIZE"},
        {{"WORLD_SIZE=2"}, .error = "WORLD_SIZE=2 is set, but not RANK"},
        {{"RANK=2", "WORLD_SIZE=2"}, .error = "RANK=2 is not below WORLD_SIZE=2"},
        {{"RANK=a", "WORLD_SIZE=2"}, .error = "RANK: 'a' is not a whole number"},
        {{"RANK=0", "WORLD_SIZE=2"}, .error = "MASTER_PORT is not set"},
        {{"RANK=0", "WORLD_SIZE=2", "MASTER_PORT=1"}, .error = "MASTER_ADDR is not set"},
        {{"RANK=0", "WORLD_SIZE=2", "MASTER_PORT=65535", "MASTER_ADDR=h"},
         .error = "MASTER_PORT: '65535' is not a whole number from 1 to 65534"},
        {{"RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=0"}, .error = "but not LOCAL_WORLD_SIZE"},
        {{"RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=1"},
         .error = "LOCAL_RANK=1 is not below LOCAL_WORLD_SIZE=1"},
        {{"RANK=0", "WORLD_SIZE=2", "MASTER_PORT=1", "MASTER_ADDR=h", "PENSTOCK_RANKS=3"},
         .error = "PENSTOCK_RANKS=3, but of ranks there are 2 (torchrun: "},
    };
    (void)state;
    CHECK(examples);
}

static void open_mpi(void **state)
{
    static const struct example examples[] = {
        {{"OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=0",
          "OMPI_COMM_WORLD_LOCAL_SIZE=2", "PMIX_NAMESPACE=417"},
         .text = "ranks: 2 of 4 (Open MPI: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE), "
                 "meeting where rank 0 says through MPI",
         .job = "mpi 417",
         .rank = 2,
         .count = 4,
         .local_count = 2,
         .engine = TR_ENGINE_OPEN_MPI},
        {{"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2", "PENSTOCK_MASTER=h:3",
          "OMPI_MCA_ess_base_jobid=9"},
         .text = "ranks: 0 of 2 (Open MPI: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE), "
                 "meeting at h:3",
         .job = "mpi 9",
         .count = 2,
         .engine = TR_ENGINE_OPEN_MPI},
        {{"OMPI_COMM_WORLD_RANK=0"}, .error = "but not OMPI_COMM_WORLD_SIZE"},
        {{"OMPI_COMM_WORLD_SIZE=2"}, .error = "but not OMPI_COMM_WORLD_RANK"},
        {{"OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=2"}, .error = "is not below"},
    };
    (void)state;
    CHECK(examples);
}

#define STEP "SLURM_STEP_ID=1", "SLURM_JOB_ID=1000"

static void slurm(void **state)
{
    static const struct example examples[] = {
        {{STEP, "SLURM_PROCID=7", "SLURM_NTASKS=8", "SLURM_LOCALID=3",
          "SLURM_JOB_NODELIST=gpu[03-04,7],big1"},
         .text = "ranks: 7 of 8 (Slurm: SLURM_PROCID, SLURM_NTASKS), meeting at gpu03:22001",
         .job = "slurm 1 1000",
         .rank = 7,
         .count = 8,
         .local_rank = 3,
         .engine = TR_ENGINE_SLURM},
        /* the step's nodes before the job's */
        {{STEP, "SLURM_PROCID=0", "SLURM_NTASKS=2", "SLURM_JOB_NODELIST=a,b",
          "SLURM_STEP_NODELIST=b"},
         .text = "ranks: 0 of 2 (Slurm: SLURM_PROCID, SLURM_NTASKS), meeting at b:22001",
         .job = "slurm 1 1000",
         .count = 2,
         .engine = TR_ENGINE_SLURM},
        /* a script under sbatch is no step */
        {{"SLURM_PROCID=0", "SLURM_NTASKS=8", "SLURM_JOB_ID=5", "SLURM_JOB_NODELIST=a"}, ONE},
        {{STEP, "SLURM_PROCID=0", "SLURM_NTASKS=1"},
         ONE,
         .job = "slurm 1 1000",
         .engine = TR_ENGINE_SLURM},
        {{STEP, "SLURM_NTASKS=8"}, .error = "but not SLURM_PROCID"},
        {{STEP, "SLURM_NTASKS=8", "SLURM_PROCID=x"}, .error = "SLURM_PROCID: 'x' is not"},
        {{STEP, "SLURM_NTASKS=8", "SLURM_PROCID=0"}, .error = "SLURM_JOB_NODELIST is not set"},
        {{STEP, "SLURM_NTASKS=8", "SLURM_PROCID=0", "SLURM_JOB_NODELIST=a[1"},
         .error = "SLURM_JOB_NODELIST: 'a[1' is no list of nodes"},
        {{"SLURM_STEP_ID=1", "SLURM_NTASKS=8", "SLURM_PROCID=0"},
         .error = "SLURM_JOB_ID is not set"},
        {{STEP, "SLURM_NTASKS=8", "SLURM_PROCID=0", "SLURM_LOCALID=-1"},
         .error = "SLURM_LOCALID: '-1' is not"},
    };
    (void)state;
    CHECK(examples);
}

/* Hosts are ranks in the order of their names: algo-10 before algo-2, as penstock run has it. */
static void sagemaker(void **state)
{
    static const struct example examples[] = {
        {.hosts = "{\"current_host\": \"algo-2\", \"hosts\": [\"algo-2\", \"algo-1\", \"algo-10\"],"
                  "\"network_interface_name\": \"eth0\"}",
         .set = {"TRAINING_JOB_NAME=fashion-7"},
         .text = "ranks: 2 of 3 (SageMaker: current_host algo-2 of hosts), meeting at algo-1:7777",
         .job = "sagemaker fashion-7",
         .rank = 2,
         .count = 3,
         .local_count = 1,
         .engine = TR_ENGINE_SAGEMAKER},
        {.hosts = "{\"current_host\": \"algo-10\", \"hosts\": [\"algo-1\", \"algo-2\", "
                  "\"algo-10\"], \"instance_groups\": [{\"hosts\": [\"algo-2\"]}]}",
         .set = {"PENSTOCK_MASTER=10.0.0.1:80"},
         .text = "ranks: 1 of 3 (SageMaker: current_host algo-10 of hosts), meeting at "
                 "10.0.0.1:80",
         .job = "sagemaker",
         .rank = 1,
         .count = 3,
         .local_count = 1,
         .engine = TR_ENGINE_SAGEMAKER},
        {.hosts = "{\"hosts\": [\"algo-1\"]}",
         ONE,
         .job = "sagemaker",
         .local_count = 1,
         .engine = TR_ENGINE_SAGEMAKER},
        {.hosts = "{\"hosts\": [\"a\", \"b\"]}", .error = "none of its 2 hosts"},
        {.hosts = "{\"hosts\": [\"a\", \"b\"], \"current_host\": \"c\"}",
         .error = "current_host c is none of its 2 hosts"},
        {.hosts = "{\"hosts\": [\"a\", \"a\"], \"current_host\": \"a\"}",
         .error = "hosts names a twice"},
        {.hosts = "{\"hosts\": [\"a\", 2]}", .error = "hosts[1] is not a string"},
        {.hosts = "{\"hosts\": []}", .error = "hosts is not a list"},
        {.hosts = "{\"hosts\": \"a\"}", .error = "hosts is not a list"},
        {.hosts = "{\"hosts\": [", .error = "line 1"},
    };
    (void)state;
    CHECK(examples);
}

static void kubernetes(void **state)
{
    static const struct example examples[] = {
        {{"JOB_COMPLETION_INDEX=3", "PENSTOCK_RANKS=4", "PENSTOCK_MASTER=job-0.svc:7777"},
         .text = "ranks: 3 of 4 (Kubernetes: JOB_COMPLETION_INDEX, PENSTOCK_RANKS), meeting at "
                 "job-0.svc:7777",
         .job = "kubernetes",
         .rank = 3,
         .count = 4,
         .engine = TR_ENGINE_KUBERNETES},
        {{"JOB_COMPLETION_INDEX=3", "PENSTOCK_RANKS=1"}, ONE, .engine = TR_ENGINE_OWN},
        {{"JOB_COMPLETION_INDEX=3"}, .error = "set PENSTOCK_RANKS to the job's completions"},
        {{"JOB_COMPLETION_INDEX=3", "PENSTOCK_RANKS=4"}, .error = "set PENSTOCK_MASTER to"},
        {{"JOB_COMPLETION_INDEX=4", "PENSTOCK_RANKS=4"}, .error = "is not below PENSTOCK_RANKS=4"},
        {{"JOB_COMPLETION_INDEX=x", "PENSTOCK_RANKS=4"}, .error = "JOB_COMPLETION_INDEX: 'x'"},
    };
    (void)state;
    CHECK(examples);
}

#define TWO_HOSTS "{\"current_host\": \"b\", \"hosts\": [\"a\", \"b\"]}"
#define ONE_HOST "{\"current_host\": \"a\", \"hosts\": [\"a\"]}"

static void several_engines(void **state)
{
    static const struct example examples[] = {
        /* eight processes of torchrun's on SageMaker's two hosts */
        {.hosts = TWO_HOSTS,
         .set = {"RANK=7", "WORLD_SIZE=8", "MASTER_ADDR=a", "MASTER_PORT=1"},
         .text = "ranks: 7 of 8 (torchrun: RANK, WORLD_SIZE, MASTER_PORT + 1), meeting at a:2",
         .job = "torchrun",
         .rank = 7,
         .count = 8,
         .engine = TR_ENGINE_TORCHRUN},
        /* mpirun in a step of Slurm's */
        {.set = {STEP, "SLURM_PROCID=0", "SLURM_NTASKS=4", "OMPI_COMM_WORLD_RANK=1",
                 "OMPI_COMM_WORLD_SIZE=2"},
         .text = "ranks: 1 of 2 (Open MPI: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE), "
                 "meeting where rank 0 says through MPI",
         .job = "mpi",
         .rank = 1,
         .count = 2,
         .engine = TR_ENGINE_OPEN_MPI},
        /* a launcher of one process knows less than the hosts */
        {.hosts = TWO_HOSTS,
         .set = {"RANK=0", "WORLD_SIZE=1"},
         .text = "ranks: 1 of 2 (SageMaker: current_host b of hosts), meeting at a:7777",
         .job = "sagemaker",
         .rank = 1,
         .count = 2,
         .local_count = 1,
         .engine = TR_ENGINE_SAGEMAKER},
        /* penstock run in the pods of an indexed job */
        {.hosts = ONE_HOST,
         .set = {"JOB_COMPLETION_INDEX=1", "PENSTOCK_RANKS=2", "PENSTOCK_MASTER=h:1"},
         .text = "ranks: 1 of 2 (Kubernetes: JOB_COMPLETION_INDEX, PENSTOCK_RANKS), meeting at h:1",
         .job = "kubernetes",
         .rank = 1,
         .count = 2,
         .engine = TR_ENGINE_KUBERNETES},
        {.hosts = ONE_HOST,
         .set = {"JOB_COMPLETION_INDEX=1"},
         ONE,
         .job = "sagemaker",
         .local_count = 1,
         .engine = TR_ENGINE_SAGEMAKER},
        {.hosts = ONE_HOST,
         .set = {"PENSTOCK_RANKS=2"},
         .error = "PENSTOCK_RANKS=2, but of ranks there is 1 (SageMaker: current_host a of hosts)"},
        {.hosts = TWO_HOSTS, .set = {"PENSTOCK_RANKS=1"}, ONE, .engine = TR_ENGINE_OWN},
    };
    (void)state;
    CHECK(examples);
}

/* The interface between SageMaker's hosts is kept for those who connect. */
static void network_is_kept(void **state)
{
    const struct example example = {.hosts = "{\"current_host\": \"b\", \"hosts\": [\"a\", \"b\"], "
                                             "\"network_interface_name\": \"ethwe\"}"};
    struct tr_ranks ranks;
    (void)state;
    assert_int_equal(find(&example, &ranks, NULL), 0);
    assert_string_equal(ranks.network, "ethwe");
    assert_string_equal(ranks.master_host, "a");
    assert_int_equal(ranks.master_port, 7777);
}

static void first_nodes(void **state)
{
    static const char *const good[][2] = {
        {"node[01-04,7],gpu3", "node01"},
        {"node7", "node7"},
        {"a,b", "a"},
        {"rack[0-1]node[003-9]-ib,x", "rack0node003-ib"},
        {"n[7]", "n7"},
        {"n[7,1-3]", "n7"},
        {"10.0.0.[1-2]", "10.0.0.1"},
    };
    static const char *const bad[] = {"",      ",a",      "n[",    "n[]",      "n[1",
                                      "n[1-]", "n[-1]",   "n[1,]", "n[1-2-3]", "n[a]",
                                      "n]",    "n[1[2]]", "n[1]]", "n[1;2]"};
    char host[16];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(tr_ranks_first_node(good[i][0], host, sizeof host), 0);
        assert_string_equal(host, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (tr_ranks_first_node(bad[i], host, sizeof host) == 0)
            fail_msg("'%s' gives '%s'", bad[i], host);
    }
    assert_int_equal(tr_ranks_first_node("123456789012345", host, sizeof host), 0);
    assert_int_equal(tr_ranks_first_node("1234567890123456", host, sizeof host), -1);
}

static int make_scratch(void **state)
{
    (void)state;
    snprintf(resources, sizeof resources, "/tmp/penstock-ranks-XXXXXX");
    int fd = mkstemp(resources);
    return fd < 0 ? -1 : close(fd);
}

static int drop_scratch(void **state)
{
    (void)state;
    unlink(resources);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_one_rank),
        cmocka_unit_test(own),
        cmocka_unit_test(torchrun),
        cmocka_unit_test(open_mpi),
        cmocka_unit_test(slurm),
        cmocka_unit_test(sagemaker),
        cmocka_unit_test(kubernetes),
        cmocka_unit_test(several_engines),
        cmocka_unit_test(network_is_kept),
        cmocka_unit_test(first_nodes),
    };
    return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
