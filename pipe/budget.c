/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/budget.c - see budget.h. */
#include "pipe/budget.h"

#include "pipe/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* In thousandths of a token. */
#define FULL INT64_C(500000)
#define RETRY_COST INT64_C(5000)
#define RESUME_COST INT64_C(1000) /* the attempt before brought bytes */
#define REFUND INT64_C(1000)
#define REFILL_PER_MS INT64_C(5) /* a retry each second */
#define DEBT_MAX (20000 * REFILL_PER_MS)

struct ps_budget {
    struct ps_budget *next;
    char *authority; /* constant, as is the bucket */
    char *bucket;
    pthread_mutex_t lock; /* guards what follows */
    int64_t tokens;       /* negative: owed by retries that wait */
    uint64_t refilled_ns;
};

static void free_one(struct ps_budget *budget)
{
    pthread_mutex_destroy(&budget->lock);
    free(budget->authority);
    free(budget->bucket);
    free(budget);
}

static struct ps_budget *make(const char *authority, const char *bucket)
{
    struct ps_budget *budget = calloc(1, sizeof *budget);

    if (!budget)
        return NULL;
    pthread_mutex_init(&budget->lock, NULL);
    budget->tokens = FULL;
    budget->authority = strdup(authority);
    budget->bucket = strdup(bucket);
    if (budget->authority && budget->bucket)
        return budget;
    free_one(budget);
    return NULL;
}

struct ps_budget *ps_budget_find(struct ps_budget **list, const char *authority, const char *bucket)
{
    for (struct ps_budget *known = *list; known; known = known->next)
        if (strcmp(known->authority, authority) == 0 && strcmp(known->bucket, bucket) == 0)
            return known;
    struct ps_budget *budget = make(authority, bucket);

    if (budget) {
        budget->next = *list;
        *list = budget;
    }
    return budget;
}

void ps_budget_free(struct ps_budget **list)
{
    while (*list) {
        struct ps_budget *gone = *list;

        *list = gone->next;
        free_one(gone);
    }
}

/* Lock held. */
static void refill(struct ps_budget *budget, uint64_t now_ns)
{
    uint64_t passed_ms =
        now_ns > budget->refilled_ns ? (now_ns - budget->refilled_ns) / PS_NS_PER_MS : 0;
    int64_t most_ms = (FULL - budget->tokens) / REFILL_PER_MS;

    budget->tokens +=
        REFILL_PER_MS * (passed_ms < (uint64_t)most_ms ? (int64_t)passed_ms : most_ms);
    budget->refilled_ns += passed_ms * PS_NS_PER_MS;
}

uint32_t ps_budget_take_ms(struct ps_budget *budget, bool brought_bytes, uint64_t now_ns)
{
    if (!budget)
        return 0;
    pthread_mutex_lock(&budget->lock);
    refill(budget, now_ns);
    budget->tokens -= brought_bytes ? RESUME_COST : RETRY_COST;
    if (budget->tokens < -DEBT_MAX)
        budget->tokens = -DEBT_MAX;
    int64_t owed = budget->tokens < 0 ? -budget->tokens : 0;

    pthread_mutex_unlock(&budget->lock);
    return (uint32_t)(owed / REFILL_PER_MS);
}

void ps_budget_refund(struct ps_budget *budget, bool retried)
{
    if (!budget)
        return;
    pthread_mutex_lock(&budget->lock);
    budget->tokens += retried ? RETRY_COST : REFUND;
    if (budget->tokens > FULL)
        budget->tokens = FULL;
    pthread_mutex_unlock(&budget->lock);
}

bool ps_budget_is_strained(struct ps_budget *budget)
{
    if (!budget)
        return false;
    pthread_mutex_lock(&budget->lock);
    bool strained = budget->tokens < FULL / 2;

    pthread_mutex_unlock(&budget->lock);
    return strained;
}
