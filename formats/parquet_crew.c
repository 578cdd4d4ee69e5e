/* SPDX-License-Identifier: Apache-2.0 */
/* formats/parquet_crew.c - see parquet_crew.h. */
#include "formats/parquet_crew.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Copied by one job: waking a thread takes as long as a few tens of KiB. */
#define COPY_BYTES ((size_t)256 << 10)

/* What a thread that does a job has to itself meanwhile. */
struct fmt_pq_lane {
    atomic_flag taken;
    struct fmt_pq_unpacker *unpacker;
    struct fmt_pq_failure failure; /* the first of its jobs' */
};

struct round {
    const struct fmt_pq_crew *crew;
    fmt_pq_job *job;
    void *arg;
};

bool fmt_pq_crew_begin(struct fmt_pq_crew *crew)
{
    *crew = (struct fmt_pq_crew){.unpacker = fmt_pq_unpacker_new()};
    return crew->unpacker != NULL;
}

static void leave_team(struct fmt_pq_crew *crew)
{
    unsigned size = crew->team ? crew->team->size : 0;

    for (unsigned i = 0; crew->lanes && i < size; i++)
        fmt_pq_unpacker_free(crew->lanes[i].unpacker);
    free(crew->lanes);
    free(crew->scratch);
    crew->team = NULL;
    crew->lanes = NULL;
    crew->scratch = NULL;
}

void fmt_pq_crew_end(struct fmt_pq_crew *crew)
{
    leave_team(crew);
    fmt_pq_unpacker_free(crew->unpacker);
    crew->unpacker = NULL;
}

void fmt_pq_crew_share(struct fmt_pq_crew *crew, const struct fmt_team *team)
{
    leave_team(crew);
    if (!team || team->size < 2)
        return;
    crew->team = team;
    crew->lanes = calloc(team->size, sizeof *crew->lanes);
    crew->scratch = malloc(FMT_PQ_SCRATCH_BYTES);
    bool whole = crew->lanes && crew->scratch;

    for (unsigned i = 0; whole && i < team->size; i++) {
        atomic_flag_clear(&crew->lanes[i].taken);
        crew->lanes[i].unpacker = fmt_pq_unpacker_new();
        whole = crew->lanes[i].unpacker != NULL;
    }
    if (!whole)
        leave_team(crew);
}

static bool comes_first(const struct fmt_pq_failure *a, const struct fmt_pq_failure *b)
{
    return b->rc == FMT_OK || a->stage < b->stage ||
           (a->stage == b->stage && a->job_no < b->job_no);
}

static void do_job(const struct round *round, uint32_t job_no, struct fmt_pq_unpacker *unpacker,
                   struct fmt_pq_failure *first)
{
    struct fmt_pq_failure failure;

    failure.stage = 0;
    failure.job_no = job_no;
    failure.rc = round->job(round->arg, job_no, unpacker, &failure);
    if (failure.rc != FMT_OK && comes_first(&failure, first))
        *first = failure;
}

/* In any of the team's threads: there is a lane for each. */
static void do_shared_job(void *arg, unsigned job_no)
{
    const struct round *round = arg;
    struct fmt_pq_lane *lane = round->crew->lanes;

    while (atomic_flag_test_and_set_explicit(&lane->taken, memory_order_acquire))
        lane =
            lane + 1 < round->crew->lanes + round->crew->team->size ? lane + 1 : round->crew->lanes;
    do_job(round, job_no, lane->unpacker, &lane->failure);
    atomic_flag_clear_explicit(&lane->taken, memory_order_release);
}

enum fmt_rc fmt_pq_crew_run(const struct fmt_pq_crew *crew, uint32_t count, fmt_pq_job *job,
                            void *arg, struct fmt_pq_failure *failure)
{
    struct round round = {.crew = crew, .job = job, .arg = arg};
    const struct fmt_team *team = crew->team;

    failure->rc = FMT_OK;
    if (!team) {
        for (uint32_t i = 0; i < count; i++)
            do_job(&round, i, crew->unpacker, failure);
        return failure->rc;
    }
    for (unsigned i = 0; i < team->size; i++)
        crew->lanes[i].failure.rc = FMT_OK;
    team->run(team->cookie, count, do_shared_job, &round);
    for (unsigned i = 0; i < team->size; i++)
        if (crew->lanes[i].failure.rc != FMT_OK && comes_first(&crew->lanes[i].failure, failure))
            *failure = crew->lanes[i].failure;
    return failure->rc;
}

/* ---- copies ---- */

struct copy {
    uint8_t *to;
    const uint8_t *from;
    size_t len_bytes;
};

static void copy_piece(void *arg, unsigned job_no)
{
    const struct copy *copy = arg;
    size_t at = job_no * COPY_BYTES;
    size_t left_bytes = copy->len_bytes - at;

    memcpy(copy->to + at, copy->from + at, left_bytes < COPY_BYTES ? left_bytes : COPY_BYTES);
}

void fmt_pq_crew_copy(const struct fmt_pq_crew *crew, uint8_t *to, const uint8_t *from,
                      size_t len_bytes)
{
    struct copy copy = {to, from, len_bytes};
    size_t count = (len_bytes + COPY_BYTES - 1) / COPY_BYTES;

    if (crew->team && count > 1 && count < UINT32_MAX)
        crew->team->run(crew->team->cookie, (unsigned)count, copy_piece, &copy);
    else if (len_bytes > 0)
        memcpy(to, from, len_bytes);
}
