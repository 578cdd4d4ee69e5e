/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/team.c - see team.h. A round of jobs is open from `run` on until its caller finds no job
 * left; a thread that wakes up later does not join, so that nobody waits for it. */
#include "pipe/team.h"

#include "pipe/error.h"
#include "pipe/thread.h"

#include <stdatomic.h>
#include <stdlib.h>

struct ps_team {
    struct fmt_team team;
    pthread_mutex_t lock; /* guards all but next */
    pthread_cond_t opened, left;
    void (*job)(void *arg, unsigned i); /* of the round; NULL: none is open */
    void *arg;
    unsigned count;
    atomic_uint next; /* job to be taken */
    uint64_t round_no;
    unsigned joined; /* threads in the round, but for the caller of `run` */
    bool closing;
    unsigned started;
    pthread_t threads[];
};

static void do_jobs(struct ps_team *team)
{
    unsigned i;

    while ((i = atomic_fetch_add(&team->next, 1)) < team->count)
        team->job(team->arg, i);
}

static void *help(void *cookie)
{
    struct ps_team *team = cookie;
    uint64_t seen_no = 0;

    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (!team->closing && (!team->job || team->round_no == seen_no))
            pthread_cond_wait(&team->opened, &team->lock);
        if (team->closing)
            break;
        seen_no = team->round_no;
        team->joined++;
        pthread_mutex_unlock(&team->lock);
        do_jobs(team);
        pthread_mutex_lock(&team->lock);
        if (--team->joined == 0)
            pthread_cond_signal(&team->left);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

static void run(void *cookie, unsigned count, void (*job)(void *arg, unsigned i), void *arg)
{
    struct ps_team *team = cookie;

    pthread_mutex_lock(&team->lock);
    team->job = job;
    team->arg = arg;
    team->count = count;
    atomic_store(&team->next, 0);
    team->round_no++;
    pthread_cond_broadcast(&team->opened);
    pthread_mutex_unlock(&team->lock);
    do_jobs(team);
    pthread_mutex_lock(&team->lock);
    while (team->joined > 0)
        pthread_cond_wait(&team->left, &team->lock);
    team->job = NULL;
    pthread_mutex_unlock(&team->lock);
}

int ps_team_open(unsigned size, const char *name, struct ps_team **out,
                 struct penstock_error *error)
{
    struct ps_team *team = calloc(1, sizeof *team + size * sizeof *team->threads);

    *out = team;
    if (!team)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->opened, NULL);
    pthread_cond_init(&team->left, NULL);
    team->team = (struct fmt_team){.size = size, .run = run, .cookie = team};
    while (team->started + 1 < size) {
        int rc = ps_thread_start(&team->threads[team->started], name, help, team, error);

        if (rc != PENSTOCK_OK)
            return rc;
        team->started++;
    }
    return PENSTOCK_OK;
}

const struct fmt_team *ps_team_of(const struct ps_team *team)
{
    return &team->team;
}

void ps_team_close(struct ps_team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    team->closing = true;
    pthread_cond_broadcast(&team->opened);
    pthread_mutex_unlock(&team->lock);
    for (unsigned i = 0; i < team->started; i++)
        pthread_join(team->threads[i], NULL);
    pthread_cond_destroy(&team->opened);
    pthread_cond_destroy(&team->left);
    pthread_mutex_destroy(&team->lock);
    free(team);
}
